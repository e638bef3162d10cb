"""A real Envoy with its upstreams, for as many tests as have the same settings."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pywasm_filter.testing.envoy import (
    BuiltPlugin,
    EnvoyProcess,
    EnvoySettings,
    EnvoyStartError,
    Upstream,
    WorkerChoice,
)
from pywasm_filter.testing.envoy.client_connection import server_certificates
from pywasm_filter.testing.envoy.config import UPSTREAM_CLUSTER
from pywasm_filter.testing.envoy.tcp import TcpBench
from pywasm_filter.testing.envoy.translation import LEVEL_NAMES, log_lines
from pywasm_filter.testing.errors import AttributesNotSupported, PluginConfigurationError
from pywasm_filter.testing.metrics import Metrics
from pywasm_filter.testing.settings import PluginSettings

if TYPE_CHECKING:
    from pywasm_filter.testing.envoy.grpc_server import GrpcServer

_METRICS = "wasmcustom."
SHORT = 2.0
"""Seconds that Envoy may take to see a connection end, or a test's function to answer."""
_TRAP = "Function: "  # how Envoy's message of a failed callback begins


class RunningEnvoy:
    """Envoy with a plugin, and behind it an upstream for each cluster that requests are routed to.

    Its VMs live as long as it does: what a filter keeps in its module or its root context passes from one test to the
    next when they share it.
    """

    def __init__(self, modules: Sequence[Path], settings: PluginSettings) -> None:
        """`modules` has one for each plugin of the settings' chain."""
        if settings.attributes:
            raise AttributesNotSupported(
                "the setting `attributes` is for the embedded proxy: a real Envoy has its own. Limit the test with "
                "@pytest.mark.pywasm(hosts=['inprocess', 'wasmtime'])"
            )
        self.modules = tuple(modules)
        self.settings = settings
        self.grpc_servers: dict[str, GrpcServer] = {}
        self._cleanup = contextlib.ExitStack()

    def start(self) -> None:
        """Raises PluginConfigurationError when Envoy refuses the plugin, EnvoyNotFoundError without a binary.

        ImportError without grpcio, when there are gRPC clusters.
        """
        with contextlib.ExitStack() as cleanup:
            names = [UPSTREAM_CLUSTER, *(route.cluster for route in self.settings.routes)]
            self.upstreams = {
                name: cleanup.enter_context(contextlib.closing(Upstream())) for name in dict.fromkeys(names)
            }
            self.services = {
                name: cleanup.enter_context(contextlib.closing(Upstream())) for name in self.settings.clusters
            }
            for cluster in self.settings.grpc_clusters:
                self.grpc_servers[cluster] = cleanup.enter_context(contextlib.closing(_grpc_server(cluster)))
            ports, service_ports, grpc_ports = (
                {name: server.port for name, server in servers.items()}
                for servers in (self.upstreams, self.services, self.grpc_servers)
            )
            self.bench = cleanup.enter_context(TcpBench())
            if self.settings.protocol == "tcp":
                ports[UPSTREAM_CLUSTER] = self.bench.upstream_port
            self.process = EnvoyProcess(_envoy_settings(self.modules, self.settings, ports, service_ports, grpc_ports))
            try:
                cleanup.enter_context(self.process)
            except EnvoyStartError as error:
                raise PluginConfigurationError(str(error), log_lines(self.process.wasm_log_lines())) from error
            if self.settings.protocol == "tcp":
                self.bench.attach(self.process.address, self.process.echo_address)
            self.workers = cleanup.enter_context(WorkerChoice(self.process))
            self.start_up_lines = len(self.process.log_lines())
            self.start_up_metrics = self.metrics()
            self._cleanup = cleanup.pop_all()

    def close(self) -> None:
        """End Envoy and the upstreams."""
        self._cleanup.close()

    @property
    def usable(self) -> bool:
        """Whether Envoy runs and none of its VMs has trapped."""
        return self.process.exit_status() is None and not self.bench.stuck and not self.traps()

    def metrics(self) -> Metrics:
        """The plugin's metrics, from all its VMs."""
        named = [
            {name.removeprefix(_METRICS): value for name, value in values.items()}
            for values in self.process.metrics(_METRICS)
        ]
        return Metrics(*named)

    def await_no_connection(self, cluster: str) -> None:
        """Wait until Envoy knows that its connections to a cluster are gone."""
        name = f"cluster.{cluster}.upstream_cx_active"
        deadline = time.monotonic() + SHORT
        while self.process.stats(name).get(name) and time.monotonic() < deadline:
            time.sleep(0.005)

    def traps(self, since: int = 0) -> list[str]:
        """Envoy's messages of callbacks that failed."""
        return [line.message for line in self.process.log_lines(since) if line.message.startswith(_TRAP)]


def _grpc_server(cluster: str) -> GrpcServer:
    from pywasm_filter.testing.envoy.grpc_server import GrpcServer  # a large package, for these alone

    return GrpcServer(cluster)


def _envoy_settings(
    modules: Sequence[Path],
    settings: PluginSettings,
    upstream_ports: Mapping[str, int],
    clusters: Mapping[str, int],
    grpc_clusters: Mapping[str, int],
) -> EnvoySettings:
    routed = dict(upstream_ports)
    first, *further = (BuiltPlugin(*built) for built in zip(modules, settings.chain, strict=True))
    plugin = first.plugin
    return EnvoySettings(
        module=first.module,
        further_plugins=further,
        concurrency=settings.concurrency,
        protocol=settings.protocol,
        upstream_port=routed.pop(UPSTREAM_CLUSTER),
        routed_clusters=routed,
        routes=settings.routes,
        node=settings.node,
        metadata=settings.metadata,
        clusters=clusters,
        grpc_clusters=grpc_clusters,
        background_roots=settings.background_roots,
        root_id=plugin.root_id,
        plugin_name=plugin.plugin_name,
        vm_id=plugin.vm_id,
        configuration=plugin.configuration_bytes,
        vm_configuration=plugin.vm_configuration_bytes,
        environment=plugin.environment,
        buffer_limit_bytes=settings.buffer_limit_bytes,
        allow_on_headers_stop_iteration=plugin.allow_on_headers_stop_iteration,
        failure_policy=plugin.failure_policy,
        capabilities=plugin.capabilities,
        client_listener=True,
        certificates=server_certificates(),
        wasm_log_level=LEVEL_NAMES[settings.log_level],
    )
