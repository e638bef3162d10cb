"""Which route a request takes."""

from __future__ import annotations

from collections.abc import Sequence

from pywasm_filter.testing.embedded.stream_info import StreamInfo
from pywasm_filter.testing.settings import Route

UPSTREAM_CLUSTER = "upstream"

_DEFAULT = Route(UPSTREAM_CLUSTER)
_NEEDED = (b":path", b"x-forwarded-proto")


def find_route(routes: Sequence[Route], info: StreamInfo) -> Route | None:
    """The first route that fits; None when a filter has removed what routing needs."""
    if any(info.request_headers.get(name) is None for name in _NEEDED):
        return None
    return next((route for route in routes if _fits(route, info)), _DEFAULT)


def _fits(route: Route, info: StreamInfo) -> bool:
    path = (info.request_headers.get(b":path") or b"").partition(b"?")[0]
    return (
        path.startswith(route.prefix.encode())
        and all(info.request_headers.joined(name.encode()) == value.encode() for name, value in route.headers.items())
        and all(info.filter_state.text(name.encode()) == value for name, value in route.filter_state.items())
    )
