"""The event queue and the virtual clock of the embedded proxy."""

from __future__ import annotations

import time
from functools import partial

import pytest

from pywasm_filter.testing import ProxyTestError
from pywasm_filter.testing.embedded.events import EventQueue, VirtualClock

SECOND = 1_000_000_000


def test_time_starts_where_it_is_told_and_stands_still() -> None:
    queue = EventQueue(1234)
    assert (queue.now_ns(), queue.now_ns()) == (1234, 1234)
    before = time.time_ns()
    assert before <= EventQueue().now_ns() <= time.time_ns()


def test_events_come_in_order_of_time_then_of_scheduling_each_at_its_time() -> None:
    queue = EventQueue(0)
    seen: list[tuple[str, int]] = []

    def record(name: str) -> None:
        seen.append((name, queue.now_ns()))

    for name, delay in (("late", 30), ("b", 10), ("c", 10), ("a", 5)):
        queue.schedule(delay, partial(record, name))
    queue.run_due()
    assert seen == []
    queue.advance(20)
    assert seen == [("a", 5), ("b", 10), ("c", 10)]
    assert queue.now_ns() == 20
    queue.advance(10)
    assert seen[-1] == ("late", 30)


def test_what_an_action_schedules_counts() -> None:
    queue = EventQueue(0)
    seen: list[int] = []

    def tick() -> None:
        seen.append(queue.now_ns())
        queue.schedule(10, tick)

    queue.schedule(10, tick)
    queue.advance(35)
    assert seen == [10, 20, 30]
    queue.schedule(0, lambda: queue.schedule(0, lambda: seen.append(-1)))
    queue.run_due()
    assert seen[-1] == -1


def test_a_cancelled_event_does_not_happen() -> None:
    queue = EventQueue(0)
    seen: list[int] = []
    event = queue.schedule(5, lambda: seen.append(5))
    assert queue.next_at_ns() == 5
    event.cancel()
    assert event.cancelled
    assert queue.next_at_ns() is None
    assert not queue.advance_to_next(100)
    assert (seen, queue.now_ns()) == ([], 0)


def test_advancing_to_the_next_event_runs_all_of_its_time_and_stops_at_the_limit() -> None:
    queue = EventQueue(0)
    seen: list[str] = []
    queue.schedule(5, lambda: seen.append("a"))
    queue.schedule(5, lambda: seen.append("b"))
    queue.schedule(9, lambda: seen.append("c"))
    assert queue.advance_to_next(8)
    assert (seen, queue.now_ns()) == (["a", "b"], 5)
    assert not queue.advance_to_next(8)
    assert queue.now_ns() == 5


def test_what_an_action_raises_leaves_and_the_rest_stays() -> None:
    queue = EventQueue(0)
    seen: list[str] = []
    queue.schedule(1, lambda: [].pop())
    queue.schedule(2, lambda: seen.append("rest"))
    with pytest.raises(IndexError):
        queue.advance(10)
    assert (seen, queue.now_ns()) == ([], 1)
    queue.advance(10)
    assert (seen, queue.now_ns()) == (["rest"], 11)


def test_an_endless_chain_at_one_time_is_an_error() -> None:
    queue = EventQueue(0)

    def again() -> None:
        queue.schedule(0, again)

    again()
    with pytest.raises(ProxyTestError, match="no end in sight"):
        queue.run_due()


def test_the_clock_takes_seconds_and_checks_after_each_advance() -> None:
    queue = EventQueue(0)
    checks: list[int] = []
    clock = VirtualClock(queue, lambda: checks.append(queue.now_ns()))
    clock.advance(1.5)
    assert clock.now_ns() == 3 * SECOND // 2
    assert checks == [clock.now_ns()]
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="a duration"):
            clock.advance(bad)
