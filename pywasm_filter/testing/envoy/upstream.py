"""The service behind the proxy: an HTTP/1.1 server that records what reaches it and answers as told."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

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

# How often the accepting thread looks whether it shall end, in seconds: the longest that close() waits for it.
_POLL_INTERVAL = 0.05


@dataclass(frozen=True)
class RecordedRequest:
    """A request as it reached the upstream.

    `headers` and `trailers` are the raw pairs in the order of the wire, duplicates kept. `body_chunks` are the chunks
    of a chunked body, or the pieces of any other body as they were read. `complete` is false when the proxy hung up
    in the middle of it.
    """

    method: str
    path: str
    headers: tuple[Header, ...]
    body_chunks: tuple[bytes, ...] = ()
    trailers: tuple[Header, ...] = ()
    complete: bool = True

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.body_chunks)


@dataclass(frozen=True)
class UpstreamResponse:
    """What the upstream answers; as it stands: 200, no headers of its own, an empty body.

    One body chunk is sent with content-length, several (or any trailers) as HTTP chunks with `delay` seconds between
    them. `headers` may bring their own content-length or transfer-encoding. `wait` is how many seconds pass before any
    of it is sent.
    """

    status: int = 200
    headers: Sequence[Header] = ()
    body_chunks: Sequence[bytes] = (b"",)
    trailers: Sequence[Header] = ()
    delay: float = CHUNK_DELAY
    wait: float = 0.0


@dataclass(frozen=True)
class HangUp:
    """The upstream ends the connection after `wait` seconds; before that it sends `begun`, but not its last byte."""

    begun: UpstreamResponse | None = None
    wait: float = 0.0


@dataclass(frozen=True)
class Silence:
    """The upstream sends `begun`, but not its last byte, after `wait` seconds; then nothing until it is hung up on."""

    begun: UpstreamResponse | None = None
    wait: float = 0.0


Handler = Callable[[RecordedRequest], UpstreamResponse | HangUp | Silence]


def answer_empty_200(_request: RecordedRequest) -> UpstreamResponse:
    """Answer 200 with an empty body: the handler of an Upstream that was given none."""
    return UpstreamResponse()


class Upstream:
    """An HTTP/1.1 server on a free port of 127.0.0.1, a thread a connection; use it as a context manager.

    `handler` may be exchanged at any time; it runs in the connection's thread. When it raises, or answers what HTTP/1.1
    cannot say, the connection ends without an answer (Envoy then answers 503 by itself), `handler_errors` has the
    exception, and leaving the context raises it unless another exception is on its way.
    """

    def __init__(self, handler: Handler = answer_empty_200) -> None:
        self.handler = handler
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._handling = 0
        self._requests: list[RecordedRequest] = []
        self._handler_errors: list[Exception] = []
        self._connections: set[socket.socket] = set()
        self._closing = threading.Event()
        self._listener: _Listener | None = _Listener(0, self._serve)
        self._address = self._listener.address

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self._address

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self.address[1]

    @property
    def requests(self) -> tuple[RecordedRequest, ...]:
        """All requests so far, oldest first. A request is here before its answer leaves."""
        with self._lock:
            return tuple(self._requests)

    @property
    def handler_errors(self) -> tuple[Exception, ...]:
        """What the handlers raised so far, and a ValueError for each answer that HTTP/1.1 cannot say."""
        with self._lock:
            return tuple(self._handler_errors)

    def await_handlers(self, timeout: float) -> None:
        """Wait until no handler runs, or for `timeout` seconds."""
        with self._idle:
            self._idle.wait_for(lambda: not self._handling, timeout)

    def close(self) -> None:
        """Stop listening and hang up on every connection."""
        self._closing.set()
        self.refuse()

    def refuse(self) -> None:
        """Refuse connections from now on, and hang up on those that there are. Does nothing when that is so already."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):  # the proxy may have hung up first
                    connection.shutdown(socket.SHUT_RDWR)

    def accept(self) -> None:
        """Listen again after `refuse`, at the same address. Does nothing when it listens."""
        if self._listener is None:
            self._listener = _Listener(self.port, self._serve)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None and self._handler_errors:
            raise self._handler_errors[0]

    def _serve(self, sock: socket.socket) -> None:
        """Serve one connection until either side has enough of it."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._connections.add(sock)
        try:
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
            while not self._closing.is_set() and self._serve_request(sock, connection):
                connection.start_next_cycle()
        except ConnectionError:
            # The proxy may reset a connection whenever it likes; what had arrived is recorded.
            return
        finally:
            with self._lock:
                self._connections.discard(sock)

    def _serve_request(self, sock: socket.socket, connection: h11.Connection) -> bool:
        """Serve the next request; false when the connection ends with or before it."""
        request = _receive(sock, connection)
        if request is None:
            return False
        with self._lock:
            self._requests.append(request)
            self._handling += request.complete
        if not request.complete:
            return False
        try:
            answer = self.handler(request)
            response = answer if isinstance(answer, UpstreamResponse) else answer.begun
            pieces = [] if response is None else _response_frames(connection, request, response)
        except Exception as error:  # noqa: BLE001 - a test's own code: kept, and raised when the context ends
            with self._lock:
                self._handler_errors.append(error)
            return False
        finally:
            with self._idle:
                self._handling -= 1
                self._idle.notify_all()
        if answer.wait and self._closing.wait(answer.wait):
            return False
        if not isinstance(answer, UpstreamResponse):
            sock.sendall(_without_last_byte(b"".join(pieces)))
            if isinstance(answer, Silence):
                _await_end(sock)
            return False
        for index, piece in enumerate(pieces):
            if index and self._closing.wait(answer.delay):
                return False
            sock.sendall(piece)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE


class _Listener:
    """A listening socket with the thread that accepts connections from it."""

    def __init__(self, port: int, serve: Callable[[socket.socket], None]) -> None:
        self._server = _Server(port, serve)
        self._acceptor = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_INTERVAL,), name="upstream", daemon=True
        )
        self._acceptor.start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def close(self) -> None:
        """Accept no more; the connections stay."""
        self._server.shutdown()
        self._acceptor.join()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    """The sockets and threads of an Upstream."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True
    block_on_close = False  # connections outlive the listener

    def __init__(self, port: int, serve: Callable[[socket.socket], None]) -> None:
        self._serve_connection = serve
        super().__init__(("127.0.0.1", port), socketserver.BaseRequestHandler)

    def finish_request(self, request: object, client_address: object) -> None:
        """Serve one connection; the base class closes it afterwards."""
        assert isinstance(request, socket.socket)
        self._serve_connection(request)


