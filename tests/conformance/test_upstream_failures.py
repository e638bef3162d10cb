"""What becomes of a request when its upstream is slow or broken, and of one that the proxy answers itself."""

from typing import Any, cast

import pytest

from pywasm_filter.testing import (
    ClusterAnswer,
    Delay,
    Exchange,
    HostMisuse,
    NoAnswer,
    Partial,
    Proxy,
    Refuse,
    Request,
    Reset,
    Response,
    Route,
)

pytestmark = pytest.mark.pywasm(
    filter="told_filter.py", buffer_limit_bytes=1000, routes=[Route("slow", prefix="/slow", timeout=0.4)]
)

HELLO = Response(200, headers={"x-a": "b"}, body=b"hello")
UNREACHABLE = b"upstream connect error or disconnect/reset before headers. reset reason: "
REFUSED = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"


def seen(proxy: Proxy) -> list[str]:
    """The flags and details by phase, as soon as the stream has ended."""

    def lines() -> list[str]:
        messages = [line.message for line in proxy.logs]
        return messages if messages and messages[-1].startswith("log ") else []

    return proxy.wait_until(lines)


def do(proxy: Proxy, task: str, path: str = "/", body: bytes = b"") -> Exchange:
    return proxy.post(path, headers={"x-do": task}, body=body)


@pytest.mark.parametrize(
    ("answer", "status", "body", "flags", "details"),
    [
        (Refuse(), 503, UNREACHABLE + b"remote connection failure", "0x20", REFUSED),
        (
            Reset(),
            503,
            UNREACHABLE + b"connection termination",
            "0x40",
            "upstream_reset_before_response_started{connection_termination}",
        ),
        (NoAnswer(), 504, b"upstream request timeout", "0x4", "response_timeout"),
        (Delay(0.6, HELLO), 504, b"upstream request timeout", "0x4", "response_timeout"),
        (Delay(0.1, HELLO), 200, b"hello", "0x0", "via_upstream"),
        (
            Delay(0.1, Reset()),
            503,
            UNREACHABLE + b"connection termination",
            "0x40",
            "upstream_reset_before_response_started{connection_termination}",
        ),
        (lambda request: Response(201, body=request.body), 201, b"", "0x0", "via_upstream"),
    ],
)
def test_the_filter_sees_the_answer_that_the_proxy_gives(
    proxy: Proxy, answer: ClusterAnswer, status: int, body: bytes, flags: str, details: str
) -> None:
    proxy.upstream = answer
    exchange = proxy.get("/slow")
    assert (exchange.response.status, exchange.response.body) == (status, body)
    assert exchange.response.headers["x-seen"] == str(status)
    assert exchange.reached_upstream != isinstance(answer, Refuse)
    assert exchange.cluster == ("slow" if exchange.reached_upstream else None)
    assert seen(proxy) == [f"headers {flags} {details}", f"log {flags} {details}"]


@pytest.mark.parametrize(
    ("answer", "flags", "details"),
    [
        (Partial(HELLO), "0x800000", "upstream_reset_after_response_started{protocol_error}"),
        (
            Delay(0.1, Partial(Response(200, headers={"x-a": "b"}, body=[b"hel", b"lo"], trailers={"x-t": "0"}))),
            "0x800000",
            "upstream_reset_after_response_started{protocol_error}",
        ),
        (Partial(HELLO, NoAnswer()), "0x4", "response_timeout"),
    ],
)
def test_an_answer_that_ends_too_early_breaks_the_stream_off(
    proxy: Proxy, answer: ClusterAnswer, flags: str, details: str
) -> None:
    proxy.upstream = answer
    exchange = proxy.get("/slow")
    assert exchange.reset
    assert (exchange.response.status, exchange.response.body) == (200, b"hell")
    assert exchange.response.headers["x-a"] == "b"
    assert seen(proxy) == ["headers 0x0 via_upstream", f"log {flags} {details}"]


def test_an_answer_without_a_body_does_not_begin(proxy: Proxy) -> None:
    proxy.upstream = Partial(HELLO)
    assert proxy.head("/slow").response.status == 503
    assert seen(proxy)[-1] == "log 0x40 upstream_reset_before_response_started{connection_termination}"


def test_the_upstream_may_change_its_mind(proxy: Proxy) -> None:
    proxy.upstream = Refuse()
    assert proxy.get("/").response.status == 503
    proxy.upstream = Response(200)
    assert proxy.get("/").response.status == 200
    proxy.upstream = lambda request: Reset() if request.path == "/bad" else Response(204)
    assert [proxy.get(path).response.status for path in ("/good", "/bad")] == [204, 503]


def test_what_is_no_answer_is_refused_when_it_is_set(proxy: Proxy) -> None:
    with pytest.raises(TypeError, match=r"the upstream is to answer a Response, .*, not int"):
        proxy.upstream = cast("Any", 404)
    with pytest.raises(ValueError, match="a duration is a number of seconds from 0 on, not -1"):
        proxy.upstream = Delay(-1, HELLO)
    with pytest.raises(ValueError, match="trailers, so it cannot have a content-length"):
        proxy.upstream = Response(200, headers={"content-length": "1"}, trailers={"x": "y"})


