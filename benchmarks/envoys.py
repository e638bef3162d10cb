"""Envoys as the benchmarks run them: what answers, which filter is in front, and what it all takes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.jobs import Case, Job
from benchmarks.load import CONNECTIONS, Traffic, send
from pywasm_filter.testing.envoy import EnvoyProcess, EnvoySettings, bootstrap
from pywasm_filter.testing.envoy.config import JSON

_START_SECONDS = 300.0  # of eight VMs on a busy machine
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class WrongAnswerError(Exception):
    """A filter does not do its job."""


@dataclass(frozen=True)
class Deployment:
    """A filter made ready for a job."""

    settings: EnvoySettings = field(default_factory=lambda: EnvoySettings(None, None))
    """With the module, if there is one."""
    http_filters: Sequence[JSON] = ()
    """What stands in front of the router otherwise."""
    routes: Sequence[JSON] = ()
    """Routes before the one that answers."""
    clusters: Sequence[JSON] = ()
    server: Sequence[str] = ()
    """The command of a server beside Envoy, which prints a line as soon as it serves."""
    does_the_job: bool = True
    """Whether its answers are to be right; those without a filter are not."""

    @property
    def module(self) -> Path | None:
        """The Wasm module."""
        return self.settings.module


NO_FILTER = Deployment(does_the_job=False)
"""An Envoy as it is."""


@dataclass(frozen=True)
class Used:
    """What a round took."""

    traffic: Traffic
    processor_seconds: float
    """Of Envoy and the server beside it."""


@dataclass(frozen=True)
class Started:
    """What it took from the start of the processes to the first answer."""

    seconds: float
    processor_seconds: float
    """Of all threads: V8 compiles on several at once."""


class RunningEnvoy:
    """An Envoy, and the server beside it, that does a job; from the start of the context to its end.

    Entering raises EnvoyStartError, and WrongAnswerError unless the first answer is right.
    """

    def __init__(self, job: Job, deployment: Deployment) -> None:
        self._job = job
        self._deployment = deployment
        self._cleanup = contextlib.ExitStack()
        self.start = Started(0, 0)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as cleanup:
            begun = time.perf_counter()
            pids = []
            if self._deployment.server:
                pids.append(cleanup.enter_context(_server(self._deployment.server)))
            configuration = _configuration(self._job, self._deployment)
            process = EnvoyProcess(self._deployment.settings, configuration=configuration, start_timeout=_START_SECONDS)
            self._envoy = cleanup.enter_context(process)
            self._pids = (self._envoy.pid, *pids)
            self._check(self._job.cases[0])
            self.start = Started(time.perf_counter() - begun, self._processor_seconds())
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def check(self) -> None:
        """Ask for each case of the job. Raises WrongAnswerError."""
        if self._deployment.does_the_job:
            for case in self._job.cases:
                self._check(case)

    def load(self, seconds: float, connections: int = CONNECTIONS) -> Used:
        """Send the job's requests for so long. Raises LoadError."""
        before = self._processor_seconds()
        traffic = send(self._envoy.address, self._job.load, seconds, connections)
        return Used(traffic, self._processor_seconds() - before)

    @property
    def resident_bytes(self) -> int:
        """Memory of all processes."""
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in self._pids)

    def _processor_seconds(self) -> float:
        """What all processes have used so far."""
        total = 0
        for pid in self._pids:
            # The command's name, in parentheses, may have spaces in it.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / _TICKS_PER_SECOND

    def _check(self, case: Case) -> None:
        request = case.request
        connection = http.client.HTTPConnection(*self._envoy.address, timeout=30)
        try:
            connection.request(request.method, request.path, request.body or None, dict(request.headers))
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if self._deployment.does_the_job:
            _compare(case, answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)
        elif answer.status != 200:
            raise WrongAnswerError(f"{request.method} {request.path}: status {answer.status}")


def _compare(case: Case, status: int, headers: dict[str, str], body: bytes) -> None:
    asked = f"{case.request.method} {case.request.path}"
    if status not in case.statuses:
        raise WrongAnswerError(f"{asked}: status {status} instead of {case.statuses[0]}")
    for name, expected in case.headers.items():
        if headers.get(name) != expected:
            raise WrongAnswerError(f"{asked}: {name} is {headers.get(name)!r} instead of {expected!r}")
    if case.document is None:
        return
    try:
        document = json.loads(body)
    except ValueError as error:
        raise WrongAnswerError(f"{asked}: the body is not JSON: {error}") from error
    if document != case.document:
        raise WrongAnswerError(f"{asked}: the body is another document: {body[:200]!r}…")


def _configuration(job: Job, deployment: Deployment) -> JSON:
    """Envoy's bootstrap configuration. Envoy answers by itself: no upstream takes processors from what is measured."""
    configuration = bootstrap(deployment.settings)
    resources = configuration["static_resources"]
    resources["clusters"].extend(deployment.clusters)
    [listener] = resources["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"][0:0] = deployment.http_filters
    manager["route_config"]["max_direct_response_body_size_bytes"] = max(4096, len(job.answer))
    [host] = manager["route_config"]["virtual_hosts"]
    told = {f"x-upstream-{name}": f"%REQ({name})%" for name in job.told}
    host["routes"] = [
        *deployment.routes,
        {
            "match": {"prefix": "/"},
            "direct_response": {"status": 200, "body": {"inline_string": job.answer.decode()}},
            "response_headers_to_add": [
                {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
                for name, value in {"content-type": job.content_type, **told}.items()
            ],
        },
    ]
    return configuration


@contextlib.contextmanager
def _server(command: Sequence[str]) -> Iterator[int]:
    """Run a server while the context lasts; its process id."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise WrongAnswerError(f"the server ended with status {process.wait()}")
            yield process.pid
        finally:
            process.terminate()
