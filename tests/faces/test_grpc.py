"""gRPC callouts on each host: unary calls and streams, and all that can become of them."""

from __future__ import annotations

import pytest

from pywasm_filter.testing import (
    Delay,
    GrpcCall,
    GrpcHandler,
    GrpcReply,
    NoAnswer,
    Proxy,
    Refuse,
    Reset,
)
from tests.faces.test_http import abandoned, downstream, logged, upstream, wait_until

pytestmark = pytest.mark.pywasm(filter="faces_filter.py", root_id="grpc", grpc_clusters=["authz"])


def test_a_unary_call(proxy: Proxy) -> None:
    proxy.grpc["authz"] = lambda request: GrpcReply(request.message + b"!")
    assert upstream(proxy.get("/")).headers["x-answer"] == "question!"
    call = proxy.grpc_calls[-1]
    assert (call.cluster, call.service, call.method, call.messages) == ("authz", "pkg.Service", "Unary", [b"question"])
    assert call.metadata["x-from"] == "filter"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (GrpcReply(status=7, status_message="not, é 100% you"), "7 not, é 100% you"),
        (NoAnswer(), "4 "),
        (Delay(0.9, GrpcReply(b"late")), "4 "),
        (Refuse(), "14 upstream connect error"),
        (Reset(), "14 upstream connect error"),
    ],
    ids=["status", "no answer", "late", "refused", "reset"],
)
def test_a_unary_call_that_fails(
    proxy: Proxy, answer: GrpcReply | NoAnswer | Delay[GrpcReply] | Refuse | Reset, told: str
) -> None:
    proxy.grpc["authz"] = answer
    exchange = proxy.get("/")
    assert downstream(exchange).text.startswith(told)
    assert exchange.upstream_request is None


def test_an_unknown_cluster(proxy: Proxy) -> None:
    assert downstream(proxy.get("/nowhere")).text == "CalloutFailed"
    assert downstream(proxy.get("/nowhere")).text == "CalloutFailed"


class Chat(GrpcHandler):
    """Answers each message, and half-closes after the client."""

    def opened(self, call: GrpcCall) -> None:
        call.send_initial_metadata({"x-initial": "i"})

    def received(self, call: GrpcCall, message: bytes) -> None:
        call.send(b"<" + message + b">")

    def half_closed(self, call: GrpcCall) -> None:
        call.send(b"end")
        call.finish(0, "", {"x-trailing": "t"})


class Losing(GrpcHandler):
    """Loses its data after the first message."""

    def received(self, call: GrpcCall, message: bytes) -> None:
        call.send(message)
        call.finish(15, "lost")


class Breaking(GrpcHandler):
    """Breaks the connection off after the first message."""

    def received(self, call: GrpcCall, message: bytes) -> None:
        call.reset()


def test_a_stream(proxy: Proxy) -> None:
    proxy.grpc["authz"] = Chat
    assert upstream(proxy.get("/stream")).headers["x-answer"] == "['<one>', '<two>', 'end'] i t"
    assert proxy.grpc_calls[-1].messages == [b"one", b"two"]


@pytest.mark.parametrize(
    ("service", "told"),
    [(Losing, "['one'] 15"), (Breaking, "[] 14"), (Refuse(), "[] 14")],
    ids=["status", "reset", "refused"],
)
def test_a_stream_that_fails(proxy: Proxy, service: type[GrpcHandler] | Refuse, told: str) -> None:
    proxy.grpc["authz"] = service
    assert downstream(proxy.get("/stream")).text == told


def test_calls_end_with_their_stream(proxy: Proxy) -> None:
    proxy.grpc["authz"] = GrpcHandler()
    with abandoned(proxy, "/hold"):
        wait_until(proxy, lambda: len(proxy.grpc_calls) == 2)
    wait_until(proxy, lambda: "cancelled" in logged(proxy))
    wait_until(proxy, lambda: any(call.cancelled for call in proxy.grpc_calls))
