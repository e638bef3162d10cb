"""Tests of filters: a proxy in which the filter runs, and what goes through it.

from pywasm_filter.testing import Proxy, Response

def test_adds_header(proxy: Proxy) -> None:
    exchange = proxy.get("/x", headers={"user-agent": "t"})
    assert exchange.upstream_request.headers["x-hello"] == "world"
"""

from pywasm_filter.sdk.abi import LogLevel
from pywasm_filter.testing.clock import Clock
from pywasm_filter.testing.embedded import EmbeddedProxy, EmbeddedStream
from pywasm_filter.testing.errors import (
    AttributesNotSupported,
    ContentLengthMismatch,
    GuestLoadError,
    HostcallNotSupported,
    HostMisuse,
    PluginConfigurationError,
    ProxyTestError,
    StepwiseNotSupported,
    StreamReset,
    StreamStalled,
)
from pywasm_filter.testing.exchange import Exchange
from pywasm_filter.testing.messages import Headers, LogLine, Request, Response
from pywasm_filter.testing.proxy import Proxy, Stream
from pywasm_filter.testing.settings import AttributeValue, PluginSettings, Route

__all__ = [
    "AttributeValue",
    "AttributesNotSupported",
    "Clock",
    "ContentLengthMismatch",
    "EmbeddedProxy",
    "EmbeddedStream",
    "Exchange",
    "GuestLoadError",
    "Headers",
    "HostMisuse",
    "HostcallNotSupported",
    "LogLevel",
    "LogLine",
    "PluginConfigurationError",
    "PluginSettings",
    "Proxy",
    "ProxyTestError",
    "Request",
    "Response",
    "Route",
    "StepwiseNotSupported",
    "Stream",
    "StreamReset",
    "StreamStalled",
]
