"""The built module inside a real Envoy, seen as any other proxy. Needs the extra `envoy`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from pywasm_filter.sdk.abi import LogLevel
from pywasm_filter.testing.clock import Clock, WallClock
from pywasm_filter.testing.envoy import (
    ClientResponse,
    ConnectionClosedError,
    EnvoyProcess,
    EnvoySettings,
    EnvoyStartError,
    FailurePolicy,
    MalformedResponseError,
    RecordedRequest,
    Upstream,
    UpstreamResponse,
    WasmLogLine,
    request,
)
from pywasm_filter.testing.envoy.config import UPSTREAM_CLUSTER
from pywasm_filter.testing.errors import AttributesNotSupported, HostMisuse, PluginConfigurationError, StreamStalled
from pywasm_filter.testing.exchange import Exchange
from pywasm_filter.testing.messages import Headers, LogLine, Request, Response
from pywasm_filter.testing.proxy import Proxy
from pywasm_filter.testing.settings import PluginSettings
from pywasm_filter.testing.wire import end_to_end_headers, has_no_body

_LEVELS = {
    "trace": LogLevel.TRACE,
    "debug": LogLevel.DEBUG,
    "info": LogLevel.INFO,
    "warning": LogLevel.WARN,
    "error": LogLevel.ERROR,
    "critical": LogLevel.CRITICAL,
}
_NAMES = {level: name for name, level in _LEVELS.items()}
_TRAP = "Function: "  # how Envoy's message of a failed callback begins


class RunningEnvoy:
    """Envoy with a plugin, and behind it an upstream for each cluster that requests are routed to.

    Its VMs live as long as it does: what a filter keeps in its module or its root context passes from one test to the
    next when they share it.
    """

    def __init__(self, module: Path, settings: PluginSettings) -> None:
        if settings.attributes:
            raise AttributesNotSupported(
                "the setting `attributes` is for the embedded proxy: a real Envoy has its own. Limit the test with "
                "@pytest.mark.pywasm(hosts=['inprocess', 'wasmtime'])"
            )
        self.module = module
        self.settings = settings
        self._cleanup = contextlib.ExitStack()

    def start(self) -> None:
        """Raises PluginConfigurationError when Envoy refuses the plugin, EnvoyNotFoundError without a binary."""
        with contextlib.ExitStack() as cleanup:
            names = [UPSTREAM_CLUSTER, *(route.cluster for route in self.settings.routes)]
            self.upstreams = {
                name: cleanup.enter_context(contextlib.closing(Upstream())) for name in dict.fromkeys(names)
            }
            ports = {name: upstream.port for name, upstream in self.upstreams.items()}
            self.process = EnvoyProcess(_envoy_settings(self.module, self.settings, ports))
            try:
                cleanup.enter_context(self.process)
            except EnvoyStartError as error:
                raise PluginConfigurationError(str(error), _own_lines(self.process.wasm_log_lines())) from error
            self.start_up_lines = len(self.process.log_lines())
            self._cleanup = cleanup.pop_all()

    def close(self) -> None:
        """End Envoy and the upstreams."""
        self._cleanup.close()

    @property
    def usable(self) -> bool:
        """Whether Envoy runs and none of its VMs has trapped."""
        return self.process.exit_status() is None and not self.traps()

    def traps(self, since: int = 0) -> list[str]:
        """Envoy's messages of callbacks that failed."""
        return [line.message for line in self.process.log_lines(since) if line.message.startswith(_TRAP)]


