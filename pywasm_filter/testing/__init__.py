"""Tests of filters: a proxy in which the filter runs, and what goes through it.

from pywasm_filter.testing import Proxy, Response

def test_adds_header(proxy: Proxy) -> None:
    exchange = proxy.get("/x", headers={"user-agent": "t"})
    assert exchange.upstream_request.headers["x-hello"] == "world"
"""

from pywasm_filter.sdk.abi import LogLevel, Status
from pywasm_filter.testing.answers import Delay, NoAnswer, Refuse, Reset
from pywasm_filter.testing.client import Client
from pywasm_filter.testing.clock import Clock
from pywasm_filter.testing.clusters import Answer, Callout, ClusterAnswer, Clusters, Partial
from pywasm_filter.testing.connection import Connection, TcpUpstream
from pywasm_filter.testing.downstream import Tls
from pywasm_filter.testing.embedded import EmbeddedProxy, EmbeddedStream
from pywasm_filter.testing.errors import (
    AttributesNotSupported,
    CallBackNotSupported,
    CallbackTimeout,
    CertificatesNotInstalled,
    ClientsNotSupported,
    ConditionNotMet,
    ContentLengthMismatch,
    FaultsNotSupported,
    ForeignFunctionNotInstalled,
    GuestLoadError,
    HostcallNotSupported,
    HostMisuse,
    HostRefusesFilter,
    PluginConfigurationError,
    ProfileNotSupported,
    PropertiesNotSupported,
    ProxyTestError,
    StepwiseNotSupported,
    StreamReset,
    StreamStalled,
    TraceNotKept,
    TraceNotSupported,
    WrongProtocol,
)
from pywasm_filter.testing.exchange import Exchange
from pywasm_filter.testing.faults import Fault, Faults
from pywasm_filter.testing.grpc import (
    GrpcAnswer,
    GrpcCall,
    GrpcCallRecord,
    GrpcHandler,
    GrpcReply,
    GrpcRequest,
    GrpcService,
    GrpcServices,
)
from pywasm_filter.testing.messages import BodyInput, Headers, HeadersInput, LogLine, Request, Response
from pywasm_filter.testing.metrics import Metrics
from pywasm_filter.testing.plugin import Plugin
from pywasm_filter.testing.proxy import MakeProxy, Proxy
from pywasm_filter.testing.settings import AttributeValue, PluginSettings, Route
from pywasm_filter.testing.stepwise import Stream
from pywasm_filter.testing.trace import Crossing, Trace

__all__ = [
    "Answer",
    "AttributeValue",
    "AttributesNotSupported",
    "BodyInput",
    "CallBackNotSupported",
    "CallbackTimeout",
    "Callout",
    "CertificatesNotInstalled",
    "Client",
    "ClientsNotSupported",
    "Clock",
    "ClusterAnswer",
    "Clusters",
    "ConditionNotMet",
    "Connection",
    "ContentLengthMismatch",
    "Crossing",
    "Delay",
    "EmbeddedProxy",
    "EmbeddedStream",
    "Exchange",
    "Fault",
    "Faults",
    "FaultsNotSupported",
    "ForeignFunctionNotInstalled",
    "GrpcAnswer",
    "GrpcCall",
    "GrpcCallRecord",
    "GrpcHandler",
    "GrpcReply",
    "GrpcRequest",
    "GrpcService",
    "GrpcServices",
    "GuestLoadError",
    "Headers",
    "HeadersInput",
    "HostMisuse",
    "HostRefusesFilter",
    "HostcallNotSupported",
    "LogLevel",
    "LogLine",
    "MakeProxy",
    "Metrics",
    "NoAnswer",
    "Partial",
    "Plugin",
    "PluginConfigurationError",
    "PluginSettings",
    "ProfileNotSupported",
    "PropertiesNotSupported",
    "Proxy",
    "ProxyTestError",
    "Refuse",
    "Request",
    "Reset",
    "Response",
    "Route",
    "Status",
    "StepwiseNotSupported",
    "Stream",
    "StreamReset",
    "StreamStalled",
    "TcpUpstream",
    "Tls",
    "Trace",
    "TraceNotKept",
    "TraceNotSupported",
    "WrongProtocol",
]
