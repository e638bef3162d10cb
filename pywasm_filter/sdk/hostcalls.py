"""The raw hostcalls of the Proxy-Wasm ABI 0.2.1: integers and bytes in, a status and results out.

Every crossing from the SDK to the proxy goes through `current`: inside a module that is the compiled import, in a test
the embedded proxy. The SDK's other modules turn these into what authors use.

Generated from sdk_stubs/proxy_wasm_abi/abi.toml by `python -m proxy_wasm_abi`. Do not edit.
"""

from typing import Protocol


class Hostcalls(Protocol):
    """One method for each hostcall. All return the status (see `abi.Status`), followed by the results."""

    def proxy_log(self, level: int, message: bytes, /) -> int:
        """Write a message to the proxy's log."""
        ...

    def proxy_get_log_level(self, /) -> tuple[int, int]:
        """The level below which the host drops messages."""
        ...

    def proxy_get_current_time_nanoseconds(self, /) -> tuple[int, int]:
        """Wall-clock time in nanoseconds since the Unix epoch; the host may freeze it during a callback."""
        ...

    def proxy_set_tick_period_milliseconds(self, period: int, /) -> int:
        """Call proxy_on_tick of the root context every `period` milliseconds; 0 stops it."""
        ...

    def proxy_set_effective_context(self, context_id: int, /) -> int:
        """Act for another context until the current callback returns."""
        ...

    def proxy_done(self, /) -> int:
        """Complete the deferred end of the context whose proxy_on_done returned false."""
        ...

    def proxy_get_buffer_bytes(self, buffer_type: int, start: int, max_size: int, /) -> tuple[int, bytes]:
        """Up to `max_size` bytes of a buffer, from `start`."""
        ...

    def proxy_get_buffer_status(self, buffer_type: int, /) -> tuple[int, int, int]:
        """Size of a buffer in bytes; the flags are unused."""
        ...

    def proxy_set_buffer_bytes(self, buffer_type: int, start: int, size: int, value: bytes, /) -> int:
        """Replace `size` bytes of a buffer from `start`; start 0 and size 0 prepend, start at or past the end appends."""
        ...

    def proxy_get_header_map_size(self, map_type: int, /) -> tuple[int, int]:
        """Size in bytes of a map in its serialised form."""
        ...

    def proxy_get_header_map_pairs(self, map_type: int, /) -> tuple[int, bytes]:
        """All entries of a map, duplicates kept, in order."""
        ...

    def proxy_set_header_map_pairs(self, map_type: int, pairs: bytes, /) -> int:
        """Replace all entries of a map."""
        ...

    def proxy_get_header_map_value(self, map_type: int, key: bytes, /) -> tuple[int, bytes]:
        """First value of a key."""
        ...

    def proxy_add_header_map_value(self, map_type: int, key: bytes, value: bytes, /) -> int:
        """Append a value, keeping those that the key already has."""
        ...

    def proxy_replace_header_map_value(self, map_type: int, key: bytes, value: bytes, /) -> int:
        """Set the key to this one value."""
        ...

    def proxy_remove_header_map_value(self, map_type: int, key: bytes, /) -> int:
        """Remove all values of a key; OK when there was none."""
        ...

    def proxy_continue_stream(self, stream_type: int, /) -> int:
        """Resume a paused stream; takes effect when the callback returns."""
        ...

    def proxy_close_stream(self, stream_type: int, /) -> int:
        """Close or reset a stream; takes effect when the callback returns."""
        ...

    def proxy_get_status(self, /) -> tuple[int, int, bytes]:
        """Status code and message of the gRPC call that is being reported."""
        ...

    def proxy_send_local_response(self, status_code: int, details: bytes, body: bytes, headers: bytes, grpc_status: int, /) -> int:
        """Answer downstream from the proxy; the first answer wins, and it is sent when the callback returns."""
        ...

    def proxy_http_call(self, upstream: bytes, headers: bytes, body: bytes, trailers: bytes, timeout_milliseconds: int, /) -> tuple[int, int]:
        """Send an HTTP request to a cluster; the answer comes to proxy_on_http_call_response of the root context."""
        ...

    def proxy_grpc_call(self, upstream: bytes, service: bytes, method: bytes, initial_metadata: bytes, message: bytes, timeout_milliseconds: int, /) -> tuple[int, int]:
        """Send a unary gRPC call."""
        ...

    def proxy_grpc_stream(self, upstream: bytes, service: bytes, method: bytes, initial_metadata: bytes, /) -> tuple[int, int]:
        """Open a gRPC stream."""
        ...

    def proxy_grpc_send(self, stream_id: int, message: bytes, end_stream: int, /) -> int:
        """Send a message on a gRPC stream, optionally closing our side of it."""
        ...

    def proxy_grpc_cancel(self, call_id: int, /) -> int:
        """Cancel a gRPC call or reset a gRPC stream."""
        ...

    def proxy_grpc_close(self, call_id: int, /) -> int:
        """Close a gRPC call or stream."""
        ...

    def proxy_get_shared_data(self, key: bytes, /) -> tuple[int, bytes, int]:
        """Value of a key shared by all VMs of the same vm_id, with its compare-and-swap number."""
        ...

    def proxy_set_shared_data(self, key: bytes, value: bytes, cas: int, /) -> int:
        """Set a shared key; a `cas` other than 0 must match the current one."""
        ...

    def proxy_register_shared_queue(self, queue_name: bytes, /) -> tuple[int, int]:
        """Create or open a queue of this vm_id and be told of its items by proxy_on_queue_ready."""
        ...

    def proxy_resolve_shared_queue(self, vm_id: bytes, queue_name: bytes, /) -> tuple[int, int]:
        """Find the queue of another vm_id."""
        ...

    def proxy_enqueue_shared_queue(self, queue_id: int, value: bytes, /) -> int:
        """Append an item to a queue."""
        ...

    def proxy_dequeue_shared_queue(self, queue_id: int, /) -> tuple[int, bytes]:
        """Take the oldest item of a queue."""
        ...

    def proxy_define_metric(self, metric_type: int, metric_name: bytes, /) -> tuple[int, int]:
        """Define a metric, or open the one of that name."""
        ...

    def proxy_increment_metric(self, metric_id: int, offset: int, /) -> int:
        """Change a counter or a gauge by `offset`."""
        ...

    def proxy_record_metric(self, metric_id: int, value: int, /) -> int:
        """Set a gauge, or record a value in a histogram."""
        ...

    def proxy_get_metric(self, metric_id: int, /) -> tuple[int, int]:
        """Current value of a counter or a gauge."""
        ...

    def proxy_get_property(self, path: bytes, /) -> tuple[int, bytes]:
        """Value of an attribute of the host; the path's parts are separated by NUL."""
        ...

    def proxy_set_property(self, path: bytes, value: bytes, /) -> int:
        """Set an attribute of the stream; other filters and the access log can read it."""
        ...

    def proxy_call_foreign_function(self, function_name: bytes, arguments: bytes, /) -> tuple[int, bytes]:
        """Call a function that the host has registered by name."""
        ...


