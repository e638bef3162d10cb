"""The stream state machine, driven by a guest of a few lines. That it is Envoy's is shown in tests/conformance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pywasm_filter.sdk.abi import BufferType, LogLevel, MapType, Status, StreamType
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing import (
    ContentLengthMismatch,
    EmbeddedProxy,
    EmbeddedStream,
    Headers,
    HostcallNotSupported,
    HostMisuse,
    PluginConfigurationError,
    PluginSettings,
    Request,
    Response,
    StreamReset,
    StreamStalled,
)
from pywasm_filter.testing.embedded.pairs import read_pairs, write_pairs
from pywasm_filter.testing.guests import GuestTrap

CONTINUE, PAUSE = 0, 1
NO_GRPC_STATUS = 0xFFFF_FFFF
REQUEST_HEADERS, RESPONSE_HEADERS = MapType.HTTP_REQUEST_HEADERS, MapType.HTTP_RESPONSE_HEADERS
REQUEST_BODY, RESPONSE_BODY = BufferType.HTTP_REQUEST_BODY, BufferType.HTTP_RESPONSE_BODY

Callback = Callable[..., int | None]
ALL_CALLBACKS = [
    "context_create",
    "vm_start",
    "configure",
    "request_headers",
    "request_body",
    "request_trailers",
    "request_metadata",
    "response_headers",
    "response_body",
    "response_trailers",
    "response_metadata",
    "log",
    "done",
    "delete",
    "tick",
    "http_call_response",
    "queue_ready",
]


class Script:
    """A guest whose callbacks are functions `(host, context_id, *args)`; unnamed ones pass everything.

    `trace` has the callbacks of all VMs with their arguments, without the context.
    """

    def __init__(self, **callbacks: Callback) -> None:
        assert set(callbacks) <= set(ALL_CALLBACKS)
        self.callbacks = callbacks
        self.trace: list[str] = []
        self.vms = 0

    def instantiate(self, host: Hostcalls) -> ScriptedGuest:
        self.vms += 1
        return ScriptedGuest(self, host)

    def proxy(self, **settings: Any) -> EmbeddedProxy:
        proxy = EmbeddedProxy(self.instantiate, PluginSettings(**settings))
        self.trace.clear()
        return proxy


class ScriptedGuest:
    exports = frozenset(f"proxy_on_{name}" for name in ALL_CALLBACKS)

    def __init__(self, script: Script, host: Hostcalls) -> None:
        self._script = script
        self._host = host

    def start(self) -> None:
        self._script.trace.append("start")

    def call(self, name: str, *args: int) -> int | None:
        context_id, *rest = args
        return self._call(name.removeprefix("proxy_on_"), context_id, *rest)

    def discard(self) -> None:
        pass

    def _call(self, short: str, context_id: int, *args: int) -> int | None:
        self._script.trace.append(f"{short}{args}".replace(",)", ")"))
        if short in self._script.callbacks:
            return self._script.callbacks[short](self._host, context_id, *args)
        return 1 if short in ("vm_start", "configure", "done") else CONTINUE


def pause(*_: Any) -> int:
    return PAUSE


def pause_until_end(_host: Hostcalls, _context: int, _size: int, end_of_stream: int) -> int:
    return CONTINUE if end_of_stream else PAUSE


def trap(*_: Any) -> int:
    raise GuestTrap("unreachable", ("inner", "outer"))


def reply(host: Hostcalls, status: int = 403, body: bytes = b"refused", headers: bytes = b"") -> int:
    assert host.proxy_send_local_response(status, b"why", body, headers, NO_GRPC_STATUS) == Status.OK
    return PAUSE


# --- the order of callbacks ---


def test_a_request_without_body() -> None:
    script = Script()
    exchange = script.proxy().get("/x", headers={"User-Agent": "t"})
    assert script.trace == [
        "context_create(1)",
        "request_headers(6, 1)",
        "response_headers(2, 1)",
        "log()",
        "done()",
        "delete()",
    ]
    assert exchange.upstream_request == Request("GET", "/x", headers={"user-agent": "t", "x-forwarded-proto": "http"})
    assert exchange.response.status == 200
    assert exchange.response.headers.without("date") == {"server": "envoy", "content-length": "0"}


def test_bodies_and_trailers() -> None:
    script = Script()
    proxy = script.proxy()
    proxy.upstream = Response(201, body=[b"hello", b"you"], trailers={"x-r": "1"})
    exchange = proxy.post("/", body=[b"abc", b"de"], trailers={"x-t": "1"})
    assert script.trace[1:-3] == [
        "request_headers(5, 0)",
        "request_body(3, 0)",
        "request_body(2, 0)",
        "request_trailers(1)",
        "response_headers(2, 0)",
        "response_body(5, 0)",
        "response_body(3, 0)",
        "response_trailers(1)",
    ]
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.chunks == (b"abc", b"de")
    assert exchange.upstream_request.trailers == {"x-t": "1"}
    assert exchange.response.chunks == (b"hello", b"you")
    assert exchange.response.trailers == {"x-r": "1"}


def test_a_body_ends_with_an_empty_frame() -> None:
    script = Script()
    script.proxy().post("/", body=b"abc")
    assert script.trace[1:4] == ["request_headers(6, 0)", "request_body(3, 0)", "request_body(0, 1)"]


def test_a_guest_may_lack_callbacks() -> None:
    class Bare:
        exports: frozenset[str] = frozenset()

        def start(self) -> None:
            pass

        def call(self, name: str, *args: int) -> int | None:
            raise AssertionError(name)

        def discard(self) -> None:
            pass

    exchange = EmbeddedProxy(lambda host: Bare()).post("/", body=b"x", trailers={"t": "1"})
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"x"


# --- the upstream ---


def test_the_upstream_may_be_a_function() -> None:
    proxy = Script().proxy()
    proxy.upstream = lambda request: Response(202, body=f"{request.method} {request.path} {request.authority}")
    assert proxy.delete("/a?b", headers={"Host": "h.example"}).response.text == "DELETE /a?b h.example"


def test_what_the_upstream_raises_reaches_the_test() -> None:
    def broken(_: Request) -> Response:
        raise ZeroDivisionError("in the upstream")

    proxy = Script().proxy()
    proxy.upstream = broken
    with pytest.raises(ZeroDivisionError, match="in the upstream"):
        proxy.get()
    proxy.upstream = lambda request: "no"  # type: ignore[assignment,return-value]
    with pytest.raises(TypeError, match=r"a Response, .*, not str"):
        proxy.get()


def test_the_response_to_head_has_no_body() -> None:
    proxy = Script().proxy()
    proxy.upstream = Response(200, body=b"hello")
    exchange = proxy.head()
    assert exchange.response.body == b""
    assert exchange.response.headers["content-length"] == "5"


@pytest.mark.parametrize(
    ("method", "path", "options", "message"),
    [
        ("G T", "/", {}, "not a method"),
        ("GET", "x", {}, "begins with '/'"),
        ("GET", "/a b", {}, "not a path"),
        ("GET", "/é", {}, "not a path"),
        ("GET", "/#x", {}, "without its fragment"),
        ("GET", "/", {"headers": {":path": "/"}}, "no header of its own"),
        ("GET", "/", {"headers": {"transfer-encoding": "chunked"}}, "must not bring transfer-encoding"),
        ("POST", "/", {"headers": {"content-length": "2"}, "body": b"x"}, "content-length 2 and a body of 1 bytes"),
        ("POST", "/", {"headers": {"content-length": "1"}, "body": b"x", "trailers": {"t": "1"}}, "has trailers"),
    ],
)
def test_requests_that_http_cannot_say(method: str, path: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Script().proxy().request(method, path, **options)


# --- header maps and buffers ---


def test_maps_are_edited_through_the_host() -> None:
    def edit(host: Hostcalls, _context: int, count: int, _end: int) -> int:
        status, pairs = host.proxy_get_header_map_pairs(REQUEST_HEADERS)
        assert (status, len(read_pairs(pairs))) == (Status.OK, count)
        assert host.proxy_get_header_map_value(REQUEST_HEADERS, b"X-A") == (Status.OK, b"1")
        assert host.proxy_get_header_map_value(REQUEST_HEADERS, b"none") == (Status.NOT_FOUND, b"")
        assert host.proxy_add_header_map_value(REQUEST_HEADERS, b"X-A", b"3") == Status.OK
        assert host.proxy_replace_header_map_value(REQUEST_HEADERS, b"x-b", b"new") == Status.OK
        assert host.proxy_remove_header_map_value(REQUEST_HEADERS, b"x-c") == Status.OK
        assert host.proxy_replace_header_map_value(REQUEST_HEADERS, b":path", b"/new") == Status.OK
        assert host.proxy_get_header_map_size(REQUEST_HEADERS)[0] == Status.OK
        return CONTINUE

    exchange = (
        Script(request_headers=edit).proxy().get(headers=[("x-a", "1"), ("x-b", "old"), ("x-c", "gone"), ("x-a", "2")])
    )
    request = exchange.upstream_request
    assert request is not None
    assert request.path == "/new"
    assert request.headers.without("x-forwarded-proto") == [("x-a", "1"), ("x-a", "2"), ("x-a", "3"), ("x-b", "new")]


def test_a_map_is_lent_until_its_callback_continues() -> None:
    def read(host: Hostcalls, *_: int) -> int:
        seen.append(host.proxy_get_header_map_value(REQUEST_HEADERS, b":path")[0])
        seen.append(host.proxy_add_header_map_value(REQUEST_HEADERS, b"x", b"y"))
        return CONTINUE

    seen: list[int] = []
    Script(response_headers=read).proxy().get()
    assert seen == [Status.BAD_ARGUMENT, Status.BAD_ARGUMENT]
    seen.clear()
    Script(request_headers=pause, response_headers=read).proxy(allow_on_headers_stop_iteration=True).post(body=b"x")
    assert seen == [Status.OK, Status.OK]
    seen.clear()
    Script(log=read).proxy().get()
    assert seen == [Status.OK, Status.BAD_ARGUMENT]


def test_types_out_of_range_are_bad_arguments() -> None:
    def call(host: Hostcalls, *_: int) -> int:
        for status in (
            host.proxy_get_header_map_size(8)[0],
            host.proxy_get_header_map_pairs(8)[0],
            host.proxy_set_header_map_pairs(8, b""),
            host.proxy_get_header_map_value(8, b"x")[0],
            host.proxy_add_header_map_value(8, b"x", b"y"),
            host.proxy_replace_header_map_value(8, b"x", b"y"),
            host.proxy_remove_header_map_value(8, b"x"),
            host.proxy_get_buffer_bytes(9, 0, 1)[0],
            host.proxy_get_buffer_status(9)[0],
            host.proxy_set_buffer_bytes(9, 0, 1, b""),
            host.proxy_continue_stream(4),
            host.proxy_close_stream(4),
            host.proxy_log(6, b""),
            host.proxy_define_metric(3, b"")[0],
            host.proxy_set_effective_context(77),
        ):
            assert status == Status.BAD_ARGUMENT
        return CONTINUE

    assert Script(request_headers=call).proxy().get().response.status == 200


def test_a_held_body_is_seen_and_replaced_as_a_whole() -> None:
    def replace(host: Hostcalls, _context: int, size: int, end: int) -> int:
        sizes.append(size)
        if not end:
            return PAUSE
        assert host.proxy_get_buffer_bytes(REQUEST_BODY, 0, 99) == (Status.OK, b"abcde")
        assert host.proxy_get_buffer_bytes(REQUEST_BODY, 1, 2) == (Status.OK, b"bc")
        assert host.proxy_get_buffer_status(REQUEST_BODY) == (Status.OK, 5, 0)
        assert host.proxy_set_buffer_bytes(REQUEST_BODY, 0, 5, b"new") == Status.OK
        return CONTINUE

    sizes: list[int] = []
    exchange = Script(request_body=replace).proxy().post(body=[b"abc", b"de"])
    assert sizes == [3, 5, 5]
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"new"


# --- pausing for good ---


@pytest.mark.parametrize(
    ("callbacks", "settings", "told"),
    [
        (
            {"request_headers": pause},
            {},
            "on_request_headers returned PAUSE (1), and nothing is left that could resume",
        ),
        ({"request_headers": pause}, {}, "on_request_body never comes; set allow_on_headers_stop_iteration=True"),
        (
            {"request_headers": pause, "request_body": pause},
            {"allow_on_headers_stop_iteration": True},
            "on_request_body returned PAUSE (1)",
        ),
        ({"request_body": pause}, {}, "return CONTINUE when end_of_stream is true"),
        ({"response_headers": pause}, {}, "on_response_body never comes"),
        ({"response_body": pause}, {}, "on_response_body returned PAUSE (1)"),
        ({"request_headers": lambda *_: 3}, {}, "on_request_headers returned 3"),
        (
            {"request_body": lambda *_: 2},
            {"buffer_limit_bytes": 2},
            "it holds back more than the buffer limit, so that the sender must wait",
        ),
    ],
)
def test_a_stall_says_who_paused_and_what_to_do(
    callbacks: dict[str, Callback], settings: dict[str, Any], told: str
) -> None:
    script = Script(**callbacks)
    proxy = script.proxy(**settings)
    proxy.upstream = Response(200, body=b"hello")
    with pytest.raises(StreamStalled) as stalled:
        proxy.post(body=b"abc")
    assert told in str(stalled.value)
    assert script.trace[-3:] == ["log()", "done()", "delete()"]


def test_a_stall_without_a_body_and_in_trailers() -> None:
    with pytest.raises(StreamStalled, match="no body follows, so on_request_body does not come"):
        Script(request_headers=pause).proxy().get()
    with pytest.raises(StreamStalled, match=r"on_request_trailers returned PAUSE .* call continue_request\(\) later"):
        Script(request_trailers=pause).proxy().post(body=b"x", trailers={"t": "1"})


def test_a_stall_by_continuing_too_early() -> None:
    def continue_then_pause(host: Hostcalls, *_: int) -> int:
        host.proxy_continue_stream(StreamType.HTTP_REQUEST)
        return PAUSE

    with pytest.raises(StreamStalled, match=r"continue_request\(\) was called before the pause"):
        Script(request_headers=continue_then_pause).proxy().post(body=b"x")


# --- local responses ---


def test_a_local_response_passes_the_response_callbacks_of_the_same_stream() -> None:
    def mark(host: Hostcalls, *_: int) -> int:
        assert host.proxy_get_header_map_value(RESPONSE_HEADERS, b":status") == (Status.OK, b"403")
        assert host.proxy_add_header_map_value(RESPONSE_HEADERS, b"x-marked", b"1") == Status.OK
        return CONTINUE

    script = Script(request_headers=lambda host, *_: reply(host), response_headers=mark)
    exchange = script.proxy().post(body=b"abc")
    assert exchange.upstream_request is None
    assert exchange.response.headers.without("date") == {
        "content-length": "7",
        "content-type": "text/plain",
        "x-marked": "1",
        "server": "envoy",
    }
    assert (exchange.response.status, exchange.response.body) == (403, b"refused")
    assert script.trace[1:-3] == ["request_headers(6, 0)", "response_headers(3, 0)", "response_body(7, 1)"]


def test_a_local_response_is_sent_when_the_callback_has_returned() -> None:
    def answer(host: Hostcalls, *_: int) -> int:
        reply(host, 401)
        script.trace.append("still in the callback")
        reply(host, 402)
        return CONTINUE

    script = Script(request_headers=answer)
    assert script.proxy().get().response.status == 401
    assert script.trace[2:4] == ["still in the callback", "response_headers(3, 0)"]


def test_headers_of_a_local_response() -> None:
    headers = write_pairs([(b"X-Why", b"1"), (b"x-why", b"2"), (b"content-length", b"9"), (b"Content-Type", b"a/b")])
    exchange = Script(request_headers=lambda host, *_: reply(host, headers=headers)).proxy().get()
    assert exchange.response.headers.without("date", "server") == [
        ("x-why", "1"),
        ("x-why", "2"),
        ("content-length", "7"),
        ("content-type", "a/b"),
    ]


def test_a_local_response_in_the_root_context_has_no_effect() -> None:
    def configure(host: Hostcalls, *_: int) -> int:
        reply(host)
        return 1

    assert Script(configure=configure).proxy().get().response.status == 200


def test_a_local_response_after_the_response_has_left_resets() -> None:
    proxy = Script(response_body=lambda host, *_: reply(host)).proxy()
    proxy.upstream = Response(200, body=b"hello")
    exchange = proxy.get()
    assert exchange.reset
    assert (exchange.response.status, exchange.response.body) == (200, b"")


def test_a_closed_stream_has_no_response() -> None:
    def close(host: Hostcalls, *_: int) -> int:
        assert host.proxy_close_stream(StreamType.HTTP_REQUEST) == Status.OK
        return CONTINUE

    exchange = Script(request_headers=close).proxy().get()
    assert exchange.reset
    assert not exchange.reached_upstream
    with pytest.raises(StreamReset, match=r"exchange\.reset tells"):
        exchange.response  # noqa: B018
    assert repr(exchange) == "<Exchange None, answered by the proxy, reset>"


# --- limits ---


def test_a_request_larger_than_the_buffer_is_answered_413() -> None:
    script = Script(request_body=pause)
    exchange = script.proxy(buffer_limit_bytes=5).post(body=[b"abc", b"def", b"ghi"])
    assert (exchange.response.status, exchange.response.body) == (413, b"Payload Too Large")
    assert script.trace[2:4] == ["request_body(3, 0)", "request_body(6, 0)"]


def test_a_response_larger_than_the_buffer_is_a_500_or_a_reset() -> None:
    settings = {"buffer_limit_bytes": 5, "allow_on_headers_stop_iteration": True}
    for headers, outcome in ((pause, (500, b"Internal Server Error", False)), (lambda *_: CONTINUE, (200, b"", True))):
        proxy = Script(response_headers=headers, response_body=pause).proxy(**settings)
        proxy.upstream = Response(200, body=[b"abc", b"def"])
        exchange = proxy.get()
        assert (exchange.response.status, exchange.response.body, exchange.reset) == outcome


# --- what breaks a real proxy ---


def misuse(**callbacks: Callback) -> pytest.ExceptionInfo[HostMisuse]:
    proxy = Script(**callbacks).proxy()
    proxy.upstream = Response(200, body=b"hello")
    with pytest.raises(HostMisuse) as caught:
        proxy.post(body=b"abc")
    return caught


def test_a_body_edited_without_its_content_length() -> None:
    def shout(buffer: BufferType) -> Callback:
        return lambda host, *_: host.proxy_set_buffer_bytes(buffer, 99, 0, b"!")

    caught = misuse(request_body=shout(REQUEST_BODY))
    assert isinstance(caught.value, ContentLengthMismatch)
    assert (caught.value.declared, caught.value.actual) == (3, 5)
    assert "Remove content-length in on_request_headers" in str(caught.value)
    caught = misuse(response_body=shout(RESPONSE_BODY))
    assert "the response has content-length 5 and a body of 7 bytes" in str(caught.value)


def test_a_local_response_when_the_stream_is_over() -> None:
    for name in ("log", "done", "delete"):
        caught = misuse(**{name: lambda host, *_: reply(host)})
        assert f"proxy_send_local_response in proxy_on_{name}: the stream is over" in str(caught.value)


def test_a_local_response_when_the_stream_is_over_is_told_even_if_the_guest_swallows_it() -> None:
    def swallow(host: Hostcalls, *_: int) -> None:
        with pytest.raises(HostMisuse):
            reply(host)

    assert "the stream is over" in str(misuse(log=swallow).value)


def test_continuing_what_has_not_begun_or_not_paused() -> None:
    def resume(stream_type: StreamType) -> Callback:
        def callback(host: Hostcalls, *_: int) -> int:
            assert host.proxy_continue_stream(stream_type) == Status.OK
            return CONTINUE

        return callback

    caught = misuse(request_headers=resume(StreamType.HTTP_RESPONSE))
    assert "before the response has begun: Envoy crashes" in str(caught.value)
    caught = misuse(request_headers=resume(StreamType.HTTP_REQUEST))
    assert "Envoy sends the request twice" in str(caught.value)
    caught = misuse(response_headers=resume(StreamType.HTTP_RESPONSE))
    assert "Envoy sends the response twice" in str(caught.value)


def test_trailers_created_by_a_body_callback_that_pauses() -> None:
    def create(host: Hostcalls, _context: int, _size: int, end: int) -> int:
        if end:
            assert host.proxy_add_header_map_value(MapType.HTTP_REQUEST_TRAILERS, b"x", b"1") == Status.OK
        return PAUSE

    assert "loses the body" in str(misuse(request_body=create).value)


@pytest.mark.parametrize("status", [0, 99, 100, 1000])
def test_a_status_that_no_client_understands(status: int) -> None:
    assert "no client can read" in str(misuse(request_headers=lambda host, *_: reply(host, status)).value)


# --- traps ---


@pytest.mark.parametrize("callback", ["request_headers", "request_body", "request_trailers", "response_headers"])
def test_a_trap_is_a_503_and_the_vm_is_dead(callback: str) -> None:
    script = Script(**{callback: trap})
    proxy = script.proxy()
    exchange = proxy.post(body=b"x", trailers={"t": "1"})
    assert (exchange.response.status, exchange.response.body) == (503, b"")
    assert script.trace[-1].startswith(callback)
    script.trace.clear()
    assert proxy.get().response.status == 503
    assert script.trace == []
    assert proxy.notes == [f"the VM trapped in proxy_on_{callback}: unreachable\n  0: inner\n  1: outer"]


def test_a_trap_in_a_response_that_has_left_resets() -> None:
    proxy = Script(response_body=trap).proxy()
    proxy.upstream = Response(200, body=b"hello")
    assert proxy.get().reset


@pytest.mark.parametrize("callback", ["log", "done", "delete"])
def test_a_trap_after_the_stream_is_for_the_next_one(callback: str) -> None:
    proxy = Script(**{callback: trap}).proxy()
    assert proxy.get().response.status == 200
    assert proxy.get().response.status == 503


def test_fail_open_is_for_the_streams_after_the_trap() -> None:
    script = Script(request_headers=trap)
    proxy = script.proxy(failure_policy="fail_open")
    assert proxy.get().response.status == 503
    script.trace.clear()
    exchange = proxy.post(body=b"x")
    assert exchange.response.status == 200
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"x"
    assert script.trace == []


# --- hostcalls that are not there ---


@pytest.mark.parametrize(
    "call",
    [
        lambda host: host.proxy_grpc_call(b"\x12\x03\x0a\x01x", b"", b"", b"", b"", 0),  # google_grpc
        lambda host: host.proxy_call_foreign_function(b"declare_property", b"\x18\x02"),  # FLATBUFFERS
    ],
)
@pytest.mark.parametrize("swallow", [False, True])
def test_an_unsupported_hostcall_fails_the_test(call: Callable[[Hostcalls], object], swallow: bool) -> None:
    def callback(host: Hostcalls, *_: int) -> int:
        try:
            call(host)
        except HostcallNotSupported:
            if not swallow:
                raise
        return CONTINUE

    with pytest.raises(HostcallNotSupported, match=r"does not offer proxy_\w+"):
        Script(request_headers=callback).proxy().get()


def test_an_unsupported_hostcall_while_configuring_fails_the_start() -> None:
    def configure(host: Hostcalls, *_: int) -> int:
        host.proxy_call_foreign_function(b"declare_property", b"\x18\x02")
        return 1

    with pytest.raises(HostcallNotSupported, match="proxy_call_foreign_function"):
        Script(configure=configure).proxy()


def test_foreign_functions() -> None:
    def call(host: Hostcalls, *_: int) -> int:
        assert host.proxy_call_foreign_function(b"clear_route_cache", b"") == (Status.OK, b"")
        assert host.proxy_call_foreign_function(b"nope", b"") == (Status.NOT_FOUND, b"")
        return CONTINUE

    assert Script(request_headers=call).proxy().get().response.status == 200


# --- lifecycle ---


def test_a_canary_tries_the_configuration_before_the_worker() -> None:
    def configure(host: Hostcalls, _context: int, size: int) -> int:
        assert host.proxy_get_buffer_bytes(BufferType.PLUGIN_CONFIGURATION, 0, size) == (Status.OK, b"plugin")
        assert host.proxy_get_buffer_bytes(BufferType.VM_CONFIGURATION, 0, 99) == (Status.OK, b"vm")
        assert host.proxy_get_property(b"plugin_root_id") == (Status.OK, b"root")
        return 1

    def vm_start(host: Hostcalls, *_: int) -> int:
        assert host.proxy_get_buffer_bytes(BufferType.PLUGIN_CONFIGURATION, 0, 9) == (Status.NOT_FOUND, b"")
        return 1

    script = Script(configure=configure, vm_start=vm_start)
    settings = PluginSettings(configuration=b"plugin", vm_configuration=b"vm", root_id="root")
    EmbeddedProxy(script.instantiate, settings)
    assert script.trace == ["start", "context_create(0)", "vm_start(2)", "configure(6)"] * 3
    assert script.vms == 3  # the canary's, the main thread's, the worker's


@pytest.mark.parametrize(
    ("callback", "reason"),
    [("vm_start", "on_vm_start refused the VM's configuration"), ("configure", "on_configure refused the plugin's")],
)
def test_a_refused_configuration_shows_the_log(callback: str, reason: str) -> None:
    def refuse(host: Hostcalls, *_: int) -> int:
        host.proxy_log(LogLevel.ERROR, b"key missing\nreally")
        return 0

    with pytest.raises(PluginConfigurationError) as refused:
        Script(**{callback: refuse}).proxy()
    assert reason in refused.value.reason
    assert [line.message for line in refused.value.logs] == ["key missing\nreally"]
    assert str(refused.value).endswith("its log:\n  | [error] key missing\n  | really")


def test_a_trap_at_the_start() -> None:
    with pytest.raises(PluginConfigurationError, match="the VM trapped at its start: unreachable") as trapped:
        Script(context_create=trap).proxy()
    assert str(trapped.value).endswith("it logged nothing")


def test_the_end_of_a_proxy_ends_the_root_context() -> None:
    script = Script()
    with script.proxy() as proxy:
        proxy.get()
        script.trace.clear()
    assert script.trace == ["done()", "delete()"] * 2  # in the worker and in the main thread
    proxy.close()
    assert script.trace == ["done()", "delete()"] * 2  # in the worker and in the main thread


def test_a_deferred_end_waits_for_proxy_done() -> None:
    def stream_done(host: Hostcalls, context: int) -> int:
        if context == 1:
            return 0
        assert host.proxy_done() == Status.NOT_FOUND
        return 1

    script = Script(done=stream_done)
    proxy = script.proxy()
    proxy.get()
    script.trace.clear()
    proxy.close()
    assert script.trace == ["done()"] * 2


# --- contexts, log, time, shared data, metrics, attributes ---


def test_the_effective_context_holds_until_the_callback_returns() -> None:
    def in_root(host: Hostcalls, context: int, *_: int) -> int:
        assert host.proxy_set_effective_context(1) == Status.OK
        assert host.proxy_get_header_map_value(REQUEST_HEADERS, b":path") == (Status.BAD_ARGUMENT, b"")
        assert host.proxy_get_property(b"request\0path") == (Status.NOT_FOUND, b"")
        assert host.proxy_set_effective_context(context) == Status.OK
        assert host.proxy_get_header_map_value(REQUEST_HEADERS, b":path") == (Status.OK, b"/")
        assert host.proxy_set_effective_context(1) == Status.OK
        return CONTINUE

    def next_callback(host: Hostcalls, *_: int) -> int:
        assert host.proxy_get_header_map_value(RESPONSE_HEADERS, b":status") == (Status.OK, b"200")
        return CONTINUE

    assert Script(request_headers=in_root, response_headers=next_callback).proxy().get().response.status == 200


def test_log_lines_below_the_level_are_dropped() -> None:
    def log(host: Hostcalls, *_: int) -> int:
        assert host.proxy_get_log_level() == (Status.OK, LogLevel.WARN)
        for level in LogLevel:
            assert host.proxy_log(level, level.name.encode() + b"\xff") == Status.OK
        return CONTINUE

    proxy = Script(request_headers=log).proxy(log_level=LogLevel.WARN, root_id="r")
    exchange = proxy.get()
    assert [(line.level, line.message, line.root_id) for line in exchange.logs] == [
        (LogLevel.WARN, "WARN\\xff", "r"),
        (LogLevel.ERROR, "ERROR\\xff", "r"),
        (LogLevel.CRITICAL, "CRITICAL\\xff", "r"),
    ]
    proxy.get()
    assert len(proxy.logs) == 6


def test_the_clock_is_the_tests() -> None:
    def read(host: Hostcalls, *_: int) -> int:
        assert host.proxy_get_current_time_nanoseconds() == (Status.OK, 1234)
        assert host.proxy_get_property(b"request\0time") == (Status.OK, (1234).to_bytes(8, "little"))
        return CONTINUE

    proxy = EmbeddedProxy(Script(request_headers=read).instantiate, start_ns=1234)
    assert proxy.get().response.status == 200


def test_shared_data_is_shared_by_the_vms_of_a_proxy() -> None:
    def count(host: Hostcalls, *_: int) -> int:
        status, value, cas = host.proxy_get_shared_data(b"vms")
        seen.append(value)
        assert host.proxy_set_shared_data(b"vms", value + b"I", cas) == Status.OK
        if status == Status.OK:
            assert host.proxy_set_shared_data(b"vms", b"lost", cas) == Status.CAS_MISMATCH
            assert host.proxy_get_shared_data(b"vms")[1] == value + b"I"
        return 1

    seen: list[bytes] = []
    Script(configure=count).proxy()
    assert seen == [b"", b"I", b"II"]


def test_metrics() -> None:
    def measure(host: Hostcalls, *_: int) -> int:
        assert host.proxy_define_metric(0, b"c") == (Status.OK, 4)
        assert host.proxy_define_metric(0, b"c") == (Status.OK, 8)
        assert host.proxy_define_metric(1, b"g") == (Status.OK, 5)
        assert host.proxy_define_metric(2, b"h") == (Status.OK, 6)
        assert host.proxy_increment_metric(4, 2) == Status.OK
        assert host.proxy_increment_metric(8, 3) == Status.OK
        assert host.proxy_increment_metric(4, 0) == Status.BAD_ARGUMENT
        assert host.proxy_record_metric(4, 5) == Status.OK
        assert host.proxy_get_metric(4) == (Status.OK, 10)
        assert host.proxy_increment_metric(5, -1) == Status.OK
        assert host.proxy_get_metric(5) == (Status.OK, (1 << 64) - 1)
        assert host.proxy_record_metric(5, 7) == Status.OK
        assert host.proxy_get_metric(5) == (Status.OK, 7)
        assert host.proxy_record_metric(6, 7) == Status.OK
        assert host.proxy_get_metric(6) == (Status.BAD_ARGUMENT, 0)
        assert host.proxy_increment_metric(6, 1) == Status.BAD_ARGUMENT
        assert host.proxy_get_metric(12) == (Status.NOT_FOUND, 0)
        assert host.proxy_increment_metric(12, 1) == Status.NOT_FOUND
        assert host.proxy_record_metric(12, 1) == Status.NOT_FOUND
        return CONTINUE

    assert Script(request_headers=measure).proxy().get().response.status == 200


def test_grpc_status_of_no_call() -> None:
    def read(host: Hostcalls, *_: int) -> int:
        assert host.proxy_get_status() == (Status.OK, 0, b"")
        return CONTINUE

    assert Script(request_headers=read).proxy().get().response.status == 200


# --- step by step ---


def test_a_stream_is_driven_step_by_step() -> None:
    script = Script(request_body=pause_until_end, response_body=pause_until_end)
    stream = script.proxy().open("POST", "/x", headers={"host": "h"})
    assert script.trace == ["context_create(1)", "request_headers(5, 0)"]
    assert stream.upstream_request == Request("POST", "/x", authority="h", headers={"x-forwarded-proto": "http"})
    stream.send_body(b"abc")
    assert stream.request_paused
    assert stream.upstream_request is not None
    assert stream.upstream_request.body == b""
    stream.send_body("de", end_stream=True)
    assert not stream.request_paused
    assert stream.upstream_request is not None
    assert stream.upstream_request.body == b"abcde"
    stream.respond_headers(200, {"x-up": "1"})
    assert stream.response is not None
    assert stream.response.headers["x-up"] == "1"
    stream.respond_body("hello")
    assert stream.response_paused
    stream.respond_body(b"", end_stream=True)
    assert stream.ended
    assert stream.exchange.response.body == b"hello"
    assert stream.exchange.upstream_request is not None
    assert script.trace[-3:] == ["log()", "done()", "delete()"]


def test_trailers_step_by_step() -> None:
    stream = Script().proxy().open("POST", "/")
    stream.send_trailers({"t": "1"})
    stream.respond_headers(200)
    stream.respond_trailers({"r": "2"})
    assert stream.exchange.upstream_request is not None
    assert stream.exchange.upstream_request.trailers == {"t": "1"}
    assert stream.exchange.response.trailers == {"r": "2"}


def test_a_whole_response_to_a_stream() -> None:
    stream = Script().proxy().open("GET", "/", end_stream=True)
    stream.respond(Response(204))
    assert stream.ended
    assert stream.exchange.response.status == 204


def test_an_upstream_cannot_answer_what_it_has_not_got() -> None:
    stream = Script(request_headers=pause).proxy().open("GET", "/", end_stream=True)
    with pytest.raises(ValueError, match="have not passed the filter yet"):
        stream.respond(Response(200))


def test_a_client_that_goes_away() -> None:
    script = Script(request_headers=pause)
    stream = script.proxy().open("GET", "/", end_stream=True)
    stream.abort()
    stream.abort()
    assert stream.ended
    assert stream.exchange.reset
    assert script.trace[-3:] == ["log()", "done()", "delete()"]
    assert script.trace.count("log()") == 1


def frames(script: Script) -> list[str]:
    """The callbacks of requests and responses."""
    return [entry for entry in script.trace if entry.startswith(("request", "response"))]


def test_metadata() -> None:
    script = Script(request_metadata=pause, response_metadata=pause)
    stream = script.proxy().open("POST", "/")
    stream.send_metadata({"a": "1", "b": "2"})
    stream.send_metadata([("c", "1"), ("c", "2")])
    stream.send_metadata({})
    assert not stream.request_paused
    stream.send_body(b"x", end_stream=True)
    stream.send_metadata({"late": "1"})
    stream.respond_metadata({"early": "1"})
    stream.respond_headers(200)
    stream.respond_metadata({"d": "1", "e": "2", "f": "3"})
    assert not stream.response_paused
    stream.respond_body(b"y", end_stream=True)
    stream.respond_metadata({"late": "1"})
    assert frames(script) == [
        "request_headers(5, 0)",
        "request_metadata(2)",
        "request_metadata(1)",
        "request_body(1, 1)",
        "response_headers(1, 0)",
        "response_metadata(1)",
        "response_metadata(3)",
        "response_body(1, 1)",
    ]
    assert stream.exchange.response.body == b"y"


def test_metadata_waits_while_everything_is_stopped() -> None:
    def stop(host: Hostcalls, context_id: int, *_: int) -> int:
        if context_id == first_id:
            return PAUSE
        assert host.proxy_set_effective_context(first_id) == Status.OK
        assert host.proxy_continue_stream(StreamType.HTTP_REQUEST) == Status.OK
        return CONTINUE

    first_id = 2
    script = Script(request_headers=stop)
    proxy = script.proxy()
    first = proxy.open("POST", "/")
    first.send_metadata({"a": "1"})
    first.send_body(b"x")
    first.send_metadata({"a": "1", "b": "2"})
    with pytest.raises(ValueError, match="have not passed the filter yet"):
        first.respond_metadata({"c": "1"})
    assert frames(script) == ["request_headers(5, 0)"]
    proxy.open("POST", "/")
    assert frames(script)[2:] == ["request_metadata(1)", "request_metadata(2)", "request_body(1, 0)"]


def test_metadata_when_the_headers_alone_are_stopped() -> None:
    script = Script(request_headers=pause)
    stream = script.proxy(allow_on_headers_stop_iteration=True).open("POST", "/")
    stream.send_metadata({"a": "1"})
    assert stream.request_paused
    assert frames(script) == ["request_headers(5, 0)", "request_metadata(1)"]


def test_a_local_response_to_metadata() -> None:
    script = Script(request_metadata=lambda host, *_: reply(host))
    stream = script.proxy().open("POST", "/")
    stream.send_metadata({"a": "1"})
    stream.send_metadata({"b": "1"})
    assert (stream.ended, stream.exchange.response.status) == (True, 403)
    assert script.trace.count("request_metadata(1)") == 1


def test_a_local_response_to_metadata_that_preceded_the_response() -> None:
    script = Script(response_metadata=lambda host, *_: reply(host))
    stream = script.proxy().open("GET", "/", end_stream=True)
    stream.respond_metadata({"a": "1"})
    stream.respond_headers(200, end_stream=True)
    assert (stream.ended, stream.exchange.response.status) == (True, 403)


@pytest.mark.parametrize("callback", ["request_metadata", "response_metadata"])
def test_a_trap_in_a_metadata_callback_is_a_503(callback: str) -> None:
    script = Script(**{callback: trap})
    stream = script.proxy().open("POST", "/")
    stream.send_metadata({"a": "1"})
    if not stream.ended:
        stream.respond_metadata({"a": "1"})
        stream.respond_headers(200)
    assert (stream.ended, stream.exchange.response.status) == (True, 503)
    assert script.trace[-1] == f"{callback}(1)"


def test_two_streams_at_once() -> None:
    seen: list[tuple[int, bytes]] = []

    def path(host: Hostcalls, context: int, *_: int) -> int:
        seen.append((context, host.proxy_get_property(b"request\0path")[1]))
        return CONTINUE

    proxy = Script(request_headers=path, log=path).proxy()
    first, second = proxy.open("POST", "/1"), proxy.open("POST", "/2")
    second.send_body(b"", end_stream=True)
    second.respond(Response(200))
    first.abort()
    assert seen == [(2, b"/1"), (3, b"/2"), (3, b"/2"), (2, b"/1")]


def test_what_comes_after_the_end_is_dropped() -> None:
    stream = Script(request_headers=lambda host, *_: reply(host)).proxy().open("POST", "/")
    assert stream.ended
    stream.send_body(b"abc")
    stream.send_trailers({"t": "1"})
    assert stream.exchange.response.status == 403
    assert stream.exchange.upstream_request is None


def test_a_source_that_was_blocked_goes_on_when_the_filter_does() -> None:
    def hold(host: Hostcalls, _context: int, _size: int, end: int) -> int:
        return CONTINUE if resumed or end else 2

    resumed: list[bool] = []
    stream = Script(request_headers=lambda *_: 4, request_body=hold).proxy(buffer_limit_bytes=4).open("POST", "/")
    for chunk in (b"abc", b"def", b"ghi"):
        stream.send_body(chunk)
    stream.send_trailers(Headers({"t": "1"}))
    assert stream.upstream_request is None
    assert stream.request_paused
    assert isinstance(stream, EmbeddedStream)
    (callbacks,) = stream._stream.callbacks
    callbacks.continue_request()
    assert stream.upstream_request is not None
    assert stream.upstream_request.body == b""
    resumed.append(True)
    callbacks.continue_request()
    assert stream.exchange.upstream_request is not None
    assert stream.exchange.upstream_request.body == b"abcdefghi"
    assert stream.exchange.upstream_request.trailers == {"t": "1"}


@pytest.mark.parametrize(
    ("declared", "size"),
    [
        ("9223372036854775807", (1 << 63) - 1),
        ("9223372036854775808", 0),
        ("9" * 5000, 0),
        ("007", 7),
    ],
)
def test_sizes_that_do_not_fit_are_not_believed(declared: str, size: int) -> None:
    seen = []

    def read(host: Hostcalls, *_: int) -> int:
        seen.append(host.proxy_get_property(b"request\0size"))
        return CONTINUE

    stream = Script(request_headers=read).proxy().open("POST", "/", headers={"content-length": declared})
    assert seen == [(Status.OK, size.to_bytes(8, "little"))]
    stream.abort()


def test_a_grpc_status_that_does_not_fit_is_not_believed() -> None:
    seen = []

    def read(host: Hostcalls, *_: int) -> int:
        seen.append(host.proxy_get_property(b"response\0grpc_status"))
        return CONTINUE

    proxy = Script(response_headers=read).proxy()
    proxy.upstream = Response(200, headers={"grpc-status": "9" * 20})
    proxy.get()
    assert seen == [(Status.OK, (2).to_bytes(8, "little"))]  # derived from the HTTP status
