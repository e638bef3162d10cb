"""Header, trailer and metadata maps that the host lends to a callback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar, overload

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import MapType, Status
from pywasm_filter.sdk.exceptions import host_error
from pywasm_filter.sdk.pairs import decode_pairs, decode_text_pairs, encode_pairs

T = TypeVar("T")

Text: TypeAlias = str | bytes
"""A header name or value: text, or the bytes themselves."""

HeaderPairs: TypeAlias = "ReadableHeaders | Mapping[str, Text] | Iterable[tuple[Text, Text]]"
"""Headers as a mapping, or as pairs where a name may occur more than once."""

_NAME_BYTES = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
"""What a name may consist of in HTTP (RFC 9110, token), in lower case."""
_LF, _CR, _NUL = 10, 13, 0


_text_names: dict[str, bytes] = {}
_byte_names: dict[bytes, bytes] = {}
"""Names that have been encoded before: filters name the same few again and again."""
_MOST_NAMES = 256
_LONGEST_KEPT_NAME = 64


def encode_name(name: Text) -> bytes:
    """Bytes of a header name, in lower case as HTTP/2 and Envoy have it.

    Raises TypeError for anything but str and bytes, ValueError for what is no name in HTTP: a space or a colon in it
    would let a name smuggle in another header.
    """
    if isinstance(name, str):
        data = _text_names.get(name)
        if data is None:
            data = _checked_name(name)
            _keep(_text_names, name, data)
        return data
    if isinstance(name, bytes):
        data = _byte_names.get(name)
        if data is None:
            data = _checked_name(name)
            _keep(_byte_names, name, data)
        return data
    return _encode(name, "name")


def _keep(names: dict[Any, bytes], name: Text, data: bytes) -> None:
    if len(data) <= _LONGEST_KEPT_NAME:
        if len(names) >= _MOST_NAMES:
            names.clear()  # a client may have sent them
        names[name] = data


def _checked_name(name: Text) -> bytes:
    data = _encode(name, "name").lower()
    plain = data.removeprefix(b":")  # of a pseudo-header such as :path
    if not plain or plain.translate(None, _NAME_BYTES):
        raise ValueError(f"no header can have the name {name!r}")
    return data


def encode_value(value: Text) -> bytes:
    """Bytes of a header value; str becomes UTF-8, and what `decode` made of other bytes is given back unchanged.

    Raises TypeError for anything but str and bytes, ValueError for CR, LF and NUL: they would let a value smuggle in
    further headers.
    """
    if isinstance(value, str):
        if "\n" in value or "\r" in value or "\0" in value:
            raise _forbidden(value)
    elif isinstance(value, bytes) and (_LF in value or _CR in value or _NUL in value):
        raise _forbidden(value)
    return _encode(value, "value")


def _forbidden(value: Text) -> ValueError:
    return ValueError(f"a header value must not contain CR, LF or NUL: {value!r}")


def _encode(text: Text, what: str) -> bytes:
    if isinstance(text, str):
        try:
            return text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-8", "surrogateescape")
    if isinstance(text, bytes):
        return text
    raise TypeError(f"a header {what} is str or bytes, not {type(text).__name__}: {text!r}")


def decode(data: bytes) -> str:
    """Text of a header; bytes that are not UTF-8 become lone surrogates, so nothing raises and nothing is lost."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")


def encode_headers(headers: HeaderPairs) -> bytes:
    """Serialise headers for a hostcall.

    Raises TypeError and ValueError as `encode_name`, `encode_value` and `encode_pairs` do.
    """
    return encode_pairs([(encode_name(name), encode_value(value)) for name, value in header_items(headers)])


def header_items(headers: HeaderPairs) -> Iterable[tuple[Text, Text]]:
    """The pairs of headers in any form."""
    if isinstance(headers, (list, tuple)):  # no question to Mapping, which is a costly one
        return headers
    return headers.items() if isinstance(headers, (ReadableHeaders, Mapping)) else headers


class ReadableHeaders:
    """Headers to be read: ordered, case-insensitive, one name may have several values.

    Names and values are str; bytes that are not UTF-8 show as lone surrogates (PEP 383). `raw` has the bytes.
    Iteration, `len` and `items` count each value of a repeated name.
    """

    __slots__ = ()

    def __getitem__(self, name: Text) -> str:
        """First value of `name`, or KeyError."""
        value = self.get_bytes(name)
        if value is None:
            raise KeyError(name)
        return decode(value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, (str, bytes)) and self.get_bytes(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._pairs())

    def get_bytes(self, name: Text) -> bytes | None:
        """First value of `name` as bytes, None if there is none."""
        wanted = encode_name(name)
        for key, value in self._pairs():
            if key.lower() == wanted:
                return value
        return None

    @overload
    def get(self, name: Text) -> str | None: ...

    @overload
    def get(self, name: Text, default: T) -> str | T: ...

    def get(self, name: Text, default: object = None) -> object:
        """First value of `name`, `default` if there is none."""
        value = self.get_bytes(name)
        return default if value is None else decode(value)

    def getall(self, name: Text) -> list[str]:
        """All values of `name` in order; empty if there is none."""
        wanted = encode_name(name)
        return [decode(value) for key, value in self._pairs() if key.lower() == wanted]

    def keys(self) -> list[str]:
        """All names in order, a repeated one as often as it has values."""
        return [name for name, _ in self.items()]

    def values(self) -> list[str]:
        """All values in order."""
        return [value for _, value in self.items()]

    def items(self) -> list[tuple[str, str]]:
        """All pairs in order, duplicates included."""
        return [(decode(name), decode(value)) for name, value in self._pairs()]

    def _pairs(self) -> list[tuple[bytes, bytes]]:
        raise NotImplementedError


