"""Time as a test sees it: virtual in the embedded proxy, real in Envoy."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

NANOSECONDS = 1_000_000_000


class Clock(ABC):
    """The proxy's clock."""

    @abstractmethod
    def now_ns(self) -> int:
        """The time in nanoseconds since the Unix epoch."""

    @abstractmethod
    def advance(self, seconds: float) -> None:
        """Let time pass: what is due until then happens, in order. Raises ValueError for a negative duration."""


class WallClock(Clock):
    """Real time, which passes whether a test waits or not."""

    def now_ns(self) -> int:
        """The time of this machine."""
        return time.time_ns()

    def advance(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def nanoseconds(seconds: float) -> int:
    """A duration in whole nanoseconds. Raises ValueError when it is negative or no number."""
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"a duration is a number of seconds from 0 on, not {seconds!r}")
    return round(seconds * NANOSECONDS)
