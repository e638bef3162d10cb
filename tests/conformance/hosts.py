"""The three hosts with the interpreter in them. Running Envoys are kept for scenarios with equal settings."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from pywasm_filter.testing import EmbeddedProxy, PluginSettings, Proxy
from pywasm_filter.testing.envoy import EnvoyProcess, EnvoySettings
from pywasm_filter.testing.envoy_pool import EnvoyPool
from pywasm_filter.testing.envoy_proxy import EnvoyProxy
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
from tests.conformance.interpreter_module import InterpreterGuest, interpreter_module
from tests.faces import http2

_KEPT_ENVOYS = 2
_STALLED = 0.7
"""How long a request may take that is expected to stall, in seconds: waiting longer shows no more."""
_IN_TIME = 10.0


class Hosts:
    """Makes proxies by the name of the host; a context manager, which ends the Envoys."""

    def __init__(self) -> None:
        self._module: Path | None = None
        self._compiled: WasmtimeModule | None = None
        self._envoys = EnvoyPool(_KEPT_ENVOYS)
        self._http2: tuple[EnvoyProcess, http2.Server] | None = None
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()
        self._envoys.close()

    def http2(self, settings: PluginSettings) -> tuple[EnvoyProcess, http2.Server]:
        """A real Envoy that speaks HTTP/2 on both sides, for all scenarios that need that, and its upstream."""
        if self._http2 is None:
            server = self._cleanup.enter_context(http2.Server())
            envoy = EnvoySettings(self.module, server.port, root_id=settings.root_id, http2=True)
            self._http2 = self._cleanup.enter_context(EnvoyProcess(envoy)), server
        return self._http2

    def proxy(self, host: str, settings: PluginSettings, *, stalls: bool = False) -> Proxy:
        """A proxy on a host: inprocess, wasmtime or envoy. `stalls` says that no answer is expected."""
        match host:
            case "inprocess":
                return EmbeddedProxy(InterpreterGuest, settings)
            case "wasmtime":
                if self._compiled is None:
                    self._compiled = WasmtimeModule.read(self.module)
                return EmbeddedProxy(self._compiled.instantiate, settings)
            case "envoy":
                return EnvoyProxy(self._envoys.get([self.module], settings), timeout=_STALLED if stalls else _IN_TIME)
        raise ValueError(f"no such host: {host!r}")

    @property
    def module(self) -> Path:
        """The built module."""
        if self._module is None:
            self._module = interpreter_module()
        return self._module
