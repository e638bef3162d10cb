"""gRPC callouts of a Python filter, the same in process, under wasmtime and in a real Envoy with a real gRPC server."""

from __future__ import annotations

import pytest

from pywasm_filter.testing import (
    Delay,
    GrpcCall,
    GrpcHandler,
    GrpcReply,
    GrpcRequest,
    GrpcService,
    NoAnswer,
    Proxy,
    Refuse,
    Reset,
)

pytestmark = pytest.mark.pywasm(filter="grpc_filter.py", grpc_clusters=["authz"])

NO_HEADERS = "upstream connect error or disconnect/reset before headers. reset reason: "


def outcome(proxy: Proxy, scenario: str, **headers: str) -> str | None:
    exchange = proxy.get("/", headers={"x-scenario": scenario, **headers})
    assert exchange.upstream_request is not None
    return exchange.upstream_request.headers.get("x-outcome")


class Echo(GrpcHandler):
    def opened(self, call: GrpcCall) -> None:
        call.send_initial_metadata({"x-init": "1"})

    def received(self, call: GrpcCall, message: bytes) -> None:
        call.send(b"re:" + message)

    def half_closed(self, call: GrpcCall) -> None:
        call.send(b"bye")
        call.finish(trailing_metadata={"x-trail": "2"})


def test_an_answer(proxy: Proxy) -> None:
    seen: list[GrpcRequest] = []

    def answer(request: GrpcRequest) -> GrpcReply:
        seen.append(request)
        return GrpcReply(b"re:" + request.message)

    proxy.grpc["authz"] = answer
    assert outcome(proxy, "call") == "re:who"
    (request,) = seen
    assert (request.service, request.method, request.message, request.timeout) == ("pkg.Svc", "Check", b"who", 5.0)
    assert request.metadata == {"x-tenant": "blue", "k-bin": "AP8"}
    (call,) = proxy.grpc_calls
    assert (call.cluster, call.method, call.messages, call.cancelled) == ("authz", "Check", [b"who"], False)


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        (GrpcReply(status=7, status_message="no, é {100%}"), "PERMISSION_DENIED no, é {100%}"),
        (Delay(0.1, GrpcReply(b"late")), "late"),
        (Refuse(), f"UNAVAILABLE {NO_HEADERS}remote connection failure"),
        (Reset(), f"UNAVAILABLE {NO_HEADERS}connection termination"),
    ],
)
def test_other_outcomes(proxy: Proxy, service: GrpcService, expected: str) -> None:
    proxy.grpc["authz"] = service
    assert outcome(proxy, "call") == expected
    assert len(proxy.grpc_calls) == (0 if isinstance(service, Refuse) else 1)


@pytest.mark.parametrize("service", [NoAnswer(), Delay(0.3, GrpcReply(b"late"))])
def test_a_timeout(proxy: Proxy, service: GrpcService) -> None:
    proxy.grpc["authz"] = service
    # Envoy's clock or the server's: on a busy machine either may be the quicker one.
    told = ("DEADLINE_EXCEEDED upstream request timeout", "DEADLINE_EXCEEDED Deadline Exceeded")
    assert outcome(proxy, "call", **{"x-timeout": "0.1"}) in told
    proxy.wait_until(lambda: proxy.grpc_calls[0].cancelled)


def test_an_unknown_cluster(proxy: Proxy) -> None:
    assert str(outcome(proxy, "unknown")).startswith("failed: the proxy does not send to the cluster 'nobody'")
    assert proxy.grpc_calls == []


def test_a_call_that_is_taken_back(proxy: Proxy) -> None:
    proxy.grpc["authz"] = Delay(0.2, GrpcReply(b"late"))
    assert outcome(proxy, "cancelled") == "cancelled"
    proxy.wait_until(lambda: proxy.grpc_calls[0].cancelled)
    proxy.clock.advance(0.3)
    assert not any("taken back" in line.message for line in proxy.logs)


def test_a_stream_both_ways(proxy: Proxy) -> None:
    proxy.grpc["authz"] = Echo
    assert outcome(proxy, "chat") == "re:one,re:two,bye 1 2"
    (call,) = proxy.grpc_calls
    assert (call.messages, call.timeout) == ([b"one", b"two"], None)
    assert call.metadata == {"x-tenant": "red"}


def test_a_stream_that_fails(proxy: Proxy) -> None:
    proxy.grpc["authz"] = GrpcReply(messages=[b"some"], status=15, status_message="lost")
    assert outcome(proxy, "chat") == "DATA_LOSS lost"


def test_a_stream_that_is_given_up(proxy: Proxy) -> None:
    proxy.grpc["authz"] = Echo
    assert outcome(proxy, "given_up") == "re:one"
    proxy.wait_until(lambda: proxy.grpc_calls[0].cancelled)


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
@pytest.mark.parametrize("scenario", ["call", "chat"])
def test_a_request_that_is_gone_before_the_answer(proxy: Proxy, scenario: str) -> None:
    proxy.grpc["authz"] = NoAnswer()
    stream = proxy.open("GET", "/", headers={"x-scenario": scenario}, end_stream=True)
    assert stream.request_paused
    stream.abort()
    proxy.clock.advance(0)
    assert proxy.logs[-1].message == "cancelled"
    assert proxy.grpc_calls[0].cancelled
