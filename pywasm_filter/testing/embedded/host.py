"""The hostcalls, in lifted form: integers and bytes in, a status and results out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from pywasm_filter.sdk.abi import BufferType, LogLevel, MapType, Status, StreamType
from pywasm_filter.testing.embedded.contexts import RootContext
from pywasm_filter.testing.embedded.foreign import ForeignFunctions
from pywasm_filter.testing.embedded.header_map import HeaderMap, RequestHeaderMap
from pywasm_filter.testing.embedded.local_reply import LocalReply, known_grpc_status
from pywasm_filter.testing.embedded.metrics import VmMetrics
from pywasm_filter.testing.embedded.pairs import read_pairs, write_pairs
from pywasm_filter.testing.embedded.properties import get_property, set_property
from pywasm_filter.testing.embedded.virtual_machine import VirtualMachine
from pywasm_filter.testing.errors import HostcallNotSupported, HostMisuse


class Host:
    """Implements `pywasm_filter.sdk.hostcalls.Hostcalls` for one VM.

    Raises HostcallNotSupported for what this proxy does not offer and HostMisuse for what crashes Envoy; both are kept
    in `vm.fault`, because the guest may swallow them.
    """

    def __init__(self, vm: VirtualMachine, metrics: VmMetrics) -> None:
        self._vm = vm
        self._foreign = ForeignFunctions(vm)
        self._metrics = metrics
        self._data = vm.shared.data(vm.plugin.vm_id)

    # --- integration ---

    def proxy_log(self, level: int, message: bytes, /) -> int:
        """Write a message to the proxy's log."""
        if level > LogLevel.CRITICAL:
            return Status.BAD_ARGUMENT
        root = self._vm.context().root_context()
        root_id = self._vm.plugin.root_id if root is None else root.plugin.root_id
        self._vm.log.write(LogLevel(level), message, root_id)
        return Status.OK

    def proxy_get_log_level(self, /) -> tuple[int, int]:
        """The level below which messages are dropped."""
        return Status.OK, self._vm.log.level

    def proxy_get_current_time_nanoseconds(self, /) -> tuple[int, int]:
        """Wall-clock time."""
        return Status.OK, self._vm.events.now_ns()

    def proxy_set_effective_context(self, context_id: int, /) -> int:
        """Act for another context."""
        return Status.OK if self._vm.set_effective_context(context_id) else Status.BAD_ARGUMENT

    def proxy_done(self, /) -> int:
        """Complete the deferred end of a root context."""
        context = self._vm.context()
        return context.done() if isinstance(context, RootContext) else Status.NOT_FOUND

    # --- buffers ---

    def proxy_get_buffer_bytes(self, buffer_type: int, start: int, max_size: int, /) -> tuple[int, bytes]:
        """Bytes of a buffer."""
        if buffer_type > max(BufferType):
            return Status.BAD_ARGUMENT, b""
        buffer = self._vm.context().buffer(BufferType(buffer_type))
        return (Status.NOT_FOUND, b"") if buffer is None else (Status.OK, buffer.read(start, max_size))

    def proxy_get_buffer_status(self, buffer_type: int, /) -> tuple[int, int, int]:
        """Size of a buffer."""
        if buffer_type > max(BufferType):
            return Status.BAD_ARGUMENT, 0, 0
        buffer = self._vm.context().buffer(BufferType(buffer_type))
        return (Status.NOT_FOUND, 0, 0) if buffer is None else (Status.OK, len(buffer), 0)

    def proxy_set_buffer_bytes(self, buffer_type: int, start: int, size: int, value: bytes, /) -> int:
        """Replace bytes of a buffer."""
        if buffer_type > max(BufferType):
            return Status.BAD_ARGUMENT
        buffer = self._vm.context().buffer(BufferType(buffer_type))
        return Status.NOT_FOUND if buffer is None else buffer.write(start, size, value)

    # --- maps ---

    def proxy_get_header_map_size(self, map_type: int, /) -> tuple[int, int]:
        """Bytes of all names and values: that is what Envoy answers, not the size in serialised form."""
        headers = self._writable(map_type)
        return (Status.BAD_ARGUMENT, 0) if headers is None else (Status.OK, headers.size)

    def proxy_get_header_map_pairs(self, map_type: int, /) -> tuple[int, bytes]:
        """All entries; nothing where the map is not lent."""
        if map_type > max(MapType):
            return Status.BAD_ARGUMENT, b""
        headers = self._vm.context().readable_map(MapType(map_type))
        return Status.OK, write_pairs(headers) if headers else b""

    def proxy_set_header_map_pairs(self, map_type: int, pairs: bytes, /) -> int:
        """Replace all entries."""
        headers = self._writable(map_type)
        if headers is None:
            return Status.BAD_ARGUMENT
        headers.assign(read_pairs(pairs))
        return self._modified(map_type)

    def proxy_get_header_map_value(self, map_type: int, key: bytes, /) -> tuple[int, bytes]:
        """First value of a key."""
        if map_type > max(MapType):
            return Status.BAD_ARGUMENT, b""
        context = self._vm.context()
        headers = context.readable_map(MapType(map_type))
        if headers is None:
            return context.missing_map, b""
        value = headers.get(key)
        return (Status.NOT_FOUND, b"") if value is None else (Status.OK, value)

    def proxy_add_header_map_value(self, map_type: int, key: bytes, value: bytes, /) -> int:
        """Add a value."""
        headers = self._writable(map_type)
        if headers is None:
            return Status.BAD_ARGUMENT
        headers.add(key, value)
        return self._modified(map_type)

    def proxy_replace_header_map_value(self, map_type: int, key: bytes, value: bytes, /) -> int:
        """Set a key to one value."""
        headers = self._writable(map_type)
        if headers is None:
            return Status.BAD_ARGUMENT
        headers.replace(key, value)
        return self._modified(map_type)

    def proxy_remove_header_map_value(self, map_type: int, key: bytes, /) -> int:
        """Remove all values of a key."""
        headers = self._writable(map_type)
        if headers is None:
            return Status.BAD_ARGUMENT
        headers.remove(key)
        return self._modified(map_type)

    # --- streams ---

    def proxy_continue_stream(self, stream_type: int, /) -> int:
        """Resume a direction."""
        if stream_type > max(StreamType):
            return Status.BAD_ARGUMENT
        return self._vm.context().continue_stream(StreamType(stream_type))

    def proxy_close_stream(self, stream_type: int, /) -> int:
        """Break the stream off."""
        if stream_type > max(StreamType):
            return Status.BAD_ARGUMENT
        return self._vm.context().close_stream(StreamType(stream_type))

    def proxy_send_local_response(
        self, status_code: int, details: bytes, body: bytes, headers: bytes, grpc_status: int, /
    ) -> int:
        """Answer the request."""
        reply = LocalReply(
            status=status_code,
            body=body,
            headers=tuple(read_pairs(headers)),
            grpc_status=known_grpc_status(grpc_status),
            details=details.decode("utf-8", "surrogateescape"),
        )
        try:
            self._vm.context().send_local_response(reply)
        except HostMisuse as misuse:
            self._refuse(misuse)
        self._vm.iteration_stopped = True
        return Status.OK

    # --- attributes ---

    def proxy_get_property(self, path: bytes, /) -> tuple[int, bytes]:
        """An attribute."""
        return get_property(self._vm.context(), path)

    def proxy_set_property(self, path: bytes, value: bytes, /) -> int:
        """Set an attribute of the stream."""
        return set_property(self._vm.context(), path, value)

    # --- shared data and metrics ---

    def proxy_get_shared_data(self, key: bytes, /) -> tuple[int, bytes, int]:
        """A shared value and its compare-and-swap number."""
        entry = self._data.get(key)
        return (Status.NOT_FOUND, b"", 0) if entry is None else (Status.OK, *entry)

    def proxy_set_shared_data(self, key: bytes, value: bytes, cas: int, /) -> int:
        """Set a shared value."""
        return self._data.set(key, value, cas)

    def proxy_define_metric(self, metric_type: int, metric_name: bytes, /) -> tuple[int, int]:
        """Define a metric."""
        return self._metrics.define(metric_type, metric_name)

    def proxy_increment_metric(self, metric_id: int, offset: int, /) -> int:
        """Change a metric."""
        return self._metrics.increment(metric_id, offset)

    def proxy_record_metric(self, metric_id: int, value: int, /) -> int:
        """Set a metric."""
        return self._metrics.record(metric_id, value)

    def proxy_get_metric(self, metric_id: int, /) -> tuple[int, int]:
        """Value of a metric."""
        return self._metrics.get(metric_id)

    # --- callouts, ticks and queues: those of the root context, whoever makes the call ---

    def proxy_http_call(
        self, upstream: bytes, headers: bytes, body: bytes, trailers: bytes, timeout_milliseconds: int, /
    ) -> tuple[int, int]:
        """Send a request to a cluster."""
        with self._noting_misuse():
            return self._root().http_callouts.call(
                upstream.decode("utf-8", "surrogateescape"),
                RequestHeaderMap(read_pairs(headers)),
                body,
                timeout_milliseconds,
            )

    def proxy_set_tick_period_milliseconds(self, period: int, /) -> int:
        """Tick from now on."""
        self._root().ticker.set_period(period)
        return Status.OK

    def proxy_register_shared_queue(self, queue_name: bytes, /) -> tuple[int, int]:
        """Make a queue, or take one over."""
        vm = self._vm
        return Status.OK, vm.shared.queues.register(vm.plugin.vm_id, queue_name, self._root().on_queue_ready)

    def proxy_resolve_shared_queue(self, vm_id: bytes, queue_name: bytes, /) -> tuple[int, int]:
        """Find a queue."""
        token = self._vm.shared.queues.resolve(
            vm_id.decode("utf-8", "surrogateescape") or self._vm.plugin.vm_id, queue_name
        )
        return (Status.NOT_FOUND, 0) if token is None else (Status.OK, token)

    def proxy_enqueue_shared_queue(self, queue_id: int, value: bytes, /) -> int:
        """Put an item into a queue."""
        return self._vm.shared.queues.enqueue(queue_id, value)

    def proxy_dequeue_shared_queue(self, queue_id: int, /) -> tuple[int, bytes]:
        """Take an item out of a queue."""
        return self._vm.shared.queues.dequeue(queue_id)

    # --- gRPC callouts ---

    def proxy_grpc_call(
        self,
        upstream: bytes,
        service: bytes,
        method: bytes,
        initial_metadata: bytes,
        message: bytes,
        timeout_milliseconds: int,
        /,
    ) -> tuple[int, int]:
        """Make a unary gRPC call."""
        metadata = read_pairs(initial_metadata)
        with self._noting_misuse():
            return self._root().grpc_callouts.call(upstream, service, method, metadata, message, timeout_milliseconds)

    def proxy_grpc_stream(
        self, upstream: bytes, service: bytes, method: bytes, initial_metadata: bytes, /
    ) -> tuple[int, int]:
        """Open a gRPC stream."""
        with self._noting_misuse():
            return self._root().grpc_callouts.stream(upstream, service, method, read_pairs(initial_metadata))

    def proxy_grpc_send(self, stream_id: int, message: bytes, end_stream: int, /) -> int:
        """Send a message on a gRPC stream."""
        return self._root().grpc_callouts.send(stream_id, message, end_stream=end_stream != 0)

    def proxy_grpc_cancel(self, call_id: int, /) -> int:
        """Cancel a gRPC call, reset a gRPC stream."""
        return self._root().grpc_callouts.cancel(call_id)

    def proxy_grpc_close(self, call_id: int, /) -> int:
        """Cancel a gRPC call, close our side of a gRPC stream."""
        with self._noting_misuse():
            return self._root().grpc_callouts.close(call_id)

    # --- other ---

    def proxy_get_status(self, /) -> tuple[int, int, bytes]:
        """Status of the callout that is being reported."""
        root = self._vm.context().root_context()
        return (Status.OK, 0, b"") if root is None else (Status.OK, *root.call_status)

    def proxy_call_foreign_function(self, function_name: bytes, arguments: bytes, /) -> tuple[int, bytes]:
        """A function beyond the ABI."""
        with self._noting_misuse():
            return self._foreign.call(function_name, arguments)

    # --- helpers ---

    def _modified(self, map_type: int) -> int:
        """Another request header may mean another route."""
        if map_type == MapType.HTTP_REQUEST_HEADERS:
            self._vm.context().clear_route_cache()
        return Status.OK

    def _writable(self, map_type: int) -> HeaderMap | None:
        return self._vm.context().writable_map(MapType(map_type)) if map_type <= max(MapType) else None

    def _root(self) -> RootContext:
        root = self._vm.context().root_context()
        if root is None:
            self._refuse(HostMisuse("the hostcall needs a root context, and there is none yet while a module starts"))
        return root

    @contextmanager
    def _noting_misuse(self) -> Iterator[None]:
        try:
            yield
        except (HostMisuse, HostcallNotSupported) as error:
            self._refuse(error)

    def _refuse(self, error: HostcallNotSupported | HostMisuse) -> NoReturn:
        self._vm.note_fault(error)
        raise error
