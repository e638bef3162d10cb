"""A TCP connection through the plugin: Envoy's filter manager for one network filter, and its TCP proxy behind it."""

from __future__ import annotations

from pywasm_filter.sdk.abi import PeerType
from pywasm_filter.testing.downstream import Downstream
from pywasm_filter.testing.embedded.buffers import BodyBuffer
from pywasm_filter.testing.embedded.events import EventQueue
from pywasm_filter.testing.embedded.header_map import RequestHeaderMap
from pywasm_filter.testing.embedded.network_context import NetworkContext
from pywasm_filter.testing.embedded.stream_info import StreamInfo
from pywasm_filter.testing.embedded.threads import PluginHandle
from pywasm_filter.testing.settings import PluginSettings

_CLUSTER_BUFFER_LIMIT = 1 << 20  # Envoy's default: the plugin's settings are for the client's side
_SLICE = 1 << 14  # Envoy reads at least so much at once, whatever the limit


class Peer:
    """The client or the upstream: what has come to it."""

    def __init__(self) -> None:
        self.received = b""
        self.ended = False
        """Whether it has been told that nothing more comes."""
        self.closed = False
        """Whether it does not read any more."""
        self._answers_reset = False

    def take(self, data: bytes, end_stream: bool) -> bool:
        """Get data; false when the connection turns out to be dead.

        Whoever writes to a closed socket learns it with the next write only.
        """
        if self.closed and data:
            alive, self._answers_reset = not self._answers_reset, True
            return alive
        if not self.closed:
            self.received += data
            self.ended = self.ended or end_stream
        return True


class Inlet:
    """What comes from one side: it waits outside until the proxy reads it, then is held until the filter lets it go."""

    def __init__(self, limit: int) -> None:
        self.held = BodyBuffer()
        self.ended = False
        """Whether the proxy has read the end."""
        self._limit = limit
        self._outside: list[tuple[bytes, bool]] = []

    def arrive(self, data: bytes, end_stream: bool) -> None:
        """Take what a peer sends: the end comes after the data, as a piece of its own."""
        if data:
            self._outside.append((data, False))
        if end_stream:
            self._outside.append((b"", True))

    def read(self) -> int | None:
        """Read the next piece: its size in bytes; None when there is none, or when too much is held."""
        if not self._outside or len(self.held) > self._limit:
            return None
        data, end_stream = self._outside.pop(0)
        while data and self._outside and not self._outside[0][1]:
            data += self._outside.pop(0)[0]
        at_once = max(self._limit, _SLICE)
        if len(data) > at_once:
            self._outside.insert(0, (data[at_once:], False))
            data = data[:at_once]
        self.held.move_from(BodyBuffer(data))
        self.ended = self.ended or end_stream
        return len(data)


class NetworkStream:
    """One TCP connection of a client, and the one to the upstream that belongs to it."""

    def __init__(
        self,
        handle: PluginHandle | None,
        settings: PluginSettings,
        events: EventQueue,
        connection_id: int,
        downstream: Downstream,
    ) -> None:
        """Without a handle the connection passes no plugin."""
        self.info = StreamInfo(connection_id, events.now_ns(), RequestHeaderMap(), downstream, is_http=False)
        self.context = None if handle is None else NetworkContext(handle.vm, handle.root, self)
        self._events = events
        self.client = Peer()
        self.upstream = Peer()
        self.open = True
        self._from_client = Inlet(settings.buffer_limit_bytes)
        self._from_upstream = Inlet(_CLUSTER_BUFFER_LIMIT)
        self._reset_pending = False
        self._client_told_end = False
        self._upstream_told_end = False

    @property
    def connected(self) -> bool:
        """Whether the proxy has connected to the upstream."""
        return self.info.upstream_connected

    # --- what the two sides do ---

    def accept(self) -> None:
        """The client connects."""
        if (self.context is None or self.context.on_new_connection()) and self.open:
            self._connect()

    def receive_from_client(self, data: bytes, end_stream: bool) -> None:
        """The client sends."""
        self._from_client.arrive(data, end_stream)
        self._read_client()

    def receive_from_upstream(self, data: bytes, end_stream: bool) -> None:
        """The upstream sends."""
        self._from_upstream.arrive(data, end_stream)
        while self.open and self._from_upstream.read() is not None:
            self._deliver_from_upstream()

    def reset_by_client(self) -> None:
        """The client breaks the connection off; a proxy that does not read does not notice."""
        if self.connected:
            self._close(PeerType.REMOTE)
        else:
            self._reset_pending = True

    def reset_by_upstream(self) -> None:
        """The upstream breaks the connection off."""
        self._close(PeerType.LOCAL)

    # --- for the context ---

    def continue_reading(self) -> None:
        """Let pass what is held back of the client's data, and its end."""
        if not self.open:
            return
        if not self.connected:
            self._connect()
        self._pass_to_upstream()
        # What waits outside is read when the step is over.
        self._events.schedule(0, self._read_client)

    def close_by_proxy(self) -> None:
        """Close the connection from here."""
        self._close(PeerType.LOCAL)

    # --- from the client to the upstream ---

    def _connect(self) -> None:
        """The TCP proxy begins: only now it reads from the client."""
        if not self.connected:
            self.info.upstream_connected = True
            self.info.upstream_attempts = 1

    def _read_client(self) -> None:
        if self.connected and self._reset_pending:
            self._close(PeerType.REMOTE)
        while self.open and self.connected and (size := self._from_client.read()) is not None:
            self.info.bytes_received += size
            self._deliver_from_client()

    def _deliver_from_client(self) -> None:
        inlet = self._from_client
        if self.context is None or self.context.on_downstream_data(inlet.held, inlet.ended):
            self._pass_to_upstream()
        if inlet.ended and self._client_told_end:
            self._close(PeerType.REMOTE)
        self._close_when_over()

    def _pass_to_upstream(self) -> None:
        inlet = self._from_client
        if not self.open:
            return
        self._upstream_told_end = self._upstream_told_end or inlet.ended
        if not self.upstream.take(inlet.held.take(), inlet.ended):
            self._close(PeerType.LOCAL)

    # --- from the upstream to the client ---

    def _deliver_from_upstream(self) -> None:
        inlet = self._from_upstream
        if (self.context is None or self.context.on_upstream_data(inlet.held, inlet.ended)) and self.open:
            data = inlet.held.take()
            self.info.bytes_sent += len(data)
            self._client_told_end = self._client_told_end or inlet.ended
            if not self.client.take(data, inlet.ended):
                self._close(PeerType.REMOTE)
        self._close_when_over()

    # --- the end ---

    def _close_when_over(self) -> None:
        """Close when both directions of either connection are over. What is held back then is lost."""
        if (self._from_client.ended and self._client_told_end) or (
            self._from_upstream.ended and self._upstream_told_end
        ):
            self._close(PeerType.LOCAL)

    def _close(self, peer: PeerType) -> None:
        if not self.open:
            return
        self.open = False
        if self.context is not None:
            self.context.on_downstream_close(peer)
            # Envoy forgets the context a little later: on_upstream_close may still come.
            self._events.schedule(0, self._forget)
        self.client.take(b"", True)
        if self.connected:
            self.upstream.take(b"", True)

    def _forget(self) -> None:
        if self.context is not None:
            del self.context.vm.contexts[self.context.context_id]
