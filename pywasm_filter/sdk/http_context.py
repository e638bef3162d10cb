"""The context of an HTTP stream: a request and its response."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import (
    Action,
    FilterDataStatus,
    FilterHeadersStatus,
    FilterMetadataStatus,
    FilterTrailersStatus,
    StreamType,
)
from pywasm_filter.sdk.contexts import Context, RootContext
from pywasm_filter.sdk.exceptions import host_error
from pywasm_filter.sdk.headers import HeaderPairs, encode_headers
from pywasm_filter.sdk.messages import Request, Response
from pywasm_filter.sdk.quoted import ignore_quoted_argument
from pywasm_filter.sdk.streams import close_stream, continue_stream

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from pywasm_filter.sdk.flow import RequestFlow, ResponseFlow

    RootT = TypeVar("RootT", bound="RootContext[Any]", default="RootContext[Any]")
else:
    from typing import TypeVar

    RootT = TypeVar("RootT", bound=RootContext)

_NO_GRPC_STATUS = 0xFFFF_FFFF
_LOWEST_STATUS, _HIGHEST_STATUS = 200, 999

HeadersResult: TypeAlias = Action | FilterHeadersStatus | Coroutine[Any, Any, Action | FilterHeadersStatus]
"""What a headers callback returns; from an async one only Action, or a status that stops."""

DataResult: TypeAlias = Action | FilterDataStatus | Coroutine[Any, Any, Action | FilterDataStatus]
"""What a body callback returns."""

TrailersResult: TypeAlias = Action | FilterTrailersStatus | Coroutine[Any, Any, Action | FilterTrailersStatus]
"""What a trailers callback returns."""

MetadataResult: TypeAlias = Action | FilterMetadataStatus
"""What a metadata callback returns, which Envoy ignores; it cannot wait."""


class HttpContext(Context, Generic[RootT]):
    """One HTTP exchange: a request and its response.

    Name the root's class in brackets to have it typed: `class AddHeader(HttpContext["AddHeaderRoot"])`.

    The headers, body and trailers callbacks may be `async def`. While such a callback awaits, its direction is paused:
    what arrives meanwhile is collected, and shown to the next callback of that direction in one piece once the
    coroutine has ended. CONTINUE from it resumes the direction. When the stream ends first, the coroutine gets
    CancelledError.
    """

    request: Final = Request()
    """The request of this stream."""

    response: Final = Response()
    """The response of this stream."""

    root: RootT
    """The root context that created this one."""

    # In the class until a stream needs its own: most never do.
    _request_flow: RequestFlow | None = None
    _response_flow: ResponseFlow | None = None
    _request_paused: bool = False
    _response_paused: bool = False
    _request_collecting: bool = False
    _response_collecting: bool = False
    _answered: bool = False

    def __init__(self, context_id: int, root: RootT) -> None:
        super().__init__(context_id)
        self.root = root

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> HeadersResult:
        """Request headers have arrived; `end_of_stream` tells that neither body nor trailers follow.

        PAUSE holds the request until `continue_request` or a local response. In Envoy the body is held back as well,
        and its callbacks do not come, unless the plugin's configuration has `allow_on_headers_stop_iteration: true`.
        ABI: proxy_on_request_headers.
        """
        return Action.CONTINUE

    def on_request_body(self, body_size: int, end_of_stream: bool) -> DataResult:
        """A part of the request body has arrived; `body_size` counts the bytes that `request.body` holds.

        PAUSE makes the host collect the body: the next call sees all of it so far. ABI: proxy_on_request_body.
        """
        return Action.CONTINUE

    def on_request_trailers(self, num_trailers: int) -> TrailersResult:
        """Request trailers have arrived, which end the request. The body can be changed here only if PAUSE has held it.

        By default a body that `on_request_body` collects with PAUSE is shown to it once more, with `end_of_stream` set:
        a host does not set it before trailers. ABI: proxy_on_request_trailers.
        """
        if not self._request_collecting:
            return Action.CONTINUE
        self._request_collecting = False
        return _of_trailers(self.on_request_body(len(self.request.body.read()), True))

    def on_request_metadata(self, num_elements: int) -> MetadataResult:
        """HTTP/2 metadata has arrived from downstream; `num_elements` counts its names.

        The proxy needs `allow_metadata: true` for it. The metadata itself cannot be read, and what is returned has no
        effect: neither direction pauses. ABI: proxy_on_request_metadata.
        """
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> HeadersResult:
        """Response headers have arrived, from upstream or of a local response. ABI: proxy_on_response_headers."""
        return Action.CONTINUE

    def on_response_body(self, body_size: int, end_of_stream: bool) -> DataResult:
        """A part of the response body has arrived; `body_size` counts the bytes that `response.body` holds.

        PAUSE makes the host collect the body: the next call sees all of it so far. ABI: proxy_on_response_body.
        """
        return Action.CONTINUE

    def on_response_trailers(self, num_trailers: int) -> TrailersResult:
        """Response trailers have arrived, which end the response. The body can be changed here only if PAUSE has held
        it.

        By default a body that `on_response_body` collects with PAUSE is shown to it once more, with `end_of_stream`
        set: a host does not set it before trailers. ABI: proxy_on_response_trailers.
        """
        if not self._response_collecting:
            return Action.CONTINUE
        self._response_collecting = False
        return _of_trailers(self.on_response_body(len(self.response.body.read()), True))

    def on_response_metadata(self, num_elements: int) -> MetadataResult:
        """HTTP/2 metadata has arrived from upstream; see `on_request_metadata`. ABI: proxy_on_response_metadata."""
        return Action.CONTINUE

    def send_local_response(
        self,
        status: int,
        *,
        headers: HeaderPairs = (),
        body: bytes | str = b"",
        details: str = "",
        grpc_status: int | None = None,
    ) -> Action:
        """Answer downstream from here; upstream gets nothing, or nothing more.

        The host sends it when the callback returns, through the response callbacks of this filter. Only the first
        answer of a stream counts. `status` is 200 to 999. `details` shows as `%RESPONSE_CODE_DETAILS%` in Envoy's
        access log. `grpc_status` is for gRPC clients; by default the host derives it from `status`. Text bodies are
        sent as UTF-8.

        Returns PAUSE, so that a callback can end with `return self.send_local_response(403)`.
        ABI: proxy_send_local_response. Raises HostError; ValueError for a status that no client could read, and for
        headers as `HeaderMap` does.
        """
        if not _LOWEST_STATUS <= status <= _HIGHEST_STATUS:
            raise ValueError(f"a response has a status from {_LOWEST_STATUS} to {_HIGHEST_STATUS}, not {status}")
        result = hostcalls.current.proxy_send_local_response(
            int(status),
            details.encode("utf-8", "surrogateescape"),
            body.encode("utf-8") if isinstance(body, str) else body,
            encode_headers(headers),
            _NO_GRPC_STATUS if grpc_status is None else grpc_status,
        )
        if result != 0:
            raise host_error("proxy_send_local_response", result)
        self._answered = True
        return Action.PAUSE

    def continue_request(self) -> None:
        """Resume the request that a callback paused. ABI: proxy_continue_stream."""
        self._request_paused = self._request_collecting = False
        continue_stream(StreamType.HTTP_REQUEST)

    def continue_response(self) -> None:
        """Resume the response that a callback paused. ABI: proxy_continue_stream."""
        self._response_paused = self._response_collecting = False
        continue_stream(StreamType.HTTP_RESPONSE)

    def reset(self) -> None:
        """Reset the stream: the client sees the exchange broken off. ABI: proxy_close_stream."""
        self._answered = True
        close_stream(StreamType.HTTP_REQUEST)

    def _plugin(self) -> RootContext[Any]:
        return self.root

    def _fail_closed(self) -> None:
        """500, unless the stream has an answer already: the author's, from on_exception."""
        if not self._answered:
            self.send_local_response(500, details="python_exception")

    def _let_pass(self) -> None:
        if self._answered:
            return
        if self._request_paused:
            self.continue_request()
        if self._response_paused:
            self.continue_response()


def _of_trailers(result: DataResult) -> TrailersResult:
    """The result of a body callback as one of a trailers callback."""
    if isinstance(result, Coroutine):
        return _awaited_of_trailers(result)
    return _status_of_trailers(result)


async def _awaited_of_trailers(
    result: Coroutine[Any, Any, Action | FilterDataStatus],
) -> Action | FilterTrailersStatus:
    return _status_of_trailers(await result)


def _status_of_trailers(result: Action | FilterDataStatus) -> Action | FilterTrailersStatus:
    if isinstance(result, FilterDataStatus):
        return FilterTrailersStatus(min(int(result), int(FilterTrailersStatus.STOP_ITERATION)))
    return result


ignore_quoted_argument(HttpContext)
