"""Time: the clock, awaited sleeps, and the author's own tick, all over the one tick that a root context has."""

from __future__ import annotations

from collections.abc import Awaitable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, TypeVar

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.exceptions import host_error
from pywasm_filter.sdk.tasks import Future, as_future, running_task

if TYPE_CHECKING:
    from typing import Any

    from pywasm_filter.sdk.contexts import RootContext

T = TypeVar("T")

_NANOSECONDS = 1_000_000_000
_PER_MILLISECOND = 1_000_000
_LONGEST_TICK = 0xFFFF_FFFF
# Hosts count in milliseconds: what is due within half of one is due now.
_SLACK = _PER_MILLISECOND // 2


def current_time_ns() -> int:
    """Nanoseconds since the Unix epoch by the host's clock. ABI: proxy_get_current_time_nanoseconds."""
    status, now = hostcalls.current.proxy_get_current_time_nanoseconds()
    if status != 0:
        raise host_error("proxy_get_current_time_nanoseconds", status)
    return now


def milliseconds(seconds: float, what: str) -> int:
    """Seconds as the whole milliseconds that hostcalls take, rounded up. Raises ValueError outside of 0 to 49 days."""
    if not 0 <= seconds <= _LONGEST_TICK / 1000:
        raise ValueError(f"{what} is a number of seconds from 0 to {_LONGEST_TICK // 1000}, not {seconds!r}")
    return min(-int(-seconds * 1000 // 1), _LONGEST_TICK)


class Timers:
    """The timers of one root context. The host's tick is set to whatever is due first."""

    __slots__ = ("_author_due", "_author_period", "_cancelled", "_host_period", "_latest", "_number", "_sleepers")

    def __init__(self) -> None:
        self._sleepers: list[tuple[int, int, Future[None]]] = []
        self._number = 0
        self._cancelled = 0
        self._author_period = 0
        self._author_due = 0
        self._host_period = 0
        self._latest = 0

    def __len__(self) -> int:
        return len(self._sleepers)

    def set_author_period(self, period: int) -> None:
        """The author's tick, in milliseconds; 0 stops it."""
        now = self._now()
        self._author_period = period
        self._author_due = now + period * _PER_MILLISECOND
        self._set_host_period(self._next(now))

    def start(self, duration: int) -> Future[None]:
        """A future that completes in `duration` nanoseconds."""
        now = self._now()
        timer: Future[None] = Future()
        timer._when_done(lambda: self._drop(timer))
        self._number += 1
        heappush(self._sleepers, (now + duration, self._number, timer))
        self._set_host_period(self._next(now))
        return timer

    def tick(self) -> bool:
        """Complete what is due. True when the author's own tick is due."""
        now = self._now()
        while self._sleepers and self._sleepers[0][0] <= now + _SLACK:
            timer = heappop(self._sleepers)[2]
            if timer.cancelled():
                self._cancelled -= 1
            timer._complete(None, None)
        author = self._author_period != 0 and self._author_due <= now + _SLACK
        if author:
            self._author_due = now + self._author_period * _PER_MILLISECOND
        period = self._next(now)
        if period != self._host_period:  # otherwise the host goes on by itself
            self._set_host_period(period)
        return author

    def _drop(self, timer: Future[None]) -> None:
        """Forget cancelled timers, once they are the greater part: streams that end early must not pile them up."""
        if not timer.cancelled():
            return
        self._cancelled += 1
        if self._cancelled * 2 > len(self._sleepers):
            self._sleepers = [entry for entry in self._sleepers if not entry[2].cancelled()]
            heapify(self._sleepers)
            self._cancelled = 0
            self._set_host_period(self._next(self._now()))

    def _now(self) -> int:
        """The host's clock; when it was set back, all that is due moves with it."""
        now = current_time_ns()
        back = self._latest - now
        if back > 0:
            self._author_due -= back
            self._sleepers = [(due - back, number, timer) for due, number, timer in self._sleepers]
        self._latest = now
        return now

    def _next(self, now: int) -> int:
        """Milliseconds until something is due; 0 when nothing is."""
        if self._sleepers:
            due = self._sleepers[0][0]
            if self._author_period and self._author_due < due:
                due = self._author_due
        elif self._author_period:
            due = self._author_due
        else:
            return 0
        return max(1, min(-((now - due) // _PER_MILLISECOND), _LONGEST_TICK))

    def _set_host_period(self, period: int) -> None:
        status = hostcalls.current.proxy_set_tick_period_milliseconds(period)
        if status != 0:
            raise host_error("proxy_set_tick_period_milliseconds", status)
        self._host_period = period


def sleep_future(root: RootContext[Any], seconds: float) -> Future[None]:
    """A future that completes after that time, on a tick of the root context. Raises ValueError as `milliseconds`."""
    milliseconds(seconds, "a time to sleep")
    return root._timers().start(int(seconds * _NANOSECONDS))


async def wait_for(awaitable: Awaitable[T], timeout: float) -> T:
    """Wait for `awaitable`, but not longer than `timeout` seconds: `await wait_for(self.lookup(), timeout=0.5)`.

    Raises TimeoutError; a coroutine is cancelled then, a task goes on. RuntimeError outside of async code.
    """
    owner = running_task()._owner
    future = as_future(awaitable, owner)
    timer: Future[None] | None = None
    try:
        if not future._done:
            timer = sleep_future(owner._plugin(), timeout)
            await _either(future, timer)
            if not future._done:
                raise TimeoutError(f"nothing came within {timeout} s")
            timer.cancel()
        return future.result()
    except GeneratorExit:  # there is no proxy any more
        raise
    except BaseException:
        if future is not awaitable:
            future.cancel()
        if timer is not None:
            timer.cancel()
        raise


def _either(first: Future[T], second: Future[None]) -> Future[None]:
    outcome: Future[None] = Future()

    def complete() -> None:
        outcome._complete(None, None)

    first._when_done(complete)
    second._when_done(complete)
    return outcome
