from __future__ import annotations

import datetime
import threading
import time

import pytest

from pywasm_filter.testing.guests.virtual_time import VirtualTime, importable_clocks

NOON_NS = 1_500_000_000_123_456_789


def test_all_clocks_show_it_to_the_nanosecond() -> None:
    with VirtualTime(lambda: NOON_NS):
        shown = (time.time_ns(), time.monotonic_ns(), time.perf_counter_ns())
        moment = datetime.datetime.now(datetime.UTC)
    assert shown == (NOON_NS, NOON_NS, NOON_NS)
    assert moment == datetime.datetime(2017, 7, 14, 2, 40, 0, 123456, datetime.UTC)


def test_callbacks_within_callbacks_leave_the_outer_time() -> None:
    times = [1_000_000_000, 2_000_000_000]
    clock = VirtualTime(lambda: times.pop(0))
    with clock:
        with clock:
            assert (time.time(), time.monotonic()) == (2.0, 2.0)
        assert (time.time(), time.monotonic()) == (1.0, 1.0)


def test_what_a_test_has_patched_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 5.0)
    with VirtualTime(lambda: NOON_NS):
        assert time.monotonic() == NOON_NS / 1e9
    assert time.monotonic() == 5.0


def test_an_exception_leaves_real_time() -> None:
    before = (time.monotonic, time.perf_counter_ns)
    with pytest.raises(ZeroDivisionError), VirtualTime(lambda: NOON_NS):
        raise ZeroDivisionError
    assert (time.monotonic, time.perf_counter_ns) == before
    assert time.time() > NOON_NS / 1e9 + 1


def test_importable_clocks_of_other_threads_stay_real() -> None:
    seen: list[float] = []
    with VirtualTime(lambda: NOON_NS):
        thread = threading.Thread(target=lambda: seen.append(time.monotonic()))
        thread.start()
        thread.join()
    assert seen == [pytest.approx(time.monotonic(), abs=60)]


def test_a_clock_that_was_imported_meanwhile_is_real_until_a_callback_runs() -> None:
    with importable_clocks():
        kept = time.monotonic
    assert kept() == pytest.approx(time.monotonic(), abs=60)
    with VirtualTime(lambda: NOON_NS):
        assert kept() == NOON_NS / 1e9


def test_what_freezegun_has_frozen_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datetime, "datetime", type("FakeDatetime", (), {}))
    real = time.time()
    with VirtualTime(lambda: NOON_NS):
        assert time.time() == pytest.approx(real, abs=60)
