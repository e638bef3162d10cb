"""What filters share on a stream: properties that the plugin sets, and objects of Envoy's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address
from typing import Any

from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.metadata import decode_struct
from pywasm_filter.testing.embedded.attribute_values import Value, from_json

_PROPERTY_PREFIX = b"wasm."
_STRUCT = b"type.googleapis.com/google.protobuf.Struct"


class StateType(IntEnum):
    """Type of a declared property: the numbers of `WasmType` in Envoy's declare_property."""

    BYTES = 0
    STRING = 1
    FLATBUFFERS = 2
    PROTOBUF = 3


@dataclass(frozen=True)
class Declaration:
    """What a plugin has declared of a property."""

    read_only: bool = False
    type: StateType = StateType.BYTES
    schema: bytes = b""


@dataclass
class _Entry:
    data: bytes
    declaration: Declaration


class FilterState:
    """The objects of one stream, by name."""

    def __init__(self) -> None:
        self._entries: dict[bytes, _Entry] = {}

    def set_property(self, path: bytes, data: bytes, declared: Mapping[bytes, Declaration]) -> Status:
        """Set a property of the plugin's. What is declared read-only is set once."""
        key = _PROPERTY_PREFIX + path
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = _Entry(data, declared.get(path, Declaration()))
            return Status.OK
        if entry.declaration.read_only:
            return Status.BAD_ARGUMENT
        entry.data = data
        return Status.OK

    def set_object(self, name: bytes, data: bytes) -> Status:
        """Set an object of a kind that Envoy makes from bytes: NOT_FOUND for a name that it does not know."""
        make = _OBJECTS.get(name)
        if make is None:
            return Status.NOT_FOUND
        made = make(data)
        if made is None:
            return Status.BAD_ARGUMENT
        self._entries[name] = _Entry(made, Declaration())
        return Status.OK

    def find(self, name: bytes, *, last: bool) -> Value | None:
        """An object. With `last`, a message comes as its bytes, otherwise as what is in it."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        match entry.declaration.type:
            case StateType.STRING:
                return entry.data.decode("utf-8", "surrogateescape")
            case StateType.PROTOBUF if not last:
                return _message(entry)
            case _:
                return entry.data

    def find_property(self, path: bytes, *, last: bool) -> Value | None:
        """A property that the plugin has set."""
        return self.find(_PROPERTY_PREFIX + path, last=last)

    def text(self, name: bytes) -> str | None:
        """An object as routes see it."""
        entry = self._entries.get(name)
        return None if entry is None else entry.data.decode("utf-8", "surrogateescape")


def _message(entry: _Entry) -> Value | None:
    """What is in a message, of the one type that is known here; Envoy finds nothing in a type that it does not know."""
    if entry.declaration.schema != _STRUCT:
        return None
    try:
        fields: dict[str, Any] = decode_struct(entry.data)
    except ValueError:
        return None
    return from_json(fields)


def _same(data: bytes) -> bytes:
    return data


def _ip_address(data: bytes) -> bytes | None:
    try:
        address = ip_address(data.decode("ascii"))
    except ValueError:
        return None
    return f"{address}:0".encode() if address.version == 4 else f"[{address}]:0".encode()


# As Envoy 1.40 makes them.
_OBJECTS: dict[bytes, Callable[[bytes], bytes | None]] = {
    b"envoy.hashable_string": _same,
    b"envoy.network.ip": _ip_address,
    b"envoy.network.upstream_server_name": _same,
    b"envoy.network.upstream_subject_alt_names": _same,
    b"envoy.string": _same,
    b"envoy.tcp_proxy.cluster": _same,
    b"envoy.upstream.dynamic_host": _same,
}
