"""Write Envoy (Proxy-Wasm) filters in Python.

This module is what a filter imports. It runs inside the compiled module and needs the standard library alone;
`pywasm_filter.testing` is for tests, on the host.
"""

from pywasm_filter.sdk.abi import Action, BufferType, LogLevel, MapType, Status, StreamType
from pywasm_filter.sdk.body import Body
from pywasm_filter.sdk.contexts import FailurePolicy, HttpContext, RootContext
from pywasm_filter.sdk.exceptions import (
    AttributeNotAvailable,
    BadArgument,
    CasMismatch,
    ConfigurationError,
    Empty,
    HostError,
    InternalFailure,
    InvalidMemoryAccess,
    NotFound,
    ParseFailure,
    SerializationFailure,
    Unimplemented,
)
from pywasm_filter.sdk.headers import HeaderMap
from pywasm_filter.sdk.messages import Request, Response
from pywasm_filter.sdk.metrics import Counter, Gauge, Histogram
from pywasm_filter.sdk.output import log
from pywasm_filter.sdk.properties import Properties
from pywasm_filter.sdk.registry import RegistrationError, register_root_context
from pywasm_filter.sdk.shared_data import SharedData, shared_data
from pywasm_filter.sdk.shared_queue import SharedQueue

__all__ = [
    "Action",
    "AttributeNotAvailable",
    "BadArgument",
    "Body",
    "BufferType",
    "CasMismatch",
    "ConfigurationError",
    "Counter",
    "Empty",
    "FailurePolicy",
    "Gauge",
    "HeaderMap",
    "Histogram",
    "HostError",
    "HttpContext",
    "InternalFailure",
    "InvalidMemoryAccess",
    "LogLevel",
    "MapType",
    "NotFound",
    "ParseFailure",
    "Properties",
    "RegistrationError",
    "Request",
    "Response",
    "RootContext",
    "SerializationFailure",
    "SharedData",
    "SharedQueue",
    "Status",
    "StreamType",
    "Unimplemented",
    "log",
    "register_root_context",
    "shared_data",
]
