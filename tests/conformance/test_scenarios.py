"""What a filter sees and does, the same in process, under wasmtime and in a real Envoy."""

import hashlib
import json
import re
import time
import uuid
from collections.abc import Mapping

import pytest

from pywasm_filter import LogLevel
from pywasm_filter.testing import Exchange, Proxy, Response

pytestmark = pytest.mark.pywasm(filter="scenarios.py", root_id="scenarios")


def run(
    proxy: Proxy,
    scenario: str,
    method: str = "GET",
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | list[bytes] = b"",
    trailers: Mapping[str, str] | None = None,
) -> Exchange:
    named = {"x-scenario": scenario, **(headers or {})}
    return proxy.request(method, "/path?q=1", headers=named, body=body, trailers=trailers)


def upstream_headers(exchange: Exchange, *names: str) -> list[str | None]:
    assert exchange.upstream_request is not None
    return [exchange.upstream_request.headers.get(name) for name in names]


# --- headers ---


def test_request_headers_are_read_and_edited(proxy: Proxy) -> None:
    exchange = proxy.get(
        "/",
        headers=[
            ("x-scenario", "edit-headers"),
            ("x-replaced", "one"),
            ("x-replaced", "two"),
            ("x-repeated", "first"),
            ("X-Repeated", "second"),
            ("x-removed", "gone"),
            ("x-raw", b"\xe9t\xe9"),
        ],
    )
    assert exchange.upstream_request is not None
    headers = exchange.upstream_request.headers
    assert headers["x-set"] == "set"
    assert headers.getall("x-replaced") == ["new"]
    assert headers.getall("x-repeated") == ["first", "second", "third"]
    assert "x-removed" not in headers
    assert "x-scenario" not in headers
    assert (b"x-bytes", b"\xff\xfe") in headers.raw
    assert (b"x-echo", b"\xe9t\xe9") in headers.raw
    assert headers["x-seen"] == "first,second,third"
    assert (b"x-text", "grün ✓".encode()) in headers.raw


