"""What the proxy knows of a stream, for properties and for on_log."""

from __future__ import annotations

from dataclasses import dataclass, field

from pywasm_filter.testing.embedded.header_map import HeaderMap, RequestHeaderMap, ResponseHeaderMap

CLIENT_ADDRESS = ("127.0.0.1", 50000)
LISTENER_ADDRESS = ("127.0.0.1", 10000)
UPSTREAM_ADDRESS = ("127.0.0.1", 8080)
UPSTREAM_LOCAL_ADDRESS = ("127.0.0.1", 50001)


@dataclass
class StreamInfo:
    """One stream. Times are in nanoseconds since the Unix epoch, sizes in bytes of body."""

    connection_id: int
    start_time: int
    request_headers: RequestHeaderMap
    response_headers: ResponseHeaderMap | None = None
    response_trailers: HeaderMap | None = None
    response_code: int | None = None
    response_code_details: str | None = None
    end_time: int | None = None
    bytes_received: int = 0
    bytes_sent: int = 0
    upstream_attempts: int = 0
    upstream_connected: bool = False
    """Whether the upstream has begun to answer, so that its connection is known."""
    filter_state: dict[bytes, bytes] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether the exchange is over for the client."""
        return self.end_time is not None


@dataclass(frozen=True)
class View:
    """A stream as it shows from a callback: header maps come and go with what is lent, the rest stays."""

    info: StreamInfo
    request_headers: HeaderMap | None
    response_headers: HeaderMap | None
    response_trailers: HeaderMap | None
