"""Python's clocks as a filter in process reads them: they show the proxy's time while a callback of the filter runs."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import time_machine

from pywasm_filter.testing.clock import NANOSECONDS

# time-machine knows the time of day only. Inside a module all clocks are the proxy's.
_STEADY_CLOCKS = ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")


class VirtualTime:
    """Shows what `now_ns` says while it is entered, in this thread; `time.time()`, `datetime.now()` in all threads.

    The time stands still meanwhile, as in a callback. Where the test has frozen the time with freezegun, that stays.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._travel = time_machine.travel(0, tick=False)
        self._entered: list[tuple[int | None, dict[str, Any], bool]] = []

    def __enter__(self) -> None:
        now = self._now_ns()
        travels = datetime.datetime.__name__ != "FakeDatetime"
        if travels:
            self._travel.destination_timestamp_ns = now  # the constructor takes nothing so exact
            self._travel.start()
        self._entered.append((_shown.now_ns, _set_clocks(), travels))
        _shown.now_ns = now

    def __exit__(self, *_: object) -> None:
        _shown.now_ns, before, travels = self._entered.pop()
        vars(time).update(before)
        if travels:
            self._travel.stop()


@contextmanager
def importable_clocks() -> Iterator[None]:
    """Let a filter that imports clocks from `time` meanwhile import those that a VirtualTime sets.

    They show real time until it is entered.
    """
    before = _set_clocks()
    try:
        yield
    finally:
        vars(time).update(before)


def _set_clocks() -> dict[str, Any]:
    """Put our clocks in the place of those that there are, which a test may have patched."""
    clocks = vars(time)
    before = {name: clocks[name] for name in _STEADY_CLOCKS}
    clocks.update(_CLOCKS)
    return before


class _Shown(threading.local):
    now_ns: int | None = None


_shown = _Shown()


def _clock(name: str) -> Callable[[], Any]:
    real: Callable[[], Any] = getattr(time, name)
    in_nanoseconds = name.endswith("_ns")

    def clock() -> Any:
        now = _shown.now_ns
        if now is None:
            return real()
        return now if in_nanoseconds else now / NANOSECONDS

    clock.__name__ = clock.__qualname__ = name
    clock.__doc__ = real.__doc__
    return clock


_CLOCKS = {name: _clock(name) for name in _STEADY_CLOCKS}
