"""A TCP connection through the proxy, as a test drives it and looks at it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

TcpUpstream = Callable[[bytes], bytes]
"""What lies behind a proxy for TCP: from what arrives there to what it sends back. How the bytes are cut into pieces
may differ: TCP knows no bounds."""


class Connection(ABC):
    """A client's TCP connection to the proxy, and the proxy's to the upstream.

    Each step returns when its bytes have come as far as they can now. For what takes time (a timer, a callout) there
    is `wait_until`.
    """

    @abstractmethod
    def send(self, data: bytes, *, end_stream: bool = False) -> None:
        """Send data as the client; `end_stream` closes the client's side only. Raises ValueError once that is closed.

        Data and end come to the plugin in two callbacks.
        """

    @abstractmethod
    def close(self, *, reset: bool = False) -> None:
        """Close the connection as the client: it receives nothing more.

        The proxy sees the end of the client's data, as after `end_stream`, and notices the rest when it writes to the
        client; with `reset` it sees a broken connection at once.
        """

    @abstractmethod
    def upstream_send(self, data: bytes, *, end_stream: bool = False) -> None:
        """Send data as the upstream; `end_stream` closes the upstream's side only.

        Raises ValueError when the proxy has not connected, or when the upstream's side is closed.
        """

    @abstractmethod
    def upstream_close(self, *, reset: bool = False) -> None:
        """Close the connection as the upstream: it receives nothing more; see `close`.

        Raises ValueError when the proxy has not connected.
        """

    @property
    @abstractmethod
    def received(self) -> bytes:
        """What the client has received so far."""

    @property
    @abstractmethod
    def received_end(self) -> bool:
        """Whether the client has seen the end: nothing more comes."""

    @property
    @abstractmethod
    def upstream_connected(self) -> bool:
        """Whether the proxy has connected to the upstream, even if that is over by now."""

    @property
    @abstractmethod
    def upstream_received(self) -> bytes:
        """What the upstream has received so far."""

    @property
    @abstractmethod
    def upstream_received_end(self) -> bool:
        """Whether the upstream has seen the end: nothing more comes."""

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether all is over: neither the client nor the upstream receives any more."""

    @abstractmethod
    def wait_until(self, condition: Callable[[], bool], *, timeout: float = 10.0) -> None:
        """Let time pass until a condition holds: virtual time in the embedded proxy. `timeout` is in seconds.

        Raises StreamStalled when it does not come to hold.
        """


def answer_of(upstream: TcpUpstream, data: bytes) -> bytes:
    """What the upstream sends back. Raises TypeError when that is not bytes."""
    answer = upstream(data)
    if not isinstance(answer, bytes):
        raise TypeError(f"tcp_upstream is to return bytes, not {type(answer).__name__}")
    return answer
