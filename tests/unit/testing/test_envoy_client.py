"""The client, straight against the upstream and against servers that misbehave."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pywasm_filter.testing.envoy import (
    ConnectionClosedError,
    Header,
    MalformedResponseError,
    Upstream,
    UpstreamResponse,
    request,
)

# What HTTP/1.1 allows in a field: tokens for names; no controls and no outer blanks in values.
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_!#$&'*+.^`|~", min_size=1).map(lambda name: f"x{name}".encode())
VALUES = st.binary().map(lambda value: bytes(byte for byte in value if byte > 0x20 and byte != 0x7F))
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
CHUNKS = st.lists(st.binary(min_size=1, max_size=50), max_size=5)


@pytest.fixture(scope="module")
def echo() -> Iterator[Upstream]:
    """Answers every request with its own headers, body chunks and trailers."""
    with Upstream(
        lambda request: UpstreamResponse(
            200,
            [pair for pair in request.headers if pair[0].startswith(b"x")],
            request.body_chunks,
            request.trailers,
            delay=0,
        )
    ) as upstream:
        yield upstream


@contextlib.contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[tuple[str, int]]:
    """A server for one connection."""

    def serve() -> None:
        with listener.accept()[0] as sock, contextlib.suppress(ConnectionError):
            talk(sock)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[:2]
        thread.join()


def answering(data: bytes) -> Callable[[socket.socket], None]:
    """Read the request's head, write `data`, hang up."""

    def talk(sock: socket.socket) -> None:
        seen = b""
        while b"\r\n\r\n" not in seen:
            seen += sock.recv(65536)
        sock.sendall(data)

    return talk


@settings(deadline=None, max_examples=60)
@given(headers=PAIRS, chunks=CHUNKS, trailers=PAIRS)
def test_all_that_is_sent_arrives_and_returns(
    echo: Upstream, headers: list[Header], chunks: list[bytes], trailers: list[Header]
) -> None:
    before = len(echo.requests)
    response = request(echo.address, "POST", "/p?q=1", headers, chunks, trailers, chunk_delay=0)
    (received,) = echo.requests[before:]
    assert (received.method, received.path) == ("POST", "/p?q=1")
    assert [pair for pair in received.headers if pair[0].startswith(b"x")] == headers
    assert received.body == b"".join(chunks)
    assert received.trailers == tuple(trailers)
    if len(chunks) > 1 or trailers:
        assert received.body_chunks == tuple(chunks)
    assert [pair for pair in response.headers if pair[0].startswith(b"x")] == headers
    assert response.body == b"".join(chunks)
    assert response.trailers == tuple(trailers)


@pytest.mark.parametrize(
    ("headers", "chunks", "trailers", "expected"),
    [
        pytest.param([], [], [], [], id="no-body"),
        pytest.param([], [b""], [], [(b"content-length", b"0")], id="empty-body"),
        pytest.param([], [b"abc"], [], [(b"content-length", b"3")], id="one-chunk"),
        pytest.param([], [b"a", b"b"], [], [(b"transfer-encoding", b"chunked")], id="several-chunks"),
        pytest.param([], [], [(b"t", b"1")], [(b"transfer-encoding", b"chunked")], id="trailers"),
        pytest.param(
            [(b"Content-Length", b"2")], [b"a", b"b"], [], [(b"Content-Length", b"2")], id="own-content-length"
        ),
    ],
)
def test_framing(
    echo: Upstream, headers: list[Header], chunks: list[bytes], trailers: list[Header], expected: list[Header]
) -> None:
    before = len(echo.requests)
    request(echo.address, "POST", "/", [(b"host", b"h"), *headers], chunks, trailers)
    assert [*echo.requests[before].headers] == [(b"host", b"h"), *expected]


def test_host_is_added_only_when_missing(echo: Upstream) -> None:
    before = len(echo.requests)
    request(echo.address)
    request(echo.address, headers=[(b"a", b"b"), (b"Host", b"example.org")])
    with_default, with_own = echo.requests[before:]
    assert with_default.headers == ((b"host", b"127.0.0.1:%d" % echo.port),)
    assert with_own.headers == ((b"Host", b"example.org"), (b"a", b"b"))


