"""Write Envoy (Proxy-Wasm) filters in Python.

This module is what a filter imports. It runs inside the compiled module and needs the standard library alone;
`pywasm_filter.testing` is for tests, on the host.
"""

from pywasm_filter.sdk.abi import (
    Action,
    BufferType,
    FilterDataStatus,
    FilterHeadersStatus,
    FilterMetadataStatus,
    FilterStatus,
    FilterTrailersStatus,
    GrpcStatus,
    LogLevel,
    MapType,
    PeerType,
    Status,
    StreamType,
)
from pywasm_filter.sdk.body import Body
from pywasm_filter.sdk.callouts import CalloutError, CalloutFailed, CalloutTimeout, HttpCallout, HttpResponse
from pywasm_filter.sdk.contexts import Context, RootContext
from pywasm_filter.sdk.exceptions import (
    AttributeNotAvailable,
    BadArgument,
    CasMismatch,
    ConfigurationError,
    Empty,
    ForeignFunctionFailed,
    HostError,
    InternalFailure,
    InvalidMemoryAccess,
    NotFound,
    ParseFailure,
    SerializationFailure,
    Unimplemented,
)
from pywasm_filter.sdk.failure_policy import FailurePolicy
from pywasm_filter.sdk.foreign import (
    CelExpression,
    LifeSpan,
    PropertyType,
    call_foreign_function,
    clear_route_cache,
    declare_property,
    host_compress,
    host_sign,
    host_uncompress,
    host_verify_signature,
    set_envoy_filter_state,
)
from pywasm_filter.sdk.grpc import GrpcCallout, GrpcError, GrpcStream
from pywasm_filter.sdk.headers import HeaderMap, Headers
from pywasm_filter.sdk.http_context import HttpContext
from pywasm_filter.sdk.messages import Request, Response
from pywasm_filter.sdk.metrics import Counter, Gauge, Histogram
from pywasm_filter.sdk.output import log, log_level
from pywasm_filter.sdk.properties import Properties
from pywasm_filter.sdk.registry import RegistrationError, register_root_context
from pywasm_filter.sdk.shared_data import SharedData, shared_data
from pywasm_filter.sdk.shared_queue import SharedQueue
from pywasm_filter.sdk.stream_context import StreamContext
from pywasm_filter.sdk.tasks import CancelledError, Future, Task, gather
from pywasm_filter.sdk.timers import current_time_ns, wait_for

__all__ = [
    "Action",
    "AttributeNotAvailable",
    "BadArgument",
    "Body",
    "BufferType",
    "CalloutError",
    "CalloutFailed",
    "CalloutTimeout",
    "CancelledError",
    "CasMismatch",
    "CelExpression",
    "ConfigurationError",
    "Context",
    "Counter",
    "Empty",
    "FailurePolicy",
    "FilterDataStatus",
    "FilterHeadersStatus",
    "FilterMetadataStatus",
    "FilterStatus",
    "FilterTrailersStatus",
    "ForeignFunctionFailed",
    "Future",
    "Gauge",
    "GrpcCallout",
    "GrpcError",
    "GrpcStatus",
    "GrpcStream",
    "HeaderMap",
    "Headers",
    "Histogram",
    "HostError",
    "HttpCallout",
    "HttpContext",
    "HttpResponse",
    "InternalFailure",
    "InvalidMemoryAccess",
    "LifeSpan",
    "LogLevel",
    "MapType",
    "NotFound",
    "ParseFailure",
    "PeerType",
    "Properties",
    "PropertyType",
    "RegistrationError",
    "Request",
    "Response",
    "RootContext",
    "SerializationFailure",
    "SharedData",
    "SharedQueue",
    "Status",
    "StreamContext",
    "StreamType",
    "Task",
    "Unimplemented",
    "call_foreign_function",
    "clear_route_cache",
    "current_time_ns",
    "declare_property",
    "gather",
    "host_compress",
    "host_sign",
    "host_uncompress",
    "host_verify_signature",
    "log",
    "log_level",
    "register_root_context",
    "set_envoy_filter_state",
    "shared_data",
    "wait_for",
]
