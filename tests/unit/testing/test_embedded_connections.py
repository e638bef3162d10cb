"""TCP connections of the embedded proxy, driven by a guest of a few lines.

That they are as Envoy's is shown in tests/conformance.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pywasm_filter.sdk.abi import BufferType, PeerType, Status, StreamType
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing import EmbeddedProxy, HostcallNotSupported, PluginSettings, StreamStalled

CONTINUE, PAUSE = 0, 1
GOOGLE_GRPC = b"\x12\x00"  # GrpcService.google_grpc
CALLBACKS = [
    *("configure", "tick", "context_create", "new_connection", "downstream_data", "upstream_data"),
    *("downstream_connection_close", "upstream_connection_close", "done", "log", "delete"),
]

Callback = Callable[..., int | None]


class Guest:
    """Its callbacks are functions `(host, context_id, *args)`; unnamed ones pass everything."""

    exports = frozenset(f"proxy_on_{name}" for name in CALLBACKS)

    def __init__(self, host: Hostcalls, callbacks: dict[str, Callback], trace: list[str]) -> None:
        self._host = host
        self._callbacks = callbacks
        self._trace = trace

    def start(self) -> None:
        pass

    def call(self, name: str, *args: int) -> int | None:
        short = name.removeprefix("proxy_on_")
        self._trace.append(" ".join([short, *map(str, args[1:])]))
        if short in self._callbacks:
            return self._callbacks[short](self._host, *args)
        return int(short in ("configure", "done"))

    def discard(self) -> None:
        pass


def open_proxy(
    trace: list[str] | None = None, *, buffer_limit_bytes: int = 1 << 20, **callbacks: Callback
) -> EmbeddedProxy:
    assert set(callbacks) <= set(CALLBACKS)
    seen = [] if trace is None else trace
    settings = PluginSettings(protocol="tcp", buffer_limit_bytes=buffer_limit_bytes)
    proxy = EmbeddedProxy(lambda host: Guest(host, callbacks, seen), settings)
    seen.clear()
    return proxy


def tick_each_second(host: Hostcalls, context_id: int, size: int) -> int:
    assert host.proxy_set_tick_period_milliseconds(1000) == Status.OK
    return 1


def continue_context_2(host: Hostcalls, context_id: int) -> None:
    if host.proxy_set_effective_context(2) == Status.BAD_ARGUMENT:
        return  # in the main thread, where there are no streams
    assert host.proxy_continue_stream(StreamType.DOWNSTREAM) == Status.OK


def pause(host: Hostcalls, *args: int) -> int:
    return PAUSE


def test_callbacks_in_order() -> None:
    trace: list[str] = []
    with open_proxy(trace) as proxy:
        connection = proxy.connect()
        connection.send(b"abc")
        connection.upstream_send(b"de", end_stream=True)
        connection.send(b"f", end_stream=True)
    assert trace[:12] == [
        "context_create 1",
        "new_connection",
        "downstream_data 3 0",
        "upstream_data 2 0",
        "upstream_data 0 1",
        f"upstream_connection_close {PeerType.UNKNOWN:d}",
        "downstream_data 1 0",
        "downstream_data 0 1",
        f"downstream_connection_close {PeerType.REMOTE:d}",
        "done",
        "log",
        "delete",
    ]


def test_a_connection_is_continued_by_a_tick() -> None:
    with open_proxy(configure=tick_each_second, tick=continue_context_2, new_connection=pause) as proxy:
        proxy.tcp_upstream = lambda data: data * 2
        connection = proxy.connect()
        connection.send(b"ab")
        assert not connection.upstream_connected
        with pytest.raises(ValueError, match="the proxy has not connected"):
            connection.upstream_send(b"x")
        before = proxy.clock.now_ns()
        connection.wait_until(lambda: connection.received == b"abab")
        assert proxy.clock.now_ns() - before == 1_000_000_000


def test_time_that_the_clock_lets_pass() -> None:
    with open_proxy(configure=tick_each_second, tick=continue_context_2, downstream_data=pause) as proxy:
        proxy.tcp_upstream = lambda data: data * 2
        connection = proxy.connect()
        connection.send(b"ab", end_stream=True)
        proxy.clock.advance(0.9)
        assert (connection.upstream_received, connection.received) == (b"", b"")
        proxy.clock.advance(0.1)
        assert (connection.upstream_received, connection.received) == (b"ab", b"abab")
        assert connection.closed


def test_waiting_in_vain() -> None:
    with open_proxy(configure=tick_each_second) as proxy:
        connection = proxy.connect()
        before = proxy.clock.now_ns()
        with pytest.raises(StreamStalled, match=r"what the test waits for does not come within 3\.5 s"):
            connection.wait_until(lambda: connection.closed, timeout=3.5)
        assert proxy.clock.now_ns() - before == 3_000_000_000


def test_a_reset_is_noticed_once_the_connection_continues() -> None:
    trace: list[str] = []
    with open_proxy(trace, configure=tick_each_second, tick=continue_context_2, new_connection=pause) as proxy:
        connection = proxy.connect()
        connection.send(b"ab")
        connection.close(reset=True)
        assert trace == ["context_create 1", "new_connection"]
        proxy.clock.advance(1)
        assert trace[2:5] == ["tick", "tick", f"downstream_connection_close {PeerType.REMOTE:d}"]
        assert connection.upstream_received == b""


def test_much_data_comes_in_pieces() -> None:
    trace: list[str] = []
    with open_proxy(trace, buffer_limit_bytes=20_000) as proxy:
        connection = proxy.connect()
        connection.send(b"x" * 50_000)
        assert trace[2:] == ["downstream_data 20000 0", "downstream_data 20000 0", "downstream_data 10000 0"]
        assert len(connection.upstream_received) == 50_000


def test_what_is_held_is_limited() -> None:
    trace: list[str] = []
    with open_proxy(trace, buffer_limit_bytes=20_000, downstream_data=pause) as proxy:
        connection = proxy.connect()
        connection.send(b"x" * 50_000)
        assert trace[2:] == ["downstream_data 20000 0", "downstream_data 40000 0"]
        assert connection.upstream_received == b""


def test_errors_of_the_filter_and_of_the_upstream_reach_the_test() -> None:
    def unsupported(host: Hostcalls, context_id: int, size: int, end: int) -> int:
        status, _ = host.proxy_grpc_call(GOOGLE_GRPC, b"service", b"method", b"", b"", 1000)
        return status

    def fail(data: bytes) -> bytes:
        raise LookupError(data)

    with open_proxy(downstream_data=unsupported) as proxy:
        connection = proxy.connect()
        with pytest.raises(HostcallNotSupported):
            connection.send(b"x")
    with open_proxy() as proxy:
        proxy.tcp_upstream = fail
        connection = proxy.connect()
        with pytest.raises(LookupError):
            connection.send(b"x")


def test_buffers_are_lent_from_callback_to_callback() -> None:
    seen: list[tuple[int, bytes]] = []

    def look(host: Hostcalls, *args: int) -> int:
        seen.append(host.proxy_get_buffer_bytes(BufferType.DOWNSTREAM_DATA, 0, 100))
        return CONTINUE

    def hold(host: Hostcalls, *args: int) -> int:
        look(host)
        return PAUSE

    with open_proxy(new_connection=look, downstream_data=hold, upstream_data=look, log=look) as proxy:
        connection = proxy.connect()
        connection.send(b"ab")
        connection.upstream_send(b"x")
        connection.close(reset=True)
    assert seen == [(0, b""), (0, b"ab"), (0, b"ab"), (0, b"")]


def test_a_protocol_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="protocol is 'http' or 'tcp', not 'udp'"):
        PluginSettings(protocol="udp")  # type: ignore[arg-type]
