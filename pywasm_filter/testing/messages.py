"""Requests, responses and log lines as a test sees them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pywasm_filter.sdk.abi import LogLevel

T = TypeVar("T")

Text = str | bytes


class Headers:
    """Ordered, case-insensitive, one name may have several values.

    Names and values read as str: UTF-8, other bytes as lone surrogates (PEP 383), so nothing raises and nothing is
    lost. `raw` has the bytes. Iteration, `len` and `items` count each value of a repeated name. Two are equal when
    every name has the same values in the same order; a mapping or a list of pairs can be compared as well.
    """

    __slots__ = ("_raw",)

    def __init__(self, headers: HeadersInput | None = None) -> None:
        """Raises TypeError for what is neither str nor bytes, ValueError for CR, LF, NUL and empty names."""
        if headers is None:
            self._raw: tuple[tuple[bytes, bytes], ...] = ()
        elif isinstance(headers, Headers):
            self._raw = headers._raw
        else:
            pairs = headers.items() if isinstance(headers, Mapping) else headers
            self._raw = tuple((_encode(name, "name"), _encode(value, "value")) for name, value in pairs)

    @classmethod
    def of_wire(cls, pairs: Iterable[tuple[bytes, bytes]]) -> Headers:
        """Pairs as a plugin wrote them, whatever is in them: nothing is checked."""
        headers = cls()
        headers._raw = tuple(pairs)
        return headers

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """All pairs in order, names as they were given."""
        return list(self._raw)

    def __getitem__(self, name: Text) -> str:
        """First value of `name`, or KeyError."""
        for value in self.getall(name):
            return value
        raise KeyError(name)

    def get(self, name: Text, default: str | T | None = None) -> str | T | None:
        """First value of `name`, `default` if there is none."""
        return next(iter(self.getall(name)), default)

    def getall(self, name: Text) -> list[str]:
        """All values of `name` in order; empty if there is none."""
        wanted = _encode(name, "name").lower()
        return [_decode(value) for key, value in self._raw if key.lower() == wanted]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, (str, bytes)) and bool(self.getall(name))

    def __iter__(self) -> Iterator[str]:
        return (_decode(name) for name, _ in self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def items(self) -> list[tuple[str, str]]:
        """All pairs in order."""
        return [(_decode(name), _decode(value)) for name, value in self._raw]

    def keys(self) -> list[str]:
        """All names in order, a repeated one as often as it has values."""
        return list(self)

    def values(self) -> list[str]:
        """All values in order."""
        return [_decode(value) for _, value in self._raw]

    def without(self, *names: str) -> Headers:
        """The same headers without those names."""
        dropped = {_encode(name, "name").lower() for name in names}
        return Headers([pair for pair in self._raw if pair[0].lower() not in dropped])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Headers, Mapping, list)):
            return NotImplemented
        return self._by_name() == Headers(other)._by_name()

    def __hash__(self) -> int:
        return hash(frozenset((name, tuple(values)) for name, values in self._by_name().items()))

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"

    def _by_name(self) -> dict[bytes, list[bytes]]:
        grouped: dict[bytes, list[bytes]] = {}
        for name, value in self._raw:
            grouped.setdefault(name.lower(), []).append(value)
        return grouped


HeadersInput = Headers | Mapping[str, Text] | Mapping[str, str] | Iterable[tuple[Text, Text]]
"""Headers as a mapping, or as pairs where a name may occur more than once."""
BodyInput = bytes | str | Iterable[bytes | str]
"""A body in one piece, or as chunks; text is sent as UTF-8."""


class Message:
    """What requests and responses have in common. Immutable."""

    __slots__ = ("chunks", "headers", "trailers")

    headers: Headers
    chunks: tuple[bytes, ...]
    """The body in the pieces in which it was sent. Only the embedded proxy keeps their bounds."""
    trailers: Headers

    def __init__(self, headers: HeadersInput | None, body: BodyInput, trailers: HeadersInput | None) -> None:
        self._init("headers", Headers(headers))
        self._init("chunks", chunks_of(body))
        self._init("trailers", Headers(trailers))

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.chunks)

    @property
    def text(self) -> str:
        """The body as UTF-8; bytes that are not show as U+FFFD."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body read as JSON. Raises ValueError."""
        return json.loads(self.body)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def _init(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _fields(self) -> tuple[object, ...]:
        return (self.headers, self.chunks, self.trailers)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Message) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())


class Request(Message):
    """A request as it reaches the upstream. `headers` has neither pseudo-headers nor `host`: see `authority`."""

    __slots__ = ("authority", "method", "path", "scheme")

    method: str
    path: str
    authority: str
    scheme: str

    def __init__(
        self,
        method: str,
        path: str,
        *,
        headers: HeadersInput | None = None,
        body: BodyInput = b"",
        trailers: HeadersInput | None = None,
        authority: str = "localhost",
        scheme: str = "http",
    ) -> None:
        super().__init__(headers, body, trailers)
        self._init("method", method)
        self._init("path", path)
        self._init("authority", authority)
        self._init("scheme", scheme)

    def _fields(self) -> tuple[object, ...]:
        return (self.method, self.path, self.authority, self.scheme, *super()._fields())

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path} {self.headers!r} {len(self.body)} bytes>"


class Response(Message):
    """A response: what the upstream answers, or what reached the client.

    `Response(403, headers={"x-why": "quota"}, body="no")`; a list as `body` is sent chunk by chunk.
    """

    __slots__ = ("status",)

    status: int

    def __init__(
        self,
        status: int = 200,
        *,
        headers: HeadersInput | None = None,
        body: BodyInput = b"",
        trailers: HeadersInput | None = None,
    ) -> None:
        super().__init__(headers, body, trailers)
        self._init("status", status)

    def _fields(self) -> tuple[object, ...]:
        return (self.status, *super()._fields())

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.headers!r} {len(self.body)} bytes>"


@dataclass(frozen=True)
class LogLine:
    """One message that the plugin logged."""

    level: LogLevel
    message: str
    root_id: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"[{self.level.name.lower()}] {self.message}"


def chunks_of(body: BodyInput) -> tuple[bytes, ...]:
    """The chunks of a body as bytes, without empty ones. Raises TypeError for what is neither bytes nor text."""
    pieces = (body,) if isinstance(body, (bytes, bytearray, memoryview, str)) else body
    encoded = [_encode_piece(piece) for piece in pieces]
    return tuple(piece for piece in encoded if piece)


def _encode_piece(piece: object) -> bytes:
    if isinstance(piece, str):
        return piece.encode("utf-8")
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return bytes(piece)
    raise TypeError(f"a body is bytes, text or an iterable of these, not {type(piece).__name__}")


def _encode(text: object, what: str) -> bytes:
    if isinstance(text, str):
        data = text.encode("utf-8", "surrogateescape")
    elif isinstance(text, bytes):
        data = text
    else:
        raise TypeError(f"a header {what} is str or bytes, not {type(text).__name__}: {text!r}")
    if b"\n" in data or b"\r" in data or b"\0" in data:
        raise ValueError(f"a header {what} must not contain CR, LF or NUL: {text!r}")
    if what == "name" and not data:
        raise ValueError("a header name must not be empty")
    return data


def _decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
