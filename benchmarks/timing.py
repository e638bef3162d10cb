"""Times of things that this process does."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Timed:
    """Seconds that one thing took each time, and seconds of processors."""

    name: str
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """In seconds."""
        return statistics.median(self.seconds)

    @contextmanager
    def once(self) -> Iterator[None]:
        """Time what happens in the context."""
        begun, worked = time.perf_counter(), _processor_time()
        yield
        self.seconds.append(time.perf_counter() - begun)
        self.processor_seconds.append(_processor_time() - worked)


def timed(name: str, times: int, action: Callable[[], object]) -> Timed:
    """Do something so many times."""
    measured = Timed(name)
    for _ in range(times):
        with measured.once():
            action()
    return measured


def _processor_time() -> float:
    """Of this process and of those that it has waited for. Finer than os.times tells."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def duration(seconds: float) -> str:
    """For people: three digits and a unit."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