def test_response_keeps_duplicates_order_and_bytes() -> None:
    with server(
        answering(b"HTTP/1.1 201 Whatever\r\nSet-Cookie: a\r\nb: \xff\r\nset-cookie: c\r\ncontent-length: 2\r\n\r\nok")
    ) as address:
        response = request(address)
    assert response.status == 201
    assert response.headers == (
        (b"Set-Cookie", b"a"),
        (b"b", b"\xff"),
        (b"set-cookie", b"c"),
        (b"content-length", b"2"),
    )
    assert response.body == b"ok"


def test_body_without_length_ends_with_the_connection() -> None:
    with server(answering(b"HTTP/1.1 200 OK\r\n\r\nall of it")) as address:
        assert request(address).body == b"all of it"


def test_interim_responses_are_dropped() -> None:
    with server(
        answering(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\na: b\r\n\r\n")
    ) as address:
        response = request(address)
    assert (response.status, response.headers) == (204, ((b"a", b"b"),))


def test_head_has_no_body() -> None:
    with server(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")) as address:
        assert request(address, "HEAD").body == b""


def test_chunks_are_written_one_by_one() -> None:
    reads: list[bytes] = []

    def talk(sock: socket.socket) -> None:
        while not reads or not reads[-1].endswith(b"0\r\n\r\n"):
            reads.append(sock.recv(65536))
        sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    with server(talk) as address:
        request(address, "POST", "/", [(b"host", b"h")], [b"one", b"two", b"three"], chunk_delay=0.1)
    assert reads == [
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n",
        b"3\r\ntwo\r\n",
        b"5\r\nthree\r\n0\r\n\r\n",
    ]


def test_early_response_ends_the_sending() -> None:
    with server(answering(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")) as address:
        start = time.monotonic()
        response = request(address, "POST", "/", (), [b"x"] * 100, chunk_delay=0.5)
    assert (response.status, response.body) == (413, b"big")
    assert time.monotonic() - start < 10


def test_early_response_is_read_though_the_proxy_hung_up() -> None:
    def talk(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass

    with server(talk) as address:
        response = request(address, "POST", "/", (), [b"x" * 200_000, b"y"], chunk_delay=0)
    assert (response.status, response.body) == (413, b"big")


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        pytest.param(b"", None, b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: ", None, b"", id="half-a-head"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", 200, b"half", id="half-a-body"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", 200, b"half", id="no-last-chunk"
        ),
    ],
)
def test_closed_connection(answer: bytes, status: int | None, body: bytes) -> None:
    with server(answering(answer)) as address, pytest.raises(ConnectionClosedError) as caught:
        request(address)
    assert (caught.value.status, caught.value.body) == (status, body)


@pytest.mark.parametrize("answer", [b"\x00\x01\x02\r\n\r\n", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"])
def test_malformed_response(answer: bytes) -> None:
    with server(answering(answer)) as address, pytest.raises(MalformedResponseError):
        request(address)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"])
def test_timeout(answer: bytes) -> None:
    done = threading.Event()

    def talk(sock: socket.socket) -> None:
        answering(answer)(sock)
        done.wait(5)

    with server(talk) as address:
        with pytest.raises(TimeoutError, match=r"no whole response to GET /slow within 0\.2 s"):
            request(address, path="/slow", timeout=0.2)
        done.set()


def test_timeout_while_sending() -> None:
    with server(lambda sock: time.sleep(0.5)) as address, pytest.raises(TimeoutError):
        request(address, "POST", "/", (), [b"x" * 50_000_000], timeout=0.2)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    with pytest.raises(ConnectionRefusedError):
        request(address)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"path": "/a b"}, id="blank-in-path"),
        pytest.param({"path": "/é"}, id="path-not-ascii"),
        pytest.param({"method": "G ET"}, id="method"),
        pytest.param({"headers": [(b"a", b"b\r\nc: d")]}, id="header-value"),
        pytest.param({"headers": [(b"a b", b"c")]}, id="header-name"),
        pytest.param({"headers": [(b"content-length", b"5")], "body_chunks": [b"abc"]}, id="too-little-body"),
        pytest.param({"headers": [(b"content-length", b"1")], "body_chunks": [b"abc"]}, id="too-much-body"),
    ],
)
def test_request_that_http_cannot_say(echo: Upstream, arguments: dict[str, object]) -> None:
    before = len(echo.requests)
    with pytest.raises(ValueError, match=r"cannot be sent over HTTP/1\.1"):
        request(echo.address, **arguments)  # type: ignore[arg-type]
    assert len(echo.requests) == before
