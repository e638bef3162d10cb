"""How a plugin is run: what a proxy's configuration says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pywasm_filter.sdk.abi import LogLevel

Configuration = bytes | str | Mapping[str, Any]
"""A plugin's or a VM's configuration: bytes as they are, text as UTF-8, a mapping as JSON."""

_ENVOY_BUFFER_LIMIT = 1 << 20


@dataclass(frozen=True)
class PluginSettings:
    """Names and defaults are those of Envoy's PluginConfig and VmConfig (envoy.extensions.wasm.v3)."""

    configuration: bytes = b""
    vm_configuration: bytes = b""
    root_id: str = ""
    plugin_name: str = "plugin"
    vm_id: str = ""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The environment variables of a compiled filter; in process it sees those of the test."""
    allow_on_headers_stop_iteration: bool = False
    """Whether PAUSE from a headers callback lets the body callbacks go on; without it Envoy stops everything."""
    fail_open: bool = False
    """Whether streams pass the filter once its VM has trapped; the stream that trapped fails in any case."""
    buffer_limit_bytes: int = _ENVOY_BUFFER_LIMIT
    """How much body a filter can hold back."""
    log_level: LogLevel = LogLevel.DEBUG
    """The least level of log lines that are kept."""


def encode_configuration(configuration: Configuration) -> bytes:
    """The bytes that the plugin reads. Raises TypeError for anything but bytes, text and mappings."""
    match configuration:
        case bytes():
            return configuration
        case str():
            return configuration.encode("utf-8")
        case Mapping():
            return json.dumps(configuration).encode("utf-8")
    raise TypeError(f"a configuration is bytes, str or a dict, not {type(configuration).__name__}")
