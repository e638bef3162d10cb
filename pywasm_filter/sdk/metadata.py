"""Messages that hold JSON-like data: google.protobuf.Struct, and Envoy's metadata, which is made of these."""

from __future__ import annotations

import struct
from typing import Any

from pywasm_filter.sdk.protobuf import decode_fields

_NULL, _NUMBER, _STRING, _BOOL, _STRUCT, _LIST = 1, 2, 3, 4, 5, 6  # fields of google.protobuf.Value


def decode_metadata(data: bytes) -> dict[str, dict[str, Any]]:
    """`filter_metadata` of an envoy.config.core.v3.Metadata. Raises ValueError for what is no such message."""
    return {name: decode_struct(value) for name, value in _entries(data)}


def decode_struct_field(data: bytes, field: int) -> dict[str, Any]:
    """The struct in a field of a message, empty if it is not set. Raises ValueError for what is no such message.

    Envoy writes fields by their numbers, each once: what follows is not looked at.
    """
    for number, value in decode_fields(data):
        if number == field:
            return decode_struct(_message(value))
        if number > field:
            break
    return {}


def decode_struct(data: bytes) -> dict[str, Any]:
    """The fields of a google.protobuf.Struct as JSON would have them. Raises ValueError for what is no such message."""
    return {name: _value(value) for name, value in _entries(data)}


def _entries(data: bytes) -> list[tuple[str, bytes]]:
    """The entries of a map in field 1, by name."""
    entries: dict[str, bytes] = {}
    for field, entry in decode_fields(data):
        if field != 1:
            continue
        name, content = "", b""
        for part, value in decode_fields(_message(entry)):
            if part == 1:
                name = _message(value).decode("utf-8", "surrogateescape")
            elif part == 2:
                content = _message(value)
        entries[name] = content
    return sorted(entries.items())


def _value(data: bytes) -> Any:
    result: Any = None
    for field, value in decode_fields(data):
        if field == _NULL:
            result = None
        elif field == _NUMBER:
            result = _number(_message(value))
        elif field == _STRING:
            result = _message(value).decode("utf-8", "surrogateescape")
        elif field == _BOOL:
            result = value != 0
        elif field == _STRUCT:
            result = decode_struct(_message(value))
        elif field == _LIST:
            result = [_value(_message(item)) for number, item in decode_fields(_message(value)) if number == 1]
    return result


def _number(data: bytes) -> float:
    if len(data) != 8:
        raise ValueError(f"a number has 8 bytes, not {len(data)}")
    number: float = struct.unpack("<d", data)[0]
    return number


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("not such a message: a number stands for a message")
    return value
