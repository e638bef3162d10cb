"""What differs between two headers, requests or responses, in lines for the report of a failed comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pywasm_filter.testing.messages import Headers, Message, Request, Response

_CONTEXT = 20  # bytes of a body before the first that differs
_SHOWN = 60


def differences(left: object, right: object) -> list[str] | None:
    """A line for each difference; None for values that are nothing of the kind, or cannot be compared."""
    if isinstance(left, Message) and type(left) is type(right):
        assert isinstance(right, Message)
        return list(_messages(left, right))
    try:
        if isinstance(left, Headers) and isinstance(right, (Headers, Mapping, list)):
            return list(_headers(left, Headers(right)))
        if isinstance(right, Headers) and isinstance(left, (Mapping, list)):
            return list(_headers(Headers(left), right))
    except (TypeError, ValueError):  # no headers: pytest shows it as it is
        return None
    return None


def _messages(left: Message, right: Message) -> Iterator[str]:
    match left, right:
        case (Request(), Request()):
            names: tuple[str, ...] = ("method", "path", "authority", "scheme")
        case (Response(), Response()):
            names = ("status",)
        case _:
            names = ()
    for name in names:
        values = getattr(left, name), getattr(right, name)
        if values[0] != values[1]:
            yield f"{name}: {values[0]!r} != {values[1]!r}"
    for what in ("headers", "trailers"):
        for line in _headers(getattr(left, what), getattr(right, what)):
            yield f"{what}: {line}"
    yield from _bodies(left, right)


def _headers(left: Headers, right: Headers) -> Iterator[str]:
    """By name: the order of names does not matter, that of the values of one name does."""
    names = dict.fromkeys(name.lower() for name in [*left, *right])
    equal = 0
    for name in names:
        values = left.getall(name), right.getall(name)
        if values[0] == values[1]:
            equal += 1
        elif not values[1]:
            yield f"{name}: {_joined(values[0])} is on the left only"
        elif not values[0]:
            yield f"{name}: {_joined(values[1])} is on the right only"
        else:
            yield f"{name}: {_joined(values[0])} != {_joined(values[1])}"
    if equal and equal != len(names):
        yield f"{equal} of {len(names)} names are equal"


def _joined(values: list[str]) -> str:
    return ", ".join(map(repr, values))


def _bodies(left: Message, right: Message) -> Iterator[str]:
    if left.body != right.body:
        pairs = zip(left.body, right.body, strict=False)
        shorter = min(len(left.body), len(right.body))
        first = next((index for index, (one, other) in enumerate(pairs) if one != other), shorter)
        sizes = "" if len(left.body) == len(right.body) else f" ({len(left.body)} and {len(right.body)} bytes)"
        yield f"body: differs from byte {first} on{sizes}"
        yield f"  left:  {_part(left.body, first)}"
        yield f"  right: {_part(right.body, first)}"
    elif left.chunks != right.chunks:
        yield f"chunks of the body: {[len(chunk) for chunk in left.chunks]} != {[len(chunk) for chunk in right.chunks]}"


def _part(body: bytes, first: int) -> str:
    """The body around the first byte that differs."""
    start = max(first - _CONTEXT, 0)
    end = start + _SHOWN
    return f"{'… ' if start else ''}{body[start:end]!r}{' …' if end < len(body) else ''}"