class Headers(ReadableHeaders):
    """Headers of an answer to a callout. They stay as they are, and are valid at any time."""

    __slots__ = ("_entries",)

    def __init__(self, entries: list[tuple[bytes, bytes]]) -> None:
        self._entries = entries

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """All pairs as bytes, in order."""
        return list(self._entries)

    def _pairs(self) -> list[tuple[bytes, bytes]]:
        return self._entries


def read_map(map_type: MapType) -> Headers:
    """All that a map of the host holds now. ABI: proxy_get_header_map_pairs. Raises HostError."""
    return Headers(decode_pairs(_serialised(map_type)))


def _serialised(map_type: int) -> bytes:
    status, data = hostcalls.current.proxy_get_header_map_pairs(map_type)
    if status != 0:
        raise host_error("proxy_get_header_map_pairs", status)
    return data


class HeaderMap(ReadableHeaders):
    """A map of the current stream: ordered, case-insensitive, one name may have several values.

    It reads and writes through the host at each access and holds no copy. It is valid while the host lends the map:
    from the callback in which the message arrives until that callback returns CONTINUE, and read-only in `on_log`.
    Outside of that, reading finds nothing or raises `BadArgument`, and writing raises `BadArgument`.

    Bytes that are not UTF-8 show as lone surrogates (PEP 383) and are given back unchanged. All that takes a name or a
    value raises TypeError for anything but str and bytes, and ValueError for a name that HTTP does not allow and for
    CR, LF and NUL in a value.
    """

    __slots__ = ("_type",)

    def __init__(self, map_type: MapType) -> None:
        self._type = int(map_type)

    def __setitem__(self, name: Text, value: Text) -> None:
        """Set `name` to this one value. ABI: proxy_replace_header_map_value."""
        status = hostcalls.current.proxy_replace_header_map_value(self._type, encode_name(name), encode_value(value))
        if status != 0:
            raise host_error("proxy_replace_header_map_value", status)

    def __delitem__(self, name: Text) -> None:
        """Remove all values of `name`, or KeyError. ABI: proxy_remove_header_map_value."""
        if self.get_bytes(name) is None:
            raise KeyError(name)
        self.discard(name)

    def __repr__(self) -> str:
        return f"<HeaderMap {MapType(self._type).name}>"

    def get_bytes(self, name: Text) -> bytes | None:
        """First value of `name` as bytes, None if there is none. ABI: proxy_get_header_map_value."""
        status, value = hostcalls.current.proxy_get_header_map_value(self._type, encode_name(name))
        if status == 0:
            return value
        if status == Status.NOT_FOUND:
            return None
        raise host_error("proxy_get_header_map_value", status)

    def add(self, name: Text, value: Text) -> None:
        """Append a value, keeping those that `name` has. ABI: proxy_add_header_map_value."""
        status = hostcalls.current.proxy_add_header_map_value(self._type, encode_name(name), encode_value(value))
        if status != 0:
            raise host_error("proxy_add_header_map_value", status)

    def setdefault(self, name: Text, default: Text) -> str:
        """First value of `name`; when there is none, set and return `default`."""
        value = self.get_bytes(name)
        if value is None:
            self[name] = default
            value = encode_value(default)
        return decode(value)

    @overload
    def pop(self, name: Text) -> str | None: ...

    @overload
    def pop(self, name: Text, default: T) -> str | T: ...

    def pop(self, name: Text, default: object = None) -> object:
        """Remove `name` and return its first value, `default` if there was none."""
        value = self.get_bytes(name)
        if value is None:
            return default
        self.discard(name)
        return decode(value)

    def discard(self, name: Text) -> None:
        """Remove all values of `name`, if it has any. ABI: proxy_remove_header_map_value."""
        status = hostcalls.current.proxy_remove_header_map_value(self._type, encode_name(name))
        if status != 0:
            raise host_error("proxy_remove_header_map_value", status)

    def update(self, headers: HeaderPairs) -> None:
        """Set each name to its value; the values of a name that occurs more than once in `headers` are all kept."""
        seen: set[bytes] = set()
        for name, value in header_items(headers):
            key = encode_name(name)
            if key in seen:
                self.add(key, value)
            else:
                self[key] = value
                seen.add(key)

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """All pairs as bytes, in order. Assigning replaces the whole map, by at most 1024 pairs and 1 MiB.

        ABI: proxy_get_header_map_pairs, proxy_set_header_map_pairs.
        """
        return self._pairs()

    @raw.setter
    def raw(self, pairs: list[tuple[bytes, bytes]]) -> None:
        status = hostcalls.current.proxy_set_header_map_pairs(self._type, encode_headers(pairs))
        if status != 0:
            raise host_error("proxy_set_header_map_pairs", status)

    @property
    def byte_size(self) -> int:
        """Bytes of all names and values, without reading them. ABI: proxy_get_header_map_size."""
        status, size = hostcalls.current.proxy_get_header_map_size(self._type)
        if status != 0:
            raise host_error("proxy_get_header_map_size", status)
        return size

    def items(self) -> list[tuple[str, str]]:
        """All pairs in order, duplicates included. ABI: proxy_get_header_map_pairs."""
        return decode_text_pairs(_serialised(self._type))

    def _pairs(self) -> list[tuple[bytes, bytes]]:
        return decode_pairs(_serialised(self._type))
