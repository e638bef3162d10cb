"""The ABI's serialised maps: a count, the sizes of all keys and values, then these, each closed by a NUL byte.

All integers are 32-bit little endian. An empty map is empty bytes, or a count of zero.
"""

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
    parts = [len(entries).to_bytes(_WORD, "little")]
    for key, value in entries:
        parts.append(len(key).to_bytes(_WORD, "little"))
        parts.append(len(value).to_bytes(_WORD, "little"))
    for key, value in entries:
        parts.append(key)
        parts.append(b"\0")
        parts.append(value)
        parts.append(b"\0")
    data = b"".join(parts)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"a map has at most {_MAX_BYTES} bytes when it is serialised, not {len(data)}")
    return data


def decode_pairs(data: bytes) -> list[tuple[bytes, bytes]]:
    """Read a serialised map.

    Raises ValueError when the sizes do not fit the data.
    """
    if len(data) < _WORD:
        if data in (b"", b"\0"):
            return []
        raise ValueError("serialised map is truncated")
    count = int.from_bytes(data[:_WORD], "little")
    position = _WORD * (1 + 2 * count)
    if position > len(data):
        raise ValueError(f"serialised map of {len(data)} bytes is too short for {count} pairs")
    pairs: list[tuple[bytes, bytes]] = []
    for index in range(count):
        header = _WORD * (1 + 2 * index)
        key_size = int.from_bytes(data[header : header + _WORD], "little")
        value_size = int.from_bytes(data[header + _WORD : header + 2 * _WORD], "little")
        key_end = position + key_size
        value_end = key_end + 1 + value_size
        if value_end + 1 > len(data):
            raise ValueError(f"serialised map of {len(data)} bytes ends inside pair {index + 1} of {count}")
        pairs.append((data[position:key_end], data[key_end + 1 : value_end]))
        position = value_end + 1
    return pairs
