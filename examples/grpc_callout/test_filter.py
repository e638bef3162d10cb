from collections.abc import Callable
from typing import Any

import pytest

from pywasm_filter.testing import (
    Exchange,
    GrpcAnswer,
    GrpcCall,
    GrpcCallRecord,
    GrpcHandler,
    GrpcReply,
    GrpcRequest,
    MakeProxy,
    NoAnswer,
    PluginConfigurationError,
    Proxy,
    Refuse,
    Reset,
)

CONFIGURATION = {"cluster": "quota", "costs": {"/export": 300, "/export/none": 0}, "watch_again": "100ms"}

pytestmark = pytest.mark.pywasm(configuration=CONFIGURATION, grpc_clusters=["quota"])

NOBODY = GrpcReply(b"")


def spending(answer: GrpcAnswer, suspended: GrpcReply = NOBODY) -> Callable[[GrpcRequest], GrpcAnswer]:
    """A service that answers all requests alike, and tells at once of suspended clients."""
    return lambda request: answer if request.method == "Spend" else suspended


def visit(proxy: Proxy, client: str | bytes = "ada", path: str = "/") -> Exchange:
    return proxy.get(path, headers={"x-client-id": client})


def spent(proxy: Proxy) -> list[GrpcCallRecord]:
    return [call for call in proxy.grpc_calls if call.method == "Spend"]


# --- unary ---


def test_a_request_is_paid_for(proxy: Proxy) -> None:
    proxy.grpc["quota"] = spending(GrpcReply(b"\x08\xac\x02\x7a\x03new"))  # left: 300, and a field of a later version
    exchange = visit(proxy, path="/export?all")
    assert exchange.reached_upstream
    assert exchange.response.headers["x-quota-left"] == "300"
    [call] = spent(proxy)
    assert (call.service, call.timeout) == ("quota.v1.Quota", 0.2)
    assert call.messages == [b"\x0a\x03ada\x12\x0b/export?all\x18\xac\x02"]


def test_an_empty_answer_is_a_message_of_defaults(proxy: Proxy) -> None:
    assert visit(proxy, path="/export/none").response.headers["x-quota-left"] == "0"
    assert spent(proxy)[0].messages == [b"\x0a\x03ada\x12\x0c/export/none\x18\x00"]


@pytest.mark.parametrize(("grpc_status", "status"), [(8, 429), (7, 403)])
def test_the_service_refuses(proxy: Proxy, grpc_status: int, status: int) -> None:
    proxy.grpc["quota"] = spending(GrpcReply(status=grpc_status, status_message="no more"))
    exchange = visit(proxy)
    assert (exchange.response.status, exchange.reached_upstream, exchange.logs) == (status, False, [])


def test_grpc_clients_get_a_status_of_theirs(proxy: Proxy) -> None:
    proxy.grpc["quota"] = spending(GrpcReply(status=8))
    exchange = proxy.post("/pkg.Service/Method", headers={"content-type": "application/grpc"})
    assert (exchange.response.status, exchange.response.headers["grpc-status"]) == (200, "8")


