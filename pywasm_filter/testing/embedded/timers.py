"""The tick of a root context."""

from __future__ import annotations

from collections.abc import Callable

from pywasm_filter.testing.embedded.events import Event, EventQueue

_NANOSECONDS = 1_000_000


class Ticker:
    """Calls back at each end of a period; armed again after the callback."""

    def __init__(self, events: EventQueue, on_tick: Callable[[], bool]) -> None:
        """`on_tick` returns whether there is any use in going on."""
        self._events = events
        self._on_tick = on_tick
        self._period_ns = 0
        self._next: Event | None = None

    def set_period(self, milliseconds: int) -> None:
        """Tick after that time, and after it again; 0 stops."""
        self._period_ns = milliseconds * _NANOSECONDS
        self._arm()

    def stop(self) -> None:
        """Tick no more."""
        self.set_period(0)

    def _arm(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = self._events.schedule(self._period_ns, self._tick) if self._period_ns else None

    def _tick(self) -> None:
        if self._on_tick():
            self._arm()
        else:
            self.stop()
