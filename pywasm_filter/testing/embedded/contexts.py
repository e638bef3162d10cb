"""Contexts of a VM: what hostcalls act on, and the callbacks of a stream in the terms of the filter chain.

A map or buffer is lent to the plugin from the callback in which it arrives until that callback lets it go on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NoReturn, Protocol, TypeVar

from pywasm_filter.sdk.abi import (
    BufferType,
    FilterDataStatus,
    FilterHeadersStatus,
    FilterMetadataStatus,
    FilterTrailersStatus,
    MapType,
    Status,
    StreamType,
)
from pywasm_filter.testing.embedded.buffers import BodyBuffer, ConstantBuffer, LentBuffer
from pywasm_filter.testing.embedded.callouts import CalloutResponse, HttpCallouts
from pywasm_filter.testing.embedded.filter_state import Declaration
from pywasm_filter.testing.embedded.filter_status import data_status, headers_status, trailers_status
from pywasm_filter.testing.embedded.grpc_calls import GrpcCallouts
from pywasm_filter.testing.embedded.header_map import HeaderMap
from pywasm_filter.testing.embedded.local_reply import LocalReply
from pywasm_filter.testing.embedded.stream_info import StreamInfo, View
from pywasm_filter.testing.embedded.timers import Ticker
from pywasm_filter.testing.embedded.virtual_machine import VirtualMachine
from pywasm_filter.testing.errors import HostMisuse
from pywasm_filter.testing.plugin import Plugin

StatusT = TypeVar("StatusT", FilterHeadersStatus, FilterDataStatus, FilterTrailersStatus, FilterMetadataStatus)

# proxy_get_status of a failed callout in Envoy: a status of the host's own, not one that the ABI lists.
_BROKEN_CONNECTION = 11

# After these Envoy keeps a pointer to the last piece of a request's body, which is gone.
_NOT_KEPT = (FilterDataStatus.STOP_ITERATION_AND_WATERMARK, FilterDataStatus.STOP_ITERATION_NO_BUFFER)

_ON_LOG = "proxy_on_log"

_NO_BUFFER = ConstantBuffer(b"")


class StreamControl(Protocol):
    """What a stream's context can do with its stream."""

    @property
    def info(self) -> StreamInfo:
        """What is known of the stream."""
        ...

    def continue_request(self) -> None:
        """Resume the request."""
        ...

    def continue_response(self) -> None:
        """Resume the response."""
        ...

    def reset_by_filter(self) -> None:
        """Break the stream off."""
        ...

    def send_local_reply(self, reply: LocalReply) -> None:
        """Answer from here."""
        ...

    def hold_request_body(self, data: BodyBuffer) -> BodyBuffer:
        """Add to the request body that is held back, and return all of it."""
        ...

    def hold_response_body(self, data: BodyBuffer) -> BodyBuffer:
        """Add to the response body that is held back, and return all of it."""
        ...

    def held_request_body(self) -> BodyBuffer:
        """The request body that is held back."""
        ...

    def held_response_body(self) -> BodyBuffer:
        """The response body that is held back."""
        ...

    def create_request_trailers(self) -> HeaderMap:
        """Add trailers to a request that has none."""
        ...

    def create_response_trailers(self) -> HeaderMap:
        """Add trailers to a response that has none."""
        ...


