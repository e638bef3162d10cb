"""gRPC callouts of a root context: Envoy's client on the one side, the test's services on the other.

What passes between the two takes no time, but never arrives within the step in which it is sent: it is an event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pywasm_filter.sdk.abi import Status
from pywasm_filter.testing.answers import Refuse
from pywasm_filter.testing.clock import nanoseconds
from pywasm_filter.testing.embedded.events import Event
from pywasm_filter.testing.embedded.grpc_upstream import GrpcUpstream, read_upstream
from pywasm_filter.testing.embedded.header_map import HeaderMap, ResponseHeaderMap
from pywasm_filter.testing.embedded.header_syntax import check_syntax
from pywasm_filter.testing.embedded.pairs import Pair
from pywasm_filter.testing.embedded.virtual_machine import CALLOUT_STEP, VirtualMachine
from pywasm_filter.testing.errors import HostcallNotSupported, HostMisuse
from pywasm_filter.testing.grpc import (
    GrpcCall,
    GrpcCallRecord,
    GrpcHandler,
    checked_metadata,
    checked_status,
    encode_binary,
    handler_of,
)
from pywasm_filter.testing.messages import Headers, HeadersInput

_OK, _DEADLINE_EXCEEDED, _INTERNAL, _UNAVAILABLE = 0, 4, 13, 14

# Envoy adds its own word on what happened to a status message, in braces.
_FROM_UPSTREAM = b"via_upstream"
_RESET = (
    b"upstream connect error or disconnect/reset before headers. reset reason: connection termination",
    b"upstream_reset_before_response_started{connection_termination}",
)
_RESET_LATE = b"upstream_reset_after_response_started{connection_termination}"
_REFUSED = (
    b"upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
    b"upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
)
_TIMED_OUT = (b"upstream request timeout", b"response_timeout")
# The server has the deadline as well; with a timeout of 0 it is the one that acts on it.
_EXPIRED = (b"Deadline Exceeded", _FROM_UPSTREAM)

_RESPONSE: tuple[Pair, ...] = ((b":status", b"200"), (b"content-type", b"application/grpc"))
# What the server of a real test says of itself, so that the number of entries agrees.
_SERVERS_OWN: tuple[Pair, ...] = ((b"grpc-accept-encoding", b"identity, deflate, gzip"),)

# Fields of GrpcService that would change a call: google_grpc, initial_metadata, retry_policy.
_UNSUPPORTED_FIELDS = frozenset({2, 5, 6})
_CALL_KIND, _STREAM_KIND = 1, 2


class GrpcEvents(Protocol):
    """What a root context is told. `release` is what follows a callback, before what the plugin has deferred in it."""

    def on_grpc_receive_initial_metadata(self, call_id: int, metadata: HeaderMap) -> None:
        """Initial metadata of a stream."""
        ...

    def on_grpc_receive(self, call_id: int, message: bytes, release: Callable[[], None]) -> None:
        """A message; that of a call ends it."""
        ...

    def on_grpc_receive_trailing_metadata(self, call_id: int, metadata: HeaderMap) -> None:
        """Trailing metadata of a stream."""
        ...

    def on_grpc_close(self, call_id: int, status: int, message: bytes, release: Callable[[], None]) -> None:
        """A stream has ended, or a call without success."""
        ...


class GrpcCallouts:
    """The calls and streams of a root context, by id.

    The methods are hostcalls. They raise HostMisuse for what breaks Envoy and HostcallNotSupported for upstreams that
    this proxy does not offer.
    """

    def __init__(self, vm: VirtualMachine, root: GrpcEvents) -> None:
        self.vm = vm
        self.root = root
        self.services = vm.shared.grpc
        self._clients: dict[int, _Client] = {}

    def call(
        self,
        upstream: bytes,
        service: bytes,
        method: bytes,
        metadata: list[Pair],
        message: bytes,
        timeout_milliseconds: int,
    ) -> tuple[Status, int]:
        """proxy_grpc_call."""
        status, client = self._open("proxy_grpc_call", _CALL_KIND, upstream, service, method, metadata)
        if client is None:
            return status, 0
        client.record.timeout = timeout_milliseconds / 1000 if timeout_milliseconds else None
        client.limit(timeout_milliseconds)
        client.send(message, end_stream=True)
        return status, client.call_id

    def stream(self, upstream: bytes, service: bytes, method: bytes, metadata: list[Pair]) -> tuple[Status, int]:
        """proxy_grpc_stream."""
        status, client = self._open("proxy_grpc_stream", _STREAM_KIND, upstream, service, method, metadata)
        return status, 0 if client is None else client.call_id

    def send(self, call_id: int, message: bytes, *, end_stream: bool) -> Status:
        """proxy_grpc_send."""
        if call_id % CALLOUT_STEP != _STREAM_KIND:
            return Status.BAD_ARGUMENT
        client = self._clients.get(call_id)
        if client is None:
            return Status.NOT_FOUND
        client.send(message, end_stream=end_stream)
        return Status.OK

    def cancel(self, call_id: int) -> Status:
        """proxy_grpc_cancel."""
        if call_id % CALLOUT_STEP not in (_CALL_KIND, _STREAM_KIND):
            return Status.BAD_ARGUMENT
        client = self._clients.pop(call_id, None)
        if client is None:
            return Status.NOT_FOUND
        client.cancel()
        return Status.OK

    def close(self, call_id: int) -> Status:
        """proxy_grpc_close. Raises HostMisuse where Envoy would report the end of the stream twice."""
        if call_id % CALLOUT_STEP != _STREAM_KIND:
            return self.cancel(call_id)
        client = self._clients.get(call_id)
        if client is None:
            return Status.NOT_FOUND
        client.close()
        if client.remote_closed:
            del self._clients[call_id]
        return Status.OK

    def cancel_all(self) -> None:
        """Cancel what is under way, as the end of the context does."""
        for call_id in list(self._clients):
            self.cancel(call_id)

    def forget(self, call_id: int) -> None:
        """A call has ended, or a stream on both sides."""
        self._clients.pop(call_id, None)

    def _open(
        self, hostcall: str, kind: int, upstream: bytes, service: bytes, method: bytes, metadata: list[Pair]
    ) -> tuple[Status, _Client | None]:
        target = read_upstream(upstream)
        cluster = _cluster(hostcall, upstream, target)
        if cluster not in self.services and self.vm.shared.clusters.reaches(cluster):
            raise HostMisuse(
                f"{hostcall}: the cluster {cluster!r} speaks HTTP/1.1, over which Envoy gets no gRPC answer. Name a "
                "cluster of its own in grpc_clusters=[...] of the marker pywasm"
            )
        if target.named and cluster not in self.services:
            return Status.PARSE_FAILURE, None
        call_id = self.vm.allocate_grpc_id(kind)
        if cluster not in self.services:
            self.vm.defer(lambda: self.root.on_grpc_close(call_id, _UNAVAILABLE, b"Cluster not available", _nothing))
            return Status.INTERNAL_FAILURE, None
        record = GrpcCallRecord(cluster, _text(service), _text(method), _sent_metadata(metadata))
        client = self._clients[call_id] = _Client(self, call_id, kind == _STREAM_KIND, record)
        client.connect()
        return Status.OK, client


class _Client:
    """Envoy's end of a call or stream, in the terms of the callbacks that come of it."""

    def __init__(self, callouts: GrpcCallouts, call_id: int, is_stream: bool, record: GrpcCallRecord) -> None:
        self.call_id = call_id
        self.record = record
        self.remote_closed = False
        self._callouts = callouts
        self._vm = callouts.vm
        self._root = callouts.root
        self._is_stream = is_stream
        self._local_closed = False
        self._half_closed = False
        self._in_trailing_metadata = False
        self._initial_received = False
        self._last_message: bytes | None = None
        self._timeout: Event | None = None
        self._server: _Server | None = None

    # --- what the plugin does ---

    def connect(self) -> None:
        """Reach for the server."""
        self._later(self._arrive)

    def limit(self, timeout_milliseconds: int) -> None:
        """Let the call end after so long."""
        if timeout_milliseconds == 0:
            self._later(lambda: self.fail(_DEADLINE_EXCEEDED, *_EXPIRED))
            return
        delay = nanoseconds(timeout_milliseconds / 1000)
        self._timeout = self._vm.events.schedule(delay, lambda: self.fail(_UNAVAILABLE, *_TIMED_OUT))

    def send(self, message: bytes, *, end_stream: bool) -> None:
        """Send a message; nothing happens on a side that is closed."""
        if self.remote_closed or self._half_closed:
            return
        self._later(lambda: self._to_server(lambda server: server.receive(message)))
        if end_stream:
            self._half_close()

    def close(self) -> None:
        """Close our side, and have the stream forgotten when the other is closed."""
        if self._in_trailing_metadata:
            raise HostMisuse(
                "proxy_grpc_close within proxy_on_grpc_receive_trailing_metadata: Envoy calls that callback again, "
                "within itself, and reports INTERNAL. Close the stream in proxy_on_grpc_close"
            )
        self._local_closed = True
        if not self.remote_closed and not self._half_closed:
            self._half_close()

    def cancel(self) -> None:
        """Reset; no callback comes any more."""
        self._end()

    def _half_close(self) -> None:
        self._half_closed = True
        self._later(lambda: self._to_server(_Server.half_close))

    # --- what the server does ---

    def receive_initial_metadata(self, metadata: Headers) -> None:
        """The server's metadata have arrived."""
        self._initial([*_RESPONSE, *_SERVERS_OWN, *metadata.raw, *self._timing()])

    def receive(self, message: bytes) -> None:
        """A message has arrived."""
        self._last_message = message
        if self._is_stream and not self.remote_closed:
            self._root.on_grpc_receive(self.call_id, message, _nothing)

    def finish(self, status: int, message: bytes, metadata: Headers) -> None:
        """The server has ended the call."""
        if not self._is_stream:
            self._finish_call(status, message)
            return
        trailers = [(b"grpc-status", b"%d" % status), (b"grpc-message", message), *metadata.raw]
        if not self._initial_received:
            self._initial([])
            trailers = [*_RESPONSE, *trailers, *self._timing()]
        self._finish_stream(status, _detailed(message, _FROM_UPSTREAM), trailers)

    def fail(self, status: int, message: bytes, details: bytes) -> None:
        """The call has ended without an answer of the server's."""
        if not self._is_stream:
            self._finish(status, _detailed(message, details))
        else:
            self._initial([])
            trailers = [*_RESPONSE, (b"grpc-status", b"%d" % status), (b"grpc-message", message)]
            self._finish_stream(status, _detailed(message, details), trailers)

    def break_off(self) -> None:
        """The connection is gone."""
        if not self._initial_received:
            self.fail(_UNAVAILABLE, *_RESET)
        elif self._is_stream:
            self._finish_stream(_INTERNAL, _RESET_LATE, [])
        else:
            self._finish(_INTERNAL, _RESET_LATE)

    def _timing(self) -> tuple[Pair, ...]:
        """Envoy tells how long an answer took once the request was complete."""
        return ((b"x-envoy-upstream-service-time", b"0"),) if self._half_closed else ()

    def _initial(self, metadata: list[Pair]) -> None:
        self._initial_received = True
        if self._is_stream and not self.remote_closed:
            self._root.on_grpc_receive_initial_metadata(self.call_id, ResponseHeaderMap(metadata))

    def _finish_call(self, status: int, message: bytes) -> None:
        received = self._last_message
        if status != _OK:
            self._finish(status, _detailed(message, _FROM_UPSTREAM))
        elif received is None:
            self._finish(_INTERNAL, b"")
        else:
            self._end()
            self._root.on_grpc_receive(self.call_id, received, self._forget)

    def _finish_stream(self, status: int, message: bytes, trailers: list[Pair]) -> None:
        if self.remote_closed:
            return
        self._in_trailing_metadata = True
        self._root.on_grpc_receive_trailing_metadata(self.call_id, HeaderMap(trailers))
        self._in_trailing_metadata = False
        self._finish(status, message)

    def _finish(self, status: int, message: bytes) -> None:
        if self.remote_closed:
            return
        self._end()
        self._root.on_grpc_close(self.call_id, status, message, self._release)

    def _release(self) -> None:
        if not self._is_stream or self._local_closed:
            self._forget()

    def _forget(self) -> None:
        self._callouts.forget(self.call_id)

    # --- the connection ---

    def _arrive(self) -> None:
        if self.remote_closed:
            return
        services = self._callouts.services
        service = services[self.record.cluster]
        if isinstance(service, Refuse):
            self.fail(_UNAVAILABLE, *_REFUSED)
            return
        services.calls.append(self.record)
        after = self._vm.events.schedule
        handler = handler_of(service, lambda seconds, action: after(nanoseconds(seconds), action))
        self._server = _Server(self, handler)
        self._server.open()

    def _to_server(self, action: Callable[[_Server], None]) -> None:
        if self._server is not None and not self.remote_closed:
            action(self._server)

    def _end(self) -> None:
        self.remote_closed = True
        if self._timeout is not None:
            self._timeout.cancel()
        if self._server is not None:
            self._later(self._server.lose_client)

    def _later(self, action: Callable[[], object]) -> None:
        self._vm.events.schedule(0, action)

    def deliver(self, action: Callable[[], object]) -> None:
        """Have something of the server's arrive here, unless the call is over by then."""
        self._later(lambda: None if self.remote_closed else action())


