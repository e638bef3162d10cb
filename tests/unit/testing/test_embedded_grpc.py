"""gRPC callouts in the embedded proxy, beyond what the conformance tests compare with Envoy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pywasm_filter.sdk.abi import BufferType, MapType, Status, StreamType
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing import (
    Delay,
    EmbeddedProxy,
    GrpcCall,
    GrpcHandler,
    GrpcReply,
    GrpcRequest,
    HostcallNotSupported,
    HostMisuse,
    NoAnswer,
    PluginSettings,
    Refuse,
    StreamStalled,
)
from pywasm_filter.testing.answers import Reset
from pywasm_filter.testing.guests import GuestTrap

A = b"\x0a\x03\x0a\x01a"
PAUSE = 1
ROOT, STREAM = 1, 2
NAMES = {
    "configure": "proxy_on_configure",
    "headers": "proxy_on_request_headers",
    "initial": "proxy_on_grpc_receive_initial_metadata",
    "received": "proxy_on_grpc_receive",
    "trailing": "proxy_on_grpc_receive_trailing_metadata",
    "closed": "proxy_on_grpc_close",
}


class Script:
    """A guest of Python functions, which get the host and the arguments of the callback."""

    def __init__(self, **callbacks: Callable[..., object]) -> None:
        self._callbacks = {NAMES[name]: callback for name, callback in callbacks.items()}
        self.exports = frozenset(self._callbacks)

    def __call__(self, host: Hostcalls) -> Script:
        self.host = host
        return self

    def start(self) -> None:
        pass

    def call(self, name: str, *args: int) -> int | None:
        result = self._callbacks[name](self.host, *args)
        return result if isinstance(result, int) else 0

    def discard(self) -> None:
        pass

    def proxy(self, **settings: Any) -> EmbeddedProxy:
        return EmbeddedProxy(self, PluginSettings(**{"grpc_clusters": ["a"], **settings}), timeout=5)


def call(host: Hostcalls, upstream: bytes = A, timeout: int = 1000) -> int:
    status, call_id = host.proxy_grpc_call(upstream, b"pkg.Svc", b"Get", b"", b"hi", timeout)
    assert status == Status.OK
    return call_id


def stream(host: Hostcalls) -> int:
    status, call_id = host.proxy_grpc_stream(A, b"pkg.Svc", b"Chat", b"")
    assert status == Status.OK
    assert host.proxy_grpc_send(call_id, b"hi", 0) == Status.OK
    return call_id


def resume(host: Hostcalls) -> None:
    assert host.proxy_set_effective_context(STREAM) == Status.OK
    assert host.proxy_continue_stream(StreamType.HTTP_REQUEST) == Status.OK


class Trace:
    """Notes how calls end, and when; resumes the request."""

    def __init__(self) -> None:
        self.lines: list[tuple[object, ...]] = []

    def received(self, host: Hostcalls, context: int, call_id: int, size: int) -> None:
        assert context == ROOT
        status, message = host.proxy_get_buffer_bytes(BufferType.GRPC_CALL_MESSAGE, 0, size)
        assert status == Status.OK
        self.lines.append((call_id, message))
        resume(host)

    def closed(self, host: Hostcalls, context: int, call_id: int, status: int) -> None:
        assert context == ROOT
        self.lines.append((call_id, status, host.proxy_get_status()[2]))
        resume(host)


def paused_call(timeout: int = 1000) -> Callable[..., int]:
    def headers(host: Hostcalls, *_: int) -> int:
        call(host, timeout=timeout)
        return PAUSE

    return headers


def test_the_request_waits_for_the_answer_in_virtual_time() -> None:
    trace = Trace()
    proxy = Script(headers=paused_call(), received=trace.received).proxy()
    proxy.grpc["a"] = Delay(0.75, GrpcReply(b"late"))
    before = proxy.clock.now_ns()
    assert proxy.get().response.status == 200
    assert trace.lines == [(5, b"late")]
    assert proxy.clock.now_ns() - before == 750_000_000


def test_the_timeout_strikes_in_virtual_time() -> None:
    trace = Trace()
    proxy = Script(headers=paused_call(timeout=300), closed=trace.closed).proxy()
    proxy.grpc["a"] = NoAnswer()
    before = proxy.clock.now_ns()
    proxy.get()
    assert proxy.clock.now_ns() - before == 300_000_000
    assert trace.lines == [(5, 14, b"upstream request timeout{response_timeout}")]
    assert proxy.grpc_calls[0].cancelled
    proxy.clock.advance(10)
    assert len(trace.lines) == 1


def test_an_answer_in_time_leaves_no_timeout_behind() -> None:
    trace = Trace()
    proxy = Script(headers=paused_call(timeout=300), received=trace.received, closed=trace.closed).proxy()
    proxy.get()
    proxy.clock.advance(10)
    assert trace.lines == [(5, b"")]
    assert not proxy.grpc_calls[0].cancelled


def test_a_call_without_an_answer_stalls_the_request() -> None:
    proxy = Script(headers=paused_call(timeout=10_000)).proxy()
    proxy.grpc["a"] = NoAnswer()
    with pytest.raises(StreamStalled):
        proxy.get()


def test_the_answer_comes_though_the_request_is_gone() -> None:
    lines: list[int] = []

    def received(host: Hostcalls, context: int, call_id: int, size: int) -> None:
        assert host.proxy_set_effective_context(STREAM) == Status.BAD_ARGUMENT
        lines.append(call_id)

    proxy = Script(headers=paused_call(), received=received).proxy()
    proxy.grpc["a"] = Delay(0.5, GrpcReply())
    request = proxy.open("GET", "/", end_stream=True)
    proxy.clock.advance(0.2)
    request.abort()
    assert lines == []
    proxy.clock.advance(0.4)
    assert lines == [5]


def test_the_function_sees_the_request() -> None:
    seen: list[GrpcRequest] = []

    def answer(request: GrpcRequest) -> GrpcReply:
        seen.append(request)
        return GrpcReply(b"x")

    trace = Trace()
    proxy = Script(headers=paused_call(), received=trace.received).proxy()
    proxy.grpc["a"] = answer
    proxy.get()
    assert [(r.service, r.method, r.message, r.timeout) for r in seen] == [("pkg.Svc", "Get", b"hi", 1.0)]


@pytest.mark.parametrize("answer", [None, Refuse(), Delay(0.1, Refuse())])
def test_a_function_that_cannot_mean_it_fails_the_test(answer: Any) -> None:
    proxy = Script(headers=paused_call(), received=Trace().received).proxy()
    proxy.grpc["a"] = lambda _: answer
    with pytest.raises(TypeError):
        proxy.get()


def test_what_a_handler_raises_fails_the_test() -> None:
    class Failing(GrpcHandler):
        def received(self, call: GrpcCall, message: bytes) -> None:
            raise ZeroDivisionError

    proxy = Script(headers=paused_call()).proxy()
    proxy.grpc["a"] = Failing()
    with pytest.raises(ZeroDivisionError):
        proxy.get()


def test_a_test_holds_the_call_and_sends_when_it_likes() -> None:
    trace = Trace()

    class Chat(GrpcHandler):
        def opened(self, call: GrpcCall) -> None:
            self.call = call

    chat = Chat()
    proxy = Script(headers=lambda host, *_: stream(host) and PAUSE, received=trace.received).proxy()
    proxy.grpc["a"] = chat
    request = proxy.open("GET", "/", end_stream=True)
    assert request.request_paused
    chat.call.send(b"go on")
    assert request.request_paused
    proxy.clock.advance(0)
    assert not request.request_paused
    assert trace.lines == [(6, b"go on")]
    assert not chat.call.ended
    chat.call.finish()
    assert chat.call.ended
    chat.call.send(b"too late")
    chat.call.finish(5)
    chat.call.reset()
    chat.call.send_initial_metadata()
    proxy.clock.advance(1)
    assert trace.lines == [(6, b"go on")]


def test_initial_metadata_are_sent_once() -> None:
    class Twice(GrpcHandler):
        def opened(self, call: GrpcCall) -> None:
            call.send(b"")
            call.send_initial_metadata()

    proxy = Script(headers=lambda host, *_: stream(host) and PAUSE).proxy()
    proxy.grpc["a"] = Twice
    with pytest.raises(ValueError, match="has been sent already"):
        proxy.get()


def test_metadata_are_lent_in_their_callback_only() -> None:
    seen: list[tuple[int, bytes]] = []

    def initial(host: Hostcalls, *_: int) -> None:
        seen.append(host.proxy_get_header_map_value(MapType.GRPC_CALL_INITIAL_METADATA, b"x-init"))

    def trailing(host: Hostcalls, *_: int) -> None:
        seen.append(host.proxy_get_header_map_value(MapType.GRPC_CALL_INITIAL_METADATA, b"x-init"))
        seen.append(host.proxy_get_header_map_value(MapType.GRPC_CALL_TRAILING_METADATA, b"x-trail"))
        assert host.proxy_set_effective_context(STREAM) == Status.OK
        seen.append(host.proxy_get_header_map_value(MapType.GRPC_CALL_TRAILING_METADATA, b"x-trail"))

    def closed(host: Hostcalls, *_: int) -> None:
        seen.append(host.proxy_get_header_map_value(MapType.GRPC_CALL_TRAILING_METADATA, b"x-trail"))
        seen.append((host.proxy_get_buffer_status(BufferType.GRPC_CALL_MESSAGE)[1], b""))
        resume(host)

    proxy = Script(
        headers=lambda host, *_: stream(host) and PAUSE, initial=initial, trailing=trailing, closed=closed
    ).proxy()
    proxy.grpc["a"] = GrpcReply(b"m", initial_metadata={"x-init": "1"}, trailing_metadata={"x-trail": "2"})
    proxy.get()
    assert seen == [(0, b"1"), (2, b""), (0, b"2"), (0, b"2"), (2, b""), (0, b"")]


def test_the_canary_calls_nobody() -> None:
    proxy = Script(configure=lambda host, *_: call(host)).proxy()
    proxy.clock.advance(1)
    assert len(proxy.grpc_calls) == 2  # of the main thread and the worker


def test_a_deleted_root_gets_no_answer() -> None:
    trace = Trace()
    proxy = Script(configure=lambda host, *_: call(host), received=trace.received).proxy()
    proxy.close()
    proxy.clock.advance(1)
    assert trace.lines == []


def test_a_dead_vm_gets_no_answer() -> None:
    def closed(*_: object) -> None:
        raise GuestTrap("dead")

    def configure(host: Hostcalls, *_: int) -> int:
        return call(host) and call(host) and stream(host)

    proxy = Script(configure=configure, closed=closed).proxy()
    proxy.grpc["a"] = GrpcReply(status=5)
    proxy.clock.advance(1)
    assert len(proxy.notes) == 2  # of the main thread and the worker
    assert len(proxy.grpc_calls) == 2 * 3


def test_nothing_is_kept_of_what_is_over() -> None:
    def headers(host: Hostcalls, *_: int) -> int:
        for _index in range(100):
            call(host)
            assert host.proxy_grpc_cancel(call(host)) == Status.OK
            assert host.proxy_grpc_cancel(stream(host)) == Status.OK
            assert host.proxy_grpc_close(stream(host)) == Status.OK
        return 0

    proxy = Script(headers=headers).proxy()
    proxy.get()
    proxy.clock.advance(2)
    assert len(proxy.grpc_calls) == 200
    assert proxy._plugins.stream_handles(0)[0].root.grpc_callouts._clients == {}
    assert proxy._events.next_at_ns() is None


@pytest.mark.parametrize("upstream", [b"", b"email"])
def test_a_name_that_crashes_envoy_fails_the_test(upstream: bytes) -> None:
    proxy = Script(headers=lambda host, *_: call(host, upstream)).proxy(grpc_clusters=["a", "email"])
    with pytest.raises(HostMisuse, match="makes Envoy crash"):
        proxy.get()


@pytest.mark.parametrize("field", [b"\x12\x00", A + b"\x2a\x00", A + b"\x32\x00"])
def test_what_this_proxy_does_not_offer_fails_the_test(field: bytes) -> None:
    proxy = Script(headers=lambda host, *_: call(host, field)).proxy()
    with pytest.raises(HostcallNotSupported, match="proxy_grpc_call to anything but"):
        proxy.get()


def test_closing_in_the_trailing_metadata_fails_the_test() -> None:
    proxy = Script(
        headers=lambda host, *_: stream(host) and PAUSE,
        trailing=lambda host, _context, call_id, _count: host.proxy_grpc_close(call_id),
    ).proxy()
    with pytest.raises(HostMisuse, match="Close the stream in proxy_on_grpc_close"):
        proxy.get()


def test_a_reset_takes_its_time() -> None:
    trace = Trace()
    proxy = Script(headers=paused_call(), closed=trace.closed).proxy()
    proxy.grpc["a"] = Delay(0.5, Reset())
    before = proxy.clock.now_ns()
    proxy.get()
    assert proxy.clock.now_ns() - before == 500_000_000
    assert [line[:2] for line in trace.lines] == [(5, 14)]
