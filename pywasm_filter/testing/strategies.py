"""hypothesis strategies for requests and responses that HTTP/1.1 can carry and every host of a test passes on.

They leave out what a proxy acts upon or changes by itself: headers of framing and of one connection, `x-forwarded-*`,
`x-envoy-*` and their like. Needs hypothesis: importing this module without it raises ImportError.
"""

from __future__ import annotations

import json
import string
from itertools import pairwise
from typing import Any, TypeVar

from pywasm_filter.testing.messages import Request, Response
from pywasm_filter.testing.wire import has_no_body

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError(
        "pywasm_filter.testing.strategies needs hypothesis: pip install 'pywasm-filter[hypothesis]'"
    ) from error

Field = tuple[str, bytes]

_NAME_CHARACTERS = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
_PATH_CHARACTERS = string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@"
_VISIBLE = [*range(0x21, 0x7F), *range(0x80, 0x100)]
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_WITH_BODY = ("POST", "PUT", "PATCH")
_ACTED_UPON = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "date",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-connection",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-request-id",
    }
)
_ACTED_UPON_PREFIXES = ("x-envoy-", "x-forwarded-", "grpc-")

ValueT = TypeVar("ValueT")


def _is_end_to_end(name: str) -> bool:
    lower = name.lower()
    return lower not in _ACTED_UPON and not lower.startswith(_ACTED_UPON_PREFIXES)


def _cut(drawn: tuple[bytes, list[int]]) -> list[bytes]:
    body, cuts = drawn
    bounds = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [body[start:end] for start, end in pairwise(bounds)]


def header_names() -> st.SearchStrategy[str]:
    """Names of headers and trailers in any case."""
    return st.text(_NAME_CHARACTERS, min_size=1, max_size=20).filter(_is_end_to_end)


def header_values() -> st.SearchStrategy[bytes]:
    """Values: any bytes but control characters, white space only inside; not all of them are UTF-8."""
    edge = st.sampled_from(_VISIBLE)
    inner = st.lists(st.sampled_from([*_VISIBLE, 0x20, 0x09]), max_size=20)
    longer = st.builds(lambda first, middle, last: bytes([first, *middle, last]), edge, inner, edge)
    return st.one_of(st.just(b""), edge.map(lambda byte: bytes([byte])), longer)


def headers(*, max_size: int = 6) -> st.SearchStrategy[list[Field]]:
    """Headers or trailers as pairs; a name may come more than once, in another case as well."""
    names = st.one_of(header_names(), st.sampled_from(["x-a", "X-A", "x-b"]))
    return st.lists(st.tuples(names, header_values()), max_size=max_size)


def methods() -> st.SearchStrategy[str]:
    """The common methods."""
    return st.sampled_from(_METHODS)


def paths() -> st.SearchStrategy[str]:
    """Paths with all but unreserved characters escaped, and perhaps a query."""
    text = st.text(_PATH_CHARACTERS, max_size=10)
    escaped = st.binary(max_size=3).map(lambda data: "".join(f"%{byte:02X}" for byte in data))
    # Not "." nor "..", which a proxy may resolve.
    segment = st.builds(str.__add__, text, escaped).filter(lambda part: part.strip(".") or not part)
    path = st.lists(segment.filter(bool), max_size=4).map(lambda parts: "/" + "/".join(parts))
    return st.builds(str.__add__, path, st.one_of(st.just(""), text.map(lambda query: f"?{query}")))


def in_chunks(bodies: st.SearchStrategy[bytes], *, max_chunks: int = 4) -> st.SearchStrategy[list[bytes]]:
    """Each body cut into chunks, none of them empty; no chunk at all for an empty one."""
    return st.tuples(bodies, st.lists(st.integers(0, 1 << 32), max_size=max_chunks - 1)).map(_cut)


def bodies(*, max_size: int = 200) -> st.SearchStrategy[list[bytes]]:
    """Bodies of any bytes, in chunks."""
    return in_chunks(st.binary(max_size=max_size))


def json_values() -> st.SearchStrategy[Any]:
    """What JSON can say: None, booleans, numbers, text, lists, dicts."""
    scalars = st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
    )
    return st.recursive(
        scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4))
    )


def json_bodies(values: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[bytes]:
    """Values (by default any) as JSON in UTF-8: compact or with white space, escaped or not."""
    return st.builds(
        lambda value, indent, ascii_only: json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode(),
        json_values() if values is None else values,
        st.sampled_from([None, 2]),
        st.booleans(),
    )


_METHODS_STRATEGY = methods()
_PATHS = paths()
_HEADERS = headers()
_TRAILERS = headers(max_size=3)
_BODIES = bodies()


@st.composite
def requests(
    draw: st.DrawFn,
    *,
    methods: st.SearchStrategy[str] | None = None,
    paths: st.SearchStrategy[str] | None = None,
    headers: st.SearchStrategy[list[Field]] | None = None,
    bodies: st.SearchStrategy[list[bytes]] | None = None,
    trailers: st.SearchStrategy[list[Field]] | None = None,
) -> Request:
    """Requests for `proxy.send`. POST, PUT and PATCH have bodies, and trailers where the body is there."""
    method = draw(_or(methods, _METHODS_STRATEGY))
    chunks = draw(_or(bodies, _BODIES)) if method in _WITH_BODY else []
    return Request(
        method,
        draw(_or(paths, _PATHS)),
        headers=draw(_or(headers, _HEADERS)),
        body=chunks,
        trailers=draw(_or(trailers, _TRAILERS)) if chunks else None,
    )


@st.composite
def responses(
    draw: st.DrawFn,
    *,
    statuses: st.SearchStrategy[int] | None = None,
    headers: st.SearchStrategy[list[Field]] | None = None,
    bodies: st.SearchStrategy[list[bytes]] | None = None,
    trailers: st.SearchStrategy[list[Field]] | None = None,
) -> Response:
    """Responses for `proxy.upstream`, of status 200 to 599; those of 204 and 304 have no body."""
    status = draw(_or(statuses, st.integers(200, 599)))
    chunks = [] if has_no_body(status) else draw(_or(bodies, _BODIES))
    return Response(
        status,
        headers=draw(_or(headers, _HEADERS)),
        body=chunks,
        trailers=draw(_or(trailers, _TRAILERS)) if chunks else None,
    )


def _or(given: st.SearchStrategy[ValueT] | None, default: st.SearchStrategy[ValueT]) -> st.SearchStrategy[ValueT]:
    return default if given is None else given


__all__ = [
    "bodies",
    "header_names",
    "header_values",
    "headers",
    "in_chunks",
    "json_bodies",
    "json_values",
    "methods",
    "paths",
    "requests",
    "responses",
]
