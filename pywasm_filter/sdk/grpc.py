"""gRPC callouts: unary calls and streams to a cluster of the proxy's. The root context gets all that comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import BufferType, GrpcStatus, MapType, Status
from pywasm_filter.sdk.body import read_buffer
from pywasm_filter.sdk.callouts import CalloutError, CalloutFailed
from pywasm_filter.sdk.exceptions import host_error
from pywasm_filter.sdk.headers import HeaderPairs, Headers, encode_name, encode_value, header_items, read_map
from pywasm_filter.sdk.pairs import encode_pairs
from pywasm_filter.sdk.protobuf import bytes_field
from pywasm_filter.sdk.tasks import Future
from pywasm_filter.sdk.timers import milliseconds

if TYPE_CHECKING:
    from pywasm_filter.sdk.contexts import Context

_TIMED_OUT = "upstream request timeout"
"""What Envoy says of calls whose time is over."""

# Envoy would append to what it sends by itself.
_RESERVED = (b"te", b"content-type", b"grpc-timeout", b"host")
_OPENING, _CLOSING = b"{}"
_HEXADECIMAL = b"0123456789abcdefABCDEF"


class GrpcError(CalloutError):
    """A gRPC call or stream ended with a status other than OK."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        """The number of a `GrpcStatus`, or one that gRPC does not name."""
        self.message = message
        """The server's or the proxy's explanation; may be empty. ABI: proxy_get_status."""

    def __str__(self) -> str:
        try:
            name = GrpcStatus(self.status).name
        except ValueError:
            name = f"status {self.status}"
        return f"{name}: {self.message}" if self.message else name


class GrpcCallout(Future[bytes]):
    """A unary call that is under way. Await it for the answer, or `cancel` it."""

    __slots__ = ("_call_id", "_owner")

    def __init__(self, owner: Context, call_id: int) -> None:
        super().__init__()
        self._owner = owner
        self._call_id = call_id

    def cancel(self) -> None:
        """Take the call back. ABI: proxy_grpc_cancel."""
        if not self._done:
            _cancel(self._owner, self._call_id)
        super().cancel()

    def _take_message(self, message: bytes) -> None:
        # Envoy does not tell of the end of a call that was answered.
        self._owner._plugin()._grpc_callouts.pop(self._call_id, None)
        self._complete(message, None)

    def _take_failure(self, error: Exception) -> None:
        self._owner._plugin()._grpc_callouts.pop(self._call_id, None)
        self._complete(None, error)

    def _take_close(self, status: int, message: str) -> None:
        if status == GrpcStatus.UNAVAILABLE and message == _TIMED_OUT:
            status = GrpcStatus.DEADLINE_EXCEEDED  # as it is when the server's clock is the quicker one
        # A call that ends well without an answer is none.
        self._complete(None, GrpcError(status or GrpcStatus.INTERNAL, message))


class GrpcStream(Future[None]):
    """A gRPC stream. Iterate over it for the messages, or await it for its end.

    Both raise GrpcError when it ends with a status other than OK. Values of `-bin` metadata are raw bytes on the way
    out; on the way in Envoy leaves them in base64.
    """

    __slots__ = ("_arrival", "_call_id", "_messages", "_owner", "initial_metadata", "trailing_metadata")

    def __init__(self, owner: Context, call_id: int) -> None:
        super().__init__()
        self._owner = owner
        self._call_id = call_id
        self._messages: list[bytes] = []
        self._arrival: Future[None] = Future()
        self.initial_metadata = Headers([])
        """What the server sent in front; empty until it has come."""
        self.trailing_metadata = Headers([])
        """What the server sent at the end; empty until it has come."""

    def __aiter__(self) -> GrpcStream:
        return self

    async def __anext__(self) -> bytes:
        while not self._messages:
            if self._done:
                self._observed = True
                self.result()
                raise StopAsyncIteration
            await self._arrival
        return self._messages.pop(0)

    def send(self, message: bytes, *, end_stream: bool = False) -> None:
        """Send a message; with `end_stream` the last one. ABI: proxy_grpc_send.

        Raises NotFound when the stream has ended, BadArgument when this side of it has.
        """
        status = hostcalls.current.proxy_grpc_send(self._call_id, message, int(end_stream))
        if status != 0:
            raise host_error("proxy_grpc_send", status)

    def half_close(self) -> None:
        """End this side of the stream; messages of the server still come. ABI: proxy_grpc_close.

        Raises NotFound when the stream has ended.
        """
        status = hostcalls.current.proxy_grpc_close(self._call_id)
        if status != 0:
            raise host_error("proxy_grpc_close", status)

    def cancel(self) -> None:
        """Reset the stream; who reads it gets CancelledError. ABI: proxy_grpc_cancel."""
        if not self._done:
            _cancel(self._owner, self._call_id)
            super().cancel()
            self._wake()

    def _take_initial_metadata(self, metadata: Headers) -> None:
        self.initial_metadata = metadata

    def _take_message(self, message: bytes) -> None:
        self._messages.append(message)
        self._wake()

    def _take_failure(self, error: Exception) -> None:
        _cancel(self._owner, self._call_id)
        self._complete(None, error)
        self._wake()

    def _take_trailing_metadata(self, metadata: Headers) -> None:
        self.trailing_metadata = metadata

    def _take_close(self, status: int, message: str) -> None:
        # Envoy keeps a stream that the server has ended until it is told so, too.
        hostcalls.current.proxy_grpc_close(self._call_id)
        self._complete(None, None if status == 0 else GrpcError(status, message))
        self._wake()

    def _wake(self) -> None:
        arrival, self._arrival = self._arrival, Future()
        arrival._complete(None, None)


def send_grpc_call(
    owner: Context,
    cluster: str,
    service: str,
    method: str,
    message: bytes,
    metadata: HeaderPairs,
    timeout: float,
) -> GrpcCallout:
    """Send the call; it completes in a later callback, or fails here. Raises as `Context.grpc_call`."""
    duration = milliseconds(timeout, "a timeout")
    if duration == 0:
        raise ValueError("a gRPC call needs a timeout over 0: Envoy fails one of 0 at once")
    status, call_id = hostcalls.current.proxy_grpc_call(
        _grpc_service(cluster),
        service.encode("utf-8"),
        method.encode("utf-8"),
        _encode_metadata(metadata),
        message,
        duration,
    )
    _check_sent("proxy_grpc_call", status, cluster)
    callout = GrpcCallout(owner, call_id)
    owner._plugin()._grpc_callouts[call_id] = callout
    owner._enter_scope(callout)
    return callout


def open_grpc_stream(owner: Context, cluster: str, service: str, method: str, metadata: HeaderPairs) -> GrpcStream:
    """Open the stream. Raises as `Context.grpc_stream`."""
    status, call_id = hostcalls.current.proxy_grpc_stream(
        _grpc_service(cluster),
        service.encode("utf-8"),
        method.encode("utf-8"),
        _encode_metadata(metadata),
    )
    _check_sent("proxy_grpc_stream", status, cluster)
    stream = GrpcStream(owner, call_id)
    owner._plugin()._grpc_callouts[call_id] = stream
    owner._enter_scope(stream)
    return stream


def _grpc_service(cluster: str) -> bytes:
    """A serialised envoy.config.core.v3.GrpcService with an envoy_grpc.cluster_name.

    Not the name alone: Envoy first reads it as such a message, and crashes on names that happen to be one ("email").
    """
    if not cluster:
        raise ValueError("a gRPC call needs the name of a cluster")
    return bytes_field(1, bytes_field(1, cluster.encode("utf-8", "surrogateescape")))


def _encode_metadata(metadata: HeaderPairs) -> bytes:
    pairs = [(encode_name(name), value) for name, value in header_items(metadata)]
    for name, _ in pairs:
        if name.startswith(b":") or name in _RESERVED:
            raise ValueError(f"{name.decode()!r} is no metadata: gRPC sets it by itself")
    return encode_pairs([(name, _encode_metadata_value(name, value)) for name, value in pairs])


def _encode_metadata_value(name: bytes, value: str | bytes) -> bytes:
    # Envoy sends the values of binary metadata in base64, so they may have any bytes.
    return value if isinstance(value, bytes) and name.endswith(b"-bin") else encode_value(value)


def _check_sent(call: str, status: int, cluster: str) -> None:
    if status in (Status.PARSE_FAILURE, Status.BAD_ARGUMENT, Status.INTERNAL_FAILURE):
        raise CalloutFailed(f"the proxy does not send to the cluster {cluster!r}: is it in its configuration?")
    if status != 0:
        raise host_error(call, status)


def _cancel(owner: Context, call_id: int) -> None:
    owner._plugin()._grpc_callouts.pop(call_id, None)
    status = hostcalls.current.proxy_grpc_cancel(call_id)
    if status not in (Status.OK, Status.NOT_FOUND):  # NOT_FOUND: it has just ended
        raise host_error("proxy_grpc_cancel", status)


def close_message() -> str:
    """What goes with the status of the call that is being closed, for people to read. ABI: proxy_get_status.

    gRPC has it percent-encoded, and Envoy appends details of its own in braces.
    """
    status, _, message = hostcalls.current.proxy_get_status()
    return _readable(message) if status == 0 else ""


def _readable(message: bytes) -> str:
    if message.endswith(b"}"):
        depth = 0
        for index in range(len(message) - 1, -1, -1):
            if message[index] == _CLOSING:
                depth += 1
            elif message[index] == _OPENING:
                depth -= 1
            if depth == 0:
                message = message[:index]
                break
    first, *rest = message.split(b"%")
    decoded = bytearray(first)
    for part in rest:
        code = part[:2]
        if len(code) == 2 and not code.strip(_HEXADECIMAL):
            decoded.append(int(code, 16))
            decoded += part[2:]
        else:
            decoded += b"%" + part
    return decoded.decode("utf-8", "replace")


def complete_grpc_message(callout: GrpcCallout | GrpcStream, message_size: int) -> None:
    """Take the message that is being received. ABI: proxy_on_grpc_receive."""
    try:
        message = read_buffer(BufferType.GRPC_CALL_MESSAGE, 0, message_size) if message_size else b""
    except Exception as error:  # noqa: BLE001 - it is for who awaits the answer
        callout._take_failure(error)
    else:
        callout._take_message(message)


def grpc_metadata(map_type: MapType, num_elements: int) -> Headers:
    """The metadata that is being received. ABI: proxy_get_header_map_pairs."""
    return read_map(map_type) if num_elements else Headers([])
