"""The embedded proxy: one plugin between a client and an upstream, all in this process."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from pywasm_filter.testing.answers import Refuse
from pywasm_filter.testing.clock import Clock, nanoseconds
from pywasm_filter.testing.clusters import Answer, Clusters
from pywasm_filter.testing.downstream import Downstream
from pywasm_filter.testing.embedded.connection import EmbeddedConnection
from pywasm_filter.testing.embedded.events import EventQueue, VirtualClock
from pywasm_filter.testing.embedded.header_map import HeaderMap, RequestHeaderMap, ResponseHeaderMap
from pywasm_filter.testing.embedded.lifecycle import Plugins
from pywasm_filter.testing.embedded.log import Log
from pywasm_filter.testing.embedded.pairs import Pair
from pywasm_filter.testing.embedded.routing import UPSTREAM_CLUSTER
from pywasm_filter.testing.embedded.stall import stall_reason
from pywasm_filter.testing.embedded.stream import HttpStream
from pywasm_filter.testing.embedded.upstream import UpstreamFailure, play
from pywasm_filter.testing.errors import StreamStalled, TraceNotKept, WrongProtocol
from pywasm_filter.testing.exchange import Exchange
from pywasm_filter.testing.faults import Faults
from pywasm_filter.testing.grpc import GrpcServices
from pywasm_filter.testing.guests import GuestFactory
from pywasm_filter.testing.messages import Headers, HeadersInput, LogLine, Request, Response, chunks_of
from pywasm_filter.testing.metrics import Metrics
from pywasm_filter.testing.proxy import Proxy
from pywasm_filter.testing.recorder import Recorder
from pywasm_filter.testing.settings import PluginSettings
from pywasm_filter.testing.stepwise import Stream
from pywasm_filter.testing.trace import Trace
from pywasm_filter.testing.wire import framing, has_no_body, response_framing

# How much time passes at most between two looks at a condition, which may depend on the clock alone.
_LONGEST_STEP_NS = 100_000_000

# What Envoy takes from the requests of clients that it does not trust, and what concerns one connection.
_DROPPED_AT_THE_EDGE = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"x-envoy-expected-rq-timeout-ms",
        b"x-envoy-force-trace",
        b"x-envoy-hedge-on-per-try-timeout",
        b"x-envoy-internal",
        b"x-envoy-ip-tags",
        b"x-envoy-max-retries",
        b"x-envoy-original-url",
        b"x-envoy-retriable-header-names",
        b"x-envoy-retriable-status-codes",
        b"x-envoy-retry-grpc-on",
        b"x-envoy-retry-on",
        b"x-envoy-upstream-alt-stat-name",
        b"x-envoy-upstream-rq-per-try-timeout-ms",
        b"x-envoy-upstream-rq-timeout-alt-response",
        b"x-envoy-upstream-rq-timeout-ms",
        b"x-envoy-upstream-stream-duration-ms",
        b"x-forwarded-client-cert",
    }
)


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
        stream.upstream_refuses = isinstance(self.upstream, Refuse)
        stream.send_all(request)
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
        headers = _request_map(request, downstream)
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


class EmbeddedStream(Stream):
    """A stream of the embedded proxy. Each step raises what the test must see: an unsupported hostcall, a misuse."""

    def __init__(self, plugins: Plugins, headers: RequestHeaderMap, connection_id: int, downstream: Downstream) -> None:
        self._plugins = plugins
        self._log = plugins.log
        self._first_line = len(plugins.log.lines)
        self._first_crossing = plugins.recorder.next_number
        self._stream = HttpStream(
            plugins.stream_handles(downstream.worker),
            plugins.settings,
            plugins.events,
            headers,
            connection_id,
            downstream,
        )

    @property
    def upstream_refuses(self) -> bool:
        """Whether the upstream refuses the connection; to be set before the request's headers pass."""
        return self._stream.upstream.refuses

    @upstream_refuses.setter
    def upstream_refuses(self, refuses: bool) -> None:
        self._stream.upstream.refuses = refuses

    def send_all(self, request: Request) -> None:
        """Send the whole request in the steps in which it leaves a client: the headers go with the first chunk."""
        stream = self._stream
        stream.receive_request_headers(not request.chunks and not request.trailers)
        for index, chunk in enumerate(request.chunks):
            if index:
                self._settle()
            stream.receive_request_body(chunk, False)
        if request.trailers:
            stream.receive_request_trailers(HeaderMap(request.trailers.raw))
        elif request.chunks:
            stream.receive_request_body(b"", True)
        self._settle()

    def begin(self, *, end_stream: bool) -> None:
        """Send the request's headers."""
        self._stream.receive_request_headers(end_stream)
        self._settle()

    def send_body(self, chunk: bytes | str, *, end_stream: bool = False) -> None:
        """Send a chunk of the request's body."""
        self._stream.receive_request_body(b"".join(chunks_of(chunk)), end_stream)
        self._settle()

    def send_trailers(self, trailers: HeadersInput) -> None:
        """Send the request's trailers."""
        self._stream.receive_request_trailers(HeaderMap(Headers(trailers).raw))
        self._settle()

    def send_metadata(self, metadata: HeadersInput) -> None:
        """Send a frame of HTTP/2 metadata."""
        if count := _element_count(metadata):
            self._stream.receive_request_metadata(count)
        self._settle()

    def respond(self, answer: Answer) -> None:
        """Let the upstream do what the answer says."""
        self._require_upstream()
        play(answer, self, self._plugins.events)
        self._settle()

    def take_failure(self, failure: UpstreamFailure) -> None:
        """The upstream breaks off."""
        self._stream.fail_upstream(failure)

    def take_response(self, response: Response, *, whole: bool) -> None:
        """Answer from the upstream; all but the last byte unless `whole`."""
        request = self._stream.upstream_request
        bodyless = has_no_body(response.status) or (request is not None and request.method == "HEAD")
        headers = [*response.headers.raw, *response_framing(response)]
        chunks = () if bodyless else response.chunks
        trailers = () if bodyless else response.trailers.raw
        if not whole:
            if bodyless:
                return
            chunks, trailers = (response.body[:-1],), ()
        self._respond_headers(response.status, headers, end_stream=not chunks and not trailers)
        for index, chunk in enumerate(chunks):
            if index:
                self._settle()
            self._stream.receive_response_body(chunk, False)
        if trailers:
            self._stream.receive_response_trailers(HeaderMap(trailers))
        elif chunks and whole:
            self._stream.receive_response_body(b"", True)
        self._settle()

    def respond_headers(self, status: int, headers: HeadersInput | None = None, *, end_stream: bool = False) -> None:
        """Begin an answer from the upstream."""
        self._respond_headers(status, Headers(headers).raw, end_stream=end_stream)
        self._settle()

    def respond_body(self, chunk: bytes | str, *, end_stream: bool = False) -> None:
        """Send a chunk of the upstream's body."""
        self._stream.receive_response_body(b"".join(chunks_of(chunk)), end_stream)
        self._settle()

    def respond_trailers(self, trailers: HeadersInput) -> None:
        """Send the upstream's trailers."""
        self._stream.receive_response_trailers(HeaderMap(Headers(trailers).raw))
        self._settle()

    def respond_metadata(self, metadata: HeadersInput) -> None:
        """Send a frame of HTTP/2 metadata from the upstream."""
        self._require_upstream()
        if count := _element_count(metadata):
            self._stream.receive_response_metadata(count)
        self._settle()

    def abort(self) -> None:
        """Go away, as a client does that loses patience."""
        self._stream.abort()
        self._settle()

    def stall(self) -> NoReturn:
        """Abort the stream and raise StreamStalled."""
        reason = stall_reason(self._stream)
        self.abort()
        raise StreamStalled(reason)

    @property
    def request_paused(self) -> bool:
        """Whether the plugin holds the request back."""
        return self._stream.request_chain.paused is not None

    @property
    def response_paused(self) -> bool:
        """Whether the plugin holds the response back."""
        return self._stream.response_chain.paused is not None

    @property
    def upstream_request(self) -> Request | None:
        """The request as far as the upstream has it."""
        return self._stream.upstream_request

    @property
    def complete_upstream_request(self) -> Request | None:
        """The request if the upstream has all of it."""
        return self._stream.upstream_request if self._stream.upstream_request_complete else None

    @property
    def response(self) -> Response | None:
        """The response as far as the client has it."""
        return self._stream.response

    @property
    def ended(self) -> bool:
        """Whether the stream is over."""
        return self._stream.info.ended

    @property
    def exchange(self) -> Exchange:
        """What has become of the request so far."""
        recorder = self._plugins.recorder
        return Exchange(
            response=self.response,
            upstream_request=self.complete_upstream_request,
            cluster=self._stream.cluster if self._stream.upstream_request_complete else None,
            logs=self._log.lines[self._first_line :],
            properties=self._stream.info.filter_state.properties(),
            trace=partial(_trace, recorder, self._first_crossing, recorder.next_number),
            reset=self._stream.was_reset,
        )

    def _respond_headers(self, status: int, headers: list[Pair], *, end_stream: bool) -> None:
        self._require_upstream()
        self._stream.receive_response_headers(ResponseHeaderMap([(b":status", b"%d" % status), *headers]), end_stream)

    def _require_upstream(self) -> None:
        if not self._stream.upstream_request:
            raise ValueError("the upstream cannot answer: the request's headers have not passed the filter yet")

    def _settle(self) -> None:
        """End a step: what is due by now happens."""
        self._plugins.raise_fault()
        self._plugins.events.run_due()
        self._plugins.raise_fault()


