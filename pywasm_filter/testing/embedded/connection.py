"""A TCP connection of the embedded proxy, as a test drives it."""

from __future__ import annotations

from collections.abc import Callable

from pywasm_filter.testing.clock import nanoseconds
from pywasm_filter.testing.connection import Connection, TcpUpstream, answer_of
from pywasm_filter.testing.downstream import Downstream
from pywasm_filter.testing.embedded.lifecycle import Plugins
from pywasm_filter.testing.embedded.network import NetworkStream
from pywasm_filter.testing.errors import StreamStalled


class EmbeddedConnection(Connection):
    """Each step raises what the test must see: an unsupported hostcall, what the upstream's function raises."""

    def __init__(
        self,
        plugins: Plugins,
        connection_id: int,
        upstream: TcpUpstream | None,
        settle: Callable[[], None],
        downstream: Downstream,
    ) -> None:
        """`settle` ends a step: what is due happens, and the upstreams of all connections answer."""
        self._events = plugins.events
        self._settle = settle
        handle = next(iter(plugins.stream_handles(downstream.worker)), None)
        self._stream = NetworkStream(handle, plugins.settings, plugins.events, connection_id, downstream)
        self._upstream = upstream
        self._answered = 0
        self._client_ended = False
        self._upstream_ended = False

    def accept(self) -> None:
        """The proxy takes the connection."""
        self._stream.accept()
        self._settle()

    def send(self, data: bytes, *, end_stream: bool = False) -> None:
        """Send data as the client."""
        if self._client_ended:
            raise ValueError("the client has closed its side")
        self._client_ended = end_stream
        self._stream.receive_from_client(data, end_stream)
        self._settle()

    def close(self, *, reset: bool = False) -> None:
        """Close the connection as the client."""
        if self._stream.client.closed:
            return
        self._stream.client.closed = True
        if reset:
            self._stream.reset_by_client()
        elif not self._client_ended:
            self._stream.receive_from_client(b"", True)
        self._client_ended = True
        self._settle()

    def upstream_send(self, data: bytes, *, end_stream: bool = False) -> None:
        """Send data as the upstream."""
        self._require_upstream()
        if self._upstream_ended:
            raise ValueError("the upstream has closed its side")
        self._upstream_ended = end_stream
        self._stream.receive_from_upstream(data, end_stream)
        self._settle()

    def upstream_close(self, *, reset: bool = False) -> None:
        """Close the connection as the upstream."""
        self._require_upstream()
        if self._stream.upstream.closed:
            return
        self._stream.upstream.closed = True
        if reset:
            self._stream.reset_by_upstream()
        elif not self._upstream_ended:
            self._stream.receive_from_upstream(b"", True)
        self._upstream_ended = True
        self._settle()

    def break_off(self) -> None:
        """The client is gone, with the end of the test: nothing is raised any more."""
        self._stream.client.closed = True
        self._stream.reset_by_client()

    @property
    def received(self) -> bytes:
        """What the client has received so far."""
        return self._stream.client.received

    @property
    def received_end(self) -> bool:
        """Whether the client has seen the end."""
        return self._stream.client.ended

    @property
    def upstream_connected(self) -> bool:
        """Whether the proxy has connected to the upstream."""
        return self._stream.connected

    @property
    def upstream_received(self) -> bytes:
        """What the upstream has received so far."""
        return self._stream.upstream.received

    @property
    def upstream_received_end(self) -> bool:
        """Whether the upstream has seen the end."""
        return self._stream.upstream.ended

    @property
    def closed(self) -> bool:
        """Whether all is over."""
        client, upstream = self._stream.client, self._stream.upstream
        return (client.closed or client.ended) and (not self._stream.connected or upstream.closed or upstream.ended)

    def wait_until(self, condition: Callable[[], bool], *, timeout: float = 10.0) -> None:
        """Let virtual time pass until a condition holds."""
        events = self._events
        deadline = events.now_ns() + nanoseconds(timeout)
        while not condition():
            if not events.advance_to_next(deadline):
                raise StreamStalled(f"what the test waits for does not come within {timeout:g} s")
            self._settle()

    def answer(self) -> bool:
        """Have the upstream's function answer what is new, and close its side when the client's is; false if not."""
        peer = self._stream.upstream
        data = peer.received[self._answered :]
        if self._upstream is None or self._upstream_ended or not (data or peer.ended):
            return False
        self._answered = len(peer.received)
        self._upstream_ended = peer.ended
        self._stream.receive_from_upstream(answer_of(self._upstream, data) if data else b"", peer.ended)
        return True

    def _require_upstream(self) -> None:
        if not self._stream.connected:
            raise ValueError("the proxy has not connected to the upstream")
