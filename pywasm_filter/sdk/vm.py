"""The filter's side of a VM: takes the host's callbacks to the author's contexts, and lets no exception out."""

from __future__ import annotations

from collections.abc import Coroutine
from enum import IntEnum
from typing import Any

from pywasm_filter.sdk import output
from pywasm_filter.sdk.abi import (
    Action,
    BufferType,
    FilterDataStatus,
    FilterHeadersStatus,
    FilterMetadataStatus,
    FilterStatus,
    FilterTrailersStatus,
    LogLevel,
    MapType,
    PeerType,
)
from pywasm_filter.sdk.body import read_buffer
from pywasm_filter.sdk.callouts import complete_http_call
from pywasm_filter.sdk.contexts import Context, RootContext
from pywasm_filter.sdk.failure_policy import FailureHandler
from pywasm_filter.sdk.flow import start_async_http, start_async_network
from pywasm_filter.sdk.grpc import GrpcStream, close_message, complete_grpc_message, grpc_metadata
from pywasm_filter.sdk.http_context import HttpContext
from pywasm_filter.sdk.output import finish_lines, log
from pywasm_filter.sdk.properties import Properties
from pywasm_filter.sdk.registry import Registry, serves_http, serves_tcp
from pywasm_filter.sdk.shared_queue import SharedQueue
from pywasm_filter.sdk.statuses import check_ended, stream_status, success
from pywasm_filter.sdk.stream_context import StreamContext
from pywasm_filter.sdk.tasks import run_ready

_CONTINUE = 0
_ACTION_CONTINUE = Action.CONTINUE


class _BrokenHttpContext(HttpContext[Any]):
    """Stands for a stream whose context could not be created: it fails at the first callback."""

    def __init__(self, context_id: int, root: RootContext[Any], error: BaseException) -> None:
        super().__init__(context_id, root)
        self._error = error

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        raise self._error


class _BrokenStreamContext(StreamContext[Any]):
    """Stands for a connection whose context could not be created: it fails at the first callback."""

    def __init__(self, context_id: int, root: RootContext[Any], error: BaseException) -> None:
        super().__init__(context_id, root)
        self._error = error

    def on_new_connection(self) -> Action:
        raise self._error


class _UnknownRoot(RootContext):
    """Stands for a root_id that the module does not offer: it refuses its configuration."""

    reason = ""

    def on_configure(self, configuration: bytes) -> bool:
        log(LogLevel.ERROR, self.reason)
        return False


def _where(context: Context, callback: str) -> str:
    if isinstance(context, _BrokenHttpContext):
        return f"the creation of an HTTP context of {type(context.root).__name__}"
    if isinstance(context, _BrokenStreamContext):
        return f"the creation of a stream context of {type(context.root).__name__}"
    return f"{type(context).__name__}.{callback}"


def _check_root(root: RootContext[Any], context_id: int) -> None:
    if getattr(root, "context_id", None) != context_id or getattr(root, "_failures", None) is None:
        raise TypeError(f"{type(root).__name__}.__init__ must call super().__init__(context_id)")


def _check_stream(stream: HttpContext[Any] | StreamContext[Any], context_id: int, root: RootContext[Any]) -> None:
    try:
        fits = stream.context_id == context_id and stream.root is root
    except AttributeError:
        fits = False
    if not fits:
        raise TypeError(f"{type(stream).__name__}.__init__ must call super().__init__(context_id, root)")


