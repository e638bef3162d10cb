"""Messages, HTTP callouts and what else an HTTP filter does, on each host."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pywasm_filter.testing import (
    CallBackNotSupported,
    Delay,
    Exchange,
    NoAnswer,
    Partial,
    Proxy,
    Refuse,
    Request,
    Reset,
    Response,
)
from pywasm_filter.testing.envoy_proxy import EnvoyProxy

FILTER = "faces_filter.py"

messages = pytest.mark.pywasm(
    filter=FILTER, root_id="messages", configuration="plugin's", vm_configuration="vm's", vm_id="faces"
)
callouts = pytest.mark.pywasm(filter=FILTER, root_id="callouts", clusters=["auth", "other"])
callouts_with_bodies = pytest.mark.pywasm(
    filter=FILTER, root_id="callouts", configuration="bodies", clusters=["auth", "other"]
)
embedded = ["inprocess", "wasmtime"]


def upstream(exchange: Exchange) -> Request:
    assert exchange.upstream_request is not None
    return exchange.upstream_request


def downstream(exchange: Exchange) -> Response:
    assert exchange.response is not None
    return exchange.response


def logged(proxy: Proxy) -> list[str]:
    return [line.message for line in proxy.logs]


@messages
def test_headers(proxy: Proxy) -> None:
    request = upstream(proxy.get("/path", headers=[("x-multi", "one"), ("x-drop", "1"), ("x-keep", "k")]))
    assert request.headers.getall("x-multi") == ["one", "two"]
    assert "x-drop" not in request.headers
    assert (request.headers["x-size"], request.headers["x-property"]) == ("True", "kept")
    assert (b"x-raw", b"\xff") in request.headers.raw
    assert request.headers["x-attribute"] == "/path"


@messages
def test_bodies(proxy: Proxy) -> None:
    proxy.upstream = Response(200, body="answer")
    exchange = proxy.post("/", headers={"x-drop": "1"}, body=[b"some ", b"text"])
    assert upstream(exchange).body == b"SOME TEXT"
    assert downstream(exchange).body == b"answer!"
    assert downstream(exchange).headers["x-status"] == "200"


@messages
def test_trailers(proxy: Proxy) -> None:
    proxy.upstream = Response(200, body="answer", trailers={"x-t": "1"})
    exchange = proxy.post("/", headers={"x-drop": "1"}, body=[b"text"], trailers={"x-a": "1", "x-b": "2"})
    assert upstream(exchange).trailers["x-count"] == "2"
    assert downstream(exchange).trailers["x-seen"] == "1"


@messages
def test_a_local_response(proxy: Proxy) -> None:
    exchange = proxy.get("/answer")
    assert exchange.upstream_request is None
    assert (downstream(exchange).status, downstream(exchange).body) == (418, b"short!")
    assert downstream(exchange).headers["x-by"] == "filter"


@messages
def test_a_reset(proxy: Proxy) -> None:
    exchange = proxy.get("/reset")
    assert exchange.reset
    assert exchange.upstream_request is None


@messages
def test_the_life_of_contexts(proxy: Proxy) -> None:
    exchange = proxy.get("/", headers={"x-drop": "1"})
    lines = [line.message for line in exchange.logs]
    assert lines == ["log 200 at DEBUG", "nothing to be done", "deleted"]
    assert "vm vm's" in logged(proxy)
    assert "plugin plugin's" in logged(proxy)


# --- callouts ---


@contextmanager
def abandoned(proxy: Proxy, path: str) -> Iterator[None]:
    """A request whose client goes away at the end of the block."""
    if isinstance(proxy, EnvoyProxy):
        with socket.create_connection(proxy.address) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            yield
    else:
        stream = proxy.open("GET", path, end_stream=True)
        assert stream.request_paused
        yield
        stream.abort()


def wait_until(proxy: Proxy, condition: Callable[[], bool]) -> None:
    """Let time pass until the condition holds, 5 seconds at most."""
    for _ in range(100):
        if condition():
            return
        proxy.clock.advance(0.05)
    raise AssertionError("it has not come about within 5 s")


@callouts
def test_a_callout_is_answered(proxy: Proxy) -> None:
    proxy.clusters["auth"] = Response(203, headers={"x-own": "o"}, body="yes", trailers={"x-t": "end"})
    request = upstream(proxy.get("/request"))
    assert (request.headers["x-answer"], request.headers["x-trailer"]) == ("203 yes o", "end")
    callout = proxy.callouts[-1]
    assert callout.cluster == "auth"
    assert (callout.request.method, callout.request.path, callout.request.authority) == (
        "POST",
        "/check",
        "auth.example",
    )
    assert (callout.request.body, callout.request.headers["x-from"]) == (b"question", "filter")


@callouts
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (NoAnswer(), "CalloutTimeout: no answer from the cluster 'auth' within 0.2 s"),
        (Delay(0.6, Response(200)), "CalloutTimeout: no answer from the cluster 'auth' within 0.2 s"),
        (Refuse(), "CalloutFailed: no answer from the cluster 'auth': upstream connect error"),
        (Reset(), "CalloutFailed: no answer from the cluster 'auth': upstream connect error"),
        (Partial(Response(200, body="cut off")), "CalloutFailed: the answer of the cluster 'auth' was broken off"),
        (
            Partial(Response(200, body="cut off"), NoAnswer()),
            "CalloutFailed: the answer of the cluster 'auth' was broken off",
        ),
    ],
    ids=["no answer", "late", "refused", "reset", "broken off", "late end"],
)
def test_a_callout_that_fails(
    proxy: Proxy, answer: NoAnswer | Delay[Response] | Refuse | Reset | Partial, told: str
) -> None:
    proxy.clusters["auth"] = answer
    exchange = proxy.get("/request")
    assert downstream(exchange).status == 502
    assert downstream(exchange).text.startswith(told)
    assert exchange.upstream_request is None


@callouts
def test_an_upstreams_own_504_is_an_answer(proxy: Proxy) -> None:
    proxy.clusters["auth"] = Response(504, body="from upstream")
    assert upstream(proxy.get("/request")).headers["x-answer"] == "504 from upstream None"


@callouts
def test_an_unknown_cluster(proxy: Proxy) -> None:
    assert downstream(proxy.get("/nowhere")).text.startswith("CalloutFailed: the proxy does not send to the cluster")


@callouts
def test_several_callouts_at_once(proxy: Proxy) -> None:
    proxy.clusters["auth"] = Response(200, body="first")
    proxy.clusters["other"] = lambda request: Response(200, body=request.body + b" second")
    assert upstream(proxy.get("/all")).headers["x-answers"] == "first data second"
    assert {callout.cluster for callout in proxy.callouts} == {"auth", "other"}


@callouts
def test_one_callout_after_another(proxy: Proxy) -> None:
    proxy.clusters["auth"] = lambda request: Response(201 + int(request.path[1:]))
    assert upstream(proxy.get("/again")).headers["x-answers"] == "[201, 202, 203]"


@callouts
def test_a_callout_with_a_callback(proxy: Proxy) -> None:
    proxy.clusters["auth"] = Response(202)
    assert upstream(proxy.get("/callback")).headers["x-answer"] == "202"


@callouts
def test_a_bound_on_waiting(proxy: Proxy) -> None:
    proxy.clusters["auth"] = NoAnswer()
    assert downstream(proxy.get("/bounded")).body == b"bounded"


@callouts
def test_a_nap(proxy: Proxy) -> None:
    before = proxy.clock.now_ns()
    assert downstream(proxy.get("/nap")).status == 200
    assert proxy.clock.now_ns() - before >= 20_000_000


@callouts
def test_an_exception_after_an_answer(proxy: Proxy) -> None:
    exchange = proxy.get("/broken")
    assert downstream(exchange).status == 500
    assert exchange.upstream_request is None
    assert any("KeyError: 'after the answer'" in line for line in logged(proxy))
    assert downstream(proxy.get("/")).status == 200


@callouts
def test_a_response_that_waits(proxy: Proxy) -> None:
    proxy.upstream = Response(200, headers={"x-ask": "1"}, body="content")
    proxy.clusters["other"] = Response(200, body="told")
    response = downstream(proxy.get("/"))
    assert (response.headers["x-answer"], response.body) == ("told", b"content")


@callouts_with_bodies
def test_a_body_that_waits(proxy: Proxy) -> None:
    proxy.clusters["auth"] = lambda request: Response(200, body=b"<" + request.body + b">")
    exchange = proxy.post("/", body=[b"some ", b"text"])
    assert upstream(exchange).body == b"<some text>"
    with_trailers = proxy.post("/", body=[b"more ", b"text"], trailers={"x-t": "1"})
    assert upstream(with_trailers).body == b"<more text>"
    assert upstream(with_trailers).trailers["x-t"] == "1"


@callouts
def test_a_stream_that_is_gone_before_the_answer(proxy: Proxy) -> None:
    proxy.clusters["auth"] = Delay(0.3, Response(200))
    with abandoned(proxy, "/hold"):
        wait_until(proxy, lambda: len(proxy.callouts) == 1)
    wait_until(proxy, lambda: "cancelled" in logged(proxy))
    proxy.clock.advance(0.4)
    assert downstream(proxy.get("/nap")).status == 200
    assert logged(proxy) == ["cancelled"]


# --- what is left behind ---


@pytest.mark.pywasm(filter=FILTER, root_id="cancelled", clusters=["auth"], hosts=embedded)
def test_streams_that_end_half_way_leave_nothing_behind(proxy: Proxy) -> None:
    streams = 10_000
    proxy.clusters["auth"] = NoAnswer()
    for _ in range(streams):
        stream = proxy.open("GET", "/", end_stream=True)
        assert stream.request_paused
        stream.abort()
    # The context that counts, and the task that runs it.
    assert downstream(proxy.get("/count")).text == f"{{'Cancelled': 1, 'Task': 1}} {streams} 0"


# --- time, shared state, foreign functions ---


@pytest.mark.pywasm(filter=FILTER, root_id="ticking")
def test_ticks_and_sleeps(proxy: Proxy) -> None:
    for _ in range(20):
        proxy.clock.advance(0.05)
        if "tick 3" in logged(proxy):
            break
    proxy.clock.advance(0.1)
    # Envoy's main thread has a VM of its own, which ticks as well.
    assert set(logged(proxy)) == {"tick 1", "tick 2", "tick 3", "woke up: True"}


@pytest.mark.pywasm(filter=FILTER, root_id="sharing", vm_id="faces-sharing")
def test_what_vms_share(proxy: Proxy) -> None:
    before = int(str(upstream(proxy.get("/first")).headers["x-count"]))
    request = upstream(proxy.get("/second"))
    assert request.headers["x-count"] == str(before + 1)
    count, gauge = str(request.headers["x-metrics"]).split()
    assert (int(count) >= 2, gauge) == (True, str(before + 1))
    assert proxy.metrics.gauges["faces_last"] == before + 1
    assert proxy.metrics.counters["faces_requests"] >= 2
    proxy.clock.advance(0.1)
    jobs = [line for line in logged(proxy) if line.startswith("job")]
    assert jobs[-2:] == ["job /first, empty: True, the same: True", "job /second, empty: True, the same: True"]


@pytest.mark.pywasm(filter=FILTER, root_id="foreign")
def test_foreign_functions(proxy: Proxy) -> None:
    assert upstream(proxy.get("/")).headers["x-back"] == "True"


@pytest.mark.pywasm(filter=FILTER, root_id="foreign", hosts=["inprocess", "wasmtime"])
def test_a_foreign_function_calls_back(proxy: Proxy) -> None:
    proxy.call_back_foreign_function(7, b"\0any \xff")
    proxy.call_back_foreign_function(0xFFFF_FFFF)
    assert logged(proxy) == [
        "foreign function 7 b'\\x00any \\xff'",
        "foreign function 4294967295 b''",
    ]
    with pytest.raises(ValueError, match="unsigned 32-bit number, not -1"):
        proxy.call_back_foreign_function(-1)


@pytest.mark.pywasm(filter=FILTER, root_id="foreign", hosts=["envoy"])
def test_no_foreign_function_of_envoy_calls_back(proxy: Proxy) -> None:
    with pytest.raises(CallBackNotSupported, match="limit the test to the embedded proxy"):
        proxy.call_back_foreign_function(7, b"arguments")
