"""The imports that a host offers to a module, with their core signatures.

Generated from sdk_stubs/proxy_wasm_abi/abi.toml by `python -m proxy_wasm_abi`. Do not edit.
"""

from typing import Final, NamedTuple


class CoreSignature(NamedTuple):
    """Core value types of a function's parameters and results."""

    params: tuple[str, ...]
    results: tuple[str, ...]


IMPORT_MODULE: Final = "env"

HOST_IMPORTS: Final[dict[str, CoreSignature]] = {
    "proxy_log": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_get_log_level": CoreSignature(
        params=("i32",),
        results=("i32",),
    ),
    "proxy_get_current_time_nanoseconds": CoreSignature(
        params=("i32",),
        results=("i32",),
    ),
    "proxy_set_tick_period_milliseconds": CoreSignature(
        params=("i32",),
        results=("i32",),
    ),
    "proxy_set_effective_context": CoreSignature(
        params=("i32",),
        results=("i32",),
    ),
    "proxy_done": CoreSignature(
        params=(),
        results=("i32",),
    ),
    "proxy_get_buffer_bytes": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_get_buffer_status": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_set_buffer_bytes": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_get_header_map_size": CoreSignature(
        params=("i32", "i32"),
        results=("i32",),
    ),
    "proxy_get_header_map_pairs": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_set_header_map_pairs": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_get_header_map_value": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_add_header_map_value": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_replace_header_map_value": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_remove_header_map_value": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_continue_stream": CoreSignature(
        params=("i32",),
        results=("i32",),
    ),
    "proxy_close_stream": CoreSignature(
        params=("i32",),
        results=("i32",),
    ),
    "proxy_get_status": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_send_local_response": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_http_call": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_grpc_call": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_grpc_stream": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_grpc_send": CoreSignature(
        params=("i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_grpc_cancel": CoreSignature(
        params=("i32",),
        results=("i32",),
    ),
    "proxy_grpc_close": CoreSignature(
        params=("i32",),
        results=("i32",),
    ),
    "proxy_get_shared_data": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_set_shared_data": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_register_shared_queue": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_resolve_shared_queue": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_enqueue_shared_queue": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_dequeue_shared_queue": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_define_metric": CoreSignature(
        params=("i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_increment_metric": CoreSignature(
        params=("i32", "i64"),
        results=("i32",),
    ),
    "proxy_record_metric": CoreSignature(
        params=("i32", "i64"),
        results=("i32",),
    ),
    "proxy_get_metric": CoreSignature(
        params=("i32", "i32"),
        results=("i32",),
    ),
    "proxy_get_property": CoreSignature(
        params=("i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_set_property": CoreSignature(
        params=("i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_call_foreign_function": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32", "i32"),
        results=("i32",),
    ),
}

MODULE_EXPORTS: Final[dict[str, CoreSignature]] = {
    "proxy_on_context_create": CoreSignature(
        params=("i32", "i32"),
        results=(),
    ),
    "proxy_on_vm_start": CoreSignature(
        params=("i32", "i32"),
        results=("i32",),
    ),
    "proxy_on_configure": CoreSignature(
        params=("i32", "i32"),
        results=("i32",),
    ),
    "proxy_on_tick": CoreSignature(
        params=("i32",),
        results=(),
    ),
    "proxy_on_queue_ready": CoreSignature(
        params=("i32", "i32"),
        results=(),
    ),
    "proxy_on_foreign_function": CoreSignature(
        params=("i32", "i32", "i32"),
        results=(),
    ),
    "proxy_on_new_connection": CoreSignature(
        params=("i32",),
        results=("i32",),
    ),
    "proxy_on_downstream_data": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_on_downstream_connection_close": CoreSignature(
        params=("i32", "i32"),
        results=(),
    ),
    "proxy_on_upstream_data": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_on_upstream_connection_close": CoreSignature(
        params=("i32", "i32"),
        results=(),
    ),
    "proxy_on_request_headers": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_on_request_body": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_on_request_trailers": CoreSignature(
        params=("i32", "i32"),
        results=("i32",),
    ),
    "proxy_on_request_metadata": CoreSignature(
        params=("i32", "i32"),
        results=("i32",),
    ),
    "proxy_on_response_headers": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_on_response_body": CoreSignature(
        params=("i32", "i32", "i32"),
        results=("i32",),
    ),
    "proxy_on_response_trailers": CoreSignature(
        params=("i32", "i32"),
        results=("i32",),
    ),
    "proxy_on_response_metadata": CoreSignature(
        params=("i32", "i32"),
        results=("i32",),
    ),
    "proxy_on_http_call_response": CoreSignature(
        params=("i32", "i32", "i32", "i32", "i32"),
        results=(),
    ),
    "proxy_on_grpc_receive_initial_metadata": CoreSignature(
        params=("i32", "i32", "i32"),
        results=(),
    ),
    "proxy_on_grpc_receive": CoreSignature(
        params=("i32", "i32", "i32"),
        results=(),
    ),
    "proxy_on_grpc_receive_trailing_metadata": CoreSignature(
        params=("i32", "i32", "i32"),
        results=(),
    ),
    "proxy_on_grpc_close": CoreSignature(
        params=("i32", "i32", "i32"),
        results=(),
    ),
    "proxy_on_done": CoreSignature(
        params=("i32",),
        results=("i32",),
    ),
    "proxy_on_log": CoreSignature(
        params=("i32",),
        results=(),
    ),
    "proxy_on_delete": CoreSignature(
        params=("i32",),
        results=(),
    ),
}
