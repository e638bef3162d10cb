"""What the proxy knows of a stream, for properties and for on_log."""

from __future__ import annotations

from dataclasses import dataclass, field

from pywasm_filter.testing.downstream import DIRECT, Downstream
from pywasm_filter.testing.embedded.filter_state import FilterState
from pywasm_filter.testing.embedded.header_map import HeaderMap, RequestHeaderMap, ResponseHeaderMap
from pywasm_filter.testing.embedded.response_flags import NO_FLAGS, ResponseFlag
from pywasm_filter.testing.settings import Route

LISTENER_ADDRESS = ("127.0.0.1", 10000)
UPSTREAM_ADDRESS = ("127.0.0.1", 18080)
UPSTREAM_LOCAL_ADDRESS = ("127.0.0.1", 50001)


@dataclass
class StreamInfo:
    """One stream: an HTTP exchange, or a TCP connection, which has no headers.

    Times are in nanoseconds since the Unix epoch, sizes in bytes of body.
    """

    connection_id: int
    start_time: int
    request_headers: RequestHeaderMap
    downstream: Downstream = DIRECT
    response_headers: ResponseHeaderMap | None = None
    response_trailers: HeaderMap | None = None
    response_code: int | None = None
    response_code_details: str | None = None
    response_flags: ResponseFlag = NO_FLAGS
    end_time: int | None = None
    bytes_received: int = 0
    bytes_sent: int = 0
    upstream_attempts: int = 0
    upstream_connected: bool = False
    """Whether the upstream's connection is known: that of HTTP once it has begun to answer, or to fail."""
    transport_failure_reason: str = ""
    """Why the upstream could not be connected to."""
    upstream_start_time: int | None = None
    """When the upstream got the request's headers."""
    upstream_end_time: int | None = None
    """When the upstream's answer came to its end."""
    filter_state: FilterState = field(default_factory=FilterState)
    route: Route | None = None
    """The route that was found last."""
    route_is_stale: bool = False
    """Whether the router is to look for a route anew."""
    is_http: bool = True

    @property
    def ended(self) -> bool:
        """Whether the exchange is over for the client."""
        return self.end_time is not None

    @property
    def backend_latency(self) -> int | None:
        """Nanoseconds that the upstream took; None before the end of its answer."""
        if self.upstream_start_time is None or self.upstream_end_time is None:
            return None
        return self.upstream_end_time - self.upstream_start_time


@dataclass(frozen=True)
class View:
    """A stream as it shows from a callback: header maps come and go with what is lent, the rest stays."""

    info: StreamInfo
    request_headers: HeaderMap | None
    response_headers: HeaderMap | None
    response_trailers: HeaderMap | None
