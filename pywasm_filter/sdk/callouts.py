"""HTTP callouts: requests that a filter sends to a cluster of the proxy's. The root context gets all answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import BufferType, MapType, Status
from pywasm_filter.sdk.body import read_buffer
from pywasm_filter.sdk.exceptions import host_error
from pywasm_filter.sdk.headers import HeaderPairs, Headers, encode_headers, encode_name, header_items, read_map
from pywasm_filter.sdk.tasks import Future
from pywasm_filter.sdk.timers import milliseconds

if TYPE_CHECKING:
    from pywasm_filter.sdk.contexts import Context

T = TypeVar("T")

# What Envoy answers by itself where no answer of the upstream's has come. One of the upstream's always has the header.
_LOCAL_STATUSES = (502, 503, 504)
_LOCAL_HEADERS = [b"content-length", b"content-type"]
_OVERLOADED = b"x-envoy-overloaded"  # where a circuit breaker is open, or the cluster is in maintenance mode
_GATEWAY_TIMEOUT = 504

# They are given by arguments of their own. Envoy would append a second one to the first: "/check,/../admin".
_GIVEN = (b":method", b":path", b":authority", b"host")


class CalloutError(Exception):
    """A callout came to nothing."""


class CalloutTimeout(CalloutError):  # noqa: N818 - reads as what happened
    """No answer came in time."""


class CalloutFailed(CalloutError):  # noqa: N818
    """No answer can come: an unknown cluster, no healthy host, a connection that is refused or reset.

    Also an answer that has begun and is broken off, or not complete in time.
    """


class HttpResponse:
    """The answer to an HTTP callout, complete."""

    __slots__ = ("body", "headers", "status", "trailers")

    def __init__(self, status: int, headers: Headers, body: bytes, trailers: Headers) -> None:
        self.status = status
        """The status code."""
        self.headers = headers
        """All headers but the pseudo-headers, such as `:status`."""
        self.body = body
        """The body; empty when there is none."""
        self.trailers = trailers
        """The trailers; empty when there are none."""

    @property
    def text(self) -> str:
        """The body as UTF-8; other bytes become U+FFFD."""
        return self.body.decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status}, {len(self.body)} bytes>"


class HttpCallout(Future[HttpResponse]):
    """A request that is under way. Await it for the answer, or `cancel` it: the answer is then ignored."""

    __slots__ = ("_call_id", "_cluster", "_owner", "_timeout")

    def __init__(self, owner: Context, cluster: str, timeout: float, call_id: int) -> None:
        super().__init__()
        self._owner = owner
        self._cluster = cluster
        self._timeout = timeout
        self._call_id = call_id

    def cancel(self) -> None:
        """Do not wait for the answer any longer. Proxies have no way to take the request back."""
        if not self._done:
            self._owner._plugin()._http_callouts.pop(self._call_id, None)
        super().cancel()


def send_http_call(
    owner: Context,
    cluster: str,
    method: str,
    path: str,
    headers: HeaderPairs,
    body: bytes | str,
    trailers: HeaderPairs,
    authority: str,
    timeout: float,
) -> HttpCallout:
    """Send the request; the callout completes in a later callback, or fails here. Raises as `Context.http_call`."""
    others = [(encode_name(name), value) for name, value in header_items(headers)]
    for name, _ in others:
        if name in _GIVEN:
            raise ValueError(f"{name.decode()!r} cannot be among the headers: say method, path and authority")
    start = encode_headers([(":method", method), (":path", path), (":authority", authority or cluster), *others])
    status, call_id = hostcalls.current.proxy_http_call(
        cluster.encode("utf-8", "surrogateescape"),
        start,
        body.encode("utf-8") if isinstance(body, str) else body,
        encode_headers(trailers),
        milliseconds(timeout, "a timeout"),
    )
    if status == Status.BAD_ARGUMENT:
        raise CalloutFailed(f"the proxy does not send to the cluster {cluster!r}: is it in its configuration?")
    if status == Status.INTERNAL_FAILURE:
        raise CalloutFailed(f"the proxy could not send to the cluster {cluster!r}")
    if status != 0:
        raise host_error("proxy_http_call", status)
    callout = HttpCallout(owner, cluster, timeout, call_id)
    owner._plugin()._http_callouts[call_id] = callout
    owner._enter_scope(callout)
    return callout


def complete_http_call(callout: HttpCallout, num_headers: int, body_size: int, num_trailers: int) -> None:
    """Take the answer from the host, in the callback that tells of it. ABI: proxy_on_http_call_response."""
    try:
        response = _read_response(callout, num_headers, body_size, num_trailers)
    except Exception as error:  # noqa: BLE001 - it is for who awaits the answer
        callout._complete(None, error)
    else:
        callout._complete(response, None)


def _read_response(callout: HttpCallout, num_headers: int, body_size: int, num_trailers: int) -> HttpResponse:
    if num_headers == 0:
        raise CalloutFailed(f"the answer of the cluster {callout._cluster!r} was broken off")
    entries = read_map(MapType.HTTP_CALL_RESPONSE_HEADERS).raw
    body = read_buffer(BufferType.HTTP_CALL_RESPONSE_BODY, 0, body_size) if body_size else b""
    trailers = read_map(MapType.HTTP_CALL_RESPONSE_TRAILERS) if num_trailers else Headers([])
    status = next((int(value) for name, value in entries if name == b":status"), 0)
    plain = Headers([(name, value) for name, value in entries if not name.startswith(b":")])
    if status in _LOCAL_STATUSES and sorted([name for name, _ in plain.raw if name != _OVERLOADED]) == _LOCAL_HEADERS:
        raise _failure(callout, status, body)
    return HttpResponse(status, plain, body, trailers)


def _failure(callout: HttpCallout, status: int, body: bytes) -> CalloutError:
    reason = body.decode("utf-8", "replace")
    if status == _GATEWAY_TIMEOUT:
        return CalloutTimeout(f"no answer from the cluster {callout._cluster!r} within {callout._timeout} s")
    return CalloutFailed(f"no answer from the cluster {callout._cluster!r}: {reason}")


async def tell_outcome(
    callout: Future[T], on_response: Callable[[T], None], on_failure: Callable[[CalloutError], None] | None
) -> None:
    """Await a callout and hand its outcome to functions of the author's."""
    failure: CalloutError | None = None
    try:
        response = await callout
    except CalloutError as error:
        if on_failure is None:
            raise
        failure = error
    if failure is None:
        on_response(response)
    elif on_failure is not None:
        on_failure(failure)
