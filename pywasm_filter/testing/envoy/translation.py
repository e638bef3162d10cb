"""Messages and log lines between a test's own terms and those of Envoy's client, upstreams and log."""

from __future__ import annotations

from pywasm_filter.sdk.abi import LogLevel
from pywasm_filter.testing.answers import Delay, NoAnswer, Reset
from pywasm_filter.testing.clusters import Answer, Partial
from pywasm_filter.testing.envoy.client import ClientResponse
from pywasm_filter.testing.envoy.log import WasmLogLine
from pywasm_filter.testing.envoy.upstream import HangUp, RecordedRequest, Silence, UpstreamResponse
from pywasm_filter.testing.messages import Headers, LogLine, Request, Response
from pywasm_filter.testing.wire import end_to_end_headers, has_no_body

_LEVELS = {
    "trace": LogLevel.TRACE,
    "debug": LogLevel.DEBUG,
    "info": LogLevel.INFO,
    "warning": LogLevel.WARN,
    "error": LogLevel.ERROR,
    "critical": LogLevel.CRITICAL,
}
LEVEL_NAMES = {level: name for name, level in _LEVELS.items()}
"""Envoy's names of the levels."""


def request_of(recorded: RecordedRequest) -> Request:
    """A request as it reached an upstream."""
    headers = Headers(recorded.headers)
    return Request(
        recorded.method,
        recorded.path,
        authority=str(headers.get("host", "")),
        headers=end_to_end_headers(recorded.headers),
        body=recorded.body_chunks,
        trailers=recorded.trailers,
    )


def response_of(received: ClientResponse) -> Response:
    """A response as it reached the client."""
    return Response(
        received.status,
        headers=end_to_end_headers(received.headers),
        body=received.body_chunks,
        trailers=received.trailers,
    )


def is_callout(recorded: RecordedRequest) -> bool:
    """Whether a request comes from a plugin: Envoy marks these, and takes the mark off those of clients."""
    return (b"x-envoy-internal", b"true") in recorded.headers


def _server_response(response: Response, wait: float = 0.0) -> UpstreamResponse:
    bodyless = has_no_body(response.status)
    return UpstreamResponse(
        status=response.status,
        headers=response.headers.raw,
        body_chunks=response.chunks or (() if bodyless or response.trailers else (b"",)),
        trailers=response.trailers.raw,
        wait=wait,
    )


def played(answer: Answer, wait: float = 0.0) -> UpstreamResponse | HangUp | Silence:
    """What the server does; `wait` is the sum of the delays."""
    match answer:
        case Delay(seconds=seconds, answer=later):
            return played(later, wait + seconds)
        case Response():
            return _server_response(answer, wait)
        case Partial(response=response, then=Reset()):
            return HangUp(_server_response(response), wait)
        case Partial(response=response):
            return Silence(_server_response(response), wait)
        case Reset():
            return HangUp(wait=wait)
        case NoAnswer():
            return Silence()


def log_lines(lines: list[WasmLogLine]) -> list[LogLine]:
    """What the plugin itself has logged."""
    return [LogLine(_LEVELS[line.level], line.message, line.root_id) for line in lines]
