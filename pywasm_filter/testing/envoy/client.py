"""The client in front of the proxy: one request over one connection, byte for byte as the test says."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import h11

from pywasm_filter.testing.envoy._http import (
    CHUNK_DELAY,
    MAX_HEAD_BYTES,
    READ_BYTES,
    BodyChunks,
    Header,
    frames,
    refusal_as_value_error,
    with_framing,
)
from pywasm_filter.testing.envoy.errors import EnvoyError


class ConnectionClosedError(EnvoyError):
    """The proxy ended the connection before its response was whole. `status` is None if not even a status came."""

    def __init__(self, status: int | None, headers: Sequence[Header], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        what = "without a response" if status is None else f"within its response ({status}, {len(body)} bytes of body)"
        super().__init__(f"the proxy closed the connection {what}")


class MalformedResponseError(EnvoyError):
    """The proxy answered what is not HTTP/1.1."""


@dataclass(frozen=True)
class ClientResponse:
    """A whole response, as it reached the client.

    `headers` and `trailers` are the raw pairs in the order of the wire, duplicates kept. `body_chunks` are the chunks
    of a chunked body, or the pieces of any other body as they were read.
    """

    status: int
    headers: tuple[Header, ...]
    body_chunks: tuple[bytes, ...] = ()
    trailers: tuple[Header, ...] = ()

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.body_chunks)


Connect = Callable[[tuple[str, int], float], socket.socket]
"""Opens a connection to an address, within so many seconds."""


def plain_connection(address: tuple[str, int], timeout: float) -> socket.socket:
    """Connect without TLS."""
    sock = socket.create_connection(address, timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def request(
    address: tuple[str, int],
    method: str = "GET",
    path: str = "/",
    headers: Sequence[Header] = (),
    body_chunks: Sequence[bytes] = (),
    trailers: Sequence[Header] = (),
    *,
    timeout: float = 30.0,
    chunk_delay: float = CHUNK_DELAY,
    connect: Connect = plain_connection,
) -> ClientResponse:
    """Send one request over a connection of its own and return the final response; 1xx responses are dropped.

    Headers go out in their order with duplicates and raw values (the codec writes `host` first); `host` is added when
    missing, and so is the framing of the body: one chunk with content-length, several or trailers as HTTP chunks, each
    written alone, `chunk_delay` seconds apart. Sending ends early when the proxy has answered by then. `timeout` is
    for the exchange as a whole, in seconds. `connect` opens the connection.

    Raises TimeoutError, ConnectionClosedError, MalformedResponseError, OSError when nobody listens, and ValueError
    for a request that HTTP/1.1 cannot say.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
    pieces = _request_frames(connection, address, method, path, headers, body_chunks, trailers)
    deadline = time.monotonic() + timeout
    with connect(address, timeout) as sock:
        exchange = _Exchange(sock, connection, deadline)
        try:
            exchange.send(pieces, chunk_delay)
            return exchange.response()
        except TimeoutError as error:
            raise TimeoutError(f"no whole response to {method} {path} within {timeout:g} s") from error


class _Exchange:
    """One request and its response on a connected socket."""

    def __init__(self, sock: socket.socket, connection: h11.Connection, deadline: float) -> None:
        self._sock = sock
        self._connection = connection
        self._deadline = deadline
        self._head: h11.Response | None = None
        self._body = BodyChunks()
        self._trailers: tuple[Header, ...] = ()
        self._ended = False

    def send(self, pieces: Sequence[bytes], delay: float) -> None:
        """Write the pieces `delay` seconds apart, until the response is whole."""
        for index, piece in enumerate(pieces):
            if index:
                self._read_for(delay)
            if self._ended:
                return
            self._sock.settimeout(self._remaining())
            try:
                self._sock.sendall(piece)
            except ConnectionError:
                # A proxy may answer and hang up before it has read everything: the answer is still to be read.
                return

    def response(self) -> ClientResponse:
        """Read to the end of the response."""
        while not self._ended:
            self._read()
        assert self._head is not None
        return ClientResponse(
            status=self._head.status_code,
            headers=tuple(self._head.headers.raw_items()),
            body_chunks=self._body.as_tuple(),
            trailers=self._trailers,
        )

    def _read_for(self, seconds: float) -> None:
        until = min(time.monotonic() + seconds, self._deadline)
        while not self._ended and select.select([self._sock], [], [], max(0.0, until - time.monotonic()))[0]:
            self._read()

    def _read(self) -> None:
        """Take over what the proxy has sent; wait for it if there is nothing yet."""
        self._sock.settimeout(self._remaining())
        try:
            data = self._sock.recv(READ_BYTES)
        except ConnectionError:
            data = b""
        try:
            self._connection.receive_data(data)
            while not self._ended and isinstance(event := self._connection.next_event(), h11.Event):
                self._handle(event)
        except h11.RemoteProtocolError as error:
            if data:
                raise MalformedResponseError(f"the proxy's response is malformed: {error}") from error
            raise self._closed() from error

    def _handle(self, event: h11.Event) -> None:
        match event:
            case h11.Response():
                self._head = event
            case h11.Data():
                self._body.add(event)
            case h11.EndOfMessage():
                self._trailers = tuple(event.headers.raw_items())
                self._ended = True
            case h11.ConnectionClosed():
                raise self._closed()

    def _closed(self) -> ConnectionClosedError:
        body = b"".join(self._body.as_tuple())
        if self._head is None:
            return ConnectionClosedError(None, (), body)
        return ConnectionClosedError(self._head.status_code, tuple(self._head.headers.raw_items()), body)

    def _remaining(self) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        return remaining


def _request_frames(
    connection: h11.Connection,
    address: tuple[str, int],
    method: str,
    path: str,
    headers: Sequence[Header],
    body_chunks: Sequence[bytes],
    trailers: Sequence[Header],
) -> list[bytes]:
    if not any(name.lower() == b"host" for name, _ in headers):
        headers = [(b"host", b"%s:%d" % (address[0].encode(), address[1])), *headers]
    with refusal_as_value_error():
        head = h11.Request(method=method, target=path, headers=with_framing(headers, body_chunks, trailers))
        return frames(connection, head, body_chunks, trailers)