class _Server(GrpcCall):
    """The server's end of a call."""

    def __init__(self, client: _Client, handler: GrpcHandler) -> None:
        super().__init__(client.record)
        self._client = client
        self._handler = handler
        self._ended = False
        self._initial_sent = False

    # --- what the client does ---

    def open(self) -> None:
        """The call has arrived."""
        self._handler.opened(self)

    def receive(self, message: bytes) -> None:
        """A message has arrived."""
        if not self._ended:
            self.record.messages.append(message)
            self._handler.received(self, message)

    def half_close(self) -> None:
        """The client sends no more."""
        if not self._ended:
            self._handler.half_closed(self)

    def lose_client(self) -> None:
        """The client has gone."""
        if not self._ended:
            self._ended = self.record.cancelled = True
            self._handler.cancelled(self)

    # --- what the handler does ---

    @property
    def ended(self) -> bool:
        """Whether the call is over."""
        return self._ended

    def send_initial_metadata(self, metadata: HeadersInput | None = None) -> None:
        """Send the initial metadata."""
        checked = checked_metadata(metadata)
        if self._ended:
            return
        if self._initial_sent:
            raise ValueError("the initial metadata has been sent already")
        self._initial_sent = True
        self._client.deliver(lambda: self._client.receive_initial_metadata(checked))

    def send(self, message: bytes) -> None:
        """Send a message."""
        if self._ended:
            return
        if not self._initial_sent:
            self.send_initial_metadata()
        self._client.deliver(lambda: self._client.receive(message))

    def finish(
        self, status: int = _OK, status_message: str = "", trailing_metadata: HeadersInput | None = None
    ) -> None:
        """End the call."""
        checked_status(status)
        trailers = checked_metadata(trailing_metadata)
        if not self._ended:
            self._ended = True
            self._client.deliver(lambda: self._client.finish(status, _percent_encoded(status_message), trailers))

    def reset(self) -> None:
        """Reset the connection."""
        if not self._ended:
            self._ended = True
            self._client.deliver(lambda: self._client.break_off())


