"""How a plugin is run: what a proxy's configuration says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal

from pywasm_filter.sdk.abi import LogLevel
from pywasm_filter.testing.clock import nanoseconds
from pywasm_filter.testing.plugin import Configuration, FailurePolicy, Plugin, encode_configuration
from pywasm_filter.testing.recorder import KEPT_CROSSINGS
from pywasm_filter.testing.setting_types import check_types

AttributeValue = str | bytes | bool | int | float | datetime | timedelta | Mapping[str, Any]
"""What an attribute may be set to; metadata is a mapping from a filter's name to its fields."""

_UPSTREAM = "upstream"
_ENVOY = "envoy"
_ENVOY_BUFFER_LIMIT = 1 << 20
ENVOY_MEMORY_LIMIT = 1 << 30
"""The most memory that Envoy gives to a VM."""
_LONGEST_CALLBACK = 86_400.0
_NODE_FIELDS = ("id", "cluster", "metadata", "locality")
_OF_ONE_PLUGIN = tuple(entry.name for entry in fields(Plugin) if entry.name != "filter")
_METADATA_OWNERS = ("listener", "virtual_host", "route", "cluster", "host")


@dataclass(frozen=True)
class Route:
    """A route: requests whose path begins with `prefix`, that have all `headers`, and whose filter state is as said.

    It leads to the upstream, under the name of the cluster: `Exchange.cluster` tells which one it was.
    """

    cluster: str
    prefix: str = "/"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    filter_state: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    name: str = ""
    timeout: float = 15.0
    """How long the upstream's whole answer may take once it has the whole request, in seconds; 0: for ever."""

    def __post_init__(self) -> None:
        nanoseconds(self.timeout)


