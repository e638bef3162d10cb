"""The wire format of Protocol Buffers, as far as Envoy's own messages need it."""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


def encode_varint(number: int) -> bytes:
    """A number of up to 64 bits without sign. Raises ValueError for any other."""
    if not 0 <= number < 1 << 64:
        raise ValueError(f"not a number of 64 bits: {number}")
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def number_field(field: int, number: int) -> bytes:
    """A field of type int, uint, bool or enum; nothing for 0, which is the default."""
    return encode_varint(field << 3 | _VARINT) + encode_varint(number) if number else b""


def bytes_field(field: int, data: bytes) -> bytes:
    """A field of type bytes, string or message; nothing for an empty one, which is the default."""
    return encode_varint(field << 3 | _BYTES) + encode_varint(len(data)) + data if data else b""


def decode_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message, in order: number, and an int (a varint) or the bytes of any other type.

    Raises ValueError for what is no message.
    """
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            number, position = _varint(data, position)
            yield field, number
            continue
        if kind == _FIXED64:
            size = 8
        elif kind == _FIXED32:
            size = 4
        elif kind == _BYTES:
            size, position = _varint(data, position)
        else:
            raise ValueError(f"not a message: field {field} is of type {kind}")
        if position + size > len(data):
            raise ValueError(f"not a message: field {field} goes past its end")
        yield field, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A number and the position behind it."""
    number = 0
    for index in range(_MAX_VARINT_BYTES):
        if position + index >= len(data):
            break
        byte = data[position + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, position + index + 1
    raise ValueError("not a message: a number does not end")