def _cluster(hostcall: str, upstream: bytes, target: GrpcUpstream) -> str:
    """The cluster. Raises what a test must see where Envoy would go down, or this proxy has nothing to offer."""
    if target.other_fields & _UNSUPPORTED_FIELDS:
        raise HostcallNotSupported(f"{hostcall} to anything but envoy_grpc with a cluster_name")
    if target.cluster is None:
        raise HostMisuse(
            f"{hostcall}: the upstream {upstream!r} reads as a serialised GrpcService that names no cluster, which "
            "makes Envoy crash. Pass a serialised GrpcService instead of a cluster's name"
        )
    return target.cluster


def _sent_metadata(metadata: list[Pair]) -> Headers:
    """The plugin's metadata as the server gets it."""
    sent = [(name.lower(), value) for name, value in metadata]
    encoded = [(name, encode_binary(value) if name.endswith(b"-bin") else value) for name, value in sent]
    check_syntax("the request of the gRPC callout", encoded)
    return Headers(encoded)


def _detailed(message: bytes, details: bytes) -> bytes:
    """A status message as Envoy passes it on."""
    return b"%s{%s}" % (message, details) if message else details


def _percent_encoded(message: str) -> bytes:
    """A status message as it is on the wire."""
    return b"".join(
        bytes([byte]) if 0x20 <= byte < 0x7F and byte != 0x25 else b"%%%02X" % byte for byte in message.encode("utf-8")
    )


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _nothing() -> None:
    """Nothing is kept that would have to be released."""
