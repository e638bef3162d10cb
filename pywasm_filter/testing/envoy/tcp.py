"""The client and the upstream of TCP connections through Envoy, both driven from the test's own thread.

Nothing here waits for a fixed time. What a socket has got on loopback is in the other one's queue when the write
returns, and an answer from Envoy's echo listener tells that the one worker has gone round its event loop: a few of them
after the last byte, and Envoy has done what it can.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pywasm_filter.testing.envoy.errors import EnvoyError

_READ_BYTES = 1 << 16
# An event may lead to another one in the next turn of the loop: a write that is flushed then, a connection that is
# closed then. Turns in which nothing happens on our side make sure of the end.
_TURNS = 3
_QUIET_ROUNDS = 2
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends a reset


class WorkerStuckError(EnvoyError):
    """Envoy's worker does not come back to its event loop, or Envoy has ended."""


class Endpoint:
    """One end of a TCP connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.received = b""
        self.ended = False
        """Whether the other end has closed its side, or reset the connection."""
        self.closed = False
        self._sock = sock
        self._outgoing = bytearray()
        self._end_wanted = False
        self._end_sent = False
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        """The socket's, for select."""
        return self._sock.fileno()

    @property
    def listening(self) -> bool:
        """Whether anything may come yet."""
        return not (self.closed or self.ended)

    @property
    def writable(self) -> bool:
        """Whether this side is still open for sending."""
        return not (self.closed or self._end_wanted)

    def send(self, data: bytes, end_stream: bool) -> None:
        """Send data as soon as the other end takes it, then close this side if it is the end."""
        self._outgoing += data
        self._end_wanted = self._end_wanted or end_stream

    def close(self) -> None:
        """Close the socket. What was not sent is lost."""
        self.closed = True
        self._sock.close()

    def reset(self) -> None:
        """Break the connection off."""
        if not self.closed:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.close()

    def pump(self) -> bool:
        """Send and receive what is possible now; whether anything was."""
        if self.closed:
            return False
        try:
            sent = self._send()
            return self._receive() or sent
        except OSError:  # a reset, in the words of the call that met it: EPIPE, ECONNRESET, ENOTCONN
            happened = not self.ended
            self.ended = True
            self._outgoing.clear()
            self._end_sent = True
            return happened

    def _send(self) -> bool:
        happened = False
        with contextlib.suppress(BlockingIOError):
            while self._outgoing:
                del self._outgoing[: self._sock.send(self._outgoing)]
                happened = True
        # The end goes out in a step of its own: Envoy would see it with the last data, or after it, as chance has it.
        if self._end_wanted and not happened and not self._outgoing and not self._end_sent:
            self._end_sent = happened = True
            self._sock.shutdown(socket.SHUT_WR)
        return happened

    def _receive(self) -> bool:
        happened = False
        with contextlib.suppress(BlockingIOError):
            while not self.ended:
                data = self._sock.recv(_READ_BYTES)
                self.received += data
                self.ended = not data
                happened = True
        return happened


class Link:
    """A client's connection to Envoy, and Envoy's to the upstream once there is one."""

    def __init__(self, client: Endpoint, answer: Callable[[bytes], bytes] | None) -> None:
        self.client = client
        self.upstream: Endpoint | None = None
        self._answer = answer
        self._answered = 0

    @property
    def ends(self) -> list[Endpoint]:
        """The client's end, and the upstream's if there is one."""
        return [self.client] if self.upstream is None else [self.client, self.upstream]

    @property
    def waiting(self) -> bool:
        """Whether the upstream may be yet to come."""
        return self.upstream is None and not self.client.ended and not self.client.closed

    def pump(self) -> bool:
        """Send and receive what is possible now, and let the upstream answer; whether anything happened."""
        happened = self.client.pump()
        upstream = self.upstream
        if upstream is None:
            return happened
        happened = upstream.pump() or happened
        if self._answer is not None and upstream.writable:
            data = upstream.received[self._answered :]
            self._answered = len(upstream.received)
            if data or upstream.ended:
                upstream.send(self._answer(data) if data else b"", upstream.ended)
                happened = True
        return happened

    def reset(self) -> None:
        """Break both connections off."""
        for end in self.ends:
            end.reset()


class TcpBench:
    """What stands around an Envoy with a plugin for TCP: the upstream's socket, its clients, and the echo."""

    def __init__(self, *, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._cleanup = contextlib.ExitStack()
        self._listener = self._cleanup.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        self._listener.setblocking(False)
        self._links: list[Link] = []
        self.stuck = False
        """Whether Envoy has not answered once: it will not any more."""

    @property
    def upstream_port(self) -> int:
        """The port on 127.0.0.1 to which Envoy is to connect."""
        return int(self._listener.getsockname()[1])

    def attach(self, address: tuple[str, int], echo_address: tuple[str, int]) -> None:
        """Tell where Envoy listens."""
        self._address = address
        self._echo = self._cleanup.enter_context(socket.create_connection(echo_address, timeout=self._timeout))
        self._echo.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connect(self, answer: Callable[[bytes], bytes] | None) -> Link:
        """Open a connection. `answer` is what the upstream does: from what arrives to what it sends back."""
        link = Link(Endpoint(socket.create_connection(self._address, timeout=self._timeout)), answer)
        self._links.append(link)
        return link

    def settle(self) -> None:
        """Let all bytes come as far as they can. Raises WorkerStuckError, and what an upstream's function raises."""
        quiet = 0
        while quiet < _QUIET_ROUNDS:
            quiet = 0 if self._pump() else quiet + 1
            for _ in range(_TURNS):
                self._turn()

    def wait(self, timeout: float) -> None:
        """Wait until a byte or a connection comes, or the timeout has passed (in seconds)."""
        ends = [end for link in self._links for end in link.ends if end.listening]
        select.select([self._listener.fileno(), *(end.fileno() for end in ends)], [], [], timeout)

    def reset_links(self) -> None:
        """Break all connections off, and let Envoy see it."""
        for link in self._links:
            link.reset()
        self._links.clear()
        self.settle()

    def close(self) -> None:
        """Stop listening and hang up."""
        for link in self._links:
            link.reset()
        self._cleanup.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _turn(self) -> None:
        """Wait until the worker has gone round its event loop."""
        if self.stuck:
            raise WorkerStuckError("Envoy does not answer any more")
        try:
            self._echo.sendall(b".")
            if self._echo.recv(1):
                return
            reason = "Envoy has ended"
        except TimeoutError:
            reason = f"Envoy's worker has not come back in {self._timeout:g} s"
        except ConnectionError:
            reason = "Envoy has ended"
        self.stuck = True
        raise WorkerStuckError(reason)

    def _pump(self) -> bool:
        happened = self._accept()
        for link in self._links:
            happened = link.pump() or happened
        return happened

    def _accept(self) -> bool:
        happened = False
        with contextlib.suppress(BlockingIOError):
            while True:
                endpoint = Endpoint(self._listener.accept()[0])
                happened = True
                # Nothing tells whose it is; Envoy connects for one client at a time, the one that has waited longest.
                waiting = next((link for link in self._links if link.waiting), None)
                if waiting is None:
                    endpoint.close()
                else:
                    waiting.upstream = endpoint
        return happened