class Vm:
    """All contexts of one VM. Its methods are the ABI's callbacks; each takes and returns integers.

    An exception of the author's is logged with its traceback and handled by the root's failure policy. Those in
    `passing` are let through: a test run in process must see KeyboardInterrupt.

    Every request passes here several times: a call saved is a microsecond saved. So callbacks look up their stream by
    themselves, and ask for what is seldom.
    """

    def __init__(self, registry: Registry, passing: tuple[type[BaseException], ...] = ()) -> None:
        self._registry = registry
        self._failures = FailureHandler(passing)
        self._roots: dict[int, RootContext[Any]] = {}
        self._https: dict[int, HttpContext[Any]] = {}
        self._connections: dict[int, StreamContext[Any]] = {}
        self._undecided: dict[int, RootContext[Any]] = {}
        self._failed = self._failures.failed

    # --- lifecycle ---

    def proxy_on_context_create(self, context_id: int, parent_context_id: int) -> None:
        """A root context when there is no parent, a stream of that root otherwise."""
        if parent_context_id == 0:
            self._create_root(context_id)
            return
        root = self._roots.get(parent_context_id)
        if root is None:
            return
        if not root._serves_tcp:
            self._create_http(context_id, root)
        elif serves_http(type(root)):
            self._undecided[context_id] = root  # its first callback will tell
        else:
            self._create_connection(context_id, root)

    def proxy_on_vm_start(self, context_id: int, configuration_size: int) -> int:
        """1 when the root context agrees to start."""
        root = self._roots.get(context_id)
        if root is None:
            return 0
        try:
            configuration = read_buffer(BufferType.VM_CONFIGURATION, 0, configuration_size)
            return success(root.on_vm_start(configuration), "on_vm_start")
        except BaseException as error:  # noqa: BLE001 - nothing may leave a callback
            return self._failures.root_failed(root, _where(root, "on_vm_start"), error)

    def proxy_on_configure(self, context_id: int, configuration_size: int) -> int:
        """1 when the root context accepts its configuration."""
        root = self._roots.get(context_id)
        if root is None:
            return 0
        try:
            configuration = read_buffer(BufferType.PLUGIN_CONFIGURATION, 0, configuration_size)
            if not self._registry.configure(root, configuration):
                return 0
            return success(root.on_configure(configuration), "on_configure")
        except BaseException as error:  # noqa: BLE001
            return self._failures.root_failed(root, _where(root, "on_configure"), error)

    def proxy_on_done(self, context_id: int) -> int:
        """0 when the context defers its end."""
        context = self._context(context_id)
        if context is None:
            return 1
        if context_id not in self._roots:  # a root context may finish its work before it ends
            self._end_tasks(context)
        try:
            return success(context.on_done(), "on_done")
        except BaseException as error:  # noqa: BLE001
            self._failures.report(_where(context, "on_done"), error)
            return 1

    def proxy_on_log(self, context_id: int) -> None:
        """The stream is over."""
        context = self._context(context_id)
        if context is None:
            return
        if context_id not in self._roots:
            self._end_tasks(context)
        try:
            result: object = context.on_log()  # type: ignore[func-returns-value] # authors may return something
            if result is not None:
                check_ended(result, "on_log")
        except BaseException as error:  # noqa: BLE001
            self._failures.report(_where(context, "on_log"), error)

    def proxy_on_delete(self, context_id: int) -> None:
        """Forget the context."""
        context: Context | None = self._https.pop(context_id, None)
        if context is None:
            context = self._forget_other(context_id)
            if context is None:
                return
        if context_id in self._failed:
            self._failed.discard(context_id)
        context._over = True
        if context._scope is not None:
            self._end_tasks(context)
        try:
            result: object = context.on_delete()  # type: ignore[func-returns-value] # authors may return something
            if result is not None:
                check_ended(result, "on_delete")
        except BaseException as error:  # noqa: BLE001
            self._failures.report(_where(context, "on_delete"), error)
        if context._scope is not None:
            self._end_tasks(context)  # what on_delete has begun
            try:
                run_ready()  # what waited for its tasks
            except BaseException as error:  # noqa: BLE001
                self._failures.report("a task", error)
        if output.unfinished:
            finish_lines()

    # --- the root context ---

    def proxy_on_tick(self, context_id: int) -> None:
        """The tick period has passed: the author's, or that of a sleep."""
        root = self._roots.get(context_id)
        if root is None:
            return
        try:
            if root._timers().tick():
                self._background(root, root.on_tick(), "on_tick")
        except BaseException as error:  # noqa: BLE001
            self._failures.root_failed(root, _where(root, "on_tick"), error)
        try:
            run_ready()
        except BaseException as error:  # noqa: BLE001
            self._failures.root_failed(root, "a task", error)

    def proxy_on_queue_ready(self, context_id: int, queue_id: int) -> None:
        """A queue has an item."""
        root = self._roots.get(context_id)
        if root is None:
            return
        try:
            self._background(root, root.on_queue_ready(SharedQueue(queue_id)), "on_queue_ready")
        except BaseException as error:  # noqa: BLE001
            self._failures.root_failed(root, _where(root, "on_queue_ready"), error)

    def proxy_on_foreign_function(self, context_id: int, function_id: int, arguments_size: int) -> None:
        """A foreign function calls back."""
        root = self._roots.get(context_id)
        if root is None:
            return
        try:
            arguments = read_buffer(BufferType.FOREIGN_FUNCTION_ARGUMENTS, 0, arguments_size)
            result: object = root.on_foreign_function(function_id, arguments)  # type: ignore[func-returns-value] # authors may return something
            check_ended(result, "on_foreign_function")
        except BaseException as error:  # noqa: BLE001
            self._failures.root_failed(root, _where(root, "on_foreign_function"), error)

    # --- answers to callouts ---

    def proxy_on_http_call_response(
        self, context_id: int, call_id: int, num_headers: int, body_size: int, num_trailers: int
    ) -> None:
        """The answer to an HTTP callout; one that nobody waits for any longer is ignored."""
        root = self._roots.get(context_id)
        if root is None:
            return
        try:
            callout = root._http_callouts.pop(call_id, None)
            if callout is not None:
                complete_http_call(callout, num_headers, body_size, num_trailers)
                run_ready()
        except BaseException as error:  # noqa: BLE001
            self._failures.root_failed(root, "the answer to an HTTP callout", error)

    def proxy_on_grpc_receive_initial_metadata(self, context_id: int, call_id: int, num_elements: int) -> None:
        """The metadata in front of a gRPC stream's messages."""
        root = self._roots.get(context_id)
        if root is None:
            return
        try:
            callout = root._grpc_callouts.get(call_id)
            if isinstance(callout, GrpcStream):
                callout.initial_metadata = grpc_metadata(MapType.GRPC_CALL_INITIAL_METADATA, num_elements)
        except BaseException as error:  # noqa: BLE001
            self._failures.root_failed(root, "the metadata of a gRPC stream", error)

    def proxy_on_grpc_receive_trailing_metadata(self, context_id: int, call_id: int, num_elements: int) -> None:
        """The metadata at the end of a gRPC stream."""
        root = self._roots.get(context_id)
        if root is None:
            return
        try:
            callout = root._grpc_callouts.get(call_id)
            if isinstance(callout, GrpcStream):
                callout.trailing_metadata = grpc_metadata(MapType.GRPC_CALL_TRAILING_METADATA, num_elements)
        except BaseException as error:  # noqa: BLE001
            self._failures.root_failed(root, "the metadata of a gRPC stream", error)

    def proxy_on_grpc_receive(self, context_id: int, call_id: int, message_size: int) -> None:
        """A message of a gRPC call or stream."""
        root = self._roots.get(context_id)
        if root is None:
            return
        try:
            callout = root._grpc_callouts.get(call_id)
            if callout is not None:
                complete_grpc_message(callout, message_size)
                run_ready()
        except BaseException as error:  # noqa: BLE001
            self._failures.root_failed(root, "the message of a gRPC callout", error)

    def proxy_on_grpc_close(self, context_id: int, call_id: int, status_code: int) -> None:
        """The end of a gRPC call or stream. Envoy tells it of calls that it refused, too."""
        root = self._roots.get(context_id)
        if root is None:
            return
        try:
            callout = root._grpc_callouts.pop(call_id, None)
            if callout is not None:
                callout._take_close(status_code, close_message())
                run_ready()
        except BaseException as error:  # noqa: BLE001
            self._failures.root_failed(root, "the end of a gRPC callout", error)

    # --- HTTP streams ---

    def proxy_on_request_headers(self, context_id: int, num_headers: int, end_of_stream: int) -> int:
        """Request headers from downstream."""
        stream = self._https.get(context_id)
        if stream is None or context_id in self._failed:
            stream = self._late_http(context_id)
            if stream is None:
                return _CONTINUE
        try:
            result = stream.on_request_headers(num_headers, end_of_stream != 0)
            if result is _ACTION_CONTINUE:
                return _CONTINUE
            return self._http_status(stream, result, FilterHeadersStatus, "on_request_headers", True)
        except BaseException as error:  # noqa: BLE001 - nothing may leave a callback
            return self._http_failed(stream, error, "on_request_headers", True)

    def proxy_on_request_body(self, context_id: int, body_size: int, end_of_stream: int) -> int:
        """A part of the request body."""
        stream = self._https.get(context_id)
        if stream is None or context_id in self._failed:
            stream = self._late_http(context_id)
            if stream is None:
                return _CONTINUE
        if stream._request_flow is not None:
            return stream._request_flow.hold_data(body_size, end_of_stream != 0)
        try:
            result = stream.on_request_body(body_size, end_of_stream != 0)
            if result is _ACTION_CONTINUE and not stream._request_paused:
                return _CONTINUE
            return self._http_status(stream, result, FilterDataStatus, "on_request_body", True)
        except BaseException as error:  # noqa: BLE001 - nothing may leave a callback
            return self._http_failed(stream, error, "on_request_body", True)

    def proxy_on_request_trailers(self, context_id: int, num_trailers: int) -> int:
        """Request trailers."""
        stream = self._https.get(context_id)
        if stream is None or context_id in self._failed:
            stream = self._late_http(context_id)
            if stream is None:
                return _CONTINUE
        if stream._request_flow is not None:
            return stream._request_flow.hold_trailers(num_trailers)
        try:
            result = stream.on_request_trailers(num_trailers)
            if result is _ACTION_CONTINUE and not stream._request_paused:
                return _CONTINUE
            return self._http_status(stream, result, FilterTrailersStatus, "on_request_trailers", True)
        except BaseException as error:  # noqa: BLE001 - nothing may leave a callback
            return self._http_failed(stream, error, "on_request_trailers", True)

    def proxy_on_request_metadata(self, context_id: int, num_elements: int) -> int:
        """HTTP/2 metadata from downstream."""
        stream = self._https.get(context_id)
        if stream is None or context_id in self._failed:
            stream = self._late_http(context_id)
            if stream is None:
                return _CONTINUE
        try:
            result = stream.on_request_metadata(num_elements)
            if result is _ACTION_CONTINUE:
                return _CONTINUE
            return stream_status(result, FilterMetadataStatus, "on_request_metadata")
        except BaseException as error:  # noqa: BLE001 - nothing may leave a callback
            return self._http_failed(stream, error, "on_request_metadata", True)

    def proxy_on_response_headers(self, context_id: int, num_headers: int, end_of_stream: int) -> int:
        """Response headers from upstream or of a local response."""
        stream = self._https.get(context_id)
        if stream is None or context_id in self._failed:
            stream = self._late_http(context_id)
            if stream is None:
                return _CONTINUE
        try:
            result = stream.on_response_headers(num_headers, end_of_stream != 0)
            if result is _ACTION_CONTINUE:
                return _CONTINUE
            return self._http_status(stream, result, FilterHeadersStatus, "on_response_headers", False)
        except BaseException as error:  # noqa: BLE001 - nothing may leave a callback
            return self._http_failed(stream, error, "on_response_headers", False)

    def proxy_on_response_body(self, context_id: int, body_size: int, end_of_stream: int) -> int:
        """A part of the response body."""
        stream = self._https.get(context_id)
        if stream is None or context_id in self._failed:
            stream = self._late_http(context_id)
            if stream is None:
                return _CONTINUE
        if stream._response_flow is not None:
            return stream._response_flow.hold_data(body_size, end_of_stream != 0)
        try:
            result = stream.on_response_body(body_size, end_of_stream != 0)
            if result is _ACTION_CONTINUE and not stream._response_paused:
                return _CONTINUE
            return self._http_status(stream, result, FilterDataStatus, "on_response_body", False)
        except BaseException as error:  # noqa: BLE001 - nothing may leave a callback
            return self._http_failed(stream, error, "on_response_body", False)

    def proxy_on_response_trailers(self, context_id: int, num_trailers: int) -> int:
        """Response trailers."""
        stream = self._https.get(context_id)
        if stream is None or context_id in self._failed:
            stream = self._late_http(context_id)
            if stream is None:
                return _CONTINUE
        if stream._response_flow is not None:
            return stream._response_flow.hold_trailers(num_trailers)
        try:
            result = stream.on_response_trailers(num_trailers)
            if result is _ACTION_CONTINUE and not stream._response_paused:
                return _CONTINUE
            return self._http_status(stream, result, FilterTrailersStatus, "on_response_trailers", False)
        except BaseException as error:  # noqa: BLE001 - nothing may leave a callback
            return self._http_failed(stream, error, "on_response_trailers", False)

    def proxy_on_response_metadata(self, context_id: int, num_elements: int) -> int:
        """HTTP/2 metadata from upstream."""
        stream = self._https.get(context_id)
        if stream is None or context_id in self._failed:
            stream = self._late_http(context_id)
            if stream is None:
                return _CONTINUE
        try:
            result = stream.on_response_metadata(num_elements)
            if result is _ACTION_CONTINUE:
                return _CONTINUE
            return stream_status(result, FilterMetadataStatus, "on_response_metadata")
        except BaseException as error:  # noqa: BLE001 - nothing may leave a callback
            return self._http_failed(stream, error, "on_response_metadata", False)

    # --- TCP connections ---

    def proxy_on_new_connection(self, context_id: int) -> int:
        """A TCP connection from downstream."""
        stream = self._connection(context_id)
        if stream is None:
            return _CONTINUE
        try:
            result = stream.on_new_connection()
            if result is _ACTION_CONTINUE:
                return _CONTINUE
            return self._network_status(stream, result, "on_new_connection")
        except BaseException as error:  # noqa: BLE001
            return self._connection_failed(stream, error, "on_new_connection", True)

    def proxy_on_downstream_data(self, context_id: int, size: int, end_of_stream: int) -> int:
        """TCP data from downstream."""
        stream = self._connection(context_id)
        if stream is None:
            return _CONTINUE
        if stream._downstream_flow is not None:
            return stream._downstream_flow.hold_data(size, end_of_stream != 0)
        try:
            result = stream.on_downstream_data(size, end_of_stream != 0)
            if result is _ACTION_CONTINUE:
                return _CONTINUE
            return self._network_status(stream, result, "on_downstream_data")
        except BaseException as error:  # noqa: BLE001
            return self._connection_failed(stream, error, "on_downstream_data", True)

    def proxy_on_upstream_data(self, context_id: int, size: int, end_of_stream: int) -> int:
        """TCP data from upstream."""
        stream = self._connection(context_id)
        if stream is None:
            return _CONTINUE
        try:
            result = stream.on_upstream_data(size, end_of_stream != 0)
            if result is _ACTION_CONTINUE:
                return _CONTINUE
            return stream_status(result, FilterStatus, "on_upstream_data")
        except BaseException as error:  # noqa: BLE001
            return self._connection_failed(stream, error, "on_upstream_data", False)

    def proxy_on_downstream_connection_close(self, context_id: int, peer_type: int) -> None:
        """The downstream connection is closed."""
        stream = self._connection(context_id)
        if stream is None:
            return
        try:
            result: object = stream.on_downstream_close(PeerType(peer_type))  # type: ignore[func-returns-value] # authors may return something
            check_ended(result, "on_downstream_close")
        except BaseException as error:  # noqa: BLE001
            self._failures.report(_where(stream, "on_downstream_close"), error)

    def proxy_on_upstream_connection_close(self, context_id: int, peer_type: int) -> None:
        """The upstream connection is closed."""
        stream = self._connection(context_id)
        if stream is None:
            return
        try:
            result: object = stream.on_upstream_close(PeerType(peer_type))  # type: ignore[func-returns-value] # authors may return something
            check_ended(result, "on_upstream_close")
        except BaseException as error:  # noqa: BLE001
            self._failures.report(_where(stream, "on_upstream_close"), error)

    # --- results ---

    def _http_status(
        self, stream: HttpContext[Any], result: object, statuses: type[IntEnum], callback: str, request: bool
    ) -> int:
        """What to answer for a result that is not plainly CONTINUE."""
        if isinstance(result, Coroutine):
            return start_async_http(stream, self._failures, result, statuses, callback, request)
        status = stream_status(result, statuses, callback)
        if stream.context_id in self._failed and not stream._answered:
            return _CONTINUE  # one of its tasks has just failed, and it passes
        if request:
            stream._request_paused = status != _CONTINUE
            stream._request_collecting = stream._request_paused and statuses is FilterDataStatus
        else:
            stream._response_paused = status != _CONTINUE
            stream._response_collecting = stream._response_paused and statuses is FilterDataStatus
        return status

    def _http_failed(self, stream: HttpContext[Any], error: BaseException, callback: str, request: bool) -> int:
        """What to answer after an exception."""
        is_own_answer = not request and stream._answered  # nothing else can take its place
        status = self._failures.stream_failed(stream, _where(stream, callback), error)
        if status == _CONTINUE and stream._scope is not None:
            if request:
                stream._request_paused = False
            else:
                stream._response_paused = False
            stream._let_pass()  # the other direction may wait for a coroutine that is no more
        return _CONTINUE if is_own_answer else status

    def _connection_failed(
        self, stream: StreamContext[Any], error: BaseException, callback: str, downstream: bool
    ) -> int:
        """What to answer after an exception."""
        status = self._failures.stream_failed(stream, _where(stream, callback), error)
        if status == _CONTINUE and stream._scope is not None:
            if downstream:
                stream._downstream_paused = False
            stream._let_pass()  # what comes from the client may wait for a coroutine that is no more
        return status

    def _network_status(self, stream: StreamContext[Any], result: object, callback: str) -> int:
        if isinstance(result, Coroutine):
            return start_async_network(stream, self._failures, result, callback)
        status = stream_status(result, FilterStatus, callback)
        if stream.context_id in self._failed:
            return _CONTINUE  # one of its tasks has just failed, and it passes or is closed
        stream._downstream_paused = status != _CONTINUE
        return status

    def _background(self, root: RootContext[Any], result: object, callback: str) -> None:
        if isinstance(result, Coroutine):
            root.create_task(result)
        elif result is not None:
            raise TypeError(f"{callback} returned {result!r}; return nothing")

    def abandon(self) -> None:
        """End all that is under way without telling the contexts: in process, where no memory is dropped with a VM."""
        for context in [*self._https.values(), *self._connections.values(), *self._roots.values()]:
            if context._scope is not None:
                context._end_scope()
        run_ready()

    # --- contexts ---

    def _context(self, context_id: int) -> Context | None:
        context: Context | None = self._https.get(context_id)
        if context is None:
            context = self._connections.get(context_id)
        return self._roots.get(context_id) if context is None else context

    def _late_http(self, context_id: int) -> HttpContext[Any] | None:
        """The context of a stream that is not known as one of HTTP yet.

        None when the filter has nothing to say to this stream, or nothing more.
        """
        root = self._undecided.pop(context_id, None)
        if root is None:
            return None
        self._create_http(context_id, root)
        return self._https.get(context_id)

    def _connection(self, context_id: int) -> StreamContext[Any] | None:
        """The connection's context; None when the filter has nothing more to say to it."""
        if context_id in self._failed:
            return None
        stream = self._connections.get(context_id)
        if stream is None and context_id in self._undecided:
            self._create_connection(context_id, self._undecided.pop(context_id))
            stream = self._connections.get(context_id)
        return stream

    def _forget_other(self, context_id: int) -> Context | None:
        """What is not the context of an HTTP stream."""
        self._undecided.pop(context_id, None)
        context = self._connections.pop(context_id, None)
        return self._roots.pop(context_id, None) if context is None else context

    def _create_root(self, context_id: int) -> None:
        where = "the choice of the root context"
        try:
            root_id = (Properties().raw("plugin_root_id") or b"").decode("utf-8", "replace")
            cls = self._registry.find(root_id)
            if cls is None:
                self._roots[context_id] = self._unknown_root(context_id, root_id)
                return
            where = f"the creation of {cls.__name__}"
            root = cls(context_id)
            _check_root(root, context_id)
            root._failures = self._failures
            root._serves_tcp = serves_tcp(cls)
            result: object = root.on_context_create()  # type: ignore[func-returns-value] # authors may return something
            check_ended(result, "on_context_create")
            self._roots[context_id] = root
        except BaseException as error:  # noqa: BLE001 - without a root, on_vm_start answers 0
            self._failures.report(where, error)

    def _unknown_root(self, context_id: int, root_id: str) -> RootContext[Any]:
        known = ", ".join(repr(name) for name in self._registry.roots)
        unknown = _UnknownRoot(context_id)
        unknown.reason = f"the module has no root context for root_id {root_id!r}; it has {known}"
        return unknown

    def _create_http(self, context_id: int, root: RootContext[Any]) -> None:
        stream: HttpContext[Any] | None = None
        try:
            stream = root.create_http_context(context_id)
            if isinstance(stream, HttpContext):
                _check_stream(stream, context_id, root)
                result: object = stream.on_context_create()  # type: ignore[func-returns-value] # authors may return something
                if result is not None:
                    check_ended(result, "on_context_create")
            elif stream is not None:
                raise TypeError(
                    f"{type(root).__name__}.create_http_context returned {stream!r}; "
                    "return an instance of an HttpContext"
                )
        except BaseException as error:  # noqa: BLE001
            if isinstance(stream, Context):
                self._end_tasks(stream)
            # A local response is possible only from the first callback of the stream on.
            stream = _BrokenHttpContext(context_id, root, error)
        if stream is not None:
            self._https[context_id] = stream

    def _create_connection(self, context_id: int, root: RootContext[Any]) -> None:
        stream: StreamContext[Any] | None = None
        try:
            stream = root.create_stream_context(context_id)
            if isinstance(stream, StreamContext):
                _check_stream(stream, context_id, root)
                result: object = stream.on_context_create()  # type: ignore[func-returns-value] # authors may return something
                check_ended(result, "on_context_create")
            elif stream is not None:
                raise TypeError(
                    f"{type(root).__name__}.create_stream_context returned {stream!r}; "
                    "return an instance of a StreamContext"
                )
        except BaseException as error:  # noqa: BLE001
            if isinstance(stream, Context):
                self._end_tasks(stream)
            stream = _BrokenStreamContext(context_id, root, error)
        if stream is not None:
            self._connections[context_id] = stream

    def _end_tasks(self, context: Context) -> None:
        """Cancel what a context has under way: the host is done with it."""
        context._over = True
        if context._scope is None:
            return
        try:
            context._end_scope()
        except BaseException as error:  # noqa: BLE001
            self._failures.report(f"a task of {type(context).__name__}", error)


CALLBACKS = tuple([name for name in dir(Vm) if name.startswith("proxy_on_")])
"""Callbacks of the ABI that `Vm` answers."""
