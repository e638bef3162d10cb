"""One plugin of a proxy, as the proxy's configuration describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from os import PathLike
from types import MappingProxyType
from typing import Any

Configuration = bytes | str | Mapping[str, Any]
"""A plugin's or a VM's configuration: bytes as they are, text as UTF-8, a mapping as JSON."""


class FailurePolicy(StrEnum):
    """What Envoy does with traffic once the plugin's VM has failed (envoy.extensions.wasm.v3.FailurePolicy).

    The stream whose callback trapped fails in any case, and so do the others that were under way. No policy lets Envoy
    start with a module that fails to load, to start or to configure.
    """

    FAIL_CLOSED = "FAIL_CLOSED"
    """New streams get 503."""
    FAIL_OPEN = "FAIL_OPEN"
    """New streams pass without the plugin."""
    FAIL_RELOAD = "FAIL_RELOAD"
    """A new stream gets a fresh VM, if the last one was made 1 to 1.5 seconds ago or earlier; until then 503."""


@dataclass(frozen=True)
class Plugin:
    """A plugin: names and defaults are those of Envoy's PluginConfig and VmConfig (envoy.extensions.wasm.v3).

    Plugins of one module with equal `vm_id` and `vm_configuration` share a VM in each thread; equal `vm_id`s share data
    and queues.
    """

    filter: str | PathLike[str] | None = None
    """The filter's file, relative to the test's; None for the filter under test. A .wasm file is a built module."""
    configuration: Configuration = b""
    vm_configuration: Configuration = b""
    root_id: str = ""
    plugin_name: str = "plugin"
    vm_id: str = ""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The environment variables of a compiled filter; in process it sees those of the test."""
    allow_on_headers_stop_iteration: bool = False
    """Whether PAUSE from a headers callback lets the body callbacks go on; without it Envoy stops everything."""
    capabilities: Sequence[str] | None = None
    """The hostcalls, callbacks and WASI functions that the VM may use; None for all
    (`capability_restriction_config`)."""
    failure_policy: str = FailurePolicy.FAIL_CLOSED
    """`fail_closed`, `fail_open` or `fail_reload`: what becomes of new streams once the VM has trapped."""

    def __post_init__(self) -> None:
        for given in (self.configuration, self.vm_configuration):
            encode_configuration(given)  # so that a mistake is reported where it was made
        if self.capabilities is not None:
            _check_capabilities(self.capabilities)
        object.__setattr__(self, "failure_policy", failure_policy(self.failure_policy))

    @property
    def configuration_bytes(self) -> bytes:
        """What the plugin reads in on_configure."""
        return encode_configuration(self.configuration)

    @property
    def vm_configuration_bytes(self) -> bytes:
        """What the plugin reads in on_vm_start."""
        return encode_configuration(self.vm_configuration)


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


def failure_policy(given: object) -> FailurePolicy:
    """The policy of that name, in any case. Raises ValueError for what is none."""
    name = str(given).upper()
    if name not in list(FailurePolicy):
        known = ", ".join(repr(policy.value.lower()) for policy in FailurePolicy)
        raise ValueError(f"failure_policy is one of {known}, not {given!r}")
    return FailurePolicy(name)


def _check_capabilities(names: Sequence[str]) -> None:
    if not names:
        raise ValueError("capabilities is not empty: Envoy takes an empty list for all of them, as None does here")
    import proxy_wasm_abi  # with the first restriction

    abi = proxy_wasm_abi.load()
    known = {
        *(hostcall.name for hostcall in abi.hostcalls),
        *(callback.name for callback in abi.callbacks),
        *abi.wasi_served,
    }
    for name in names:
        if name not in known:
            alike = get_close_matches(name, known, 1)
            meant = f"; {alike[0]!r}?" if alike else ""
            raise ValueError(f"no such capability: {name!r}{meant} They are names of the ABI and of WASI functions")
