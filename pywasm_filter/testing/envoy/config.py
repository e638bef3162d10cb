"""Envoy's bootstrap configuration for one plugin between a listener and an upstream."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pywasm_filter.testing.plugin import FailurePolicy, Plugin
from pywasm_filter.testing.settings import Route

JSON = dict[str, Any]

LISTENER = "ingress"
ECHO_LISTENER = "echo"
CLIENT_LISTENER = "clients"
UPSTREAM_CLUSTER = "upstream"
STAT_PREFIX = "ingress"


@dataclass(frozen=True)
class BuiltPlugin:
    """A plugin and its module."""

    module: Path
    plugin: Plugin


@dataclass(frozen=True)
class Certificates:
    """Envoy's own certificate with its key, and the authority whose clients it trusts, in PEM."""

    own: str
    own_key: str
    authority: str


@dataclass(frozen=True)
class EnvoySettings:
    """What to run: the built module, how it is configured, and what lies behind the proxy.

    Names and defaults are those of Envoy's PluginConfig and VmConfig (envoy.extensions.wasm.v3).
    """

    module: Path | None
    """The built Proxy-Wasm module; None for an Envoy without a plugin."""
    upstream_port: int | None
    """The port on 127.0.0.1 that all requests are routed to (cluster "upstream"); None makes Envoy answer each request
    by itself with an empty 200, and echo what comes over TCP."""
    protocol: Literal["http", "tcp"] = "http"
    """What the plugin filters: HTTP requests, or TCP connections (envoy.filters.network.wasm)."""
    root_id: str = ""
    plugin_name: str = "plugin"
    vm_id: str = ""
    configuration: bytes = b""
    """What the plugin reads in on_configure: any bytes."""
    vm_configuration: bytes = b""
    """What the plugin reads in on_vm_start: any bytes."""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The environment variables of the VM; Envoy's own do not reach it."""
    concurrency: int = 1
    """Worker threads; each has a VM of its own."""
    buffer_limit_bytes: int | None = None
    """per_connection_buffer_limit_bytes of the listener: how much body a filter can hold back (Envoy's default: 1 MiB).
    """
    allow_on_headers_stop_iteration: bool = False
    """Whether StopIteration from a headers callback lets the body callbacks go on, as the Proxy-Wasm ABI says."""
    failure_policy: str = FailurePolicy.FAIL_CLOSED
    further_plugins: Sequence[BuiltPlugin] = ()
    """HTTP filters behind the first, in the order in which a request meets them."""
    clusters: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Further HTTP/1.1 clusters for callouts: name to port on 127.0.0.1."""
    grpc_clusters: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """HTTP/2 clusters for gRPC callouts: name to port on 127.0.0.1."""
    stats_tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What Envoy takes out of the names of its statistics as tags: name of the tag to regular expression."""
    node: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """How Envoy describes itself: id, cluster, metadata, locality (envoy.config.core.v3.Node)."""
    metadata: Mapping[str, Mapping[str, object]] = field(default_factory=lambda: MappingProxyType({}))
    """Metadata of the `listener`, `virtual_host`, `route`, `cluster` and `host`: each from a name to a struct."""
    routes: Sequence[Route] = ()
    """Where requests go, the first that fits; all to the upstream when there are none, and what fits none."""
    routed_clusters: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Further clusters for routes: name to port on 127.0.0.1."""
    http2: bool = False
    """Whether the clusters behind the proxy speak HTTP/2, and METADATA frames pass both ways. The listener takes HTTP/2
    (with prior knowledge) in any case."""
    background_roots: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """Further root ids of the module and their configurations, as bootstrap extensions: in each thread they share the
    VM of the filter."""
    capabilities: Sequence[str] | None = None
    """The hostcalls, callbacks and WASI functions that the module may use; None for all."""
    client_listener: bool = False
    """Whether there is a second listener for the same HTTP plugin. Its connections begin with a PROXY header that says
    where they come from, and may have TLS."""
    certificates: Certificates | None = None
    """What that listener needs for TLS."""
    wasm_log_level: str = "info"
    """The least level of the plugin's log messages: trace, debug, info, warning, error or critical."""

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"concurrency is {self.concurrency}: Envoy needs at least one worker")
        if UPSTREAM_CLUSTER in (*self.clusters, *self.grpc_clusters):
            raise ValueError(f"the cluster name {UPSTREAM_CLUSTER!r} is taken by the upstream itself")
        for name in self.clusters.keys() & self.grpc_clusters.keys():
            raise ValueError(f"the cluster {name!r} is declared twice, for HTTP/1.1 and for gRPC")

    @property
    def plugins(self) -> list[BuiltPlugin]:
        """All plugins that streams meet, in order; none without a module."""
        if self.module is None:
            return []
        first = Plugin(
            configuration=self.configuration,
            vm_configuration=self.vm_configuration,
            root_id=self.root_id,
            plugin_name=self.plugin_name,
            vm_id=self.vm_id,
            environment=self.environment,
            allow_on_headers_stop_iteration=self.allow_on_headers_stop_iteration,
            capabilities=self.capabilities,
            failure_policy=self.failure_policy,
        )
        return [BuiltPlugin(self.module, first), *self.further_plugins]


