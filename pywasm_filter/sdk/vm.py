"""The filter's side of a VM: takes the host's callbacks to the author's contexts, and lets no exception out."""

from __future__ import annotations

from typing import Any

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import Action, BufferType, LogLevel
from pywasm_filter.sdk.body import read_buffer
from pywasm_filter.sdk.contexts import Context, FailurePolicy, HttpContext, RootContext
from pywasm_filter.sdk.failures import describe
from pywasm_filter.sdk.output import finish_lines, log
from pywasm_filter.sdk.properties import Properties
from pywasm_filter.sdk.registry import Registry

CALLBACKS = (
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_request_metadata",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
    "proxy_on_response_metadata",
    "proxy_on_done",
    "proxy_on_log",
    "proxy_on_delete",
)
"""Callbacks of the ABI that `Vm` answers."""

HOSTCALLS = (
    "proxy_log",
    "proxy_done",
    "proxy_get_buffer_bytes",
    "proxy_get_buffer_status",
    "proxy_set_buffer_bytes",
    "proxy_get_header_map_pairs",
    "proxy_set_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_add_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_remove_header_map_value",
    "proxy_continue_stream",
    "proxy_close_stream",
    "proxy_send_local_response",
    "proxy_get_property",
    "proxy_set_property",
)
"""Hostcalls of the ABI that the SDK can make."""

_CONTINUE = 0
_PAUSE = 1
_NO_GRPC_STATUS = 0xFFFF_FFFF


class _BrokenContext(HttpContext[RootContext]):
    """Stands for a stream whose context could not be created: it fails at the first callback."""

    def __init__(self, context_id: int, root: RootContext, error: BaseException) -> None:
        super().__init__(context_id, root)
        self._error = error

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        raise self._error


class _UnknownRoot(RootContext):
    """Stands for a root_id that the module does not offer: it refuses its configuration."""

    reason = ""

    def on_configure(self, configuration: bytes) -> bool:
        log(LogLevel.ERROR, self.reason)
        return False


def _action(result: Any, callback: str) -> int:
    # Not any int: True would pause the stream, and the host traps on numbers that it does not know.
    if isinstance(result, Action):
        return int(result)
    raise TypeError(f"{callback} returned {result!r}; return Action.CONTINUE or Action.PAUSE")


def _success(result: Any, callback: str) -> int:
    if isinstance(result, bool):
        return int(result)
    raise TypeError(f"{callback} returned {result!r}; return True or False")


def _where(context: Context, callback: str) -> str:
    if isinstance(context, _BrokenContext):
        return f"the creation of an HTTP context of {type(context.root).__name__}"
    return f"{type(context).__name__}.{callback}"


def _check_root(root: RootContext, context_id: int) -> None:
    if getattr(root, "context_id", None) != context_id:
        raise TypeError(f"{type(root).__name__}.__init__ must call super().__init__(context_id)")


def _check_stream(stream: object, context_id: int, root: RootContext) -> None:
    if not isinstance(stream, HttpContext):
        raise TypeError(
            f"{type(root).__name__}.create_http_context returned {stream!r}; return an instance of an HttpContext"
        )
    if getattr(stream, "context_id", None) != context_id or getattr(stream, "root", None) is not root:
        raise TypeError(f"{type(stream).__name__}.__init__ must call super().__init__(context_id, root)")


