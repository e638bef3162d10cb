import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.rate_limit.filter import SECOND, Limit, network
from pywasm_filter.build import cached_build
from pywasm_filter.testing import MakeProxy, PluginConfigurationError, Proxy
from pywasm_filter.testing.envoy import EnvoyProcess, EnvoySettings, request

LIMITS = [
    {"name": "key", "requests": 2, "per": "4s", "header": "x-api-key"},
    {"name": "search", "requests": 1, "per": "1h", "header": "x-api-key", "path": "/search(/.*)?"},
]
# The address limit must not be met: a running Envoy serves several tests.
CONFIGURATION = {"limits": [*LIMITS, {"name": "address", "requests": 10_000}], "report_every": "1s"}

pytestmark = pytest.mark.pywasm(configuration=CONFIGURATION)


def key() -> dict[str, str]:
    return {"x-api-key": str(uuid.uuid4())}


def statuses(proxy: Proxy, headers: dict[str, str], count: int, path: str = "/") -> list[int]:
    return [proxy.get(path, headers=headers).response.status for _ in range(count)]


def test_a_burst_passes_and_time_brings_tokens(proxy: Proxy) -> None:
    client = key()
    assert statuses(proxy, client, 2) == [200, 200]
    refused = proxy.get("/", headers=client)
    assert not refused.reached_upstream
    assert (refused.response.status, refused.response.body) == (429, b"too many requests\n")
    assert refused.response.headers["retry-after"] == "2"
    assert refused.response.headers["x-ratelimit-name"] == "key"
    proxy.clock.advance(2.05)
    assert statuses(proxy, client, 2) == [200, 429]


def test_clients_do_not_share_a_bucket(proxy: Proxy) -> None:
    assert statuses(proxy, key(), 3) == [200, 200, 429]
    assert statuses(proxy, key(), 3) == [200, 200, 429]


def test_the_strictest_limit_decides(proxy: Proxy) -> None:
    client = key()
    assert statuses(proxy, client, 1, "/search?q=1") == [200]
    refused = proxy.get("/search/more", headers=client).response
    assert (refused.status, refused.headers["x-ratelimit-name"]) == (429, "search")
    assert int(refused.headers["retry-after"]) in (3599, 3600)


@pytest.mark.pywasm(
    configuration={"limits": [{"name": "address", "requests": 2, "per": "1h"}]}, hosts=["inprocess", "wasmtime"]
)
def test_addresses_are_counted_apart(proxy: Proxy) -> None:
    for source in ("10.0.0.9:1234", "[2001:db8::9]:1234"):
        client = proxy.client(source=source)
        assert [client.get("/").response.status for _ in range(3)] == [200, 200, 429]


@pytest.mark.pywasm(
    configuration={"limits": [{"name": "address", "requests": 2, "per": "1h"}]}, hosts=["inprocess", "wasmtime"]
)
def test_without_a_key_the_address_counts(proxy: Proxy) -> None:
    assert statuses(proxy, key(), 2) + statuses(proxy, {}, 1) == [200, 200, 429]
    proxy.clock.advance(1800)
    assert statuses(proxy, {}, 2) == [200, 429]


def test_refusals_are_counted_and_reported_now_and_then(proxy: Proxy) -> None:
    def counted() -> int:
        return proxy.metrics.counters.get("rate_limit.requests;limit=key;outcome=refused", 0)

    before = counted()
    assert statuses(proxy, key(), 5).count(429) == 3
    assert counted() == before + 3
    proxy.clock.advance(1.1)
    assert proxy.logs[-1].message.endswith("requests refused in the last 0:00:01")


@pytest.mark.pywasm(configuration={"clients": 16, "limits": [{**LIMITS[0], "per": "1h"}]})
def test_memory_is_bounded_and_who_has_spent_most_is_remembered(proxy: Proxy) -> None:
    client = key()
    assert statuses(proxy, client, 3) == [200, 200, 429]
    for _ in range(100):  # more than sixteen: others are forgotten
        assert statuses(proxy, key(), 1) == [200]
    assert statuses(proxy, client, 1) == [429]


def test_any_key_will_do(proxy: Proxy) -> None:
    for value in (b"\xff\xfe", b"", b"x" * 5000):
        assert proxy.get("/", headers={"x-api-key": value}).response.status in (200, 429)


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_both_are_counted_when_another_vm_comes_between(proxy: Proxy) -> None:
    # The other VM has had the same request, and was faster.
    rival = proxy.faults.cas_conflict(value=lambda call: call["value"])
    assert statuses(proxy, key(), 2) == [200, 429]
    assert rival.hits == 1


@pytest.mark.pywasm(hosts=["envoy"])
def test_workers_share_the_limit(pywasm_host: str) -> None:
    assert pywasm_host == "envoy"
    module = cached_build(Path(__file__).with_name("filter.py"))
    limits = b'{"limits": [{"name": "address", "requests": 25, "per": "1h"}]}'
    with EnvoyProcess(EnvoySettings(module, None, configuration=limits, concurrency=3)) as envoy:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: request(envoy.address).status, range(60)))
        workers = [envoy.stats(f"listener.ingress.worker_{index}.downstream_cx_total") for index in range(3)]
    assert sorted(answers) == [200] * 25 + [429] * 35
    assert sum(any(counts.values()) for counts in workers) > 1, workers


# --- the bucket ---


@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.lists(st.integers(0, 2 * SECOND), max_size=60),
)
def test_a_bucket_never_gives_more_than_it_got(requests: int, burst: int, pauses: list[int]) -> None:
    limit = Limit("x", requests, timedelta(seconds=1), burst)
    now, full, tokens = 10**18, 0, float(burst)
    for pause in pauses:
        now += pause
        tokens = min(burst, tokens + pause / limit.interval)
        full, wait = limit.spend(full, now)
        if tokens >= 1 + 1e-6:
            assert wait == 0
        if tokens < 1 - 1e-6:
            assert wait == pytest.approx((1 - tokens) * limit.interval, abs=10)
            later, none = limit.spend(full, now + wait)
            assert none == 0
            assert later > full
        if wait == 0:
            tokens -= 1


def test_a_clock_that_is_put_back_locks_nobody_out() -> None:
    limit = Limit("x", 1, timedelta(seconds=1), 3)
    assert limit.spend(10**18 + 3600 * SECOND, 10**18) == (10**18 + 3600 * SECOND, SECOND)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("10.0.0.1:4711", "10.0.0.1"),
        ("[2001:db8::1:2]:4711", "2001:db8::/64"),
        ("[fe80::1%eth0]:4711", "fe80::/64"),
        ("[::ffff:10.0.0.1]:4711", "10.0.0.1"),
        ("@/tmp/socket", "@/tmp/socket"),
    ],
)
def test_a_client_is_its_address_or_its_network(address: str, client: str) -> None:
    assert network(address) == client


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
@pytest.mark.parametrize(
    ("configuration", "problem"),
    [
        ({}, "limits: is missing"),
        ({"limits": [{"name": "a", "requests": 0}]}, "limits[0]: requests and burst are 1 or more"),
        ({"limits": [{"name": "a", "requests": 1, "per": "0s"}]}, "limits[0]: per is a time from 1 ms to a day"),
        ({"limits": [{"name": "a", "requests": 1}] * 2}, "two limits have the same name"),
        ({"limits": [], "clients": 1}, "clients is a number from 8 to a million, not 1"),
    ],
)
def test_a_bad_configuration_is_refused(make_proxy: MakeProxy, configuration: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginConfigurationError) as caught:
        make_proxy(configuration=configuration)
    assert f"configuration: {problem}" in str(caught.value)
