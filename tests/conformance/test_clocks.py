"""Python's clocks in a filter show the proxy's time: virtual in the embedded proxy, in process too, real in Envoy."""

import json
import time
from datetime import UTC, datetime

import pytest

from pywasm_filter.testing import Proxy

pytestmark = pytest.mark.pywasm(filter="told_filter.py")

STEADY = ("monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
OF_DAY = ("time", "time_ns", "datetime.now", "moment.now")


def clocks(proxy: Proxy) -> tuple[dict[str, float], dict[str, float]]:
    exchange = proxy.get("/", headers={"x-do": "clocks"})
    assert exchange.upstream_request is not None
    before, after = json.loads(exchange.upstream_request.headers["x-clocks"])
    return before, after


def test_time_passes_on_all_clocks(proxy: Proxy) -> None:
    before, after = clocks(proxy)
    for name in (*OF_DAY, *STEADY):
        assert 0.2 < after[name] - before[name] < 5, name
    for reading in (before, after):
        for name in OF_DAY:
            assert reading[name] == pytest.approx(reading["proxy"], abs=0.2), name
        assert 0 <= reading["time"] - reading["gmtime"] < 1.2


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_they_show_virtual_time(proxy: Proxy) -> None:
    proxy.clock.advance(100)
    now = proxy.clock.now_ns() / 1e9
    before, after = clocks(proxy)
    for name in (*OF_DAY, *STEADY):
        assert before[name] == pytest.approx(now, abs=1e-5), name
        assert after[name] == pytest.approx(now + 0.25, abs=1e-5), name


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"], configuration=b"tick")
def test_ticks_show_the_time_at_which_they_are_due(proxy: Proxy) -> None:
    start = proxy.clock.now_ns() / 1e9
    proxy.clock.advance(1.6)
    for name in (*OF_DAY, *STEADY):  # in the main thread and in the worker
        seen = [json.loads(line.message)[name] - start for line in proxy.logs]
        assert seen == pytest.approx([0.5, 0.5, 1.0, 1.0, 1.5, 1.5], abs=1e-5), name


def test_the_time_of_the_test_is_real(proxy: Proxy) -> None:
    proxy.get("/")
    real = time.clock_gettime(time.CLOCK_REALTIME)
    assert time.time() == pytest.approx(real, abs=5)
    assert datetime.now(UTC).timestamp() == pytest.approx(real, abs=5)
    assert time.monotonic() == pytest.approx(time.clock_gettime(time.CLOCK_MONOTONIC), abs=5)
    assert type(time.monotonic).__name__ == "builtin_function_or_method"