def test_response_headers_are_read_and_edited(proxy: Proxy) -> None:
    proxy.upstream = Response(201, headers=[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-removed", "x")])
    response = run(proxy, "edit-headers").response
    assert response.status == 202
    assert response.headers["x-status"] == "201"
    assert response.headers["x-cookies"] == "2"
    assert response.headers.getall("set-cookie") == ["a=1", "b=2", "c=3"]
    assert "x-removed" not in response.headers


def test_pseudo_headers_are_read_and_edited(proxy: Proxy) -> None:
    exchange = proxy.get("/path?q=1", headers={"x-scenario": "reroute", "host": "first.example"})
    request = exchange.upstream_request
    assert request is not None
    assert (request.method, request.path, request.authority) == ("PUT", "/elsewhere?x=1", "other.example")
    assert request.headers["x-was"] == "GET http first.example /path?q=1"


def test_all_headers_can_be_replaced_at_once(proxy: Proxy) -> None:
    exchange = run(proxy, "replace-all-headers", headers={"x-other": "1"})
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.headers.getall("x-only") == ["1", "2"]
    assert "x-other" not in exchange.upstream_request.headers


@pytest.mark.parametrize(
    ("name", "status"),
    [(":path", 404), ("x-forwarded-proto", 404), (":method", 503), (":scheme", 200)],
)
def test_a_request_without_what_routing_needs_is_not_routed(proxy: Proxy, name: str, status: int) -> None:
    exchange = run(proxy, "remove-header", headers={"x-remove": name})
    assert exchange.response.status == status
    assert (exchange.upstream_request is not None) == (status == 200)


def test_trailers_are_edited_both_ways(proxy: Proxy) -> None:
    proxy.upstream = Response(200, body=[b"a", b"b"], trailers={"x-checksum": "2"})
    exchange = run(proxy, "trailers", "POST", body=[b"a", b"b"], trailers={"x-checksum": "1", "x-removed": "x"})
    assert exchange.upstream_request is not None
    assert dict(exchange.upstream_request.trailers.items()) == {"x-checksum": "1", "x-added": "1"}
    assert dict(exchange.response.trailers.items()) == {"x-checksum": "2", "x-added": "1"}


# --- bodies ---


def test_a_streamed_body_is_edited_chunk_by_chunk(proxy: Proxy) -> None:
    proxy.upstream = Response(200, body=[b"four", b"five", b"six"])
    exchange = run(proxy, "stream", "POST", body=[b"one", b"two", b"three"])
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"ONETWOTHREE"
    assert exchange.response.body == b"FOURFIVESIX"


def test_a_buffered_body_is_seen_whole(proxy: Proxy) -> None:
    proxy.upstream = Response(200, body=[b"four", b"five"])
    exchange = run(proxy, "buffer", "POST", body=[b"one", b"two", b"three"])
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"<onetwothree>13"
    assert exchange.response.body == b"[our|fourfive]"


@pytest.mark.parametrize("size", [1, 1000, 65_536, 300_000])
def test_bodies_of_any_size_pass_the_buffer(proxy: Proxy, size: int) -> None:
    exchange = run(proxy, "buffer", "POST", body=b"x" * size)
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"<" + b"x" * size + b">" + str(size + 2).encode()


def test_a_body_can_be_emptied(proxy: Proxy) -> None:
    exchange = run(proxy, "empty-body", "POST", body=b"secret")
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b""


# --- local responses ---


def test_a_local_response_passes_the_response_callbacks(proxy: Proxy) -> None:
    exchange = run(proxy, "refuse")
    assert exchange.upstream_request is None
    response = exchange.response
    assert (response.status, response.body) == (403, b"refused\n")
    assert response.headers.getall("x-why") == ["because", "twice"]
    assert response.headers["content-length"] == "8"
    assert response.headers["content-type"] == "text/plain"
    assert response.headers["x-marked"] == "403"


def test_the_first_local_response_wins(proxy: Proxy) -> None:
    response = run(proxy, "refuse-twice").response
    assert (response.status, response.body) == (401, b"first")


def test_a_local_response_needs_no_body(proxy: Proxy) -> None:
    response = run(proxy, "refuse-empty").response
    assert (response.status, response.body) == (204, b"")


def test_a_local_response_can_wait_for_the_body(proxy: Proxy) -> None:
    exchange = run(proxy, "refuse-body", "POST", body=[b"a", b"b"])
    assert exchange.response.status == 403


def test_a_local_response_can_replace_the_upstreams(proxy: Proxy) -> None:
    proxy.upstream = Response(200, body=b"from upstream")
    exchange = run(proxy, "refuse-response")
    assert exchange.upstream_request is not None
    assert (exchange.response.status, exchange.response.body) == (403, b"refused\n")


# --- output, clocks, randomness, attributes ---


def test_output_ends_in_the_proxys_log(proxy: Proxy) -> None:
    exchange = run(proxy, "output")
    lines = [(line.level, line.message) for line in exchange.logs]
    warning = next(message for level, message in lines if "beware" in message)
    assert re.fullmatch(r".*scenarios\.py:\d+: UserWarning: beware", warning)
    assert [line for line in lines if line[1] != warning and line[0] >= LogLevel.INFO] == [
        (LogLevel.INFO, "printed 1"),
        (LogLevel.ERROR, "to stderr"),
        (LogLevel.INFO, "informed well"),
        (LogLevel.WARN, "warned"),
        (LogLevel.ERROR, "erred"),
        (LogLevel.CRITICAL, "critical"),
        (LogLevel.INFO, "two\nlines"),
        (LogLevel.INFO, "grün ✓"),
    ]


def test_clocks_and_randomness_work(proxy: Proxy) -> None:
    first, second = run(proxy, "environment"), run(proxy, "environment")
    for exchange in (first, second):
        told, monotonic, unique = upstream_headers(exchange, "x-time", "x-monotonic", "x-uuid")
        assert abs(float(told or 0) - time.time()) < 60
        assert monotonic == "True"
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", unique or "")
    names = ("x-random", "x-urandom", "x-uuid", "x-token")
    assert not set(upstream_headers(first, *names)) & set(upstream_headers(second, *names))


def test_the_standard_library_is_whole(proxy: Proxy) -> None:
    [told] = upstream_headers(run(proxy, "library"), "x-outcomes")
    assert json.loads(told or "") == [
        "2026-11-24T10:00:00",
        [2026, 11, 24],
        "xn--bcher-kva.example",
        "€",
        "e4",
        "93fa967b",
        "bücher.example",
        hashlib.new("sha3_256", b"x").hexdigest()[:8],
        uuid.uuid5(uuid.NAMESPACE_DNS, "example").hex[:8],
        [["l", 2]],
        "1",
        "1",
        "c",
        [["a", "b"]],
        "0a000001",
    ]


def test_attributes_are_read(proxy: Proxy) -> None:
    exchange = proxy.get("/path?q=1", headers={"x-scenario": "properties", "host": "first.example"})
    assert upstream_headers(
        exchange, "x-path", "x-method", "x-host", "x-scheme", "x-protocol", "x-root-id", "x-absent", "x-mine"
    ) == ["/path?q=1", "GET", "first.example", "http", "HTTP/1.1", "scenarios", "None", "kept"]


def test_both_sides_can_be_read_in_the_log(proxy: Proxy) -> None:
    proxy.upstream = Response(404, headers={"x-up": "here"})
    exchange = run(proxy, "log")
    assert [line.message for line in exchange.logs] == ["/path?q=1 404 here"]


# --- order ---


def test_the_callbacks_of_an_exchange_come_in_order(proxy: Proxy) -> None:
    proxy.upstream = Response(200, body=b"body")
    exchange = run(proxy, "lifecycle", "POST", body=b"abc")
    [line] = exchange.logs
    trace = line.message.split(" ")
    order = [re.sub(r"\(.*", "", entry) for entry in re.sub(r", ", ",", line.message).split(" ")]
    assert list(dict.fromkeys(order)) == [
        "request_headers",
        "request_body",
        "response_headers",
        "response_body",
        "log",
        "done",
        "delete",
    ], trace


def test_a_request_without_a_body_ends_with_its_headers(proxy: Proxy) -> None:
    exchange = run(proxy, "lifecycle")
    [line] = exchange.logs
    assert line.message.startswith("request_headers(True) response_headers(")


# --- failures ---


@pytest.mark.parametrize("scenario", ["fail-request-headers", "fail-request-body", "fail-response-headers"])
def test_an_exception_is_a_500_and_the_next_request_works(proxy: Proxy, scenario: str) -> None:
    exchange = run(proxy, scenario, "POST", body=b"x")
    assert exchange.response.status == 500
    assert exchange.response.body == b""
    [line] = exchange.logs
    assert line.level == LogLevel.ERROR
    callback = "on_" + scenario.removeprefix("fail-").replace("-", "_")
    assert line.message.startswith(f"exception in Scenarios.{callback}\nTraceback (most recent call last):\n")
    assert re.search(r'File ".*scenarios\.py", line \d+, in fail\n    raise ValueError', line.message)
    assert line.message.endswith(f"ValueError: failed in {scenario}")
    assert run(proxy, "edit-headers").response.status == 202


def test_an_exception_in_on_log_is_only_logged(proxy: Proxy) -> None:
    exchange = run(proxy, "fail-log")
    assert exchange.response.status == 200
    assert exchange.logs[0].message.endswith("ValueError: failed in fail-log")


@pytest.mark.parametrize(
    ("scenario", "told"),
    [
        ("fail-deeply", "RecursionError"),
        ("nest-deeply", "RecursionError"),
        ("no-result", "on_request_headers returned None; return Action.CONTINUE or Action.PAUSE"),
        ("exit", "SystemExit: 3"),
    ],
)
def test_failures_of_other_kinds(proxy: Proxy, scenario: str, told: str) -> None:
    exchange = run(proxy, scenario)
    assert exchange.response.status == 500
    assert told in exchange.logs[0].message
    assert run(proxy, "").response.status == 200


@pytest.mark.pywasm(filter="scenarios.py", root_id="open")
def test_fail_open_lets_the_request_pass(proxy: Proxy) -> None:
    exchange = run(proxy, "fail-request-headers")
    assert exchange.response.status == 200
    assert exchange.upstream_request is not None
    assert len(exchange.logs) == 1


@pytest.mark.pywasm(filter="scenarios.py", root_id="trap", hosts=["inprocess", "wasmtime"])
def test_a_trap_is_told_in_terms_of_the_filters_code(proxy: Proxy) -> None:
    run(proxy, "fail-request-headers")
    [note] = proxy.notes
    first, *frames = note.splitlines()
    assert first.startswith("the VM trapped in proxy_on_request_headers: ValueError: failed in fail-request-headers")
    assert frames
    assert all("scenarios.py:" in frame for frame in frames)


@pytest.mark.pywasm(filter="scenarios.py", root_id="trap")
def test_a_trap_fails_the_stream_by_the_proxys_own_policy(proxy: Proxy) -> None:
    exchange = run(proxy, "fail-request-headers")
    assert exchange.response.status == 503
    assert any("ValueError: failed in fail-request-headers" in line.message for line in exchange.logs)


@pytest.mark.pywasm(filter="scenarios.py", root_id="scenarios", hosts=["wasmtime", "envoy"])
def test_what_a_proxy_cannot_do_is_an_exception_and_never_the_end_of_the_vm(proxy: Proxy) -> None:
    for _ in range(2):
        [told] = upstream_headers(run(proxy, "system"), "x-outcomes")
        assert json.loads(told or "") == {
            "open": "OSError",
            "write": "OSError",
            "listdir": "OSError",
            "stat": "OSError",
            "socket": "OSError",
            "resolve": "OSError",
            "sleep": "OSError",
            "thread": "RuntimeError",
            "exit": "OSError",
            "abort": "OSError",
            "memory": "MemoryError",
            "import": "ModuleNotFoundError",
        }
