"""What is to happen, in order of virtual time: ticks, answers to callouts, timeouts.

The time is the queue's own. It stands still while callbacks run, and moves only when a test lets it.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable

from pywasm_filter.testing.clock import Clock, nanoseconds
from pywasm_filter.testing.errors import ProxyTestError

Action = Callable[[], object]

# So many actions at one and the same time are taken for an endless loop: each callout made in answer to the last, say.
_MOST_AT_ONCE = 100_000


class Event:
    """An action at a time (nanoseconds since the Unix epoch), unless it is cancelled first."""

    __slots__ = ("_action", "at_ns")

    def __init__(self, at_ns: int, action: Action) -> None:
        self.at_ns = at_ns
        self._action: Action | None = action

    @property
    def cancelled(self) -> bool:
        """Whether nothing will happen: it was cancelled, or has happened."""
        return self._action is None

    def cancel(self) -> None:
        """Let it not happen. Does nothing when it has happened."""
        self._action = None

    def run(self) -> None:
        """Do it, once."""
        action, self._action = self._action, None
        if action is not None:
            action()


class EventQueue:
    """Events in order of time; those of one time in the order in which they were scheduled.

    Actions run between callbacks, never within one: whoever drives the proxy calls `run_due` after each step. What an
    action raises leaves through that call; the events behind it stay.
    """

    def __init__(self, start_ns: int | None = None) -> None:
        """`start_ns` is the time at the start, in nanoseconds since the Unix epoch; the machine's if None."""
        self._now = time.time_ns() if start_ns is None else start_ns
        self._order = itertools.count()
        self._heap: list[tuple[int, int, Event]] = []

    def now_ns(self) -> int:
        """The time in nanoseconds since the Unix epoch."""
        return self._now

    def schedule(self, delay_ns: int, action: Action) -> Event:
        """Have an action run `delay_ns` nanoseconds from now; 0: as soon as the running step is over."""
        event = Event(self._now + max(delay_ns, 0), action)
        heapq.heappush(self._heap, (event.at_ns, next(self._order), event))
        return event

    def next_at_ns(self) -> int | None:
        """The time of the next event; None if there is none."""
        while self._heap and self._heap[0][2].cancelled:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> None:
        """Run what is due now, and what that schedules for now. Raises ProxyTestError when that does not end."""
        self._run_until(self._now)

    def advance(self, duration_ns: int) -> None:
        """Let time pass: each event until then runs at its own time."""
        self._run_until(self._now + duration_ns)

    def advance_to_next(self, until_ns: int) -> bool:
        """Let time pass to the next event and run what is due then; false if there is none before `until_ns`."""
        at = self.next_at_ns()
        if at is None or at > until_ns:
            return False
        self._run_until(at)
        return True

    def _run_until(self, until_ns: int) -> None:
        at_once = 0
        while (at := self.next_at_ns()) is not None and at <= until_ns:
            at_once = at_once + 1 if at <= self._now else 0
            if at_once > _MOST_AT_ONCE:
                raise ProxyTestError(
                    f"{_MOST_AT_ONCE} callbacks at one time, each the cause of the next: no end in sight"
                )
            self._now = max(self._now, at)
            heapq.heappop(self._heap)[2].run()
        self._now = max(self._now, until_ns)


class VirtualClock(Clock):
    """A test's view of the queue. `check` runs after each advance; it raises what the test must see."""

    def __init__(self, events: EventQueue, check: Action) -> None:
        self._events = events
        self._check = check

    def now_ns(self) -> int:
        """The virtual time."""
        return self._events.now_ns()

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._events.advance(nanoseconds(seconds))
        self._check()
