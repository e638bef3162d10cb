"""Serialised maps as a Proxy-Wasm host reads and writes them.

A count, the sizes of all keys and values, then these, each closed by a NUL byte; integers are 32-bit little endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

Pair = tuple[bytes, bytes]

MAX_BYTES = 1 << 20
MAX_PAIRS = 1024


def write_pairs(pairs: Iterable[Pair]) -> bytes:
    """Serialise pairs in order."""
    entries = list(pairs)
    sizes = [len(text) for entry in entries for text in entry]
    head = struct.pack(f"<{1 + len(sizes)}I", len(entries), *sizes)
    return head + b"".join(text + b"\0" for entry in entries for text in entry)


def read_pairs(data: bytes) -> list[Pair]:
    """Read a serialised map; what is malformed or too large reads as empty, without any sign, as in Envoy."""
    if not 4 <= len(data) <= MAX_BYTES:
        return []
    (count,) = struct.unpack_from("<I", data)
    position = 4 + 8 * count
    if count > MAX_PAIRS or position > len(data):
        return []
    texts: list[bytes] = []
    for size in struct.unpack_from(f"<{2 * count}I", data, 4):
        end = position + size
        if end >= len(data) or data[end] != 0:
            return []
        texts.append(data[position:end])
        position = end + 1
    if position != len(data):
        return []
    return list(zip(texts[::2], texts[1::2], strict=True))
