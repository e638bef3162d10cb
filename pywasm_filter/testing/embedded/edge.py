"""What Envoy makes of a client's request before any filter sees it."""

from __future__ import annotations

from pywasm_filter.testing.downstream import Downstream
from pywasm_filter.testing.embedded.header_map import RequestHeaderMap
from pywasm_filter.testing.messages import Request
from pywasm_filter.testing.wire import framing

# What Envoy takes from the requests of clients that it does not trust, and what concerns one connection.
_DROPPED_AT_THE_EDGE = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"x-envoy-expected-rq-timeout-ms",
        b"x-envoy-force-trace",
        b"x-envoy-hedge-on-per-try-timeout",
        b"x-envoy-internal",
        b"x-envoy-ip-tags",
        b"x-envoy-max-retries",
        b"x-envoy-original-url",
        b"x-envoy-retriable-header-names",
        b"x-envoy-retriable-status-codes",
        b"x-envoy-retry-grpc-on",
        b"x-envoy-retry-on",
        b"x-envoy-upstream-alt-stat-name",
        b"x-envoy-upstream-rq-per-try-timeout-ms",
        b"x-envoy-upstream-rq-timeout-alt-response",
        b"x-envoy-upstream-rq-timeout-ms",
        b"x-envoy-upstream-stream-duration-ms",
        b"x-forwarded-client-cert",
    }
)


def request_map(request: Request, downstream: Downstream) -> RequestHeaderMap:
    """The headers as the first filter of Envoy sees them."""
    scheme = "https" if downstream.tls else "http"
    forwarded = request.headers.get("x-forwarded-proto")
    pseudo = [
        (b":authority", request.authority),
        (b":path", request.path),
        (b":method", request.method),
        (b":scheme", forwarded if forwarded in ("http", "https") else scheme),
    ]
    own = framing(request.headers, request.chunks, trailers=bool(request.trailers))
    given = [*request.headers.raw, *([] if own is None else [own])]
    headers = RequestHeaderMap([(name, value.encode("utf-8", "surrogateescape")) for name, value in pseudo])
    for name, value in given:
        if name.lower() not in _DROPPED_AT_THE_EDGE:
            headers.add(name, value)
    if headers.get(b"x-forwarded-proto") is None:
        headers.add(b"x-forwarded-proto", scheme.encode())
    return headers
