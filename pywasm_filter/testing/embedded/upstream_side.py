"""The upstream's side of a stream, as a test scripts it or drives it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pywasm_filter.testing.answers import Delay, NoAnswer, Reset
from pywasm_filter.testing.clock import nanoseconds
from pywasm_filter.testing.clusters import Answer, Partial
from pywasm_filter.testing.embedded.events import EventQueue
from pywasm_filter.testing.embedded.header_map import HeaderMap, ResponseHeaderMap
from pywasm_filter.testing.embedded.pairs import Pair
from pywasm_filter.testing.embedded.stream import HttpStream
from pywasm_filter.testing.embedded.upstream import HUNG_UP
from pywasm_filter.testing.messages import Response
from pywasm_filter.testing.wire import has_no_body, response_framing


class UpstreamSide:
    """Answers one request; `settle` ends a step: what is due by then happens."""

    def __init__(self, stream: HttpStream, events: EventQueue, settle: Callable[[], None]) -> None:
        self._stream = stream
        self._events = events
        self._settle = settle

    def require_request(self) -> None:
        """Raise ValueError when there is nothing to answer."""
        if not self._stream.upstream_request:
            raise ValueError("the upstream cannot answer: the request's headers have not passed the filter yet")

    def play(self, answer: Answer) -> None:
        """Do what a test says, in virtual time."""
        if self._stream.info.ended:
            return
        match answer:
            case Response():
                self._send(answer, answer.chunks, answer.trailers.raw)
            case Delay(seconds=seconds, answer=later):
                self._events.schedule(nanoseconds(seconds), partial(self.play, later))
            case Partial(response=response, then=then):
                if not self._bodyless(response):
                    self._send(response, (response.body[:-1],), (), whole=False)
                self.play(then)
            case Reset():
                self._stream.fail_upstream(HUNG_UP)
            case NoAnswer():
                pass

    def send_headers(self, status: int, headers: Sequence[Pair], *, end_stream: bool) -> None:
        """Begin an answer. Raises ValueError when there is no request."""
        self.require_request()
        self._stream.receive_response_headers(ResponseHeaderMap([(b":status", b"%d" % status), *headers]), end_stream)

    def _send(
        self, response: Response, chunks: Sequence[bytes], trailers: Sequence[Pair], *, whole: bool = True
    ) -> None:
        """Send a response chunk by chunk; its end, too, if it is whole."""
        if self._bodyless(response):
            chunks, trailers = (), ()
        headers = [*response.headers.raw, *response_framing(response)]
        self.send_headers(response.status, headers, end_stream=not chunks and not trailers)
        for index, chunk in enumerate(chunks):
            if index:
                self._settle()
            self._stream.receive_response_body(chunk, False)
        if trailers:
            self._stream.receive_response_trailers(HeaderMap(trailers))
        elif chunks and whole:
            self._stream.receive_response_body(b"", True)
        self._settle()

    def _bodyless(self, response: Response) -> bool:
        request = self._stream.upstream_request
        return has_no_body(response.status) or (request is not None and request.method == "HEAD")
