"""How much time and memory a compiled filter may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from proxy_wasm_abi import find_host

from pywasm_filter.testing.settings import PluginSettings

_MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """The limits of one VM. `callback_seconds` is for each call of the host's, with all hostcalls that it makes."""

    callback_seconds: float = PluginSettings.callback_timeout
    memory_bytes: int = PluginSettings.memory_limit_bytes
    memory_set_by: str = "memory_limit_bytes of the marker pywasm"

    @classmethod
    def of(cls, settings: PluginSettings) -> Self:
        """Those that a test has set, or the host that it plays."""
        played = find_host(settings.host_profile).rules.memory_mebibytes
        if played is not None and played * _MIB < settings.memory_limit_bytes:
            return cls(settings.callback_timeout, played * _MIB, f"that of {settings.host_profile}")
        return cls(settings.callback_timeout, settings.memory_limit_bytes)

    @property
    def memory_text(self) -> str:
        """The limit of the memory, and where it is set."""
        return f"{self.memory_bytes / _MIB:g} MiB, {self.memory_set_by}"
