"""Values of attributes, as the host encodes them, and as the typed properties show them.

Strings come as they are, numbers as 8 bytes little endian, booleans as one byte, times in nanoseconds, messages of
Protocol Buffers serialised. What only few attributes need is imported when one of these is read (see `guest`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar, overload

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.exceptions import AttributeNotAvailable, host_error
from pywasm_filter.sdk.pairs import decode_pairs

if TYPE_CHECKING:
    from datetime import datetime, timedelta

T = TypeVar("T")

_WORD = 8
_NANOSECONDS = 1000  # in a microsecond


def find_attribute(path: bytes) -> bytes | None:
    """The value at a path whose parts are separated by NUL, None if there is none. ABI: proxy_get_property.

    Raises HostError when the host cannot serialise it.
    """
    status, value = hostcalls.current.proxy_get_property(path)
    if status == 0:
        return value
    if status == Status.NOT_FOUND:
        return None
    raise host_error("proxy_get_property", status)


def read_attribute(path: bytes, availability: str) -> bytes:
    """The value at a path. Raises AttributeNotAvailable, and HostError as `find_attribute`."""
    value = find_attribute(path)
    if value is None:
        raise AttributeNotAvailable(_dotted(path), availability)
    return value


def read_text(path: bytes, availability: str) -> str:
    """A string; bytes that are not UTF-8 become lone surrogates."""
    return _text(read_attribute(path, availability))


def read_int(path: bytes, availability: str) -> int:
    """A signed number. Raises ValueError when the host's value is none."""
    return int.from_bytes(_sized(path, availability, _WORD), "little", signed=True)


def read_uint(path: bytes, availability: str) -> int:
    """A number without sign. Raises ValueError when the host's value is none."""
    return int.from_bytes(_sized(path, availability, _WORD), "little")


def read_bool(path: bytes, availability: str) -> bool:
    """A truth value. Raises ValueError when the host's value is none."""
    return _sized(path, availability, 1) != b"\0"


def read_duration(path: bytes, availability: str) -> timedelta:
    """A duration, down to the microsecond. Raises ValueError when the host's value is none."""
    from datetime import timedelta

    return timedelta(microseconds=read_int(path, availability) // _NANOSECONDS)


def read_timestamp(path: bytes, availability: str) -> datetime:
    """A time in UTC, down to the microsecond. Raises ValueError when the host's value is none."""
    from datetime import datetime, timedelta, timezone

    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - a method's import cannot rename it
    return epoch + timedelta(microseconds=read_int(path, availability) // _NANOSECONDS)


def read_metadata(path: bytes, availability: str) -> dict[str, dict[str, Any]]:
    """A message envoy.config.core.v3.Metadata: a filter's name -> its fields. Raises ValueError when it is none."""
    from pywasm_filter.sdk.metadata import decode_metadata

    status, value = hostcalls.current.proxy_get_property(path)
    if status == Status.SERIALIZATION_FAILURE:
        return {}  # Envoy's way to say that no metadata is configured
    if status == Status.NOT_FOUND:
        raise AttributeNotAvailable(_dotted(path), availability)
    if status != 0:
        raise host_error("proxy_get_property", status)
    return decode_metadata(value)


def read_struct(path: bytes, field: int, availability: str) -> dict[str, Any]:
    """A google.protobuf.Struct: the field with this number in the message at `path`. Raises ValueError for no message.

    The path of the struct itself would give it without the types of its values.
    """
    from pywasm_filter.sdk.metadata import decode_struct_field

    return decode_struct_field(read_attribute(path, availability), field)


class HeadersAttribute:
    """Headers or trailers by name, in lower case; several values of one name are joined by commas.

    Each access asks the host. Where the host does not lend the headers there are none.
    """

    __slots__ = ("_availability", "_path")

    def __init__(self, path: bytes, availability: str) -> None:
        self._path = path
        self._availability = availability

    def __getitem__(self, name: str) -> str:
        """All values of `name`, or KeyError. ABI: proxy_get_property."""
        value = find_attribute(_join(self._path, name))
        if value is None:
            raise KeyError(name)
        return _text(value)

    @overload
    def get(self, name: str) -> str | None: ...

    @overload
    def get(self, name: str, default: T) -> str | T: ...

    def get(self, name: str, default: object = None) -> object:
        """All values of `name`, `default` if there are none. ABI: proxy_get_property."""
        value = find_attribute(_join(self._path, name))
        return default if value is None else _text(value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and find_attribute(_join(self._path, name)) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.items())

    def keys(self) -> list[str]:
        """All names, in no order. Raises AttributeNotAvailable in a root context."""
        return [name for name, _ in self.items()]

    def items(self) -> list[tuple[str, str]]:
        """All names with their values, in no order. Raises AttributeNotAvailable in a root context."""
        pairs = decode_pairs(read_attribute(self._path, self._availability))
        return [
            (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")) for name, value in pairs
        ]

    def __repr__(self) -> str:
        return f"<HeadersAttribute {_dotted(self._path)}>"


class StateAttribute:
    """Filter state by name, as bytes. Each access asks the host, which cannot list the names."""

    __slots__ = ("_availability", "_path")

    def __init__(self, path: bytes, availability: str) -> None:
        self._path = path
        self._availability = availability

    def __getitem__(self, name: str) -> bytes:
        """The object `name`, or KeyError. ABI: proxy_get_property."""
        value = find_attribute(_join(self._path, name))
        if value is None:
            raise KeyError(name)
        return value

    @overload
    def get(self, name: str) -> bytes | None: ...

    @overload
    def get(self, name: str, default: T) -> bytes | T: ...

    def get(self, name: str, default: object = None) -> object:
        """The object `name`, `default` if there is none. ABI: proxy_get_property."""
        value = find_attribute(_join(self._path, name))
        return default if value is None else value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and find_attribute(_join(self._path, name)) is not None

    def __repr__(self) -> str:
        return f"<StateAttribute {_dotted(self._path)}>"


def _sized(path: bytes, availability: str, size: int) -> bytes:
    value = read_attribute(path, availability)
    if len(value) != size:
        raise ValueError(f"attribute {_dotted(path)} has {len(value)} bytes, not {size}: {value[:20]!r}")
    return value


def _join(path: bytes, name: str) -> bytes:
    return path + b"\0" + name.encode("utf-8", "surrogateescape")


def _dotted(path: bytes) -> str:
    return _text(path.replace(b"\0", b"."))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