FAILURES: dict[str, tuple[GrpcAnswer, str]] = {
    "error": (GrpcReply(status=13, status_message="disk, é"), "INTERNAL: disk, é"),
    "silence": (NoAnswer(), ""),
    "reset": (Reset(), "UNAVAILABLE"),
    "not-a-message": (GrpcReply(b"\x08\xff"), "not a message: a number does not end"),
    "cut-off": (GrpcReply(b"\x0a\x7fab"), "not a message: it ends within a field"),
    "group": (GrpcReply(b"\x0b"), "not a message: there is a field of type 3"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_requests_pass_when_the_service_fails(proxy: Proxy, failure: str) -> None:
    answer, reason = FAILURES[failure]
    proxy.grpc["quota"] = spending(answer)
    exchange = visit(proxy)
    assert exchange.reached_upstream
    assert "x-quota-left" not in exchange.response.headers
    assert [line.message for line in exchange.logs if reason in line.message and "the quota is not" in line.message]


@pytest.mark.pywasm(configuration={**CONFIGURATION, "on_failure": "deny"})
def test_or_they_do_not(proxy: Proxy) -> None:
    proxy.grpc["quota"] = spending(FAILURES["error"][0])
    assert visit(proxy).response.status == 503
    proxy.grpc["quota"] = Refuse()
    exchange = visit(proxy)
    assert (exchange.response.status, exchange.reached_upstream) == (503, False)
    proxy.grpc["quota"] = spending(GrpcReply(b""))
    proxy.wait_until(lambda: visit(proxy).reached_upstream)


def test_what_is_not_unicode_does_not_break_the_message(proxy: Proxy) -> None:
    assert visit(proxy, b"\xff,\xc3\xa9").reached_upstream
    assert proxy.get("/", headers=[("x-client-id", "a"), ("x-client-id", "b")]).reached_upstream
    assert proxy.get("/").reached_upstream
    clients = [b"\x0a\x04?,\xc3\xa9", b"\x0a\x03a,b", b"\x0a\x00"]
    assert [call.messages for call in spent(proxy)] == [[client + b"\x12\x01/\x18\x01"] for client in clients]


# --- the stream ---


def test_suspended_clients_are_refused_without_a_call(proxy: Proxy) -> None:
    proxy.grpc["quota"] = spending(GrpcReply(b""), suspended=GrpcReply(b"\x0a\x03eve\x0a\x03bob"))
    proxy.wait_until(lambda: visit(proxy, "eve").response.status == 403)
    calls = len(spent(proxy))
    assert visit(proxy, "bob").response.status == 403
    assert len(spent(proxy)) == calls
    assert visit(proxy, "ada").reached_upstream
    # The list holds while there is no news, and until there is other news.
    proxy.grpc["quota"] = spending(GrpcReply(b""), suspended=GrpcReply(status=14, status_message="restarting"))
    proxy.wait_for_log("UNAVAILABLE: restarting")
    assert visit(proxy, "bob").response.status == 403
    proxy.grpc["quota"] = spending(GrpcReply(b""))
    proxy.wait_until(lambda: visit(proxy, "bob").reached_upstream)


class Watched(GrpcHandler):
    """Keeps the streams of all VMs open."""

    def __init__(self) -> None:
        self.streams: list[GrpcCall] = []

    def half_closed(self, call: GrpcCall) -> None:
        if call.method == "Spend":
            call.reply(GrpcReply())
        else:
            self.streams.append(call)

    def tell(self, message: bytes) -> None:
        for stream in self.streams:
            stream.send(message)


def test_news_come_while_the_stream_is_open(proxy: Proxy) -> None:
    proxy.grpc["quota"] = service = Watched()

    def suspended(client: str) -> bool:
        service.tell(b"\x0a\x03" + client.encode())
        return visit(proxy, client).response.status == 403

    proxy.wait_until(lambda: suspended("eve"))
    proxy.wait_until(lambda: suspended("bob"))
    assert visit(proxy, "eve").reached_upstream
    service.tell(b"\x0a\xff")
    proxy.wait_for_log("not a message")
    for stream in service.streams:
        stream.finish()
    proxy.grpc["quota"] = spending(GrpcReply(b""))
    proxy.wait_until(lambda: visit(proxy, "bob").reached_upstream)


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"timeout": 0}, "timeout and watch_again are over 0"),
        ({"costs": {"/": -1}}, "costs are numbers of 32 bits without sign"),
        ({"on_failure": True}, 'on_failure: expected "deny" or "allow"'),
    ],
)
def test_a_bad_configuration_is_refused(make_proxy: MakeProxy, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginConfigurationError) as caught:
        make_proxy(configuration={**CONFIGURATION, **changes})
    assert f"configuration: {problem}" in str(caught.value)
