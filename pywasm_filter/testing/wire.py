"""What a message looks like between the parties, the same on every host: framing, headers of one connection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pywasm_filter.testing.messages import Headers, Message, Response

Pair = tuple[bytes, bytes]

# They concern one connection, or how it carries the message: a test sees neither, so that all hosts show the same.
_HOP_BY_HOP = frozenset({b"connection", b"host", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})

# RFC 9110: Envoy answers 400 to all else, and white space around a value is not part of it.
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"(?![ \t])[\t\x20-\x7e\x80-\xff]*(?<![ \t])")


def end_to_end_headers(headers: Iterable[Pair]) -> Headers:
    """The headers without pseudo-headers, `host`, and those that concern one connection."""
    return Headers(
        [pair for pair in as_parsed(headers) if not pair[0].startswith(b":") and pair[0].lower() not in _HOP_BY_HOP]
    )


def as_parsed(fields: Iterable[Pair]) -> list[Pair]:
    """Headers or trailers as who gets them over HTTP/1.1 reads them: white space around a value is none of it."""
    return [(name, value.strip(b" \t")) for name, value in fields]


def has_no_body(status: int) -> bool:
    """Whether responses of that status never have a body."""
    return status in (204, 304)


def framing(headers: Headers, chunks: Sequence[bytes], *, trailers: bool) -> Pair | None:
    """The framing header that a body gets in HTTP/1.1: content-length for one chunk, chunked for more or trailers.

    None when there is no body, or when the headers have a content-length of their own.
    """
    if "content-length" in headers:
        return None
    if trailers or len(chunks) > 1:
        return (b"transfer-encoding", b"chunked")
    return (b"content-length", b"%d" % len(chunks[0])) if chunks else None


def response_framing(response: Response) -> list[Pair]:
    """The framing header that a server adds to a response; a list, for there may be none."""
    if has_no_body(response.status):
        return []
    own = framing(response.headers, response.chunks or (b"",), trailers=bool(response.trailers))
    return [] if own is None else [own]


def check_message(what: str, message: Message) -> None:
    """Raise ValueError for fields that HTTP/1.1 cannot carry, and framing headers that the body belies."""
    for name, value in (*message.headers.raw, *message.trailers.raw):
        if not _NAME.fullmatch(name):
            raise ValueError(f"the {what} has a field whose name HTTP/1.1 cannot carry: {name!r}")
        if not _VALUE.fullmatch(value):
            raise ValueError(
                f"the {what} has a field {name.decode()} whose value HTTP/1.1 cannot carry: {value!r}; "
                "it has no control characters but tabs, and no white space around it"
            )
    if "transfer-encoding" in message.headers:
        raise ValueError(f"the {what} must not bring transfer-encoding: the chunks of its body decide")
    declared = message.headers.get("content-length")
    if declared is None:
        return
    if len(message.trailers):
        raise ValueError(f"the {what} has trailers, so it cannot have a content-length")
    if message.chunks and declared != str(len(message.body)):
        raise ValueError(f"the {what} has content-length {declared} and a body of {len(message.body)} bytes")
