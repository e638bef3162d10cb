"""The ABI's serialised maps: a count, the sizes of all keys and values, then these, each closed by a NUL byte.

All integers are 32-bit little endian. An empty map is empty bytes, or a count of zero.
"""

import struct
from collections.abc import Iterable

_WORD = 4
_MAX_PAIRS = 1024
_MAX_BYTES = 1 << 20


def encode_pairs(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Serialise pairs in order; duplicates are kept.

    Raises ValueError for more than 1024 pairs and more than 1 MiB: Envoy would take them for an empty map, and say
    nothing.
    """
    entries = list(pairs)
    if not entries:
        return b""
    if len(entries) > _MAX_PAIRS:
        raise ValueError(f"a map has at most {_MAX_PAIRS} pairs, not {len(entries)}")
    parts = [part for pair in entries for part in pair]
    data = struct.pack(f"<{1 + len(parts)}I", len(entries), *map(len, parts)) + b"\0".join(parts) + b"\0"
    if len(data) > _MAX_BYTES:
        raise ValueError(f"a map has at most {_MAX_BYTES} bytes when it is serialised, not {len(data)}")
    return data


def decode_pairs(data: bytes) -> list[tuple[bytes, bytes]]:
    """Read a serialised map.

    Raises ValueError when the sizes do not fit the data.
    """
    sizes, position = _sizes(data)
    parts = data[position:].split(b"\0")
    if list(map(len, parts)) == [*sizes, 0]:  # as ever, unless there is a zero byte in a key or a value
        each = iter(parts)
        return list(zip(each, each, strict=False))
    pairs: list[tuple[bytes, bytes]] = []
    for index in range(0, len(sizes), 2):
        key_end = position + sizes[index]
        value_end = key_end + 1 + sizes[index + 1]
        if value_end + 1 > len(data):
            count = len(sizes) // 2
            raise ValueError(f"serialised map of {len(data)} bytes ends inside pair {index // 2 + 1} of {count}")
        pairs.append((data[position:key_end], data[key_end + 1 : value_end]))
        position = value_end + 1
    return pairs


def decode_text_pairs(data: bytes) -> list[tuple[str, str]]:
    """Read a serialised map as text; bytes that are not UTF-8 become lone surrogates.

    Raises ValueError when the sizes do not fit the data.
    """
    sizes, position = _sizes(data)
    content = data[position:]
    if content.isascii():
        parts = content.decode().split("\0")
        if list(map(len, parts)) == [*sizes, 0]:
            each = iter(parts)
            return list(zip(each, each, strict=False))
    return [
        (key.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
        for key, value in decode_pairs(data)
    ]


def _sizes(data: bytes) -> tuple[tuple[int, ...], int]:
    """The sizes of all keys and values, and where these begin. Raises ValueError."""
    if len(data) < _WORD:
        if data in (b"", b"\0"):
            return (), len(data)
        raise ValueError("serialised map is truncated")
    count = int.from_bytes(data[:_WORD], "little")
    position = _WORD * (1 + 2 * count)
    if position > len(data):
        raise ValueError(f"serialised map of {len(data)} bytes is too short for {count} pairs")
    return struct.unpack_from(f"<{2 * count}I", data, _WORD), position
