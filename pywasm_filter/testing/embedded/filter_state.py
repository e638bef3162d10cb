"""What filters share on a stream: properties that the plugin sets, and objects of Envoy's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import ip_address
from typing import Any

from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.metadata import decode_struct
from pywasm_filter.testing.embedded.attribute_values import Null, Value, from_json

_PROPERTY_PREFIX = b"wasm."
_LIFE_SPANS = range(3)  # of the filter chain, the request, the connection
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
    life_span: int = 0


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

    def set_object(self, name: bytes, data: bytes, life_span: int) -> None:
        """Set an object of Envoy's own, which `make_object` has made.

        One of another life span stays as it is, without any sign.
        """
        known_span = life_span if life_span in _LIFE_SPANS else 0
        entry = self._entries.get(name)
        if entry is None or entry.declaration.life_span == known_span:
            self._entries[name] = _Entry(data, Declaration(life_span=known_span))

    def names(self) -> tuple[str, ...]:
        """Names of all objects."""
        return tuple(name.decode("utf-8", "surrogateescape") for name in self._entries)

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

    def properties(self) -> dict[str, bytes]:
        """All that plugins have set, by their paths with dots."""
        return {
            name.removeprefix(_PROPERTY_PREFIX).decode("utf-8", "surrogateescape").replace("\0", "."): entry.data
            for name, entry in self._entries.items()
            if name.startswith(_PROPERTY_PREFIX)
        }

    def text(self, name: bytes) -> str | None:
        """An object as routes see it."""
        entry = self._entries.get(name)
        return None if entry is None else entry.data.decode("utf-8", "surrogateescape")


def make_object(name: bytes, data: bytes) -> tuple[Status, bytes]:
    """What an object of Envoy's shows when it is made from bytes; NOT_FOUND for a name that Envoy does not know."""
    make = _OBJECTS.get(name)
    if make is None:
        return Status.NOT_FOUND, b""
    made = make(data)
    return (Status.BAD_ARGUMENT, b"") if made is None else (Status.OK, made)


def _message(entry: _Entry) -> Value | None:
    """What is in a message, of the one type that is known here; one of a type that Envoy does not know is null."""
    if entry.declaration.schema != _STRUCT:
        return Null.NULL
    try:
        fields: dict[str, Any] = decode_struct(entry.data)
    except ValueError:
        return Null.NULL
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

UNSUPPORTED_OBJECTS = frozenset(
    {
        b"envoy.filters.listener.original_dst.local_ip",
        b"envoy.filters.listener.original_dst.remote_ip",
        b"envoy.network.application_protocols",
        b"envoy.network.transport_socket.original_dst_address",
        b"envoy.ratelimit.hits_addend",
        b"envoy.tcp_proxy.disable_tunneling",
        b"envoy.tcp_proxy.per_connection_idle_timeout_ms",
        b"envoy.upstream.dynamic_port",
    }
)
"""Objects that Envoy knows and this proxy does not."""
