"""How much time and memory a compiled filter may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pywasm_filter.testing.settings import PluginSettings

_MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """The limits of one VM. `callback_seconds` is for each call of the host's, with all hostcalls that it makes."""

    callback_seconds: float = PluginSettings.callback_timeout
    memory_bytes: int = PluginSettings.memory_limit_bytes

    @classmethod
    def of(cls, settings: PluginSettings) -> Self:
        """Those that a test has set."""
        return cls(settings.callback_timeout, settings.memory_limit_bytes)

    @property
    def memory_text(self) -> str:
        """The limit of the memory, and where it is set."""
        return f"{self.memory_bytes / _MIB:g} MiB, memory_limit_bytes of the marker pywasm"
