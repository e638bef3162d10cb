"""The context of a TCP connection: its callbacks in the terms of the filter chain, and what its hostcalls act on."""

from __future__ import annotations

from typing import Protocol

from pywasm_filter.sdk.abi import BufferType, PeerType, Status, StreamType
from pywasm_filter.testing.embedded.buffers import BodyBuffer, LentBuffer
from pywasm_filter.testing.embedded.contexts import RootContext, StreamContext
from pywasm_filter.testing.embedded.stream_info import StreamInfo, View
from pywasm_filter.testing.embedded.virtual_machine import VirtualMachine


class ConnectionControl(Protocol):
    """What a connection's context can do with its connection."""

    info: StreamInfo

    def continue_reading(self) -> None:
        """Let pass what is held back of the client's data, without asking the filter again."""
        ...

    def close_by_proxy(self) -> None:
        """Close the connection from here."""
        ...


class NetworkContext(StreamContext):
    """The context of a TCP connection. Data callbacks tell whether the data passes; what does not is held back.

    A buffer is lent from the callback in which it arrives until that callback lets it go on.
    """

    def __init__(self, vm: VirtualMachine, root: RootContext, connection: ConnectionControl) -> None:
        super().__init__(vm, root)
        self._connection = connection
        self._downstream: BodyBuffer | None = None
        self._upstream: BodyBuffer | None = None

    def on_new_connection(self) -> bool:
        """Create the context, then on_new_connection."""
        if not self.vm.failed:
            self._notify("proxy_on_context_create", self.root.context_id)
        self.created = True
        return self._passes("proxy_on_new_connection")

    def on_downstream_data(self, data: BodyBuffer, end_stream: bool) -> bool:
        """on_downstream_data, with all that is held back."""
        self._downstream = data
        passes = self._passes("proxy_on_downstream_data", len(data), int(end_stream))
        if passes:
            self._downstream = None
        return passes

    def on_upstream_data(self, data: BodyBuffer, end_stream: bool) -> bool:
        """on_upstream_data, with all that is held back; after the last one on_upstream_close, whatever it returned."""
        self._upstream = data
        passes = self._passes("proxy_on_upstream_data", len(data), int(end_stream))
        if passes:
            self._upstream = None
        if end_stream:
            self._notify("proxy_on_upstream_connection_close", PeerType.UNKNOWN)
        return passes

    def on_downstream_close(self, peer: PeerType) -> None:
        """on_downstream_close, then on_done, on_log and on_delete: Envoy's order for TCP."""
        self._downstream = self._upstream = None
        self._notify("proxy_on_downstream_connection_close", peer)
        for callback in ("proxy_on_done", "proxy_on_log", "proxy_on_delete"):
            self._notify(callback)

    # --- what hostcalls act on ---

    def view(self) -> View:
        """What properties show: no headers at all."""
        return View(self._connection.info, request_headers=None, response_headers=None, response_trailers=None)

    def buffer(self, buffer_type: BufferType) -> LentBuffer | None:
        """A buffer."""
        lent = {BufferType.DOWNSTREAM_DATA: self._downstream, BufferType.UPSTREAM_DATA: self._upstream}.get(buffer_type)
        return super().buffer(buffer_type) if lent is None else lent

    def continue_stream(self, stream_type: StreamType) -> Status:
        """Resume the client's data once the callback has returned; Envoy cannot resume the upstream's."""
        if stream_type is StreamType.DOWNSTREAM:
            self.vm.defer(self._connection.continue_reading)
        return super().continue_stream(stream_type)

    def close_stream(self, stream_type: StreamType) -> Status:
        """Close the connection once the callback has returned; the upstream's goes with it."""
        if stream_type in (StreamType.DOWNSTREAM, StreamType.UPSTREAM):
            self.vm.defer(self._connection.close_by_proxy)
        return super().close_stream(stream_type)

    def _passes(self, callback: str, *args: int) -> bool:
        """Call a callback; false when it returned anything but 0, or when the VM is dead, which closes the connection.

        Envoy closes it whatever the failure policy says: that is for the connections to come.
        """
        result = 0
        if not self.vm.failed and self.vm.has(callback):
            result = self.vm.call(self.context_id, callback, *args)
            self._finish()
        if self.vm.failed:
            self._connection.close_by_proxy()
            return False
        return result == 0