def bootstrap(settings: EnvoySettings) -> JSON:
    """Return the configuration as a JSON object (envoy.config.bootstrap.v3.Bootstrap).

    Listeners and admin interface bind free ports of 127.0.0.1: ask the admin interface for those of the listeners. A
    plugin for TCP has a second listener beside it, which echoes what it gets: an answer from there tells that the
    worker has gone on.
    """
    routed = dict(settings.routed_clusters)
    if settings.upstream_port is not None:
        routed[UPSTREAM_CLUSTER] = settings.upstream_port
    clusters = [
        *(_cluster(name, port, _HTTP_1) for name, port in settings.clusters.items()),
        *(_cluster(name, port, _HTTP_2) for name, port in settings.grpc_clusters.items()),
        *(_routed_cluster(settings, name, port) for name, port in routed.items()),
    ]
    listeners = [_listener(settings)]
    if settings.protocol == "tcp":
        listeners.append(_echo_listener())
    elif settings.client_listener:
        listeners.append(_client_listener(settings))
    config: JSON = {
        "admin": {"address": _loopback(0)},
        "stats_config": {
            "stats_tags": [{"tag_name": name, "regex": regex} for name, regex in settings.stats_tags.items()]
        },
        # Otherwise histograms show what was recorded some seconds later.
        "stats_flush_on_admin": True,
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }
    if settings.node:
        config["node"] = dict(settings.node)
    if settings.plugins and settings.background_roots:
        first = settings.plugins[0]
        config["bootstrap_extensions"] = [
            _service(replace(first, plugin=replace(first.plugin, root_id=root_id, configuration=configuration)))
            for root_id, configuration in settings.background_roots.items()
        ]
    return config


def bootstrap_json(settings: EnvoySettings) -> str:
    """Return the configuration as the text of a JSON file, which Envoy reads as it reads YAML."""
    return json.dumps(bootstrap(settings), indent=1)


def _listener(settings: EnvoySettings) -> JSON:
    listener: JSON = {
        "name": LISTENER,
        "stat_prefix": LISTENER,
        "address": _loopback(0),
        "filter_chains": [{"filters": _http_chain(settings) if settings.protocol == "http" else _tcp_chain(settings)}],
    }
    listener.update(_metadata(settings, "listener"))
    if settings.buffer_limit_bytes is not None:
        listener["per_connection_buffer_limit_bytes"] = settings.buffer_limit_bytes
    if settings.concurrency > 1:
        # A connection goes to the first of the workers with the fewest: see workers.py.
        listener["connection_balance_config"] = {"exact_balance": {}}
    return listener


def _client_listener(settings: EnvoySettings) -> JSON:
    listener = _listener(settings)
    [plain] = listener["filter_chains"]
    chains = [plain]
    if settings.certificates is not None:
        secured = {"filter_chain_match": {"transport_protocol": "tls"}, **_tls(settings.certificates)}
        chains.append({**plain, **secured})
    inspectors = [
        _filter("proxy_protocol", "filters.listener.proxy_protocol.v3.ProxyProtocol", {}),
        _filter("tls_inspector", "filters.listener.tls_inspector.v3.TlsInspector", {}),
    ]
    return {
        **listener,
        "name": CLIENT_LISTENER,
        "stat_prefix": CLIENT_LISTENER,
        "filter_chains": chains,
        "listener_filters": inspectors,
    }


def _tls(certificates: Certificates) -> JSON:
    own = {
        "certificate_chain": {"inline_string": certificates.own},
        "private_key": {"inline_string": certificates.own_key},
    }
    trusted = {"trusted_ca": {"inline_string": certificates.authority}}
    fields: JSON = {
        "require_client_certificate": False,  # asks for it all the same
        "common_tls_context": {"tls_certificates": [own], "validation_context": trusted},
    }
    return {"transport_socket": _filter("tls", "transport_sockets.tls.v3.DownstreamTlsContext", fields)}


def _echo_listener() -> JSON:
    return {
        "name": ECHO_LISTENER,
        "address": _loopback(0),
        "filter_chains": [{"filters": [_filter("echo", "filters.network.echo.v3.Echo", {})]}],
    }


def _http_chain(settings: EnvoySettings) -> list[JSON]:
    return [{"name": "http_connection_manager", "typed_config": _connection_manager(settings)}]


def _tcp_chain(settings: EnvoySettings) -> list[JSON]:
    if settings.upstream_port is None:
        last = _filter("echo", "filters.network.echo.v3.Echo", {})
    else:
        target: JSON = {"stat_prefix": STAT_PREFIX, "cluster": UPSTREAM_CLUSTER}
        last = _filter("tcp_proxy", "filters.network.tcp_proxy.v3.TcpProxy", target)
    return [
        *(_filter("wasm", "filters.network.wasm.v3.Wasm", {"config": _plugin(built)}) for built in settings.plugins),
        last,
    ]


