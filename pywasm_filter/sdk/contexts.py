"""The classes that a filter derives from: one root context a plugin, one HTTP context a request."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import Action, StreamType
from pywasm_filter.sdk.exceptions import host_error
from pywasm_filter.sdk.headers import HeaderPairs, encode_headers
from pywasm_filter.sdk.messages import Request, Response
from pywasm_filter.sdk.properties import Properties

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    RootT = TypeVar("RootT", bound="RootContext", default="RootContext")
else:
    from typing import TypeVar

    RootT = TypeVar("RootT", bound="RootContext")

_NO_GRPC_STATUS = 0xFFFF_FFFF
_LOWEST_STATUS, _HIGHEST_STATUS = 200, 999


class FailurePolicy(Enum):
    """What happens to a stream when an exception leaves one of its callbacks. It is always logged first."""

    FAIL_CLOSED = "fail_closed"
    """Answer 500; where the response has begun, reset the stream."""

    FAIL_OPEN = "fail_open"
    """Let the stream pass, without any further callback of this filter."""

    TRAP = "trap"
    """Trap the VM: the proxy handles it by its own policy, and all streams of this VM fail with it."""


class Context:
    """What root and stream contexts have in common."""

    context_id: Final[int]
    """The host's number for this context."""

    properties: Final = Properties()
    """Attributes of the connection, the request, the response and the plugin."""

    def __init__(self, context_id: int) -> None:
        self.context_id = context_id

    def on_context_create(self) -> None:
        """The context begins: set up its state here. ABI: proxy_on_context_create."""

    def on_done(self) -> bool:
        """The host is done with the context. False defers its end until `done` is called. ABI: proxy_on_done."""
        return True

    def on_log(self) -> None:
        """The stream is over; headers and trailers can be read once more. ABI: proxy_on_log."""

    def on_delete(self) -> None:
        """The host has forgotten the context; release what it holds. ABI: proxy_on_delete."""

    def done(self) -> None:
        """Complete the end that `on_done` deferred. ABI: proxy_done.

        Raises NotFound when no end is pending.
        """
        status = hostcalls.current.proxy_done()
        if status != 0:
            raise host_error("proxy_done", status)


class RootContext(Context):
    """The plugin itself: it reads the configuration and creates a context for each stream."""

    http_context: ClassVar[type[HttpContext[Any]] | None] = None
    """Class of the HTTP contexts; None when this root serves no HTTP streams."""

    failure_policy: ClassVar[FailurePolicy] = FailurePolicy.FAIL_CLOSED
    """What an exception in a stream's callback leads to."""

    def on_vm_start(self, vm_configuration: bytes) -> bool:
        """The VM starts. False, or an exception, makes the host refuse it. ABI: proxy_on_vm_start."""
        return True

    def on_configure(self, configuration: bytes) -> bool:
        """The plugin gets its configuration, as it stands in the proxy's.

        False, or an exception, makes the host refuse it. Envoy runs this once more than there are workers, to try the
        configuration out. ABI: proxy_on_configure.
        """
        return True

    def create_http_context(self, context_id: int) -> HttpContext[Any] | None:
        """The context of a new HTTP stream; None lets the stream pass untouched.

        By default an instance of `http_context`.
        """
        return None if self.http_context is None else self.http_context(context_id, self)


class HttpContext(Context, Generic[RootT]):
    """One HTTP exchange: a request and its response.

    Name the root's class in brackets to have it typed: `class AddHeader(HttpContext["AddHeaderRoot"])`.
    """

    request: Final = Request()
    """The request of this stream."""

    response: Final = Response()
    """The response of this stream."""

    root: RootT
    """The root context that created this one."""

    def __init__(self, context_id: int, root: RootT) -> None:
        super().__init__(context_id)
        self.root = root

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        """Request headers have arrived; `end_of_stream` tells that neither body nor trailers follow.

        PAUSE holds the request until `continue_request` or a local response. In Envoy the body is held back as well,
        and its callbacks do not come, unless the plugin's configuration has `allow_on_headers_stop_iteration: true`.
        ABI: proxy_on_request_headers.
        """
        return Action.CONTINUE

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        """A part of the request body has arrived; `body_size` counts the bytes that `request.body` holds.

        PAUSE makes the host collect the body: the next call sees all of it so far. ABI: proxy_on_request_body.
        """
        return Action.CONTINUE

    def on_request_trailers(self, num_trailers: int) -> Action:
        """Request trailers have arrived. ABI: proxy_on_request_trailers."""
        return Action.CONTINUE

    def on_request_metadata(self, num_elements: int) -> Action:
        """HTTP/2 metadata has arrived from downstream. ABI: proxy_on_request_metadata."""
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        """Response headers have arrived, from upstream or of a local response. ABI: proxy_on_response_headers."""
        return Action.CONTINUE

    def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        """A part of the response body has arrived; `body_size` counts the bytes that `response.body` holds.

        PAUSE makes the host collect the body: the next call sees all of it so far. ABI: proxy_on_response_body.
        """
        return Action.CONTINUE

    def on_response_trailers(self, num_trailers: int) -> Action:
        """Response trailers have arrived. ABI: proxy_on_response_trailers."""
        return Action.CONTINUE

    def on_response_metadata(self, num_elements: int) -> Action:
        """HTTP/2 metadata has arrived from upstream. ABI: proxy_on_response_metadata."""
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
        return Action.PAUSE

    def continue_request(self) -> None:
        """Resume the request that a callback paused. ABI: proxy_continue_stream."""
        self._continue(StreamType.HTTP_REQUEST)

    def continue_response(self) -> None:
        """Resume the response that a callback paused. ABI: proxy_continue_stream."""
        self._continue(StreamType.HTTP_RESPONSE)

    def reset(self) -> None:
        """Reset the stream: the client sees the exchange broken off. ABI: proxy_close_stream."""
        status = hostcalls.current.proxy_close_stream(StreamType.HTTP_REQUEST)
        if status != 0:
            raise host_error("proxy_close_stream", status)

    def _continue(self, stream_type: StreamType) -> None:
        status = hostcalls.current.proxy_continue_stream(stream_type)
        if status != 0:
            raise host_error("proxy_continue_stream", status)