class Context:
    """A context; as it stands the one of number 0, in which a VM is initialised."""

    def __init__(self, vm: VirtualMachine, context_id: int) -> None:
        self.vm = vm
        self.context_id = context_id
        self.created = False
        self.declared_properties: dict[bytes, Declaration] = {}
        """What declare_property has said; only that of a root context counts, for it and its streams."""
        vm.contexts[context_id] = self

    def root_context(self) -> RootContext | None:
        """The root context that callouts, ticks and queues belong to; None for the context of number 0."""
        return None

    def writable_map(self, map_type: MapType) -> HeaderMap | None:
        """A map to write to, None if it is not lent."""
        return None

    def readable_map(self, map_type: MapType) -> HeaderMap | None:
        """A map to read from, None if it is not lent. Those of a callout's answer are lent to all of its root."""
        root = self.root_context()
        return None if root is None else root.callout_map(map_type)

    @property
    def missing_map(self) -> Status:
        """What reading a map answers that is not lent."""
        return Status.BAD_ARGUMENT

    def buffer(self, buffer_type: BufferType) -> LentBuffer | None:
        """A buffer. Those of the streams and of gRPC are there at any time, if only empty."""
        match buffer_type:
            case BufferType.VM_CONFIGURATION:
                return ConstantBuffer(self.vm.plugin.vm_configuration_bytes)
            case BufferType.PLUGIN_CONFIGURATION:
                return None
            case BufferType.HTTP_CALL_RESPONSE_BODY:
                root = self.root_context()
                response = None if root is None else root.callout_response
                return None if response is None else response.body
            case BufferType.GRPC_CALL_MESSAGE:
                root = self.root_context()
                message = None if root is None else root.grpc_message
                return _NO_BUFFER if message is None else ConstantBuffer(message)
            case _:
                return _NO_BUFFER

    def continue_stream(self, stream_type: StreamType) -> Status:
        """Resume a direction."""
        return Status.UNIMPLEMENTED if stream_type is StreamType.UPSTREAM else Status.OK

    def close_stream(self, stream_type: StreamType) -> Status:
        """Break the stream off."""
        return Status.OK

    def clear_route_cache(self) -> None:
        """Look for the route anew; has no effect where there is none."""

    def send_local_response(self, reply: LocalReply) -> None:
        """Answer the request; has no effect where there is none."""

    def _finish(self) -> None:
        self.vm.finish_call()

    def _notify(self, callback: str, *args: int) -> int:
        """Call a callback that has no bearing on a stream; 1 if there is none."""
        if self.vm.failed or not self.vm.has(callback):
            return 1
        result = self.vm.call(self.context_id, callback, *args)
        self._finish()
        return result


