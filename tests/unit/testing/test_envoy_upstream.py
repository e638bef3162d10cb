"""The upstream, spoken to over bare sockets: what it records and the exact bytes it answers."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from pywasm_filter.testing.envoy import HangUp, RecordedRequest, Silence, Upstream, UpstreamResponse


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@contextlib.contextmanager
def connected(upstream: Upstream) -> Iterator[socket.socket]:
    with socket.create_connection(upstream.address, timeout=5) as sock:
        yield sock


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        piece = sock.recv(65536)
        assert piece, f"closed after {data!r}"
        data += piece
    return data


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def wait_for_requests(upstream: Upstream, count: int) -> tuple[RecordedRequest, ...]:
    deadline = time.monotonic() + 5
    while len(upstream.requests) < count:
        assert time.monotonic() < deadline, f"{len(upstream.requests)} of {count} requests"
        time.sleep(0.005)
    return upstream.requests


def test_default_answer_is_an_empty_200(upstream: Upstream) -> None:
    with connected(upstream) as sock:
        sock.sendall(b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n")
        assert read_until(sock, b"\r\n\r\n") == b"HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n"
    assert upstream.requests == (RecordedRequest("GET", "/a?b=c", ((b"Host", b"h"),)),)


def test_headers_are_recorded_as_they_stood_on_the_wire(upstream: Upstream) -> None:
    with connected(upstream) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nX-A: 1\r\nhost: h\r\nx-b: \xff\xfe\r\nx-a: 2\r\nX-A:  3 \r\nempty:\r\n\r\n")
        read_until(sock, b"\r\n\r\n")
    assert upstream.requests[0].headers == (
        (b"X-A", b"1"),
        (b"host", b"h"),
        (b"x-b", b"\xff\xfe"),
        (b"x-a", b"2"),
        (b"X-A", b"3"),
        (b"empty", b""),
    )


def test_chunks_are_recorded_as_framed_not_as_read(upstream: Upstream) -> None:
    with connected(upstream) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n6\r\ntwo")
        time.sleep(0.05)  # the second chunk arrives in two reads
        sock.sendall(b"two\r\n0\r\nX-T: 1\r\nx-t: 2\r\n\r\n")
        read_until(sock, b"\r\n\r\n")
    request = upstream.requests[0]
    assert request.body_chunks == (b"one", b"twotwo")
    assert request.body == b"onetwotwo"
    assert request.trailers == ((b"X-T", b"1"), (b"x-t", b"2"))
    assert request.complete


def test_one_connection_carries_several_requests(upstream: Upstream) -> None:
    with connected(upstream) as sock:
        for number in range(3):
            sock.sendall(b"POST /%d HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi" % number)
            read_until(sock, b"\r\n\r\n")
    assert [(request.path, request.body) for request in upstream.requests] == [
        ("/0", b"hi"),
        ("/1", b"hi"),
        ("/2", b"hi"),
    ]


def test_request_is_recorded_before_its_answer(upstream: Upstream) -> None:
    seen: list[int] = []

    def count(_request: RecordedRequest) -> UpstreamResponse:
        seen.append(len(upstream.requests))
        return UpstreamResponse()

    upstream.handler = count
    with connected(upstream) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        read_until(sock, b"\r\n\r\n")
    assert seen == [1]


@pytest.mark.parametrize(
    ("response", "wire"),
    [
        pytest.param(
            UpstreamResponse(404, [(b"X-A", b"1"), (b"x-a", b"\xff")], [b"gone"]),
            b"HTTP/1.1 404 \r\nX-A: 1\r\nx-a: \xff\r\ncontent-length: 4\r\n\r\ngone",
            id="one-chunk-with-content-length",
        ),
        pytest.param(
            UpstreamResponse(200, [], [b"one", b"three"]),
            b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n5\r\nthree\r\n0\r\n\r\n",
            id="several-chunks",
        ),
        pytest.param(
            UpstreamResponse(200, [], [b"one"], [(b"t", b"1"), (b"t", b"2")]),
            b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\nt: 1\r\nt: 2\r\n\r\n",
            id="trailers",
        ),
        pytest.param(
            UpstreamResponse(200, [(b"content-length", b"6")], [b"one", b"two"]),
            b"HTTP/1.1 200 \r\ncontent-length: 6\r\n\r\nonetwo",
            id="own-content-length",
        ),
        pytest.param(UpstreamResponse(204, body_chunks=[]), b"HTTP/1.1 204 \r\n\r\n", id="no-content"),
    ],
)
def test_answer_on_the_wire(upstream: Upstream, response: UpstreamResponse, wire: bytes) -> None:
    upstream.handler = lambda _request: response
    with connected(upstream) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: keep-alive\r\n\r\n")
        assert read_until(sock, wire[-8:]) == wire


def test_head_is_answered_without_the_body(upstream: Upstream) -> None:
    upstream.handler = lambda _request: UpstreamResponse(body_chunks=[b"hello"])
    with connected(upstream) as sock:
        sock.sendall(b"HEAD / HTTP/1.1\r\nhost: h\r\n\r\n")
        assert read_until(sock, b"\r\n\r\n") == b"HTTP/1.1 200 \r\ncontent-length: 5\r\n\r\n"
        sock.sendall(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")  # the connection is still in step
        assert read_until(sock, b"hello").startswith(b"HTTP/1.1 200 ")


def test_delay_separates_the_chunks(upstream: Upstream) -> None:
    upstream.handler = lambda _request: UpstreamResponse(body_chunks=[b"one", b"two"], delay=0.2)
    with connected(upstream) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        assert read_until(sock, b"one\r\n")
        start = time.monotonic()
        assert read_until(sock, b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"
    assert time.monotonic() - start > 0.1


def test_unfinished_request_is_recorded_as_such(upstream: Upstream) -> None:
    with connected(upstream) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhalf")
    (request,) = wait_for_requests(upstream, 1)
    assert not request.complete
    assert request.body == b"half"


def test_connection_without_a_request_leaves_no_record(upstream: Upstream) -> None:
    with connected(upstream) as sock:
        sock.sendall(b"not http\r\n\r\n")
        assert read_all(sock) == b""
    assert upstream.requests == ()


def get_and_leave(upstream: Upstream) -> bytes:
    """All that comes back for one request in the context of `upstream`."""
    with upstream, connected(upstream) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        return read_all(sock)


def test_handler_that_raises_ends_the_connection_and_then_the_context() -> None:
    def fail(_request: RecordedRequest) -> UpstreamResponse:
        raise LookupError("no such page")

    upstream = Upstream(fail)
    with pytest.raises(LookupError, match="no such page"):
        get_and_leave(upstream)
    assert [str(error) for error in upstream.handler_errors] == ["no such page"]
    assert len(upstream.requests) == 1


def test_answer_that_http_cannot_say_is_the_handlers_error() -> None:
    upstream = Upstream(lambda _request: UpstreamResponse(200, [(b"x", b"a\r\nb: c")]))
    with pytest.raises(ValueError, match="Illegal header value"):
        get_and_leave(upstream)


def test_error_in_the_context_outranks_the_handlers() -> None:
    upstream = Upstream(lambda _request: UpstreamResponse(9999))

    def fail_in_the_context() -> None:
        with upstream, connected(upstream) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
            assert read_all(sock) == b"", "a handler error closes the connection without an answer"
            raise KeyError("the test's own")

    with pytest.raises(KeyError, match="the test's own"):
        fail_in_the_context()
    assert len(upstream.handler_errors) == 1


def test_end_of_context_hangs_up_and_frees_the_port() -> None:
    with Upstream() as upstream, connected(upstream) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        read_until(sock, b"\r\n\r\n")
        upstream.close()
        assert sock.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(upstream.address, timeout=5)


def test_end_of_context_does_not_wait_for_a_slow_answer() -> None:
    with Upstream(lambda _request: UpstreamResponse(body_chunks=[b"a", b"b"], delay=60)) as upstream:
        with connected(upstream) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
            read_until(sock, b"a\r\n")
        start = time.monotonic()
    assert time.monotonic() - start < 5


def test_connections_are_served_side_by_side(upstream: Upstream) -> None:
    both = threading.Barrier(2, timeout=5)

    def meet(_request: RecordedRequest) -> UpstreamResponse:
        both.wait()
        return UpstreamResponse()

    upstream.handler = meet
    with connected(upstream) as one, connected(upstream) as two:
        for sock in (one, two):
            sock.sendall(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        for sock in (one, two):
            read_until(sock, b"\r\n\r\n")
    assert len(upstream.requests) == 2


# --- what is no answer ---

GET = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"
BEGUN = UpstreamResponse(200, [], [b"four"])


def test_an_answer_may_wait(upstream: Upstream) -> None:
    upstream.handler = lambda request: UpstreamResponse(wait=0.1)
    with connected(upstream) as sock:
        started = time.monotonic()
        sock.sendall(GET)
        read_until(sock, b"\r\n\r\n")
        assert time.monotonic() - started >= 0.1


@pytest.mark.parametrize(
    ("answer", "wire"),
    [
        pytest.param(HangUp(), b"", id="at-once"),
        pytest.param(HangUp(wait=0.05), b"", id="later"),
        pytest.param(HangUp(BEGUN), b"HTTP/1.1 200 \r\ncontent-length: 4\r\n\r\nfou", id="within"),
    ],
)
def test_it_hangs_up(upstream: Upstream, answer: HangUp, wire: bytes) -> None:
    upstream.handler = lambda request: answer
    with connected(upstream) as sock:
        sock.sendall(GET)
        assert read_all(sock) == wire


@pytest.mark.parametrize(("answer", "wire"), [(Silence(), b""), (Silence(BEGUN), b"\r\n\r\nfou")])
def test_it_keeps_silent(upstream: Upstream, answer: Silence, wire: bytes) -> None:
    upstream.handler = lambda request: answer
    with connected(upstream) as sock:
        sock.sendall(GET)
        read_until(sock, wire)
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        assert len(upstream.requests) == 1
    assert upstream.handler_errors == ()


def test_it_refuses_connections_and_takes_them_again_at_the_same_port(upstream: Upstream) -> None:
    with connected(upstream) as sock:
        sock.sendall(GET)
        read_until(sock, b"\r\n\r\n")
        upstream.refuse()
        upstream.refuse()
        assert read_all(sock) == b""
    with pytest.raises(ConnectionRefusedError), connected(upstream):
        pass
    port = upstream.port
    upstream.accept()
    upstream.accept()
    assert upstream.port == port
    with connected(upstream) as sock:
        sock.sendall(GET)
        assert read_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_closing_ends_a_silence(upstream: Upstream) -> None:
    upstream.handler = lambda request: Silence()
    with connected(upstream) as sock:
        sock.sendall(GET)
        time.sleep(0.05)
        upstream.close()
        assert read_all(sock) == b""
