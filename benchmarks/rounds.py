"""The order of events: rounds of all subjects by turns, so that whatever else the machine does meets them all alike."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.envoys import Deployment, RunningEnvoy, Started, Used, WrongAnswerError
from benchmarks.jobs import Job
from benchmarks.load import CONNECTIONS, LoadError
from pywasm_filter.testing.envoy import EnvoyError

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """What is measured."""

    title: str
    job: Job
    deployment: Deployment


@dataclass(frozen=True)
class Pace:
    """How much is measured."""

    rounds: int
    seconds: int
    """Length of a round."""
    starts: int
    """How many times each Envoy starts."""
    connections: int = CONNECTIONS


@dataclass
class Series:
    """What was measured of one subject."""

    subject: Subject
    base: Series | None
    """The one without a filter, to compare with; None for that itself."""
    rounds: list[Used] = field(default_factory=list)
    starts: list[Started] = field(default_factory=list)
    resident_bytes: int = 0
    """After the rounds."""
    failure: str | None = None
    """Why there are no figures."""

    @property
    def rate(self) -> float:
        """Requests per second, the median of the rounds."""
        return statistics.median(used.traffic.rate for used in self.rounds)

    @property
    def p99(self) -> float:
        """Seconds that all but one in a hundred requests took at most, the median of the rounds."""
        return statistics.median(used.traffic.p99 for used in self.rounds)

    @property
    def start_seconds(self) -> float:
        """From the start of the processes to the first right answer, the median."""
        return statistics.median(start.seconds for start in self.starts)

    @property
    def start_processor_seconds(self) -> float:
        """What all threads of the processes worked for it, the median."""
        return statistics.median(start.processor_seconds for start in self.starts)

    @property
    def added_start_seconds(self) -> float:
        """What the start takes more than without a filter."""
        return self.start_seconds - (self.base or self).start_seconds

    @property
    def added_start_processor_seconds(self) -> float:
        """What is worked more for the start than without a filter."""
        return self.start_processor_seconds - (self.base or self).start_processor_seconds

    @property
    def added_resident_bytes(self) -> int:
        """Memory that it takes more than without a filter."""
        return self.resident_bytes - (self.base or self).resident_bytes

    @property
    def added_seconds(self) -> float:
        """What a request takes more than without a filter while the worker is never idle: the median of differences
        within a round.
        """
        return self._median_difference(lambda used: 1 / used.traffic.rate)

    @property
    def added_processor_seconds(self) -> float:
        """What the processors work more for a request than without a filter, in all threads of all processes."""
        return self._median_difference(lambda used: used.processor_seconds / used.traffic.requests)

    def _median_difference(self, cost: Callable[[Used], float]) -> float:
        base = self.base or self
        return statistics.median(cost(own) - cost(other) for own, other in zip(self.rounds, base.rounds, strict=True))


def measure(groups: Sequence[Sequence[Subject]], pace: Pace, progress: Progress) -> list[list[Series]]:
    """Measure all subjects by turns; the first of each group is what the others of it are compared with.

    One that does not start or answers wrongly has a failure in the place of figures. Raises EnvoyError,
    WrongAnswerError or LoadError when that is the first of a group.
    """
    measured = [_series(group) for group in groups]
    everyone = [series for group in measured for series in group]
    with contextlib.ExitStack() as stack:
        runner = _Runner(pace, stack, progress)
        for number in range(1, pace.starts + 1):
            progress(f"  start {number} of {pace.starts}")
            runner.each(everyone, runner.start if number == pace.starts else runner.try_start)
        runner.each(everyone, runner.check)
        runner.each(everyone, runner.warm)
        for number in range(1, pace.rounds + 1):
            progress(f"  round {number} of {pace.rounds}")
            runner.each(everyone, runner.load)
        runner.each(everyone, runner.check)
        runner.each(everyone, runner.weigh)
    return measured


def _series(group: Sequence[Subject]) -> list[Series]:
    base = Series(group[0], None)
    return [base, *(Series(subject, base) for subject in group[1:])]


class _Runner:
    """The steps that a subject goes through."""

    def __init__(self, pace: Pace, stack: contextlib.ExitStack, progress: Progress) -> None:
        self._pace = pace
        self._stack = stack
        self._progress = progress
        self._running: dict[int, RunningEnvoy] = {}

    def each(self, everyone: Sequence[Series], step: Callable[[Series], None]) -> None:
        """Take the step with all that have not failed."""
        for series in everyone:
            if series.failure is not None:
                continue
            try:
                step(series)
            except (EnvoyError, WrongAnswerError, LoadError) as error:
                if series.base is None:
                    raise
                series.failure = str(error)
                self._progress(f"  {series.subject.title}: {error}")

    def try_start(self, series: Series) -> None:
        with self._envoy(series) as envoy:
            series.starts.append(envoy.start)

    def start(self, series: Series) -> None:
        envoy = self._stack.enter_context(self._envoy(series))
        self._running[id(series)] = envoy
        series.starts.append(envoy.start)

    def check(self, series: Series) -> None:
        self._running[id(series)].check()

    def warm(self, series: Series) -> None:
        self._running[id(series)].load(1, self._pace.connections)

    def load(self, series: Series) -> None:
        series.rounds.append(self._running[id(series)].load(self._pace.seconds, self._pace.connections))

    def weigh(self, series: Series) -> None:
        series.resident_bytes = self._running[id(series)].resident_bytes

    def _envoy(self, series: Series) -> RunningEnvoy:
        return RunningEnvoy(series.subject.job, series.subject.deployment)
