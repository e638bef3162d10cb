"""The client and the upstream of TCP connections, without an Envoy between them: one connects to the other."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pywasm_filter.testing import HostMisuse
from pywasm_filter.testing.envoy.tcp import Endpoint, TcpBench, WorkerStuckError
from pywasm_filter.testing.envoy_connection import EnvoyConnection


@contextlib.contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[tuple[str, int]]:
    """A server for one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with listener.accept()[0] as sock:
                serve(sock)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listener.getsockname()[:2]
        thread.join(10)
        assert not thread.is_alive()


def echo(sock: socket.socket) -> None:
    while data := sock.recv(100):
        sock.sendall(data)


@pytest.fixture
def bench() -> Iterator[TcpBench]:
    with server(echo) as address, TcpBench() as bench:
        bench.attach(("127.0.0.1", bench.upstream_port), address)
        yield bench


def test_both_directions(bench: TcpBench) -> None:
    connection = EnvoyConnection(bench, None)
    assert connection.upstream_connected
    connection.send(b"ab")
    connection.upstream_send(b"cd", end_stream=True)
    assert (connection.upstream_received, connection.upstream_received_end) == (b"ab", False)
    assert (connection.received, connection.received_end) == (b"cd", True)
    connection.send(b"ef", end_stream=True)
    assert (connection.upstream_received, connection.upstream_received_end) == (b"abef", True)
    assert connection.closed


def test_more_than_the_sockets_hold(bench: TcpBench) -> None:
    connection = EnvoyConnection(bench, lambda data: bytes(len(data)))
    connection.send(b"x" * 20_000_000, end_stream=True)
    assert len(connection.upstream_received) == 20_000_000
    assert len(connection.received) == 20_000_000
    assert connection.closed


@pytest.mark.parametrize("reset", [False, True])
def test_a_side_that_leaves(bench: TcpBench, reset: bool) -> None:
    connection = EnvoyConnection(bench, None)
    connection.close(reset=reset)
    assert connection.upstream_received_end
    with pytest.raises(ValueError, match="the client has closed its side"):
        connection.send(b"x")
    connection = EnvoyConnection(bench, None)
    connection.upstream_close(reset=reset)
    assert connection.received_end
    with pytest.raises(ValueError, match="the upstream has closed its side"):
        connection.upstream_send(b"x")


def test_all_is_broken_off_at_the_end(bench: TcpBench) -> None:
    connections = [EnvoyConnection(bench, None) for _ in range(3)]
    bench.reset_links()
    assert all(connection.closed for connection in connections)


def test_waiting_ends_with_the_first_byte(bench: TcpBench) -> None:
    connection = EnvoyConnection(bench, None)
    upstream = connection._upstream()
    timer = threading.Timer(0.05, lambda: upstream._sock.send(b"x"))
    timer.start()
    begin = time.monotonic()
    connection.wait_until(lambda: connection.received == b"x", timeout=10)
    assert 0.03 < time.monotonic() - begin < 5
    timer.join()


def test_the_end_goes_out_in_a_step_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = Endpoint(socket.create_connection(listener.getsockname()))
        other = Endpoint(listener.accept()[0])
    one.send(b"ab", True)
    assert one.pump()
    assert other.pump()
    assert (other.received, other.ended) == (b"ab", False)
    assert one.pump()
    assert other.pump()
    assert other.ended
    assert not one.pump()
    one.close()
    other.close()


def silent(sock: socket.socket) -> None:
    while sock.recv(100):
        pass


@pytest.mark.parametrize(
    ("serve", "reason"),
    [(silent, r"Envoy's worker has not come back in 0\.1 s"), (lambda sock: None, "Envoy has ended")],
)
def test_an_envoy_that_does_not_answer(serve: Callable[[socket.socket], None], reason: str) -> None:
    with server(serve) as address, TcpBench(timeout=0.1) as bench:
        bench.attach(("127.0.0.1", bench.upstream_port), address)
        with pytest.raises(HostMisuse, match=reason):
            EnvoyConnection(bench, None)
        assert bench.stuck
        with pytest.raises(WorkerStuckError, match="does not answer any more"):
            bench.settle()