class RootContext(Context):
    """A plugin's context: the callouts, ticks and queues of its streams are its own."""

    def __init__(self, vm: VirtualMachine, plugin: Plugin) -> None:
        super().__init__(vm, vm.allocate_context_id())
        self.plugin = plugin
        self.done_pending = False
        self.deleted = False
        self.ticker = Ticker(vm.events, self._on_tick)
        self.http_callouts = HttpCallouts(
            vm.shared.clusters, vm.events, vm.allocate_http_call_token, self._on_http_call_response
        )
        self.grpc_callouts = GrpcCallouts(vm, self)
        self.grpc_message: bytes | None = None
        """The message that is being reported."""
        self._grpc_metadata: dict[MapType, HeaderMap] = {}
        self.callout_response: CalloutResponse | None = None
        """The answer that is being reported."""
        self.call_status: tuple[int, bytes] = (0, b"")
        """Status of the callout that is being reported; of a failed one the code stays."""
        self._configuration = plugin.configuration_bytes
        self._configuring = False
        self._foreign_arguments = b""

    def root_context(self) -> RootContext:
        """This one."""
        return self

    def callout_map(self, map_type: MapType) -> HeaderMap | None:
        """A map of the answer that is being reported."""
        response = self.callout_response
        match map_type:
            case MapType.HTTP_CALL_RESPONSE_HEADERS:
                return None if response is None else response.headers
            case MapType.HTTP_CALL_RESPONSE_TRAILERS:
                return None if response is None else response.trailers
            case _:
                return self._grpc_metadata.get(map_type)

    def buffer(self, buffer_type: BufferType) -> LentBuffer | None:
        """A buffer; the plugin's configuration while it is being configured, a foreign function's arguments while it
        calls back.
        """
        if buffer_type is BufferType.PLUGIN_CONFIGURATION and self._configuring:
            return ConstantBuffer(self._configuration)
        if buffer_type is BufferType.FOREIGN_FUNCTION_ARGUMENTS:
            return ConstantBuffer(self._foreign_arguments)
        return super().buffer(buffer_type)

    def on_foreign_function(self, function_id: int, arguments: bytes) -> None:
        """on_foreign_function."""
        self._foreign_arguments = arguments
        self._notify("proxy_on_foreign_function", function_id, len(arguments))
        self._foreign_arguments = b""

    def on_queue_ready(self, token: int) -> None:
        """on_queue_ready."""
        if not self.deleted:
            self._notify("proxy_on_queue_ready", token)

    def discard(self) -> None:
        """The context is gone: tick no more, and drop the callouts."""
        self.deleted = True
        self.ticker.stop()
        self.http_callouts.cancel_all()
        self.grpc_callouts.cancel_all()

    def start(self) -> bool:
        """on_context_create and on_vm_start; false if the plugin refuses."""
        self._notify("proxy_on_context_create", 0)
        self.created = True
        return self._notify("proxy_on_vm_start", len(self.vm.plugin.vm_configuration_bytes)) != 0

    def configure(self) -> bool:
        """on_configure; false if the plugin refuses."""
        self._configuring = True
        try:
            return self._notify("proxy_on_configure", len(self._configuration)) != 0
        finally:
            self._configuring = False

    def shut_down(self) -> None:
        """on_done, then on_delete unless the plugin defers its end."""
        if self._notify("proxy_on_done") != 0:
            self._delete()
        else:
            self.done_pending = True

    def done(self) -> Status:
        """Complete the end that on_done deferred."""
        if not self.done_pending:
            return Status.NOT_FOUND
        self.done_pending = False
        self.vm.defer(lambda: self._delete())
        return Status.OK

    def _delete(self) -> None:
        self._notify("proxy_on_delete")
        self.discard()

    def _on_tick(self) -> bool:
        """on_tick; false when there is nobody to tick for."""
        self._notify("proxy_on_tick")
        return self.vm.has("proxy_on_tick") and not self.vm.failed

    def _on_http_call_response(self, token: int, response: CalloutResponse | None) -> None:
        """on_http_call_response: the sizes are 0 for a failure."""
        self.callout_response = response
        if response is None:
            self.call_status = (_BROKEN_CONNECTION, b"reset")
            sizes = (0, 0, 0)
        else:
            sizes = (len(response.headers), len(response.body), len(response.trailers or ()))
        self._notify("proxy_on_http_call_response", token, *sizes)
        self.callout_response = None
        self.call_status = (self.call_status[0], b"")

    # --- gRPC callouts ---

    def on_grpc_receive_initial_metadata(self, call_id: int, metadata: HeaderMap) -> None:
        """on_grpc_receive_initial_metadata."""
        callback = "proxy_on_grpc_receive_initial_metadata"
        self._lend_metadata(callback, call_id, MapType.GRPC_CALL_INITIAL_METADATA, metadata)

    def on_grpc_receive(self, call_id: int, message: bytes, release: Callable[[], None]) -> None:
        """on_grpc_receive."""

        def done() -> None:
            self.grpc_message = None
            release()

        self.grpc_message = message
        self._report("proxy_on_grpc_receive", (call_id, len(message)), done)

    def on_grpc_receive_trailing_metadata(self, call_id: int, metadata: HeaderMap) -> None:
        """on_grpc_receive_trailing_metadata."""
        callback = "proxy_on_grpc_receive_trailing_metadata"
        self._lend_metadata(callback, call_id, MapType.GRPC_CALL_TRAILING_METADATA, metadata)

    def on_grpc_close(self, call_id: int, status: int, message: bytes, release: Callable[[], None]) -> None:
        """on_grpc_close."""

        def done() -> None:
            self.call_status = (self.call_status[0], b"")
            release()

        self.call_status = (status, message)
        self._report("proxy_on_grpc_close", (call_id, status), done)

    def _lend_metadata(self, callback: str, call_id: int, kind: MapType, metadata: HeaderMap) -> None:
        self._grpc_metadata[kind] = metadata
        self._notify(callback, call_id, len(metadata))
        del self._grpc_metadata[kind]

    def _report(self, callback: str, args: tuple[int, ...], done: Callable[[], None]) -> None:
        """Call a callback; `done` follows it, before what it has deferred."""
        if self.vm.failed or not self.vm.has(callback):
            done()
        else:
            self.vm.defer(done)
            self._notify(callback, *args)


