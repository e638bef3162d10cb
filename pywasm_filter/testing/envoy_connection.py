"""A TCP connection through a real Envoy, as a test drives it. Needs the extra `envoy`."""

from __future__ import annotations

import time
from collections.abc import Callable

from pywasm_filter.testing.connection import Connection, TcpUpstream, answer_of
from pywasm_filter.testing.envoy.tcp import Endpoint, TcpBench, WorkerStuckError
from pywasm_filter.testing.errors import HostMisuse, StreamStalled

_LOOK_AGAIN = 0.02


class EnvoyConnection(Connection):
    """What it tells is as it is when the test asks."""

    def __init__(self, bench: TcpBench, upstream: TcpUpstream | None) -> None:
        self._bench = bench
        self._link = bench.connect(None if upstream is None else lambda data: answer_of(upstream, data))
        self._settle()

    def send(self, data: bytes, *, end_stream: bool = False) -> None:
        """Send data as the client."""
        if not self._link.client.writable:
            raise ValueError("the client has closed its side")
        self._link.client.send(data, end_stream)
        self._settle()

    def close(self, *, reset: bool = False) -> None:
        """Close the connection as the client."""
        _close(self._link.client, reset=reset)
        self._settle()

    def upstream_send(self, data: bytes, *, end_stream: bool = False) -> None:
        """Send data as the upstream."""
        upstream = self._upstream()
        if not upstream.writable:
            raise ValueError("the upstream has closed its side")
        upstream.send(data, end_stream)
        self._settle()

    def upstream_close(self, *, reset: bool = False) -> None:
        """Close the connection as the upstream."""
        _close(self._upstream(), reset=reset)
        self._settle()

    @property
    def received(self) -> bytes:
        """What the client has received so far."""
        self._settle()
        return self._link.client.received

    @property
    def received_end(self) -> bool:
        """Whether the client has seen the end."""
        self._settle()
        return self._link.client.ended

    @property
    def upstream_connected(self) -> bool:
        """Whether the proxy has connected to the upstream."""
        self._settle()
        return self._link.upstream is not None

    @property
    def upstream_received(self) -> bytes:
        """What the upstream has received so far."""
        self._settle()
        return b"" if self._link.upstream is None else self._link.upstream.received

    @property
    def upstream_received_end(self) -> bool:
        """Whether the upstream has seen the end."""
        self._settle()
        return self._link.upstream is not None and self._link.upstream.ended

    @property
    def closed(self) -> bool:
        """Whether all is over."""
        self._settle()
        return not any(end.listening for end in self._link.ends)

    def wait_until(self, condition: Callable[[], bool], *, timeout: float = 10.0) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() >= deadline:
                raise StreamStalled(f"what the test waits for does not come within {timeout:g} s")
            self._bench.wait(_LOOK_AGAIN)
            self._settle()

    def _upstream(self) -> Endpoint:
        if self._link.upstream is None:
            raise ValueError("the proxy has not connected to the upstream")
        return self._link.upstream

    def _settle(self) -> None:
        try:
            self._bench.settle()
        except WorkerStuckError as stuck:
            raise HostMisuse(f"{stuck}: the filter runs in an endless loop, or did what crashes it") from stuck


def _close(end: Endpoint, *, reset: bool) -> None:
    if reset:
        end.reset()
    elif not end.closed:
        end.close()
