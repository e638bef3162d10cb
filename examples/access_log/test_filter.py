import json
from datetime import datetime
from typing import Any

import pytest

from examples.access_log.filter import flag_names
from pywasm_filter.testing import (
    ClusterAnswer,
    Exchange,
    LogLevel,
    MakeProxy,
    Partial,
    PluginConfigurationError,
    Proxy,
    Refuse,
    Reset,
    Response,
)


def line(exchange: Exchange) -> dict[str, Any]:
    (entry,) = exchange.logs
    fields = json.loads(entry.message)
    assert isinstance(fields, dict)
    return fields


@pytest.mark.pywasm(configuration={"headers": ["x-tenant", "x-absent"]})
def test_an_exchange_is_a_line(proxy: Proxy) -> None:
    proxy.upstream = Response(201, body=b"made")
    headers = {"user-agent": "t", "x-tenant": "blau", "host": "shop.example", "x-request-id": "abc"}
    exchange = proxy.post("/orders?token=secret", headers=headers, body=b"1234567")
    fields = line(exchange)
    started = datetime.fromisoformat(fields.pop("time"))
    assert abs(proxy.clock.now_ns() / 1e9 - started.timestamp()) < 60
    assert 0 <= fields.pop("duration_ms") < 60_000
    assert fields.pop("client").startswith("127.0.0.1:")
    assert ":" in fields.pop("upstream")
    fields.pop("route", None)
    # Envoy makes a request id of its own of what comes from outside.
    assert fields.pop("request_id", "")
    assert fields == {
        "method": "POST",
        "path": "/orders",
        "protocol": "HTTP/1.1",
        "host": "shop.example",
        "status": 201,
        "details": "via_upstream",
        "bytes_in": 7,
        "bytes_out": 4,
        "user_agent": "t",
        "headers": {"x-tenant": "blau"},
    }


@pytest.mark.pywasm(configuration={"query": True})
def test_the_query_is_there_when_asked_for(proxy: Proxy) -> None:
    assert line(proxy.get("/a?b=c"))["path"] == "/a?b=c"


def test_nobody_can_forge_a_line(proxy: Proxy) -> None:
    exchange = proxy.get('/"},{', headers={"user-agent": b'"\xff\xe2\x80\xa8' + b"x" * 2000})
    fields = line(exchange)
    assert fields["path"] == '/"},{'
    assert fields["user_agent"] == '"\udcff\u2028' + "x" * 497 + "…"
    assert exchange.logs[0].message.isascii()


@pytest.mark.pywasm(configuration={"sample": 0})
def test_failures_are_logged_whatever_the_sample(proxy: Proxy) -> None:
    assert proxy.get("/").logs == []
    proxy.upstream = Response(404)
    assert proxy.get("/").logs == []
    proxy.upstream = Response(503)
    exchange = proxy.get("/broken")
    assert line(exchange)["status"] == 503
    assert exchange.logs[0].level == LogLevel.WARN


@pytest.mark.pywasm(configuration={"sample": 0, "slow": "0s"})
def test_slow_ones_are_logged_whatever_the_sample(proxy: Proxy) -> None:
    assert line(proxy.get("/"))["status"] == 200


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_a_client_that_goes_away_is_a_failure(proxy: Proxy) -> None:
    stream = proxy.open("GET", "/slow", end_stream=True)
    assert proxy.metrics.gauges["access.active"] == 1
    stream.abort()
    assert proxy.metrics.gauges["access.active"] == 0
    assert proxy.metrics.counters["access.requests;method=GET;status=none"] == 1
    fields = line(stream.exchange)
    assert fields["path"] == "/slow"
    assert "status" not in fields


@pytest.mark.pywasm(configuration={"sample": 0})
@pytest.mark.parametrize(
    ("answer", "status", "flag", "details"),
    [
        (Refuse(), 503, "UF", "upstream_reset_before_response_started{remote_connection_failure"),
        (Reset(), 503, "UC", "upstream_reset_before_response_started{connection_termination}"),
        (Partial(Response(200, body=b"hello")), 200, "UPE", "upstream_reset_after_response_started{protocol_error}"),
    ],
)
def test_what_the_upstream_fails_in_has_a_flag(
    proxy: Proxy, answer: ClusterAnswer, status: int, flag: str, details: str
) -> None:
    before = proxy.metrics.counters.get(f"access.failures;flag={flag}", 0)
    proxy.upstream = answer
    proxy.get("/broken")
    fields = json.loads(proxy.wait_for_log("/broken").message)
    assert (fields["status"], fields["flags"]) == (status, [flag])
    assert fields["details"].startswith(details)
    assert proxy.metrics.counters[f"access.failures;flag={flag}"] == before + 1


def test_flags_have_the_names_that_envoy_gives_them() -> None:
    assert flag_names(0) == []
    assert flag_names(1 << 5 | 1 << 14) == ["UF", "DC"]
    assert flag_names(1 << 28 | 1 << 63) == ["DR"]


def test_metrics_count_all(proxy: Proxy) -> None:
    def counted(name: str) -> int:
        return proxy.metrics.counters.get(name, 0)

    name = "access.requests;method=PUT;status=4xx"
    other = "access.requests;method=OTHER;status=2xx"
    before, before_other = counted(name), counted(other)
    sizes = proxy.metrics.histograms.get("access.response_bytes", 0)
    durations = proxy.metrics.histograms.get("access.duration_ms", 0)
    proxy.upstream = Response(404, body=b"none")
    for _ in range(3):
        proxy.put("/")
    proxy.upstream = Response(200)
    for method in ("PURGE", "PROPFIND"):
        proxy.request(method, "/")
    assert counted(name) == before + 3
    assert counted(other) == before_other + 2
    assert proxy.metrics.gauges["access.active"] == 0
    assert proxy.metrics.histograms["access.response_bytes"] == sizes + 5
    assert proxy.metrics.histograms["access.duration_ms"] == durations + 5


@pytest.mark.pywasm(protocol="tcp")
def test_a_connection_is_a_line(proxy: Proxy) -> None:
    closed_by_client = "access.connections;closed_by=client"
    before = proxy.metrics.counters.get(closed_by_client, 0)
    proxy.tcp_upstream = lambda data: data * 3
    connection = proxy.connect()
    connection.send(b"hello")
    connection.wait_until(lambda: connection.received == b"hello" * 3)
    assert proxy.metrics.gauges["access.active"] == 1
    lines = len(proxy.logs)
    connection.close(reset=True)
    connection.wait_until(lambda: len(proxy.logs) > lines)
    fields = json.loads(proxy.logs[-1].message)
    assert (fields["bytes_in"], fields["bytes_out"], fields["closed_by"]) == (5, 15, "client")
    assert fields["client"].startswith("127.0.0.1:")
    assert ":" in fields["upstream"]
    assert proxy.metrics.gauges["access.active"] == 0
    assert proxy.metrics.counters[closed_by_client] == before + 1


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
@pytest.mark.parametrize(
    ("configuration", "problem"),
    [
        ({"sample": 1.5}, "sample is a share from 0 to 1, not 1.5"),
        ({"headers": [":path"]}, "':path' is no header's name in lower case"),
        ({"slow": "fast"}, 'slow: expected a duration such as "250ms", got "fast"'),
    ],
)
def test_a_bad_configuration_is_refused(make_proxy: MakeProxy, configuration: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginConfigurationError) as caught:
        make_proxy(configuration=configuration)
    assert f"configuration: {problem}" in str(caught.value)