def _trace(recorder: Recorder, since: int, until: int) -> Trace:
    entries = recorder.entries(since, until)
    if len(entries) < until - since:
        raise TraceNotKept
    return Trace(entries, since)


def _element_count(metadata: HeadersInput) -> int:
    """How many elements Envoy keeps: the first of each name. A frame without any goes unnoticed."""
    return len({name for name, _ in Headers(metadata).raw})


def _request_map(request: Request, downstream: Downstream) -> RequestHeaderMap:
    """The headers as the first filter of Envoy sees them."""
    scheme = "https" if downstream.tls else "http"
    forwarded = request.headers.get("x-forwarded-proto")
    pseudo = [
        (b":authority", request.authority),
        (b":path", request.path),
        (b":method", request.method),
        (b":scheme", forwarded if forwarded in ("http", "https") else scheme),
    ]
    own = framing(request.headers, request.chunks, trailers=bool(request.trailers))
    given = [*request.headers.raw, *([] if own is None else [own])]
    headers = RequestHeaderMap([(name, value.encode("utf-8", "surrogateescape")) for name, value in pseudo])
    for name, value in given:
        if name.lower() not in _DROPPED_AT_THE_EDGE:
            headers.add(name, value)
    if headers.get(b"x-forwarded-proto") is None:
        headers.add(b"x-forwarded-proto", scheme.encode())
    return headers
