"""The two ends of a stream: the router, which has the request for the upstream, and the client with the response.

Both hold a body against its content-length: Envoy does not, and what then goes over the wire is cut off or hangs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from email.utils import formatdate

from pywasm_filter.testing.clock import nanoseconds
from pywasm_filter.testing.embedded.buffers import BodyBuffer
from pywasm_filter.testing.embedded.header_map import HeaderMap, RequestHeaderMap, ResponseHeaderMap
from pywasm_filter.testing.embedded.header_syntax import check_syntax
from pywasm_filter.testing.embedded.local_reply import LocalReply
from pywasm_filter.testing.embedded.pairs import Pair
from pywasm_filter.testing.embedded.response_flags import ResponseFlag
from pywasm_filter.testing.embedded.routing import find_route
from pywasm_filter.testing.embedded.stream_info import StreamInfo
from pywasm_filter.testing.embedded.upstream import HUNG_UP, UpstreamRequest
from pywasm_filter.testing.errors import ContentLengthMismatch, HostMisuse
from pywasm_filter.testing.messages import Headers, Request, Response
from pywasm_filter.testing.settings import Route
from pywasm_filter.testing.wire import as_parsed, end_to_end_headers, has_no_body

Reply = Callable[[LocalReply], None]

_MISSING_METHOD = LocalReply(
    503,
    b"missing required header: :method",
    details="filter_removed_required_request_headers{missing_required_header:_:method}",
    flag=ResponseFlag.DOWNSTREAM_PROTOCOL_ERROR,
)
_TIMEOUT_HEADER = b"x-envoy-upstream-rq-timeout-ms"

_MILLISECOND = 1_000_000
BODYLESS_METHODS = (b"GET", b"HEAD", b"DELETE", b"TRACE", b"CONNECT")


class Router:
    """Takes what the filter lets pass of the request."""

    def __init__(
        self,
        info: StreamInfo,
        routes: Sequence[Route],
        reply: Reply,
        now_ns: Callable[[], int],
        upstream: UpstreamRequest,
    ) -> None:
        self._info = info
        self._routes = routes
        self._reply = reply
        self._now_ns = now_ns
        self._upstream = upstream
        self._timeout_ns = 0
        self.cluster: str | None = None
        """The cluster that the request goes to; None before its headers have passed."""
        self._headers: list[Pair] | None = None
        self._trailers: list[Pair] = []
        self._chunks: list[bytes] = []
        self._request: Request | None = None  # as it was when it was asked for, until more passes
        self.complete = False

    @property
    def started(self) -> bool:
        """Whether the headers have passed."""
        return self._headers is not None

    def take_headers(self, headers: RequestHeaderMap, end_stream: bool) -> None:
        """Route the request, unless the filter has removed what that needs."""
        self._refresh_route()
        if self._info.route is None:
            self._reply(LocalReply(404, details="route_not_found", flag=ResponseFlag.NO_ROUTE_FOUND))
            return
        if headers.get(b":method") is None:
            self._reply(_MISSING_METHOD)
            return
        self._timeout_ns = nanoseconds(self._info.route.timeout)
        if (given := headers.get(_TIMEOUT_HEADER)) is not None:
            headers.remove(_TIMEOUT_HEADER)
            if given.isdigit():
                self._timeout_ns = int(given) * _MILLISECOND
        self.cluster = self._info.route.cluster
        self._info.upstream_attempts = 1
        self._info.upstream_start_time = self._now_ns()
        if headers.get(b":authority") is None:
            # Envoy sends it on, and HTTP/1.1 servers refuse what has no host.
            self._info.upstream_connected = True
            self._reply(HUNG_UP.reply)
            return
        check_syntax("the request", headers)
        self._request = None
        self._headers = list(headers)
        if end_stream and headers.get(b":method") not in BODYLESS_METHODS and headers.get(b"content-length") is None:
            self._headers.append((b"content-length", b"0"))
        self._upstream.begin()
        self._end(end_stream)

    def take_body(self, data: BodyBuffer, end_stream: bool) -> None:
        """Take a frame. A route that is found anew shows in attributes, and changes nothing else any more."""
        self._refresh_route()
        self._request = None
        self._chunks.append(data.take())
        self._end(end_stream)

    def take_trailers(self, trailers: HeaderMap) -> None:
        """Take the trailers."""
        check_syntax("the request", trailers)
        self._request = None
        self._trailers = list(trailers)
        self._end(True)

    def take_metadata(self, num_elements: int) -> None:
        """Metadata goes on to the upstream, where nothing shows it."""

    def _refresh_route(self) -> None:
        if self._info.route_is_stale:
            self._info.route = find_route(self._routes, self._info)
            self._info.route_is_stale = False

    def request(self) -> Request:
        """The request so far. AssertionError before the headers have passed."""
        assert self._headers is not None
        if self._request is None:
            fields = dict(self._headers)
            self._request = Request(
                _text(fields, b":method"),
                _text(fields, b":path"),
                authority=_text(fields, b":authority"),
                scheme=_text(fields, b":scheme"),
                headers=end_to_end_headers(self._headers),
                body=self._chunks,
                trailers=_sent_trailers(self._headers, self._trailers),
            )
        return self._request

    def _end(self, end_stream: bool) -> None:
        if end_stream:
            self.complete = not self._upstream.refuses
            self._upstream.complete(self._timeout_ns)
            _check_length("request", self._headers or [], self._chunks)


class Client:
    """Takes what the filter lets pass of the response."""

    def __init__(self, info: StreamInfo, head: bool, reply: Reply, ended: Callable[[], None]) -> None:
        self._info = info
        self._head = head
        self._reply = reply
        self._ended = ended
        self._status = 0
        self._headers: list[Pair] = []
        self._trailers: list[Pair] = []
        self._chunks: list[bytes] = []

    @property
    def started(self) -> bool:
        """Whether the headers have passed."""
        return self._status != 0

    def take_headers(self, headers: ResponseHeaderMap, end_stream: bool) -> None:
        """Send the headers, with those that Envoy adds; 502 without a status."""
        status = headers.get(b":status")
        if status is None or not status.isdigit():
            details = "filter_removed_required_response_headers{missing_required_header:_:status}"
            self._reply(LocalReply(502, b"missing required header: :status", details=details))
            return
        if not 200 <= int(status) <= 999:
            raise HostMisuse(f"the response has status {int(status)}: no client can read what Envoy makes of it")
        self._status = self._info.response_code = int(status)
        for name in (b"connection", b"keep-alive", b"transfer-encoding"):
            headers.remove(name)
        if headers.get(b"date") is None:
            headers.add(b"date", formatdate(usegmt=True).encode("ascii"))
        headers.set(b"server", b"envoy")
        check_syntax("the response", headers)
        self._headers = list(headers)
        if end_stream and not self._bodyless and headers.get(b"content-length") is None:
            self._headers.append((b"content-length", b"0"))
        self._end(end_stream)

    def take_body(self, data: BodyBuffer, end_stream: bool) -> None:
        """Send a frame; those of a response that has no body by definition are dropped."""
        chunk = data.take()
        if not self._bodyless:
            self._chunks.append(chunk)
            self._info.bytes_sent += len(chunk)
        self._end(end_stream)

    def take_trailers(self, trailers: HeaderMap) -> None:
        """Send the trailers."""
        check_syntax("the response", trailers)
        self._trailers = list(trailers)
        self._info.response_trailers = trailers
        self._end(True)

    def take_metadata(self, num_elements: int) -> None:
        """Metadata goes on to the client, where nothing shows it."""

    def response(self) -> Response | None:
        """The response so far; None before the headers have passed."""
        if not self.started:
            return None
        return Response(
            self._status,
            headers=end_to_end_headers(self._headers),
            body=self._chunks,
            trailers=_sent_trailers(self._headers, self._trailers),
        )

    @property
    def _bodyless(self) -> bool:
        return self._head or has_no_body(self._status)

    def _end(self, end_stream: bool) -> None:
        if end_stream:
            if not self._bodyless:
                _check_length("response", self._headers, self._chunks)
            self._ended()


def _text(fields: dict[bytes, bytes], name: bytes) -> str:
    return Headers([(name, fields[name])])[name] if name in fields else ""


def _sent_trailers(headers: list[Pair], trailers: list[Pair]) -> list[Pair]:
    """The trailers that leave: HTTP/1.1 has room for them behind a chunked body only."""
    return [] if any(name == b"content-length" for name, _ in headers) else as_parsed(trailers)


def _check_length(message: str, headers: list[Pair], chunks: list[bytes]) -> None:
    declared = dict(headers).get(b"content-length", b"")
    actual = sum(map(len, chunks))
    if declared.isdigit() and int(declared) != actual:
        raise ContentLengthMismatch(message, int(declared), actual)
