"""Enums of the Proxy-Wasm ABI 0.2.1.

Generated from sdk_stubs/proxy_wasm_abi/abi.toml by `python -m proxy_wasm_abi`. Do not edit.
"""

from enum import IntEnum


class Status(IntEnum):
    """Status that a hostcall returns. `proxy_status_t` of the ABI."""

    OK = 0
    NOT_FOUND = 1
    BAD_ARGUMENT = 2
    SERIALIZATION_FAILURE = 3
    PARSE_FAILURE = 4
    INVALID_MEMORY_ACCESS = 6
    EMPTY = 7
    CAS_MISMATCH = 8
    INTERNAL_FAILURE = 10
    UNIMPLEMENTED = 12


class LogLevel(IntEnum):
    """Severity of a line in the proxy's log. `proxy_log_level_t` of the ABI."""

    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    CRITICAL = 5


class Action(IntEnum):
    """What the host does with the stream after a callback. `proxy_action_t` of the ABI."""

    CONTINUE = 0
    PAUSE = 1


class FilterHeadersStatus(IntEnum):
    """What the host does with the stream after a headers callback; Envoy's own statuses, of which `Action` is the portable part. Envoy takes CONTINUE_AND_END_STREAM for CONTINUE. `FilterHeadersStatus` of the ABI."""

    CONTINUE = 0
    STOP_ITERATION = 1
    CONTINUE_AND_END_STREAM = 2
    STOP_ALL_ITERATION_AND_BUFFER = 3
    STOP_ALL_ITERATION_AND_WATERMARK = 4


class FilterDataStatus(IntEnum):
    """What the host does with the stream after a body callback; Envoy's own statuses, of which `Action` is the portable part. `FilterDataStatus` of the ABI."""

    CONTINUE = 0
    STOP_ITERATION_AND_BUFFER = 1
    STOP_ITERATION_AND_WATERMARK = 2
    STOP_ITERATION_NO_BUFFER = 3


class FilterTrailersStatus(IntEnum):
    """What the host does with the stream after a trailers callback. `FilterTrailersStatus` of the ABI."""

    CONTINUE = 0
    STOP_ITERATION = 1


class FilterMetadataStatus(IntEnum):
    """What the host does with the stream after a metadata callback; Envoy always continues. `FilterMetadataStatus` of the ABI."""

    CONTINUE = 0


class FilterStatus(IntEnum):
    """What the host does with a connection after a callback of a TCP stream. `FilterStatus` of the ABI."""

    CONTINUE = 0
    STOP_ITERATION = 1


class GrpcStatus(IntEnum):
    """Status codes of gRPC. `grpc_status_code` of the ABI."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class BufferType(IntEnum):
    """Buffers that the host lends to the plugin. `proxy_buffer_type_t` of the ABI."""

    HTTP_REQUEST_BODY = 0
    HTTP_RESPONSE_BODY = 1
    DOWNSTREAM_DATA = 2
    UPSTREAM_DATA = 3
    HTTP_CALL_RESPONSE_BODY = 4
    GRPC_CALL_MESSAGE = 5
    VM_CONFIGURATION = 6
    PLUGIN_CONFIGURATION = 7
    FOREIGN_FUNCTION_ARGUMENTS = 8


class MapType(IntEnum):
    """Maps of headers, trailers and metadata that the host lends to the plugin. `proxy_map_type_t` of the ABI."""

    HTTP_REQUEST_HEADERS = 0
    HTTP_REQUEST_TRAILERS = 1
    HTTP_RESPONSE_HEADERS = 2
    HTTP_RESPONSE_TRAILERS = 3
    GRPC_CALL_INITIAL_METADATA = 4
    GRPC_CALL_TRAILING_METADATA = 5
    HTTP_CALL_RESPONSE_HEADERS = 6
    HTTP_CALL_RESPONSE_TRAILERS = 7


class PeerType(IntEnum):
    """Which side closed a connection. `proxy_peer_type_t` of the ABI."""

    UNKNOWN = 0
    LOCAL = 1
    REMOTE = 2


class StreamType(IntEnum):
    """Direction of a stream that is continued or closed. `proxy_stream_type_t` of the ABI."""

    HTTP_REQUEST = 0
    HTTP_RESPONSE = 1
    DOWNSTREAM = 2
    UPSTREAM = 3


class MetricType(IntEnum):
    """Kinds of metrics. `proxy_metric_type_t` of the ABI."""

    COUNTER = 0
    GAUGE = 1
    HISTOGRAM = 2