class EnvoyProxy(Proxy):
    """A proxy over a running Envoy.

    `timeout` is how long an exchange may take, in seconds: then it counts as stalled, since Envoy does not tell.
    """

    def __init__(self, envoy: RunningEnvoy, *, timeout: float = 10.0) -> None:
        super().__init__()
        self._envoy = envoy
        self._timeout = timeout
        self._first_line = len(envoy.process.log_lines())
        self._clock = WallClock()

    @property
    def clock(self) -> Clock:
        """Real time."""
        return self._clock

    @property
    def logs(self) -> list[LogLine]:
        """What the plugin has logged at its start and since this proxy was made."""
        process = self._envoy.process
        at_start = process.wasm_log_lines(until=self._envoy.start_up_lines)
        return _own_lines([*at_start, *process.wasm_log_lines(self._first_line)])

    @property
    def notes(self) -> list[str]:
        """Envoy's own warnings since this proxy was made, such as traps of the VM."""
        lines = self._envoy.process.log_lines(self._first_line)
        return [line.message for line in lines if line.is_at_least("warning") and not _is_plugins(line.message)]

    def send(self, request: Request) -> Exchange:
        """Send a request and wait for its end, or for the timeout."""
        first_line = len(self._envoy.process.log_lines())
        upstreams = self._envoy.upstreams
        earlier = {name: (len(entry.requests), len(entry.handler_errors)) for name, entry in upstreams.items()}
        for upstream in upstreams.values():
            upstream.handler = self._handle
        response, reset = self._roundtrip(request)
        for name, upstream in upstreams.items():
            for error in upstream.handler_errors[earlier[name][1] :]:
                raise error
        complete = [
            (name, entry)
            for name, upstream in upstreams.items()
            for entry in upstream.requests[earlier[name][0] :]
            if entry.complete
        ]
        cluster, recorded = complete[-1] if complete else (None, None)
        return Exchange(
            response=response,
            upstream_request=None if recorded is None else _request(recorded),
            cluster=cluster,
            logs=_own_lines(self._envoy.process.wasm_log_lines(first_line)),
            reset=reset,
        )

    def close(self) -> None:
        """Nothing to end: Envoy is shared."""

    def _roundtrip(self, outgoing: Request) -> tuple[Response | None, bool]:
        """The response, if any came, and whether the stream was reset."""
        host = (b"host", outgoing.authority.encode("utf-8", "surrogateescape"))
        try:
            return _response(
                request(
                    self._envoy.process.address,
                    outgoing.method,
                    outgoing.path,
                    [host, *outgoing.headers.raw],
                    outgoing.chunks,
                    outgoing.trailers.raw,
                    timeout=self._timeout,
                )
            ), False
        except ConnectionClosedError as closed:
            return (None if closed.status is None else Response(closed.status, body=closed.body)), True
        except MalformedResponseError as malformed:
            raise HostMisuse(str(malformed)) from malformed
        except TimeoutError as late:
            raise StreamStalled(
                f"{late}; the filter has paused for good, it seems: the same test on the embedded proxy "
                "(--pywasm-host=inprocess) says which callback did"
            ) from late

    def _handle(self, recorded: RecordedRequest) -> UpstreamResponse:
        """Runs in a thread of the upstream's."""
        response = self._answer(_request(recorded))
        bodyless = has_no_body(response.status)
        return UpstreamResponse(
            status=response.status,
            headers=response.headers.raw,
            body_chunks=response.chunks or (() if bodyless or response.trailers else (b"",)),
            trailers=response.trailers.raw,
        )


def _envoy_settings(module: Path, settings: PluginSettings, upstream_ports: Mapping[str, int]) -> EnvoySettings:
    routed = dict(upstream_ports)
    return EnvoySettings(
        module=module,
        upstream_port=routed.pop(UPSTREAM_CLUSTER),
        routed_clusters=routed,
        routes=settings.routes,
        node=settings.node,
        metadata=settings.metadata,
        root_id=settings.root_id,
        plugin_name=settings.plugin_name,
        vm_id=settings.vm_id,
        configuration=settings.configuration,
        vm_configuration=settings.vm_configuration,
        environment=settings.environment,
        buffer_limit_bytes=settings.buffer_limit_bytes,
        allow_on_headers_stop_iteration=settings.allow_on_headers_stop_iteration,
        failure_policy=FailurePolicy.FAIL_OPEN if settings.fail_open else FailurePolicy.FAIL_CLOSED,
        wasm_log_level=_NAMES[settings.log_level],
    )


def _own_lines(lines: list[WasmLogLine]) -> list[LogLine]:
    return [LogLine(_LEVELS[line.level], line.message, line.root_id) for line in lines]


def _is_plugins(message: str) -> bool:
    return message.startswith("wasm log")


def _request(recorded: RecordedRequest) -> Request:
    headers = Headers(recorded.headers)
    return Request(
        recorded.method,
        recorded.path,
        authority=str(headers.get("host", "")),
        headers=end_to_end_headers(recorded.headers),
        body=recorded.body_chunks,
        trailers=recorded.trailers,
    )


def _response(received: ClientResponse) -> Response:
    return Response(
        received.status,
        headers=end_to_end_headers(received.headers),
        body=received.body_chunks,
        trailers=received.trailers,
    )
