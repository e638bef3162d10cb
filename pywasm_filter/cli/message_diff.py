"""What a filter changed in a message on its way through the proxy."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from pywasm_filter.testing import Headers, Request, Response

# They differ from one exchange to the next without any filter.
_VOLATILE = ("date", "x-request-id")


class Kind(Enum):
    """What became of a field."""

    UNCHANGED = "unchanged"
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    PROXY = "proxy"
    """The proxy itself added it, filter or no filter."""


@dataclass(frozen=True)
class Field:
    """One header or trailer, or one part of the message's first line, with all its values before and after."""

    kind: Kind
    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The stable form for other programs."""
        return {"kind": self.kind.value, "name": self.name, "before": list(self.before), "after": list(self.after)}


@dataclass(frozen=True)
class MessageDiff:
    """A message as it goes through the proxy with the filter, beside the same without it.

    `first_line` has method, path, authority and scheme of a request, the status of a response.
    """

    first_line: tuple[Field, ...]
    headers: tuple[Field, ...]
    body_before: bytes
    body_after: bytes
    trailers: tuple[Field, ...]

    def to_json(self) -> dict[str, object]:
        """The stable form for other programs."""
        return {
            "first_line": [field.to_json() for field in self.first_line],
            "headers": [field.to_json() for field in self.headers],
            "body": {
                "changed": self.body_before != self.body_after,
                "before": _body_json(self.body_before),
                "after": _body_json(self.body_after),
            },
            "trailers": [field.to_json() for field in self.trailers],
        }


def request_diff(sent: Request, unfiltered: Request, received: Request) -> MessageDiff:
    """A request from the client to the upstream; `unfiltered` is what the upstream gets without the filter."""
    first_line = [
        _field(name, (getattr(unfiltered, name),), (getattr(received, name),), by_proxy=False)
        for name in ("method", "path", "authority", "scheme")
    ]
    return MessageDiff(
        tuple(first_line),
        _headers(sent.headers, unfiltered.headers, received.headers),
        unfiltered.body,
        received.body,
        _headers(sent.trailers, unfiltered.trailers, received.trailers),
    )


def response_diff(sent: Response, unfiltered: Response, received: Response) -> MessageDiff:
    """A response from the upstream to the client; `unfiltered` is what the client gets without the filter."""
    return MessageDiff(
        (_field("status", (str(unfiltered.status),), (str(received.status),), by_proxy=False),),
        _headers(sent.headers, unfiltered.headers, received.headers),
        unfiltered.body,
        received.body,
        _headers(sent.trailers, unfiltered.trailers, received.trailers),
    )


def _headers(sent: Headers, unfiltered: Headers, received: Headers) -> tuple[Field, ...]:
    """Fields in the order in which they arrive, those that do not arrive last."""
    names = _unique([*received, *unfiltered])
    return tuple(
        _field(name, tuple(unfiltered.getall(name)), tuple(received.getall(name)), by_proxy=name not in sent)
        for name in names
    )


def _field(name: str, before: tuple[str, ...], after: tuple[str, ...], *, by_proxy: bool) -> Field:
    if not after:
        kind = Kind.REMOVED
    elif not before:
        kind = Kind.ADDED
    elif before != after and not (by_proxy and name in _VOLATILE):
        kind = Kind.CHANGED
    else:
        kind = Kind.PROXY if by_proxy else Kind.UNCHANGED
    return Field(kind, name, before, after)


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name.lower() for name in names))


def _body_json(body: bytes) -> dict[str, str]:
    """Text when it is UTF-8, base64 otherwise."""
    try:
        return {"text": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}
