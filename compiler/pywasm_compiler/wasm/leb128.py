"""LEB128, the variable-length integers of the binary format.

Encoding is minimal. Decoding also takes padded encodings, as the specification does: up to `ceil(bits / 7)` bytes
whose unused bits are zero (unsigned) or repeat the sign (signed).
"""

from __future__ import annotations

from pywasm_compiler.wasm.errors import MalformedModule

_ONE_BYTE = tuple(bytes((value,)) for value in range(0x80))


def encode_unsigned(value: int) -> bytes:
    """The shortest unsigned encoding. Raises ValueError when `value` is negative."""
    if value < 0:
        raise ValueError(f"{value} is negative")
    if value < 0x80:
        return _ONE_BYTE[value]
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_signed(value: int) -> bytes:
    """The shortest signed encoding."""
    encoded = bytearray()
    # The last byte's bit 6 is the sign: seven bits at a time until what is left fits into six and the sign.
    while not -0x40 <= value < 0x40:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value & 0x7F)
    return bytes(encoded)


def decode_unsigned(data: bytes | memoryview, offset: int, bits: int = 32, end: int | None = None) -> tuple[int, int]:
    """Decode an unsigned integer of `bits` bits: its value and the offset after it.

    Raises MalformedModule when it runs past `end` (default: the end of `data`), is too long, or exceeds `bits` bits.
    """
    value, position = _decode(data, offset, bits, end)
    if value >> bits:
        raise MalformedModule(offset, f"integer exceeds {bits} bits")
    return value, position


def decode_signed(data: bytes | memoryview, offset: int, bits: int = 32, end: int | None = None) -> tuple[int, int]:
    """Decode a signed integer of `bits` bits: its value and the offset after it.

    Raises MalformedModule when it runs past `end` (default: the end of `data`), is too long, or exceeds `bits` bits.
    """
    value, position = _decode(data, offset, bits, end)
    if data[position - 1] & 0x40:
        value -= 1 << 7 * (position - offset)
    if not -1 << bits - 1 <= value < 1 << bits - 1:
        raise MalformedModule(offset, f"integer exceeds {bits} bits")
    return value, position


def _decode(data: bytes | memoryview, offset: int, bits: int, end: int | None) -> tuple[int, int]:
    """The payload bits as an unsigned number, not yet held against `bits`."""
    if end is None:
        end = len(data)
    value = shift = 0
    position = offset
    while position < end:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
        if shift >= bits:
            raise MalformedModule(offset, f"integer of more than {shift // 7} bytes")
    raise MalformedModule(offset, "unexpected end inside an integer")
