"""What sends requests to the proxy: the proxy itself, for a test that cares for no more, and clients of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from pywasm_filter.testing.connection import Connection
from pywasm_filter.testing.exchange import Exchange
from pywasm_filter.testing.messages import BodyInput, Headers, HeadersInput, Request
from pywasm_filter.testing.stepwise import Stream
from pywasm_filter.testing.wire import check_message

_DEFAULT_AUTHORITY = "localhost"


class Client(ABC):
    """Sends requests, each over a connection of its own, or opens TCP connections."""

    @abstractmethod
    def send(self, request: Request) -> Exchange:
        """Send a request through the plugin, and the upstream's answer back; see `request`."""

    @abstractmethod
    def open(self, method: str, path: str, *, headers: HeadersInput | None = None, end_stream: bool = False) -> Stream:
        """Begin a request, to be driven step by step: its headers go through the plugin now.

        Raises StepwiseNotSupported where the host cannot do that (a real Envoy).
        """

    @abstractmethod
    def connect(self) -> Connection:
        """Open a TCP connection through a plugin for TCP (`protocol="tcp"`): on_new_connection runs now.

        Raises WrongProtocol when the plugin is one for HTTP.
        """

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: HeadersInput | None = None,
        body: BodyInput = b"",
        trailers: HeadersInput | None = None,
    ) -> Exchange:
        """Send a request and wait for its end.

        A body in one piece has a content-length, a list is sent chunk by chunk. `host` among the headers is the
        authority. Raises ValueError for what HTTP/1.1 cannot say, StreamStalled when the filter pauses for good,
        HostMisuse for what breaks a real proxy, HostcallNotSupported, WrongProtocol, and what the upstream function
        raises.
        """
        return self.send(outgoing_request(method, path, headers=headers, body=body, trailers=trailers))

    def get(self, path: str = "/", *, headers: HeadersInput | None = None) -> Exchange:
        """Send a GET."""
        return self.request("GET", path, headers=headers)

    def head(self, path: str = "/", *, headers: HeadersInput | None = None) -> Exchange:
        """Send a HEAD."""
        return self.request("HEAD", path, headers=headers)

    def options(self, path: str = "/", *, headers: HeadersInput | None = None) -> Exchange:
        """Send an OPTIONS."""
        return self.request("OPTIONS", path, headers=headers)

    def delete(self, path: str = "/", *, headers: HeadersInput | None = None) -> Exchange:
        """Send a DELETE."""
        return self.request("DELETE", path, headers=headers)

    def post(
        self,
        path: str = "/",
        *,
        headers: HeadersInput | None = None,
        body: BodyInput = b"",
        trailers: HeadersInput | None = None,
    ) -> Exchange:
        """Send a POST."""
        return self.request("POST", path, headers=headers, body=body, trailers=trailers)

    def put(
        self,
        path: str = "/",
        *,
        headers: HeadersInput | None = None,
        body: BodyInput = b"",
        trailers: HeadersInput | None = None,
    ) -> Exchange:
        """Send a PUT."""
        return self.request("PUT", path, headers=headers, body=body, trailers=trailers)

    def patch(
        self,
        path: str = "/",
        *,
        headers: HeadersInput | None = None,
        body: BodyInput = b"",
        trailers: HeadersInput | None = None,
    ) -> Exchange:
        """Send a PATCH."""
        return self.request("PATCH", path, headers=headers, body=body, trailers=trailers)


def outgoing_request(
    method: str,
    path: str,
    *,
    headers: HeadersInput | None = None,
    body: BodyInput = b"",
    trailers: HeadersInput | None = None,
) -> Request:
    """A request as a client sends it; `host` among the headers becomes the authority.

    Raises ValueError for what HTTP/1.1 cannot say.
    """
    given = Headers(headers)
    _check_request_line(method, path)
    _check_names([*given.raw, *Headers(trailers).raw])
    request = Request(
        method,
        path,
        headers=given.without("host"),
        body=body,
        trailers=trailers,
        authority=str(given.get("host", _DEFAULT_AUTHORITY)),
    )
    check_message("request", request)
    return request


def _check_request_line(method: str, path: str) -> None:
    if not method.isascii() or not method.replace("-", "").isalnum():
        raise ValueError(f"not a method: {method!r}")
    if not (path.startswith("/") or path == "*") or not path.isascii() or not path.isprintable() or " " in path:
        raise ValueError(f"not a path: {path!r}; it begins with '/' and has all but printable ASCII escaped")
    if "#" in path:
        raise ValueError(f"a path goes out without its fragment: {path!r}; Envoy answers 400")


def _check_names(pairs: Sequence[tuple[bytes, bytes]]) -> None:
    for name, _ in pairs:
        if name.startswith(b":"):
            raise ValueError(f"{name.decode('latin-1')!r} is no header of its own: give method, path or host")
