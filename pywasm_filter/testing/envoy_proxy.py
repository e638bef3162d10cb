"""The built module inside a real Envoy, seen as any other proxy. Needs the extra `envoy`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial

from pywasm_filter.testing.answers import Refuse
from pywasm_filter.testing.clock import NANOSECONDS, Clock, WallClock
from pywasm_filter.testing.clusters import ClusterAnswer, Clusters
from pywasm_filter.testing.downstream import Downstream
from pywasm_filter.testing.envoy import (
    ConnectionClosedError,
    HangUp,
    MalformedResponseError,
    RecordedRequest,
    Silence,
    UpstreamResponse,
    request,
)
from pywasm_filter.testing.envoy.client import plain_connection
from pywasm_filter.testing.envoy.client_connection import ClientConnector
from pywasm_filter.testing.envoy.translation import is_callout, log_lines, played, request_of, response_of
from pywasm_filter.testing.envoy_connection import EnvoyConnection
from pywasm_filter.testing.errors import (
    ClientsNotSupported,
    FaultsNotSupported,
    HostMisuse,
    StepwiseNotSupported,
    StreamStalled,
    TraceNotSupported,
    WrongProtocol,
)
from pywasm_filter.testing.exchange import Exchange
from pywasm_filter.testing.faults import Faults
from pywasm_filter.testing.grpc import GrpcService, GrpcServices
from pywasm_filter.testing.messages import LogLine, Request, Response
from pywasm_filter.testing.metrics import Metrics
from pywasm_filter.testing.proxy import Proxy
from pywasm_filter.testing.running_envoy import SHORT, RunningEnvoy
from pywasm_filter.testing.stepwise import Stream
from pywasm_filter.testing.trace import Trace
from pywasm_filter.testing.wire import end_to_end_headers

_POLL = 0.01  # seconds between two looks at a condition
_EMBEDDED_ONLY = "limit the test to the embedded proxy with @pytest.mark.pywasm(hosts=['inprocess', 'wasmtime'])"
_NO_TRACE = f"Envoy does not show what crosses between it and the plugin; {_EMBEDDED_ONLY}"


class EnvoyProxy(Proxy):
    """A proxy over a running Envoy.

    `timeout` is how long an exchange may take, in seconds: then it counts as stalled, since Envoy does not tell. A
    cluster's function runs in a thread of its own, and so does what answers gRPC callouts; what it raises is raised by
    the next exchange or wait.
    """

    def __init__(self, envoy: RunningEnvoy, *, timeout: float = 20.0) -> None:
        super().__init__(
            envoy.settings,
            Clusters(
                envoy.settings.clusters,
                self._cluster_changed,
                routed=tuple(envoy.upstreams),
                upstream=lambda: self.upstream,
            ),
            GrpcServices(envoy.settings.grpc_clusters, self._grpc_changed),
        )
        self._envoy = envoy
        self._timeout = timeout
        self._servers = envoy.upstreams | envoy.services
        self._server_errors = {name: len(server.handler_errors) for name, server in self._servers.items()}
        for name, service in envoy.services.items():
            service.handler = partial(self._serve, name)
            service.accept()
        for name, upstream in envoy.upstreams.items():
            upstream.handler = partial(self._handle, name)
            upstream.accept()
        self._grpc_errors: list[Exception] = []
        for cluster, server in envoy.grpc_servers.items():
            server.recorded, server.failed = self.grpc.calls.append, self._grpc_errors.append
            server.service = self.grpc[cluster]
        self._metrics_before = envoy.metrics()
        self._first_line = len(envoy.process.log_lines())
        self._turn = 0
        self._clock = _CheckedClock(self._raise_server_errors)

    @property
    def clock(self) -> Clock:
        """Real time."""
        return self._clock

    @property
    def address(self) -> tuple[str, int]:
        """Where Envoy listens, for a test with a client of its own."""
        return self._envoy.process.address

    @property
    def logs(self) -> list[LogLine]:
        """What the plugin has logged at its start and since this proxy was made."""
        process = self._envoy.process
        at_start = process.wasm_log_lines(until=self._envoy.start_up_lines)
        return log_lines([*at_start, *process.wasm_log_lines(self._first_line)])

    @property
    def notes(self) -> list[str]:
        """Envoy's own warnings since this proxy was made, such as traps of the VM."""
        lines = self._envoy.process.log_lines(self._first_line)
        return [line.message for line in lines if line.is_at_least("warning") and not _is_plugins(line.message)]

    @property
    def traps(self) -> list[str]:
        """Envoy's messages of callbacks that failed since this proxy was made."""
        return self._envoy.traps(self._first_line)

    @property
    def trace(self) -> Trace:
        """Raises TraceNotSupported."""
        raise TraceNotSupported(_NO_TRACE)

    @property
    def faults(self) -> Faults:
        """Raises FaultsNotSupported."""
        raise FaultsNotSupported(
            "a real Envoy lets no test between it and the plugin; limit the test with "
            "@pytest.mark.pywasm(hosts=['inprocess', 'wasmtime'])"
        )

    @property
    def metrics(self) -> Metrics:
        """The plugin's metrics: counted and recorded at its start and since this proxy was made."""
        now, start, before = self._envoy.metrics(), self._envoy.start_up_metrics, self._metrics_before
        return Metrics(
            _own_counts(now.counters, start.counters, before.counters),
            now.gauges,
            _own_counts(now.histograms, start.histograms, before.histograms),
        )

    def _send(self, request: Request, downstream: Downstream) -> Exchange:
        self._require("http", "a request")
        first_line = len(self._envoy.process.log_lines())
        upstreams = self._envoy.upstreams
        earlier = {name: len(upstream.requests) for name, upstream in upstreams.items()}
        with self._worker(downstream):
            response, reset = self._roundtrip(request, downstream)
        self._raise_server_errors()
        complete = [
            (name, entry)
            for name, upstream in upstreams.items()
            for entry in upstream.requests[earlier[name] :]
            if entry.complete and not is_callout(entry)
        ]
        cluster, recorded = complete[-1] if complete else (None, None)
        return Exchange(
            response=response,
            upstream_request=None if recorded is None else request_of(recorded),
            cluster=cluster,
            logs=log_lines(self._envoy.process.wasm_log_lines(first_line)),
            trace=lambda: self.trace,
            properties=None,
            reset=reset,
        )

    def _open(self, request: Request, downstream: Downstream, *, end_stream: bool) -> Stream:
        raise StepwiseNotSupported(f"EnvoyProxy cannot be driven step by step; {_EMBEDDED_ONLY}")

    def _connect(self, downstream: Downstream) -> EnvoyConnection:
        self._require("tcp", "a connection")
        if not downstream.is_direct:
            raise ClientsNotSupported(f"a real Envoy has no such clients for TCP plugins; {_EMBEDDED_ONLY}")
        return EnvoyConnection(self._envoy.bench, self.tcp_upstream)

    def close(self) -> None:
        """Break off the TCP connections; Envoy is shared. Raises what has been raised since the last step."""
        if self._envoy.settings.protocol == "tcp" and not self._envoy.bench.stuck:
            self._envoy.bench.reset_links()
        for server in self._servers.values():
            server.await_handlers(SHORT)
        self._raise_server_errors()

    def _pass_time(self, deadline_ns: int) -> bool:
        remaining = deadline_ns - self._clock.now_ns()
        self._clock.advance(max(min(_POLL, remaining / NANOSECONDS), 0))
        return remaining > 0

    def _require(self, protocol: str, asked: str) -> None:
        if self._envoy.settings.protocol != protocol:
            raise WrongProtocol(asked, protocol)

    def _worker(self, downstream: Downstream) -> contextlib.AbstractContextManager[None]:
        """Have that worker take the next connection, or the one whose turn it is."""
        workers = self._envoy.settings.concurrency
        number = downstream.worker
        if workers == 1 or (number is None and not downstream.is_direct):
            return contextlib.nullcontext()
        if not downstream.is_direct:
            raise ClientsNotSupported(
                "a client with a source or TLS of its own cannot choose a worker of a real Envoy's: give one of them, "
                f"or {_EMBEDDED_ONLY}"
            )
        if number is None:
            number, self._turn = self._turn, (self._turn + 1) % workers
        return self._envoy.workers.worker(number)

    def _roundtrip(self, outgoing: Request, downstream: Downstream) -> tuple[Response | None, bool]:
        """The response, if any came, and whether the stream was reset."""
        process = self._envoy.process
        host = (b"host", outgoing.authority.encode("utf-8", "surrogateescape"))
        try:
            return response_of(
                request(
                    process.address if downstream.is_direct else process.client_address,
                    outgoing.method,
                    outgoing.path,
                    [host, *outgoing.headers.raw],
                    outgoing.chunks,
                    outgoing.trailers.raw,
                    timeout=self._timeout,
                    connect=plain_connection if downstream.is_direct else ClientConnector(downstream),
                )
            ), False
        except ConnectionClosedError as closed:
            if closed.status is None:
                return None, True
            return Response(closed.status, headers=end_to_end_headers(closed.headers), body=closed.body), True
        except MalformedResponseError as malformed:
            raise HostMisuse(str(malformed)) from malformed
        except TimeoutError as late:
            raise StreamStalled(
                f"{late}; the filter has paused for good, it seems: the same test on the embedded proxy "
                "(--pywasm-host=inprocess) says which callback did"
            ) from late

    def _handle(self, cluster: str, recorded: RecordedRequest) -> UpstreamResponse | HangUp | Silence:
        """Runs in a thread of the upstream's."""
        return self._serve(cluster, recorded) if is_callout(recorded) else played(self._answer(request_of(recorded)))

    def _serve(self, cluster: str, recorded: RecordedRequest) -> UpstreamResponse | HangUp | Silence:
        """Runs in a thread of the cluster's."""
        return played(self.clusters.arrive(cluster, request_of(recorded)))

    def _upstream_changed(self) -> None:
        for cluster in self._envoy.upstreams:
            self._cluster_changed(cluster, self.upstream)

    def _cluster_changed(self, cluster: str, answer: ClusterAnswer) -> None:
        server = self._servers[cluster]
        if isinstance(answer, Refuse):
            server.refuse()
            self._envoy.await_no_connection(cluster)
        else:
            server.accept()

    def _grpc_changed(self, cluster: str, service: GrpcService) -> None:
        self._envoy.grpc_servers[cluster].service = service
        if isinstance(service, Refuse):
            self._envoy.await_no_connection(cluster)

    def _raise_server_errors(self) -> None:
        for name, server in self._servers.items():
            errors = server.handler_errors[self._server_errors[name] :]
            self._server_errors[name] += len(errors)
            for error in errors:
                raise error
        errors, self._grpc_errors[:] = tuple(self._grpc_errors), []
        for error in errors:
            raise error


class _CheckedClock(WallClock):
    """Real time; after each wait, `check` raises what the test must see."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def advance(self, seconds: float) -> None:
        """Wait."""
        super().advance(seconds)
        self._check()


def _own_counts(now: Mapping[str, int], start: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Counts without those of earlier proxies over the same Envoy."""
    return {name: count - before.get(name, 0) + start.get(name, 0) for name, count in now.items()}


def _is_plugins(message: str) -> bool:
    return message.startswith("wasm log")
