"""What the client and the upstream share: header pairs, body framing, and the frames of a message on the wire."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import h11

Header = tuple[bytes, bytes]

# Envoy lets 60 KiB of request headers pass by default and more if told to; h11 alone would stop at 16 KiB.
MAX_HEAD_BYTES = 1 << 20
READ_BYTES = 1 << 16

# Envoy hands everything it reads at once to the filters as one piece of body. A pause lets it read each chunk alone.
CHUNK_DELAY = 0.01


@contextlib.contextmanager
def refusal_as_value_error() -> Iterator[None]:
    """Turn the codec's refusal of what HTTP/1.1 cannot say into a ValueError."""
    try:
        yield
    except (h11.LocalProtocolError, UnicodeEncodeError) as error:
        raise ValueError(f"cannot be sent over HTTP/1.1: {error}") from error


def with_framing(headers: Sequence[Header], body_chunks: Sequence[bytes], trailers: Sequence[Header]) -> list[Header]:
    """Return the headers with the one framing header that the body needs.

    One chunk goes with content-length, several or any trailers as chunked, no chunk without a framing header.
    Headers that bring content-length or transfer-encoding themselves stay as they are.
    """
    names = {name.lower() for name, _ in headers}
    if names & {b"content-length", b"transfer-encoding"}:
        return list(headers)
    if trailers or len(body_chunks) > 1:
        return [*headers, (b"transfer-encoding", b"chunked")]
    if body_chunks:
        return [*headers, (b"content-length", b"%d" % len(body_chunks[0]))]
    return list(headers)


def frames(
    connection: h11.Connection,
    head: h11.Request | h11.Response,
    body_chunks: Sequence[bytes],
    trailers: Sequence[Header],
) -> list[bytes]:
    """Encode a whole message into the pieces to write one by one, a piece a chunk.

    The head goes with the first chunk and the end (with the trailers) with the last, as a common client writes them.
    The filter then sees one body callback a chunk; without trailers Envoy adds an empty one with end_of_stream.
    """
    pieces = [_encode(connection, head), *(_encode(connection, h11.Data(data=chunk)) for chunk in body_chunks)]
    end = _encode(connection, h11.EndOfMessage(headers=list(trailers)))
    first, rest = b"".join(pieces[:2]), pieces[2:]
    written = [piece for piece in [first, *rest] if piece]
    return [*written[:-1], written[-1] + end]


class BodyChunks:
    """The body of a message in arrival: a piece an HTTP chunk, or a piece a read when it has a content-length."""

    def __init__(self) -> None:
        self._pieces: list[bytearray] = []
        self._inside_chunk = False

    def add(self, data: h11.Data) -> None:
        """Take over the next piece."""
        if self._inside_chunk:
            self._pieces[-1] += data.data
        else:
            self._pieces.append(bytearray(data.data))
        if data.chunk_start:
            self._inside_chunk = True
        if data.chunk_end:
            self._inside_chunk = False

    def as_tuple(self) -> tuple[bytes, ...]:
        """Return the pieces so far."""
        return tuple(bytes(piece) for piece in self._pieces)


def _encode(connection: h11.Connection, event: h11.Event) -> bytes:
    return connection.send(event) or b""