def _connection_manager(settings: EnvoySettings) -> JSON:
    """Envoy's defaults but for what the comments say: authors shall see what their users' Envoy does."""
    return {
        "@type": _type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": STAT_PREFIX,
        # Without it Envoy drops HTTP/1.1 trailers, and the trailers callbacks never come.
        "http_protocol_options": {"enable_trailers": True},
        **(_HTTP_2_WITH_METADATA if settings.http2 else {}),
        # A random x-request-id makes no two exchanges alike.
        "generate_request_id": False,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": _routes(settings),
                    **_metadata(settings, "virtual_host"),
                }
            ]
        },
        "http_filters": _http_filters(settings),
    }


def _routes(settings: EnvoySettings) -> list[JSON]:
    routes = [_route(settings, route) for route in settings.routes]
    if settings.upstream_port is None:
        return [*routes, {"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
    return [*routes, _route(settings, Route(UPSTREAM_CLUSTER))]


def _route(settings: EnvoySettings, route: Route) -> JSON:
    headers = [{"name": name, "string_match": {"exact": value}} for name, value in route.headers.items()]
    state = [{"key": name, "string_match": {"exact": value}} for name, value in route.filter_state.items()]
    return {
        "match": {"prefix": route.prefix, "headers": headers, "filter_state": state},
        "route": {"cluster": route.cluster, "timeout": f"{route.timeout:.9f}s"},
        "name": route.name,
        **_metadata(settings, "route"),
    }


def _metadata(settings: EnvoySettings, owner: str) -> JSON:
    """The field `metadata` of a listener, a route, …; none when nothing is set."""
    given = settings.metadata.get(owner)
    return {"metadata": {"filter_metadata": dict(given)}} if given else {}


def _http_filters(settings: EnvoySettings) -> list[JSON]:
    # x-envoy-upstream-service-time and x-envoy-expected-rq-timeout-ms: timing, different each time.
    router = _filter("router", "filters.http.router.v3.Router", {"suppress_envoy_headers": True})
    return [
        *(_filter("wasm", "filters.http.wasm.v3.Wasm", {"config": _plugin(built)}) for built in settings.plugins),
        router,
    ]


def _filter(name: str, extension: str, fields: JSON) -> JSON:
    return {"name": name, "typed_config": {"@type": _type(extension), **fields}}


def _service(built: BuiltPlugin) -> JSON:
    """envoy.extensions.wasm.v3.WasmService; not a singleton, which would run in the main thread alone."""
    return {
        "name": "envoy.bootstrap.wasm",
        "typed_config": {"@type": _type("wasm.v3.WasmService"), "config": _plugin(built)},
    }


def _plugin(built: BuiltPlugin) -> JSON:
    """envoy.extensions.wasm.v3.PluginConfig."""
    said = built.plugin
    plugin: JSON = {
        "name": said.plugin_name,
        "root_id": said.root_id,
        "vm_config": _vm(built),
        "failure_policy": str(said.failure_policy),
        "allow_on_headers_stop_iteration": said.allow_on_headers_stop_iteration,
    }
    if said.capabilities is not None:
        allowed: JSON = {name: {} for name in said.capabilities}
        plugin["capability_restriction_config"] = {"allowed_capabilities": allowed}
    if said.configuration_bytes:
        plugin["configuration"] = _bytes_value(said.configuration_bytes)
    return plugin


def _vm(built: BuiltPlugin) -> JSON:
    """envoy.extensions.wasm.v3.VmConfig."""
    said = built.plugin
    vm: JSON = {
        "vm_id": said.vm_id,
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": str(built.module.resolve())}},
    }
    if said.vm_configuration_bytes:
        vm["configuration"] = _bytes_value(said.vm_configuration_bytes)
    if said.environment:
        vm["environment_variables"] = {"key_values": dict(said.environment)}
    return vm


def _bytes_value(value: bytes) -> JSON:
    """Wrap bytes so that the plugin reads just them.

    A StringValue would have to be UTF-8, a Struct comes in protobuf's encoding.
    """
    return {"@type": "type.googleapis.com/google.protobuf.BytesValue", "value": base64.b64encode(value).decode()}


# As for the listener: without it the trailers end here.
_HTTP_1: JSON = {"http_protocol_options": {"enable_trailers": True}}
_HTTP_2: JSON = {"http2_protocol_options": {}}
_HTTP_2_WITH_METADATA: JSON = {"http2_protocol_options": {"allow_metadata": True}}


def _cluster(name: str, port: int, protocol: JSON) -> JSON:
    protocol_options = "upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": name,
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {
            f"envoy.extensions.{protocol_options}": {
                "@type": _type(protocol_options),
                "explicit_http_config": protocol,
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _loopback(port)}}]}],
        },
    }


def _routed_cluster(settings: EnvoySettings, name: str, port: int) -> JSON:
    endpoint = {"endpoint": {"address": _loopback(port)}, **_metadata(settings, "host")}
    return {
        **_cluster(name, port, _HTTP_2_WITH_METADATA if settings.http2 else _HTTP_1),
        **_metadata(settings, "cluster"),
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _loopback(port: int) -> JSON:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _type(extension: str) -> str:
    return f"type.googleapis.com/envoy.extensions.{extension}"
