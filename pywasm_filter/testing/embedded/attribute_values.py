"""Values of attributes, and how Envoy hands them out.

Strings as they are, numbers as 8 bytes little endian, booleans as one byte, timestamps and durations in nanoseconds,
messages serialised, maps and lists as serialised pairs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from pywasm_filter.sdk.protobuf import encode_varint
from pywasm_filter.testing.embedded.pairs import write_pairs


class Null(Enum):
    """The null of JSON."""

    NULL = None


@dataclass(frozen=True)
class Unsigned:
    """A number of 64 bits without sign."""

    number: int


@dataclass(frozen=True)
class Timestamp:
    """Nanoseconds since the Unix epoch."""

    nanoseconds: int


@dataclass(frozen=True)
class Duration:
    """Nanoseconds."""

    nanoseconds: int


@dataclass(frozen=True)
class Group:
    """What has attributes but cannot list them."""

    get: Callable[[str], Value | None]
    names: tuple[str, ...] = ()
    """Those that there may be, as far as that is known."""


@dataclass(frozen=True)
class Schema:
    """Fields of a message by name: number, and a schema or one of `string`, `struct`, `structs` (names to structs)."""

    fields: Mapping[str, tuple[int, Schema | str]]


@dataclass(frozen=True)
class Message:
    """A message of Protocol Buffers; `values` are those of its fields that are set, as in JSON."""

    schema: Schema
    values: Mapping[str, Any]

    def field(self, name: str) -> Value | None:
        """A field, its default where it is not set; None if the message has no such field."""
        if name not in self.schema.fields:
            return None
        kind = self.schema.fields[name][1]
        if isinstance(kind, Schema):
            return Message(kind, self.values.get(name, {}))
        return from_json(self.values.get(name, "" if kind == "string" else {}))

    def encode(self) -> bytes:
        """The message on the wire."""
        encoded = b""
        for name, value in self.values.items():
            number, kind = self.schema.fields[name]
            if kind == "structs":
                encoded += _entries(number, {key: _struct(fields) for key, fields in value.items()})
                continue
            if isinstance(kind, Schema):
                data = Message(kind, value).encode()
            else:
                data = _struct(value) if kind == "struct" else _text(value)
            encoded += _bytes_field(number, data)
        return encoded


Scalar: TypeAlias = bool | int | Unsigned | float | str | bytes | Timestamp | Duration
Value: TypeAlias = Null | Scalar | Message | Group | list[Any] | dict[str, Any]
"""Strings with lone surrogates stand for bytes that are not UTF-8."""

METADATA = Schema({"filter_metadata": (1, "structs"), "typed_filter_metadata": (2, "structs")})
LOCALITY = Schema({"region": (1, "string"), "zone": (2, "string"), "sub_zone": (3, "string")})
NODE = Schema(
    {
        "id": (1, "string"),
        "cluster": (2, "string"),
        "metadata": (3, "struct"),
        "locality": (4, LOCALITY),
        "user_agent_name": (6, "string"),
    }
)


class NotSerializable(Exception):  # noqa: N818 - reads as what happened
    """Envoy has no form for this value: null, or what cannot be listed."""


def metadata(filters: Mapping[str, Any]) -> Message:
    """A message envoy.config.core.v3.Metadata."""
    return Message(METADATA, {"filter_metadata": filters} if filters else {})


def from_json(value: Any) -> Value:
    """A value of JSON, all of whose numbers are of type double. Raises TypeError for what JSON does not have."""
    match value:
        case None:
            return Null.NULL
        case bool() | str():
            return value
        case int() | float():
            return float(value)
        case Mapping():
            return {str(name): from_json(item) for name, item in value.items()}
        case list() | tuple():
            return [from_json(item) for item in value]
    raise TypeError(f"JSON has no {type(value).__name__}: {value!r}")


def child(value: Value, name: str) -> Value | None:
    """What a value has under a name or an index, None if there is nothing."""
    match value:
        case Group():
            return value.get(name)
        case Message():
            return value.field(name)
        case dict():
            found: Value | None = value.get(name)
            return found
        case list():
            item: Value | None = value[int(name)] if name.isdigit() and int(name) < len(value) else None
            return item
        case _:
            return None


def encode(value: Value) -> bytes:
    """A value as the plugin gets it. Raises NotSerializable."""
    match value:
        case bool():
            return bytes([value])
        case int():
            return value.to_bytes(8, "little", signed=True)
        case Unsigned():
            return value.number.to_bytes(8, "little")
        case float():
            return struct.pack("<d", value)
        case str():
            return _text(value)
        case bytes():
            return value
        case Timestamp() | Duration():
            return value.nanoseconds.to_bytes(8, "little", signed=True)
        case Message():
            return value.encode()
        case dict():
            return write_pairs([(_text(name), encode(item)) for name, item in value.items()])
        case list():
            return write_pairs([(encode(item), b"") for item in value])
        case _:
            raise NotSerializable


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _struct(fields: Mapping[str, Any]) -> bytes:
    """A google.protobuf.Struct."""
    return _entries(1, {name: _json_value(from_json(value)) for name, value in fields.items()})


def _json_value(value: Value) -> bytes:
    """A google.protobuf.Value: one of its fields is set, be it to its default."""
    match value:
        case bool():
            return b"\x20" + bytes([value])
        case float():
            return b"\x11" + struct.pack("<d", value)
        case str():
            return _bytes_field(3, _text(value))
        case dict():
            return _bytes_field(5, _entries(1, {name: _json_value(item) for name, item in value.items()}))
        case list():
            return _bytes_field(6, b"".join(_bytes_field(1, _json_value(item)) for item in value))
        case _:
            return b"\x08\x00"


def _entries(number: int, entries: Mapping[str, bytes]) -> bytes:
    """A map of names to messages."""
    return b"".join(
        _bytes_field(number, _bytes_field(1, _text(name)) + _bytes_field(2, data)) for name, data in entries.items()
    )


def _bytes_field(number: int, data: bytes) -> bytes:
    """A field that is written even if it is empty."""
    return encode_varint(number << 3 | 2) + encode_varint(len(data)) + data