class Unbound:
    """Stands in until a proxy runs the filter: code at the top of a module must not call the proxy."""

    def proxy_log(self, level: int, message: bytes, /) -> int:
        raise RuntimeError("proxy_log: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_get_log_level(self, /) -> tuple[int, int]:
        raise RuntimeError("proxy_get_log_level: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_get_current_time_nanoseconds(self, /) -> tuple[int, int]:
        raise RuntimeError("proxy_get_current_time_nanoseconds: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_set_tick_period_milliseconds(self, period: int, /) -> int:
        raise RuntimeError("proxy_set_tick_period_milliseconds: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_set_effective_context(self, context_id: int, /) -> int:
        raise RuntimeError("proxy_set_effective_context: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_done(self, /) -> int:
        raise RuntimeError("proxy_done: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_get_buffer_bytes(self, buffer_type: int, start: int, max_size: int, /) -> tuple[int, bytes]:
        raise RuntimeError("proxy_get_buffer_bytes: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_get_buffer_status(self, buffer_type: int, /) -> tuple[int, int, int]:
        raise RuntimeError("proxy_get_buffer_status: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_set_buffer_bytes(self, buffer_type: int, start: int, size: int, value: bytes, /) -> int:
        raise RuntimeError("proxy_set_buffer_bytes: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_get_header_map_size(self, map_type: int, /) -> tuple[int, int]:
        raise RuntimeError("proxy_get_header_map_size: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_get_header_map_pairs(self, map_type: int, /) -> tuple[int, bytes]:
        raise RuntimeError("proxy_get_header_map_pairs: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_set_header_map_pairs(self, map_type: int, pairs: bytes, /) -> int:
        raise RuntimeError("proxy_set_header_map_pairs: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_get_header_map_value(self, map_type: int, key: bytes, /) -> tuple[int, bytes]:
        raise RuntimeError("proxy_get_header_map_value: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_add_header_map_value(self, map_type: int, key: bytes, value: bytes, /) -> int:
        raise RuntimeError("proxy_add_header_map_value: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_replace_header_map_value(self, map_type: int, key: bytes, value: bytes, /) -> int:
        raise RuntimeError("proxy_replace_header_map_value: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_remove_header_map_value(self, map_type: int, key: bytes, /) -> int:
        raise RuntimeError("proxy_remove_header_map_value: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_continue_stream(self, stream_type: int, /) -> int:
        raise RuntimeError("proxy_continue_stream: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_close_stream(self, stream_type: int, /) -> int:
        raise RuntimeError("proxy_close_stream: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_get_status(self, /) -> tuple[int, int, bytes]:
        raise RuntimeError("proxy_get_status: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_send_local_response(self, status_code: int, details: bytes, body: bytes, headers: bytes, grpc_status: int, /) -> int:
        raise RuntimeError("proxy_send_local_response: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_http_call(self, upstream: bytes, headers: bytes, body: bytes, trailers: bytes, timeout_milliseconds: int, /) -> tuple[int, int]:
        raise RuntimeError("proxy_http_call: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_grpc_call(self, upstream: bytes, service: bytes, method: bytes, initial_metadata: bytes, message: bytes, timeout_milliseconds: int, /) -> tuple[int, int]:
        raise RuntimeError("proxy_grpc_call: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_grpc_stream(self, upstream: bytes, service: bytes, method: bytes, initial_metadata: bytes, /) -> tuple[int, int]:
        raise RuntimeError("proxy_grpc_stream: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_grpc_send(self, stream_id: int, message: bytes, end_stream: int, /) -> int:
        raise RuntimeError("proxy_grpc_send: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_grpc_cancel(self, call_id: int, /) -> int:
        raise RuntimeError("proxy_grpc_cancel: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_grpc_close(self, call_id: int, /) -> int:
        raise RuntimeError("proxy_grpc_close: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_get_shared_data(self, key: bytes, /) -> tuple[int, bytes, int]:
        raise RuntimeError("proxy_get_shared_data: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_set_shared_data(self, key: bytes, value: bytes, cas: int, /) -> int:
        raise RuntimeError("proxy_set_shared_data: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_register_shared_queue(self, queue_name: bytes, /) -> tuple[int, int]:
        raise RuntimeError("proxy_register_shared_queue: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_resolve_shared_queue(self, vm_id: bytes, queue_name: bytes, /) -> tuple[int, int]:
        raise RuntimeError("proxy_resolve_shared_queue: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_enqueue_shared_queue(self, queue_id: int, value: bytes, /) -> int:
        raise RuntimeError("proxy_enqueue_shared_queue: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_dequeue_shared_queue(self, queue_id: int, /) -> tuple[int, bytes]:
        raise RuntimeError("proxy_dequeue_shared_queue: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_define_metric(self, metric_type: int, metric_name: bytes, /) -> tuple[int, int]:
        raise RuntimeError("proxy_define_metric: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_increment_metric(self, metric_id: int, offset: int, /) -> int:
        raise RuntimeError("proxy_increment_metric: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_record_metric(self, metric_id: int, value: int, /) -> int:
        raise RuntimeError("proxy_record_metric: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_get_metric(self, metric_id: int, /) -> tuple[int, int]:
        raise RuntimeError("proxy_get_metric: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_get_property(self, path: bytes, /) -> tuple[int, bytes]:
        raise RuntimeError("proxy_get_property: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_set_property(self, path: bytes, value: bytes, /) -> int:
        raise RuntimeError("proxy_set_property: no proxy is running this code yet; call it from a callback, not at import")

    def proxy_call_foreign_function(self, function_name: bytes, arguments: bytes, /) -> tuple[int, bytes]:
        raise RuntimeError("proxy_call_foreign_function: no proxy is running this code yet; call it from a callback, not at import")


current: Hostcalls = Unbound()


def bind(host: Hostcalls) -> Hostcalls:
    """Make `host` the target of all hostcalls; returns the one before, to be bound again afterwards."""
    global current
    previous = current
    current = host
    return previous
