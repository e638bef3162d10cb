"""The embedded proxy: one plugin between a client and an upstream, all in this process."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pywasm_filter.testing.answers import Refuse
from pywasm_filter.testing.clock import Clock, nanoseconds
from pywasm_filter.testing.clusters import Clusters
from pywasm_filter.testing.downstream import Downstream
from pywasm_filter.testing.embedded.connection import EmbeddedConnection
from pywasm_filter.testing.embedded.edge import request_map
from pywasm_filter.testing.embedded.events import EventQueue, VirtualClock
from pywasm_filter.testing.embedded.lifecycle import Plugins
from pywasm_filter.testing.embedded.log import Log
from pywasm_filter.testing.embedded.routing import UPSTREAM_CLUSTER
from pywasm_filter.testing.embedded.stepwise_stream import EmbeddedStream
from pywasm_filter.testing.errors import WrongProtocol
from pywasm_filter.testing.exchange import Exchange
from pywasm_filter.testing.faults import Faults
from pywasm_filter.testing.grpc import GrpcServices
from pywasm_filter.testing.guests import GuestFactory
from pywasm_filter.testing.messages import LogLine, Request
from pywasm_filter.testing.metrics import Metrics
from pywasm_filter.testing.proxy import Proxy
from pywasm_filter.testing.recorder import Recorder
from pywasm_filter.testing.settings import PluginSettings
from pywasm_filter.testing.trace import Trace

# How much time passes at most between two looks at a condition, which may depend on the clock alone.
_LONGEST_STEP_NS = 100_000_000


class EmbeddedProxy(Proxy):
    """Runs the plugin in a guest of this process; a fresh VM a proxy, as if nothing had gone before."""

    def __init__(
        self,
        make_guest: GuestFactory | Sequence[GuestFactory],
        settings: PluginSettings | None = None,
        *,
        start_ns: int | None = None,
        timeout: float = 20.0,
    ) -> None:
        """Start the plugins.

        `make_guest` makes the guests of all plugins, or there is one for each plugin of the settings' chain; plugins
        of one module have one and the same.
        `start_ns` is what the virtual clock shows then, in nanoseconds since the Unix epoch; the machine's time if
        None. `timeout` is how much virtual time a whole exchange may take, in seconds: then it counts as stalled.

        Raises PluginConfigurationError when the plugin refuses to start, and what `make_guest` raises.
        """
        settings = settings or PluginSettings()
        routed = [UPSTREAM_CLUSTER, *(route.cluster for route in settings.routes)]
        clusters = Clusters(settings.clusters, routed=routed, upstream=lambda: self.upstream)
        super().__init__(settings, clusters, GrpcServices(settings.grpc_clusters))
        make_guests = [make_guest] * len(settings.chain) if callable(make_guest) else make_guest
        self._log = Log(self.settings.log_level)
        self._events = EventQueue(start_ns)
        self._recorder = Recorder(self._events.now_ns, settings.trace_length)
        self._plugins = Plugins(
            make_guests, self.settings, self._log, self._events, self._recorder, self.clusters, self.grpc
        )
        self._timeout_ns = nanoseconds(timeout)
        self._connection_ids = itertools.count(1)
        self._connections: list[EmbeddedConnection] = []
        self._closed = False

    @property
    def clock(self) -> Clock:
        """Virtual time."""
        return VirtualClock(self._events, self._settle)

    @property
    def logs(self) -> list[LogLine]:
        """What the plugin has logged since its start."""
        return list(self._log.lines)

    @property
    def notes(self) -> list[str]:
        """Traps of the VM, and what else Envoy would say."""
        return list(self._log.notes)

    @property
    def traps(self) -> list[str]:
        """Traps of the VM."""
        return list(self._log.traps)

    @property
    def trace(self) -> Trace:
        """What has crossed between the proxy and the plugin."""
        return Trace(self._recorder.entries())

    @property
    def faults(self) -> Faults:
        """The faults of all VMs."""
        return self._plugins.faults

    @property
    def metrics(self) -> Metrics:
        """The metrics of all VMs."""
        return self._plugins.metric_values.snapshot()

    def _send(self, request: Request, downstream: Downstream) -> Exchange:
        deadline = self._events.now_ns() + self._timeout_ns
        stream = self._stream(request, downstream)
        stream.send_all(request, upstream_refuses=isinstance(self.upstream, Refuse))
        while not stream.ended and stream.complete_upstream_request is None:
            if not self._wait(deadline):
                stream.stall()
        if not stream.ended and stream.complete_upstream_request is not None:
            stream.respond(self._answer(stream.complete_upstream_request))
        while not stream.ended:
            if not self._wait(deadline):
                stream.stall()
        return stream.exchange

    def _open(self, request: Request, downstream: Downstream, *, end_stream: bool) -> EmbeddedStream:
        stream = self._stream(request, downstream)
        stream.begin(end_stream=end_stream)
        return stream

    def _stream(self, request: Request, downstream: Downstream) -> EmbeddedStream:
        self._require("http", "a request")
        headers = request_map(request, downstream)
        seen = downstream.of_request(headers.joined(b"x-forwarded-for"))
        return EmbeddedStream(self._plugins, headers, next(self._connection_ids), seen)

    def _connect(self, downstream: Downstream) -> EmbeddedConnection:
        self._require("tcp", "a connection")
        connection = EmbeddedConnection(
            self._plugins, next(self._connection_ids), self.tcp_upstream, self._settle, downstream
        )
        self._connections.append(connection)
        connection.accept()
        return connection

    def call_back_foreign_function(self, function_id: int, arguments: bytes = b"") -> None:
        """Call the plugin back from a foreign function."""
        if not 0 <= function_id < 1 << 32:
            raise ValueError(f"the id of a foreign function is an unsigned 32-bit number, not {function_id}")
        self._plugins.call_back_foreign_function(function_id, arguments)
        self._settle()

    def close(self) -> None:
        """Break off the TCP connections and end the plugin: on_done and on_delete of its root context."""
        if not self._closed:
            self._closed = True
            for connection in self._connections:
                connection.break_off()
            self._plugins.shut_down()

    def _pass_time(self, deadline_ns: int) -> bool:
        now = self._events.now_ns()
        step_ends = min(deadline_ns, now + _LONGEST_STEP_NS)
        if not self._wait(step_ends):
            self._events.advance(max(step_ends - now, 0))
        return now < deadline_ns

    def _require(self, protocol: str, asked: str) -> None:
        if self.settings.protocol != protocol:
            raise WrongProtocol(asked, protocol)

    def _settle(self) -> None:
        """End a step of a TCP connection: what is due by now happens, and the upstreams answer."""
        self._run_due()
        while any(connection.answer() for connection in self._connections):
            self._run_due()

    def _run_due(self) -> None:
        self._plugins.raise_fault()
        self._plugins.events.run_due()
        self._plugins.raise_fault()

    def _wait(self, deadline_ns: int) -> bool:
        """Let time pass to what happens next; false if nothing does until the deadline."""
        happened = self._events.advance_to_next(deadline_ns)
        self._plugins.raise_fault()
        return happened
