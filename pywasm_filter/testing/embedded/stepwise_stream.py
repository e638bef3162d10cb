"""A request through the embedded proxy, as a test drives it step by step."""

from __future__ import annotations

from functools import partial
from typing import NoReturn

from pywasm_filter.testing.clusters import Answer, check_answer
from pywasm_filter.testing.downstream import Downstream
from pywasm_filter.testing.embedded.header_map import HeaderMap, RequestHeaderMap
from pywasm_filter.testing.embedded.lifecycle import Plugins
from pywasm_filter.testing.embedded.stall import stall_reason
from pywasm_filter.testing.embedded.stream import HttpStream
from pywasm_filter.testing.embedded.upstream_side import UpstreamSide
from pywasm_filter.testing.errors import StreamStalled, TraceNotKept
from pywasm_filter.testing.exchange import Exchange
from pywasm_filter.testing.messages import Headers, HeadersInput, Request, Response, chunks_of
from pywasm_filter.testing.recorder import Recorder
from pywasm_filter.testing.stepwise import Stream
from pywasm_filter.testing.trace import Trace


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
        self._upstream = UpstreamSide(self._stream, plugins.events, self._settle)

    def send_all(self, request: Request, *, upstream_refuses: bool) -> None:
        """Send the whole request in the steps in which it leaves a client: the headers go with the first chunk."""
        stream = self._stream
        stream.upstream.refuses = upstream_refuses
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
        self._upstream.require_request()
        self._upstream.play(check_answer("the upstream", answer))
        self._settle()

    def respond_headers(self, status: int, headers: HeadersInput | None = None, *, end_stream: bool = False) -> None:
        """Begin an answer from the upstream."""
        self._upstream.send_headers(status, Headers(headers).raw, end_stream=end_stream)
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
        self._upstream.require_request()
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