def _await_end(sock: socket.socket) -> None:
    """Read until the proxy hangs up, or this side does."""
    while sock.recv(READ_BYTES):
        pass


def _receive(sock: socket.socket, connection: h11.Connection) -> RecordedRequest | None:
    """Read the next request; None when the proxy hung up before it."""
    head: h11.Request | None = None
    body = BodyChunks()
    trailers: tuple[Header, ...] = ()
    complete = False
    while not complete:
        match _next_event(sock, connection):
            case h11.Request() as head:
                pass
            case h11.Data() as data:
                body.add(data)
            case h11.EndOfMessage() as end:
                trailers = tuple(end.headers.raw_items())
                complete = True
            case _:
                break
    if head is None:
        return None
    return RecordedRequest(
        method=head.method.decode("latin-1"),
        path=head.target.decode("latin-1"),
        headers=tuple(head.headers.raw_items()),
        body_chunks=body.as_tuple(),
        trailers=trailers,
        complete=complete,
    )


def _next_event(sock: socket.socket, connection: h11.Connection) -> h11.Event | None:
    """Read until there is an event; None when the proxy hung up in the middle of a request."""
    try:
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(sock.recv(READ_BYTES))
    except (ConnectionError, h11.RemoteProtocolError):
        return None
    return event if isinstance(event, h11.Event) else None


def _without_last_byte(message: bytes) -> bytes:
    """A message up to the last byte of its body; nothing of one that has no body."""
    head, end_of_head, body = message.partition(b"\r\n\r\n")
    if not body:
        return b""
    if b"\r\ntransfer-encoding: chunked" not in head.lower():
        return message[:-1]
    # Behind the body come its last line end, the empty chunk, and trailers, which have no line of a single 0.
    whole, _, _ = body.rpartition(b"\r\n0\r\n")
    return head + end_of_head + whole[:-1]


def _response_frames(connection: h11.Connection, request: RecordedRequest, response: UpstreamResponse) -> list[bytes]:
    headers = with_framing(response.headers, response.body_chunks, response.trailers)
    bodyless = request.method == "HEAD" or response.status in (204, 304)
    with refusal_as_value_error():
        head = h11.Response(status_code=response.status, headers=headers)
        if bodyless:
            return frames(connection, head, (), ())
        return frames(connection, head, response.body_chunks, response.trailers)