class Vm:
    """All contexts of one VM. Its methods are the ABI's callbacks; each takes and returns integers.

    An exception of the author's is logged with its traceback and handled by the root's failure policy. Those in
    `passing` are let through: a test run in process must see KeyboardInterrupt.
    """

    def __init__(self, registry: Registry, passing: tuple[type[BaseException], ...] = ()) -> None:
        self._registry = registry
        self._passing = passing
        self._roots: dict[int, RootContext] = {}
        self._streams: dict[int, HttpContext[Any]] = {}
        self._failed: set[int] = set()

    # --- lifecycle ---

    def proxy_on_context_create(self, context_id: int, parent_context_id: int) -> None:
        """A root context when there is no parent, a stream of that root otherwise."""
        if parent_context_id == 0:
            self._create_root(context_id)
        else:
            self._create_stream(context_id, parent_context_id)

    def proxy_on_vm_start(self, context_id: int, configuration_size: int) -> int:
        """1 when the root context agrees to start."""
        root = self._roots.get(context_id)
        if root is None:
            return 0
        try:
            configuration = read_buffer(BufferType.VM_CONFIGURATION, 0, configuration_size)
            return _success(root.on_vm_start(configuration), "on_vm_start")
        except BaseException as error:  # noqa: BLE001 - nothing may leave a callback
            return self._root_failed(root, "on_vm_start", error)

    def proxy_on_configure(self, context_id: int, configuration_size: int) -> int:
        """1 when the root context accepts its configuration."""
        root = self._roots.get(context_id)
        if root is None:
            return 0
        try:
            configuration = read_buffer(BufferType.PLUGIN_CONFIGURATION, 0, configuration_size)
            return _success(root.on_configure(configuration), "on_configure")
        except BaseException as error:  # noqa: BLE001
            return self._root_failed(root, "on_configure", error)

    def proxy_on_done(self, context_id: int) -> int:
        """0 when the context defers its end."""
        context = self._context(context_id)
        if context is None:
            return 1
        try:
            return _success(context.on_done(), "on_done")
        except BaseException as error:  # noqa: BLE001
            self._report(_where(context, "on_done"), error)
            return 1

    def proxy_on_log(self, context_id: int) -> None:
        """The stream is over."""
        context = self._context(context_id)
        if context is None:
            return
        try:
            context.on_log()
        except BaseException as error:  # noqa: BLE001
            self._report(_where(context, "on_log"), error)

    def proxy_on_delete(self, context_id: int) -> None:
        """Forget the context."""
        context = self._context(context_id)
        self._roots.pop(context_id, None)
        self._streams.pop(context_id, None)
        self._failed.discard(context_id)
        if context is None:
            return
        try:
            context.on_delete()
        except BaseException as error:  # noqa: BLE001
            self._report(_where(context, "on_delete"), error)
        finish_lines()

    # --- HTTP streams ---

    def proxy_on_request_headers(self, context_id: int, num_headers: int, end_of_stream: int) -> int:
        """Request headers from downstream."""
        stream = self._live_stream(context_id)
        if stream is None:
            return _CONTINUE
        try:
            return _action(stream.on_request_headers(num_headers, end_of_stream != 0), "on_request_headers")
        except BaseException as error:  # noqa: BLE001
            return self._stream_failed(stream, "on_request_headers", error)

    def proxy_on_request_body(self, context_id: int, body_size: int, end_of_stream: int) -> int:
        """A part of the request body."""
        stream = self._live_stream(context_id)
        if stream is None:
            return _CONTINUE
        try:
            return _action(stream.on_request_body(body_size, end_of_stream != 0), "on_request_body")
        except BaseException as error:  # noqa: BLE001
            return self._stream_failed(stream, "on_request_body", error)

    def proxy_on_request_trailers(self, context_id: int, num_trailers: int) -> int:
        """Request trailers."""
        stream = self._live_stream(context_id)
        if stream is None:
            return _CONTINUE
        try:
            return _action(stream.on_request_trailers(num_trailers), "on_request_trailers")
        except BaseException as error:  # noqa: BLE001
            return self._stream_failed(stream, "on_request_trailers", error)

    def proxy_on_request_metadata(self, context_id: int, num_elements: int) -> int:
        """HTTP/2 metadata from downstream."""
        stream = self._live_stream(context_id)
        if stream is None:
            return _CONTINUE
        try:
            return _action(stream.on_request_metadata(num_elements), "on_request_metadata")
        except BaseException as error:  # noqa: BLE001
            return self._stream_failed(stream, "on_request_metadata", error)

    def proxy_on_response_headers(self, context_id: int, num_headers: int, end_of_stream: int) -> int:
        """Response headers from upstream or of a local response."""
        stream = self._live_stream(context_id)
        if stream is None:
            return _CONTINUE
        try:
            return _action(stream.on_response_headers(num_headers, end_of_stream != 0), "on_response_headers")
        except BaseException as error:  # noqa: BLE001
            return self._stream_failed(stream, "on_response_headers", error)

    def proxy_on_response_body(self, context_id: int, body_size: int, end_of_stream: int) -> int:
        """A part of the response body."""
        stream = self._live_stream(context_id)
        if stream is None:
            return _CONTINUE
        try:
            return _action(stream.on_response_body(body_size, end_of_stream != 0), "on_response_body")
        except BaseException as error:  # noqa: BLE001
            return self._stream_failed(stream, "on_response_body", error)

    def proxy_on_response_trailers(self, context_id: int, num_trailers: int) -> int:
        """Response trailers."""
        stream = self._live_stream(context_id)
        if stream is None:
            return _CONTINUE
        try:
            return _action(stream.on_response_trailers(num_trailers), "on_response_trailers")
        except BaseException as error:  # noqa: BLE001
            return self._stream_failed(stream, "on_response_trailers", error)

    def proxy_on_response_metadata(self, context_id: int, num_elements: int) -> int:
        """HTTP/2 metadata from upstream."""
        stream = self._live_stream(context_id)
        if stream is None:
            return _CONTINUE
        try:
            return _action(stream.on_response_metadata(num_elements), "on_response_metadata")
        except BaseException as error:  # noqa: BLE001
            return self._stream_failed(stream, "on_response_metadata", error)

    # --- contexts ---

    def _context(self, context_id: int) -> Context | None:
        stream = self._streams.get(context_id)
        return self._roots.get(context_id) if stream is None else stream

    def _live_stream(self, context_id: int) -> HttpContext[Any] | None:
        """The stream's context; None when the filter has nothing more to say to this stream."""
        return None if context_id in self._failed else self._streams.get(context_id)

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
            root.on_context_create()
            self._roots[context_id] = root
        except BaseException as error:  # noqa: BLE001 - without a root, on_vm_start answers 0
            self._report(where, error)

    def _unknown_root(self, context_id: int, root_id: str) -> RootContext:
        known = ", ".join(repr(name) for name in self._registry.roots)
        unknown = _UnknownRoot(context_id)
        unknown.reason = f"the module has no root context for root_id {root_id!r}; it has {known}"
        return unknown

    def _create_stream(self, context_id: int, parent_context_id: int) -> None:
        root = self._roots.get(parent_context_id)
        if root is None:
            return
        try:
            stream = root.create_http_context(context_id)
            if stream is not None:
                _check_stream(stream, context_id, root)
                stream.on_context_create()
        except BaseException as error:  # noqa: BLE001
            # A local response is possible only from the first callback of the stream on.
            stream = _BrokenContext(context_id, root, error)
        if stream is not None:
            self._streams[context_id] = stream

    # --- failures ---

    def _report(self, where: str, error: BaseException) -> None:
        if isinstance(error, self._passing):
            raise error
        finish_lines()  # what the author printed on the way stands before the traceback
        try:
            text = describe(where, error)
        except BaseException:  # noqa: BLE001 - out of memory, say; the failure itself must still be told
            text = f"{type(error).__name__} in {where}; its traceback could not be formatted"
        log(LogLevel.ERROR, text)

    def _root_failed(self, root: RootContext, callback: str, error: BaseException) -> int:
        self._report(_where(root, callback), error)
        return 0

    def _stream_failed(self, stream: HttpContext[Any], callback: str, error: BaseException) -> int:
        self._report(_where(stream, callback), error)
        policy = stream.root.failure_policy
        if policy is FailurePolicy.TRAP:
            raise error
        self._failed.add(stream.context_id)
        if policy is FailurePolicy.FAIL_OPEN:
            return _CONTINUE
        status = hostcalls.current.proxy_send_local_response(500, b"python_exception", b"", b"", _NO_GRPC_STATUS)
        if status != 0:
            log(LogLevel.ERROR, f"proxy_send_local_response answered status {status} to a failed stream")
        return _PAUSE