@dataclass(frozen=True)
class PluginSettings:
    """Names and defaults are those of Envoy's PluginConfig and VmConfig (envoy.extensions.wasm.v3)."""

    configuration: bytes = b""
    """What `on_configure` gets."""
    vm_configuration: bytes = b""
    """What `on_vm_start` gets."""
    root_id: str = ""
    """The root context that serves the plugin; an empty one: the only root of the module."""
    plugin_name: str = "plugin"
    """The plugin's name in the proxy's configuration, which `properties.plugin_name` tells."""
    vm_id: str = ""
    """The name of the VM, by which plugins share data and queues."""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The environment variables of a compiled filter; in process it sees those of the test."""
    protocol: Literal["http", "tcp"] = "http"
    """What the plugin filters: HTTP requests (`HttpContext`), or TCP connections (`StreamContext`)."""
    allow_on_headers_stop_iteration: bool = False
    """Whether PAUSE from a headers callback lets the body callbacks go on; without it Envoy stops everything."""
    failure_policy: str = FailurePolicy.FAIL_CLOSED
    """`fail_closed`, `fail_open` or `fail_reload`: what becomes of new streams once the VM has trapped."""
    plugins: Sequence[Plugin] = ()
    """All plugins of a proxy with several, in the order in which a request meets them; what is said above of the one
    plugin is said in them then."""
    concurrency: int = 1
    """Worker threads, each with VMs of its own. Connections go to them in turn, unless a `proxy.client(worker=...)`
    makes them."""
    buffer_limit_bytes: int = _ENVOY_BUFFER_LIMIT
    """How much body a filter can hold back."""
    routes: Sequence[Route] = ()
    """Where requests go, the first that fits; to the cluster `upstream` when none does."""
    node: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """How Envoy describes itself: `id`, `cluster`, `metadata` and `locality` (envoy.config.core.v3.Node)."""
    metadata: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    """Metadata of the `listener`, `virtual_host`, `route`, `cluster` and `host`, each by filter's name."""
    attributes: Mapping[str, AttributeValue] = field(default_factory=lambda: MappingProxyType({}))
    """Attributes of all streams by path, such as `connection.subject_peer_certificate`: those that need TLS, or another
    filter. For the embedded proxy only."""
    clusters: Sequence[str] = ()
    """HTTP/1.1 clusters that callouts may name; `proxy.clusters` says what they answer."""
    grpc_clusters: Sequence[str] = ()
    """HTTP/2 clusters that gRPC callouts may name; `proxy.grpc` says what they answer."""
    background_roots: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """Further root ids of the module and their configurations, started in the same VM, without streams of their own:
    in Envoy, bootstrap extensions `envoy.bootstrap.wasm` with the same vm_id."""
    log_level: LogLevel = LogLevel.DEBUG
    """The least level of log lines that are kept."""
    host_profile: str = _ENVOY
    """The proxy that the embedded proxy plays, of those in docs/reference/hosts.md; for all tests that do not say: the
    option --pywasm-profile, or pywasm_profile in the ini file."""
    capabilities: Sequence[str] | None = None
    """The hostcalls, callbacks and WASI functions that the module may use, as Envoy's `capability_restriction_config`
    has them: other hostcalls answer INTERNAL_FAILURE, other callbacks are not called. None for all."""
    trace_length: int = KEPT_CROSSINGS
    """How many crossings between proxy and plugin the embedded proxy keeps; a callback counts as two."""
    callback_timeout: float = 10.0
    """Seconds after which a callback of a compiled filter is taken for an endless loop, in the embedded proxy."""
    memory_limit_bytes: int = ENVOY_MEMORY_LIMIT
    """How much memory a compiled filter can have, in the embedded proxy; in Envoy it is 1 GiB."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.protocol not in ("http", "tcp"):
            raise ValueError(f"protocol is 'http' or 'tcp', not {self.protocol!r}")
        if self.concurrency < 1:
            raise ValueError(f"concurrency is the number of worker threads, at least 1, not {self.concurrency}")
        if self.protocol == "tcp" and self.concurrency > 1:
            raise ValueError("protocol='tcp' has one worker, whatever a real Envoy has")
        if self.trace_length < 1:
            raise ValueError(f"trace_length is at least 1, not {self.trace_length}")
        if not 0 < self.callback_timeout <= _LONGEST_CALLBACK:
            raise ValueError(f"callback_timeout is a number of seconds, not {self.callback_timeout!r}")
        if not 0 < self.memory_limit_bytes <= ENVOY_MEMORY_LIMIT:
            raise ValueError(f"memory_limit_bytes is at most {ENVOY_MEMORY_LIMIT}, not {self.memory_limit_bytes!r}")
        _check_profile(self)
        _check_names("node", self.node, _NODE_FIELDS)
        _check_names("metadata", self.metadata, _METADATA_OWNERS)
        if not all(isinstance(route, Route) for route in self.routes):
            raise TypeError(f"routes is a list of Route(...), not {self.routes!r}")
        self._check_plugins()
        callees = {*self.clusters, *self.grpc_clusters}
        if taken := sorted({route.cluster for route in self.routes} & callees):
            raise ValueError(f"a cluster answers callouts or gets the routed requests, not both: {', '.join(taken)}")

    @property
    def chain(self) -> tuple[Plugin, ...]:
        """The plugins that streams meet, in order."""
        return tuple(self.plugins) or (Plugin(**{name: getattr(self, name) for name in _OF_ONE_PLUGIN}),)

    @property
    def background(self) -> tuple[Plugin, ...]:
        """The plugins without streams of their own, of the module of the first in the chain."""
        first = self.chain[0]
        return tuple(replace(first, root_id=root_id, configuration=it) for root_id, it in self.background_roots.items())

    def _check_plugins(self) -> None:
        if not self.plugins:
            _ = self.chain  # checks what is said of the one
            return
        for plugin in self.plugins:
            if not isinstance(plugin, Plugin):
                raise TypeError(f"plugins is a list of Plugin(...), not of {type(plugin).__name__}")
        default = Plugin()
        said_twice = [name for name in _OF_ONE_PLUGIN if getattr(self, name) != getattr(default, name)]
        if said_twice:
            raise ValueError(f"plugins says all of each plugin: give {', '.join(said_twice)} in its Plugin(...)")
        if self.protocol == "tcp" and len(self.plugins) > 1:
            raise ValueError("protocol='tcp' has one plugin: the embedded proxy has no chain of several for TCP")


def _check_profile(settings: PluginSettings) -> None:
    if settings.host_profile == _ENVOY:
        return
    from proxy_wasm_abi import find_host  # with the first other host

    host = find_host(settings.host_profile)
    if settings.protocol == "tcp" and "proxy_on_new_connection" in host.never_called:
        raise ValueError(f"{host.name} has no plugins for TCP connections")
    if set_in_vain := [
        name
        for name in host.rules.settings_lacking
        if any(getattr(said, name, None) for said in (settings, *settings.chain))
    ]:
        raise ValueError(f"{host.name} has no setting {', '.join(set_in_vain)}")
    for plugin in settings.chain:
        if plugin.failure_policy in host.rules.failure_policies_lacking:
            raise ValueError(f"{host.name} has no failure policy {plugin.failure_policy}")


def _check_names(setting: str, given: Mapping[str, object], known: tuple[str, ...]) -> None:
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"{setting} has {', '.join(known)}, not {', '.join(map(repr, unknown))}")


def cluster_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names of clusters, in any sequence but a string. Raises TypeError for what is none."""
    if isinstance(names, (str, bytes)) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"clusters is a list of names, not {names!r}")
    if _UPSTREAM in names:
        raise TypeError(f"clusters cannot have {_UPSTREAM!r}: that is what proxy.upstream answers for")
    return tuple(names)


def capability_names(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """Names of capabilities, in any sequence but a string. Raises TypeError for what is none."""
    if names is None:
        return None
    if isinstance(names, (str, bytes)) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"capabilities is a list of names, not {names!r}")
    return tuple(names)


def background_roots(roots: Sequence[str] | Mapping[str, Configuration]) -> dict[str, bytes]:
    """Root ids with their configurations, which a list of root ids leaves empty. Raises TypeError for what is none."""
    if isinstance(roots, (str, bytes)):
        raise TypeError(f"background_roots is a list of root ids, or a dict from them to configurations, not {roots!r}")
    configured = roots if isinstance(roots, Mapping) else dict.fromkeys(roots, b"")
    return {root_id: encode_configuration(configuration) for root_id, configuration in configured.items()}
