"""Typed configuration, metrics, shared data and queues, the same in process, under wasmtime and in a real Envoy."""

from __future__ import annotations

import uuid

import pytest

from pywasm_filter import LogLevel
from pywasm_filter.testing import Exchange, MakeProxy, PluginConfigurationError, Proxy

CONFIGURATION = {"mode": "dry-run", "rules": [{"prefix": "/a"}, {"prefix": "/b", "timeout": "1m30s"}], "limit": 10**15}

pytestmark = pytest.mark.pywasm(filter="data_filter.py", configuration=CONFIGURATION, vm_id="data_vm")


def upstream_header(exchange: Exchange, name: str) -> str | bytes | None:
    assert exchange.upstream_request is not None
    return exchange.upstream_request.headers.get(name)


def test_the_configuration_has_its_type(proxy: Proxy) -> None:
    exchange = proxy.get("/")
    assert upstream_header(exchange, "x-mode") == "DRY_RUN"
    assert upstream_header(exchange, "x-timeouts") == "/a=1.0,/b=90.0"
    assert upstream_header(exchange, "x-limit") == "1000000000000000"


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        (
            {"rules": [{"prefix": "/a"}, {"prefix": "/b", "timeout": True}]},
            'rules[1].timeout: expected a duration such as "250ms", got true',
        ),
        ({"rules": [{"prefix": "a"}]}, "rules[0]: a prefix begins with a slash, not 'a'"),
        ("[" * 100_000, "is nested more than 64 deep"),
    ],
    ids=["type", "check", "depth"],
)
def test_a_configuration_that_does_not_fit_is_refused(
    make_proxy: MakeProxy, configuration: object, reason: str
) -> None:
    with pytest.raises(PluginConfigurationError) as caught:
        make_proxy(configuration=configuration)
    lines = {(line.level, line.message) for line in caught.value.logs}
    assert lines == {(LogLevel.ERROR, f"configuration: {reason}")}


def test_an_empty_configuration_is_all_defaults(make_proxy: MakeProxy) -> None:
    exchange = make_proxy(configuration=b"").get("/")
    assert upstream_header(exchange, "x-mode") == "ENFORCE"
    assert upstream_header(exchange, "x-limit") == "None"


@pytest.mark.parametrize(
    ("tenant", "label"), [("acme", ";tenant=acme"), ("", ""), ('a;method=x"\xe9', ";tenant=a%3Bmethod%3Dx%22%C3%A9")]
)
def test_metrics_are_changed_and_read(proxy: Proxy, tenant: str, label: str) -> None:
    before = proxy.metrics
    for _ in range(2):
        exchange = proxy.get("/", headers={"x-tenant": tenant} if tenant else {})
        assert upstream_header(exchange, "x-metrics") == "2 3"
    after, name = proxy.metrics, f"data.requests;method=GET{label}"
    assert after.counters[name] - before.counters.get(name, 0) == 4
    assert after.gauges["data.active"] == 3
    assert after.histograms["data.path_size"] - before.histograms.get("data.path_size", 0) == 2


def test_shared_data_is_written_and_compared(proxy: Proxy) -> None:
    key = str(uuid.uuid4())
    mismatch = b"proxy_set_shared_data: CAS_MISMATCH"
    first = proxy.get("/", headers={"x-key": key})
    assert upstream_header(first, "x-shared") == repr([None, b"1", mismatch, b"", b"won"])
    second = proxy.get("/", headers={"x-key": key})
    assert upstream_header(second, "x-shared") == repr([b"won", b"won1", mismatch, b"", b"won"])


def test_items_of_a_queue_are_taken_by_whoever_comes_first(proxy: Proxy) -> None:
    exchange = proxy.get("/", headers={"x-items": "a,b,c"})
    assert upstream_header(exchange, "x-queue") == "True b'a' proxy_resolve_shared_queue: NOT_FOUND"
    proxy.wait_for_log("^item c$")
    assert [line.message for line in proxy.logs if line.message.startswith("item")] == ["item b", "item c"]
    assert upstream_header(proxy.get("/", headers={"x-items": "d"}), "x-queue") == (
        "True b'd' proxy_resolve_shared_queue: NOT_FOUND"
    )