class StreamContext(Context, ABC):
    """The context of an HTTP stream or a TCP connection."""

    def __init__(self, vm: VirtualMachine, root: RootContext) -> None:
        super().__init__(vm, vm.allocate_context_id())
        self.root = root

    def root_context(self) -> RootContext:
        """The root context of its plugin."""
        return self.root

    @abstractmethod
    def view(self) -> View:
        """What properties show."""


class HttpContext(StreamContext):
    """The context of an HTTP stream."""

    def __init__(self, vm: VirtualMachine, root: RootContext, stream: StreamControl) -> None:
        super().__init__(vm, root)
        self._stream = stream
        self._logging = False
        self._end_of_stream = False
        self._failed = False
        self._request_headers: HeaderMap | None = None
        self._request_body: BodyBuffer | None = None
        self._request_trailers: HeaderMap | None = None
        self._response_headers: HeaderMap | None = None
        self._response_body: BodyBuffer | None = None
        self._response_trailers: HeaderMap | None = None
        self._holding_request = False
        self._holding_response = False
        self._request_body_freed = False
        self._ending: list[str] = []
        self.results: dict[str, int] = {}
        """What each callback of the stream returned last, before any mapping: by name, without "proxy_"."""

    # --- callbacks, in the terms of the filter chain ---

    def on_request_headers(self, headers: HeaderMap, end_stream: bool) -> FilterHeadersStatus:
        """Create the context, then on_request_headers."""
        self._create()
        self._request_headers, self._end_of_stream = headers, end_stream
        status = self._headers("proxy_on_request_headers", headers, end_stream)
        if status is FilterHeadersStatus.CONTINUE:
            self._request_headers = None
        return status

    def on_request_body(self, data: BodyBuffer, end_stream: bool) -> FilterDataStatus:
        """on_request_body; all that is held back counts."""
        self._request_body = self._stream.hold_request_body(data) if self._holding_request else data
        self._end_of_stream = end_stream
        status = self._data("proxy_on_request_body", self._request_body, end_stream)
        self._holding_request = status is FilterDataStatus.STOP_ITERATION_AND_BUFFER
        self._request_body = None
        self._request_body_freed = end_stream and status in _NOT_KEPT
        return status

    def on_request_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """on_request_trailers."""
        self._request_trailers = trailers
        status = self._trailers("proxy_on_request_trailers", trailers)
        if status is FilterTrailersStatus.CONTINUE:
            self._request_trailers = None
        return status

    def on_request_metadata(self, num_elements: int) -> None:
        """on_request_metadata."""
        self._metadata("proxy_on_request_metadata", num_elements)

    def on_response_headers(self, headers: HeaderMap, end_stream: bool) -> FilterHeadersStatus:
        """on_response_headers, unless the stream has failed."""
        if not self.created or self._failed:
            return FilterHeadersStatus.CONTINUE
        self._response_headers, self._end_of_stream = headers, end_stream
        status = self._headers("proxy_on_response_headers", headers, end_stream)
        if status is FilterHeadersStatus.CONTINUE:
            self._response_headers = None
        return status

    def on_response_body(self, data: BodyBuffer, end_stream: bool) -> FilterDataStatus:
        """on_response_body; all that is held back counts."""
        if not self.created or self._failed:
            return FilterDataStatus.CONTINUE
        self._response_body = self._stream.hold_response_body(data) if self._holding_response else data
        self._end_of_stream = end_stream
        if self._stream.info.ended:
            # Holding it back was too much: the client has its 500, or was cut off.
            return FilterDataStatus.STOP_ITERATION_AND_BUFFER
        status = self._data("proxy_on_response_body", self._response_body, end_stream)
        self._holding_response = status is FilterDataStatus.STOP_ITERATION_AND_BUFFER
        self._response_body = None
        return status

    def on_response_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """on_response_trailers."""
        if not self.created or self._failed:
            return FilterTrailersStatus.CONTINUE
        self._response_trailers = trailers
        status = self._trailers("proxy_on_response_trailers", trailers)
        if status is FilterTrailersStatus.CONTINUE:
            self._response_trailers = None
        return status

    def on_response_metadata(self, num_elements: int) -> None:
        """on_response_metadata, unless the stream has failed."""
        if self.created and not self._failed:
            self._metadata("proxy_on_response_metadata", num_elements)

    def log(self) -> None:
        """on_log, where the end begins with it; a filter that the stream did not reach is created for it."""
        self._ending = list(self.vm.rules.end_of_stream)
        if self._ending[0] == _ON_LOG:
            self._create()
            self._end_with(self._ending.pop(0))

    def destroy(self) -> None:
        """What else ends a stream: on_done and on_delete in Envoy. The context is gone afterwards."""
        for callback in self._ending:
            self._end_with(callback)
        del self.vm.contexts[self.context_id]

    def _end_with(self, callback: str) -> None:
        if self.created:
            self._logging = callback == _ON_LOG
            self._notify(callback)
            self._logging = False

    def _create(self) -> None:
        if not self.created and not self.vm.failed:
            self._notify("proxy_on_context_create", self.root.context_id)
            self.created = True

    # --- what hostcalls act on ---

    def view(self) -> View:
        """What properties show: the maps that are lent, and in on_log those of the whole exchange."""
        return View(
            info=self._stream.info,
            request_headers=self.readable_map(MapType.HTTP_REQUEST_HEADERS),
            response_headers=self.readable_map(MapType.HTTP_RESPONSE_HEADERS),
            response_trailers=self.readable_map(MapType.HTTP_RESPONSE_TRAILERS),
        )

    def writable_map(self, map_type: MapType) -> HeaderMap | None:
        """A map to write to; trailers are created in the last body callback of a message without any."""
        match map_type:
            case MapType.HTTP_REQUEST_HEADERS:
                return self._request_headers
            case MapType.HTTP_REQUEST_TRAILERS:
                if self._request_trailers is None and self._request_body is not None and self._end_of_stream:
                    self._request_trailers = self._stream.create_request_trailers()
                return self._request_trailers
            case MapType.HTTP_RESPONSE_HEADERS:
                return self._response_headers
            case MapType.HTTP_RESPONSE_TRAILERS:
                if self._response_trailers is None and self._response_body is not None and self._end_of_stream:
                    self._response_trailers = self._stream.create_response_trailers()
                return self._response_trailers
            case _:
                return None

    def readable_map(self, map_type: MapType) -> HeaderMap | None:
        """A map to read from; in on_log those of the whole exchange, without the request's trailers."""
        info = self._stream.info
        match map_type:
            case MapType.HTTP_REQUEST_HEADERS:
                return info.request_headers if self._logging else self._request_headers
            case MapType.HTTP_REQUEST_TRAILERS:
                return None if self._logging else self._request_trailers
            case MapType.HTTP_RESPONSE_HEADERS:
                return info.response_headers if self._logging else self._response_headers
            case MapType.HTTP_RESPONSE_TRAILERS:
                return info.response_trailers if self._logging else self._response_trailers
            case _:
                return super().readable_map(map_type)

    @property
    def missing_map(self) -> Status:
        """What reading a map answers that is not lent."""
        return Status.NOT_FOUND if self._logging else Status.BAD_ARGUMENT

    def buffer(self, buffer_type: BufferType) -> LentBuffer | None:
        """A buffer."""
        match buffer_type:
            case BufferType.HTTP_REQUEST_BODY:
                if self._request_body is None and self._holding_request:
                    return self._stream.held_request_body()
                if self._request_body is None and self._request_body_freed:
                    self._refuse_freed_body()
                return self._request_body if self._request_body is not None else _NO_BUFFER
            case BufferType.HTTP_RESPONSE_BODY:
                if self._response_body is None and self._holding_response:
                    return self._stream.held_response_body()
                return self._response_body if self._response_body is not None else _NO_BUFFER
            case _:
                return super().buffer(buffer_type)

    def continue_stream(self, stream_type: StreamType) -> Status:
        """Resume a direction once the callback has returned. The request's maps and buffer are lent no longer."""
        match stream_type:
            case StreamType.HTTP_REQUEST:
                self.vm.defer(self._stream.continue_request)
            case StreamType.HTTP_RESPONSE:
                self.vm.defer(self._stream.continue_response)
            case _:
                return super().continue_stream(stream_type)
        self._request_headers = self._request_body = self._request_trailers = None
        self._request_body_freed = False
        return Status.OK

    def close_stream(self, stream_type: StreamType) -> Status:
        """Break the stream off once the callback has returned."""
        if stream_type in (StreamType.HTTP_REQUEST, StreamType.HTTP_RESPONSE):
            self.vm.defer(self._stream.reset_by_filter)
        return Status.OK

    def clear_route_cache(self) -> None:
        """Look for the route anew when the request reaches the router."""
        if self._stream.info.ended:
            self.vm.log.note(f"the route cache was cleared in {self.vm.running}: Envoy logs a bug of its own")
        self._stream.info.route_is_stale = True

    def send_local_response(self, reply: LocalReply) -> None:
        """Answer the request once the callback has returned. Raises HostMisuse when the stream is over."""
        if self._stream.info.ended:
            raise HostMisuse(
                f"proxy_send_local_response in {self.vm.running}: the stream is over, and Envoy crashes. "
                "Answer in a callback of the request or the response"
            )
        self.vm.defer(lambda: self._stream.send_local_reply(reply))

    def _refuse_freed_body(self) -> NoReturn:
        misuse = HostMisuse(
            f"the request's body was accessed in {self.vm.running}, after the last on_request_body had returned "
            f"{self.results['on_request_body']}: Envoy crashes. Return PAUSE (1) from on_request_body, which keeps the "
            "body readable"
        )
        self.vm.note_fault(misuse)
        raise misuse

    # --- calls ---

    def _headers(self, callback: str, headers: HeaderMap, end_stream: bool) -> FilterHeadersStatus:
        allow = self.root.plugin.allow_on_headers_stop_iteration
        return self._call(
            callback,
            (len(headers), int(end_stream)),
            lambda result: headers_status(result, replied=self.vm.iteration_stopped, allow_stop_iteration=allow),
            FilterHeadersStatus.CONTINUE,
            FilterHeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK,
        )

    def _data(self, callback: str, body: BodyBuffer, end_stream: bool) -> FilterDataStatus:
        return self._call(
            callback,
            (len(body), int(end_stream)),
            lambda result: data_status(result, replied=self.vm.iteration_stopped),
            FilterDataStatus.CONTINUE,
            FilterDataStatus.STOP_ITERATION_NO_BUFFER,
        )

    def _trailers(self, callback: str, trailers: HeaderMap) -> FilterTrailersStatus:
        return self._call(
            callback,
            (len(trailers),),
            lambda result: trailers_status(result, replied=self.vm.iteration_stopped),
            FilterTrailersStatus.CONTINUE,
            FilterTrailersStatus.STOP_ITERATION,
        )

    def _metadata(self, callback: str, num_elements: int) -> None:
        """Envoy goes on whatever the callback returns, and even when the VM is dead: `_call` has answered then."""
        go_on = FilterMetadataStatus.CONTINUE
        self._call(callback, (num_elements,), lambda result: go_on, go_on, go_on)

    def _call(
        self,
        callback: str,
        args: tuple[int, ...],
        convert: Callable[[int], StatusT],
        passing: StatusT,
        failing: StatusT,
    ) -> StatusT:
        if self.vm.failed:
            self._fail()
            return failing
        if not self.vm.has(callback):
            return passing
        result = self.results[callback.removeprefix("proxy_")] = self.vm.call(self.context_id, callback, *args)
        status = convert(result)
        if self.vm.failed:
            self._fail()
            status = failing
        self._finish()
        return status

    def _fail(self) -> None:
        """Answer 503, once. Envoy does so whatever the failure policy says: that is for the streams to come."""
        if not self._failed:
            self._failed = True
            self._stream.send_local_reply(LocalReply(503, details="wasm_fail_stream", grpc_status=14))