def test_a_function_cannot_refuse(proxy: Proxy) -> None:
    proxy.upstream = cast("Any", lambda request: Refuse())
    with pytest.raises(TypeError, match="the function of the upstream cannot refuse a connection that is made"):
        proxy.get("/")


def test_a_filter_may_set_the_timeout_of_its_request(proxy: Proxy) -> None:
    proxy.upstream = NoAnswer()
    exchange = do(proxy, "timeout 200")
    assert exchange.response.status == 504
    assert exchange.upstream_request is not None
    assert "x-envoy-upstream-rq-timeout-ms" not in exchange.upstream_request.headers
    proxy.upstream = Delay(0.6, Response(200))
    assert do(proxy, "timeout 0", "/slow").response.status == 200


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_the_timeout_of_a_route_is_15_seconds(proxy: Proxy) -> None:
    proxy.upstream = NoAnswer()
    start = proxy.clock.now_ns()
    assert proxy.get("/").response.status == 504
    assert proxy.clock.now_ns() - start == 15_000_000_000


@pytest.mark.parametrize(
    ("task", "status", "seen_by_filter"),
    [
        ("remove :path", 404, ["headers 0x100 route_not_found", "log 0x100 route_not_found"]),
        (
            "remove :method",
            503,
            [
                f"{phase} 0x40000 filter_removed_required_request_headers{{missing_required_header:_:method}}"
                for phase in ("headers", "log")
            ],
        ),
        (
            "remove :authority",
            503,
            [
                f"{phase} 0x40 upstream_reset_before_response_started{{connection_termination}}"
                for phase in ("headers", "log")
            ],
        ),
        ("answer because", 429, ["headers 0x0 because", "log 0x0 because"]),
        ("hold-request", 413, ["headers 0x0 request_payload_too_large", "log 0x0 request_payload_too_large"]),
        (
            "remove-status",
            502,
            [
                "headers 0x0 via_upstream",
                "log 0x0 filter_removed_required_response_headers{missing_required_header:_:status}",
            ],
        ),
    ],
)
def test_what_the_proxy_answers_itself(proxy: Proxy, task: str, status: int, seen_by_filter: list[str]) -> None:
    assert do(proxy, task, body=b"x" * 2000).response.status == status
    assert seen(proxy) == seen_by_filter


@pytest.mark.parametrize(
    ("task", "seen_by_filter"),
    [
        ("reset", ["log 0x0 wasm_close_stream"]),
        ("reset-response", ["headers 0x0 via_upstream", "log 0x0 via_upstream"]),
        ("hold-response", ["headers 0x0 via_upstream", "log 0x0 response_payload_too_large"]),
    ],
)
def test_what_breaks_the_stream_off(proxy: Proxy, task: str, seen_by_filter: list[str]) -> None:
    proxy.upstream = Response(200, body=b"x" * 2000)
    assert do(proxy, task).reset
    assert seen(proxy) == seen_by_filter


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_a_client_that_goes_away(proxy: Proxy) -> None:
    proxy.open("POST", "/").abort()
    assert seen(proxy) == ["log 0x4000 downstream_remote_disconnect"]


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_grpc_callouts_need_clusters_of_their_own(proxy: Proxy) -> None:
    with pytest.raises(HostMisuse, match=r"'upstream' speaks HTTP/1\.1, .* in grpc_clusters=\[\.\.\.\] of the marker"):
        do(proxy, "grpc upstream")


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_step_by_step(proxy: Proxy) -> None:
    stream = proxy.open("GET", "/slow", end_stream=True)
    with pytest.raises(TypeError, match="the upstream cannot refuse a connection that is made"):
        stream.respond(cast("Any", Refuse()))
    stream.respond(Delay(0.2, Partial(HELLO, NoAnswer())))
    assert not stream.response
    proxy.clock.advance(0.2)
    assert stream.response is not None
    assert stream.response.body == b"hell"
    proxy.clock.advance(0.2)
    assert stream.ended
    assert stream.exchange.reset
    silent = proxy.open("GET", "/slow", end_stream=True)
    proxy.clock.advance(0.4)
    assert silent.exchange.response.status == 504


def test_callouts_reach_the_upstream_too(proxy: Proxy) -> None:
    def upstream(request: Request) -> Response:
        return Response(200, body=f"{request.method} {request.path}")

    proxy.upstream = upstream
    exchange = do(proxy, "call slow", "/x")
    assert exchange.response.body == b"POST /x"
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.headers["x-answer"] == "200 GET /callout"
    assert [(callout.cluster, callout.request.path) for callout in proxy.callouts] == [("slow", "/callout")]
    with pytest.raises(KeyError, match=r"gets the requests of clients: proxy\.upstream says what it answers"):
        proxy.clusters["slow"] = Response(200)


def test_callouts_to_an_upstream_that_is_not_scripted_are_unexpected(proxy: Proxy) -> None:
    do(proxy, "call upstream")
    [unexpected] = proxy.unexpected
    assert unexpected.endswith("GET /callout to 'upstream'; say what answers it: proxy.upstream = ...")
    proxy.upstream = Response(200)
    assert proxy.unexpected == []
