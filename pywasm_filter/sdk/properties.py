"""Attributes that the host knows of the connection, the request, the response and the plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, overload

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.attribute_values import find_attribute
from pywasm_filter.sdk.attributes import Attributes
from pywasm_filter.sdk.exceptions import AttributeNotAvailable, host_error

T = TypeVar("T")
DefaultT = TypeVar("DefaultT")


def _encode_path(path: tuple[str, ...]) -> bytes:
    if not path:
        raise ValueError("a property's path has at least one part, as in raw('request', 'path')")
    return "\0".join(path).encode("utf-8", "surrogateescape")


class Properties(Attributes):
    """The host's attributes: typed, as in `properties.source.port`, or raw by path, as in `raw("source", "port")`.

    A typed attribute raises AttributeNotAvailable where it is absent; `get` answers None then. The page "Attributes" of
    the reference lists them all. ABI: proxy_get_property.
    """

    __slots__ = ()

    @overload
    def get(self, attribute: Callable[[Properties], T]) -> T | None: ...

    @overload
    def get(self, attribute: Callable[[Properties], T], default: DefaultT) -> T | DefaultT: ...

    def get(self, attribute: Callable[[Properties], object], default: object = None) -> object:
        """A typed attribute, `default` where it is absent: `get(lambda p: p.request.useragent, "")`."""
        try:
            return attribute(self)
        except AttributeNotAvailable:
            return default

    def raw(self, *path: str) -> bytes | None:
        """The attribute as the host encodes it, None where it is absent or not available in this callback.

        A path is given in parts: `raw("request", "path")`. Envoy sends strings as they are, numbers as 8 bytes little
        endian, booleans as one byte, timestamps and durations as nanoseconds, messages serialised. Within a message,
        maps and lists come as serialised pairs, whose values have no types. ABI: proxy_get_property. Raises HostError
        when the host cannot serialise it.
        """
        return find_attribute(_encode_path(path))

    def set_raw(self, *path: str, value: bytes) -> None:
        """Set an attribute of the stream, for other filters and the access log.

        Envoy keeps it as the filter state `wasm.<path>`; `declare_property` gives it a type. ABI: proxy_set_property.
        Raises HostError: NotFound where there is no stream, as in a root context; BadArgument for one that was declared
        read-only and is set already.
        """
        status = hostcalls.current.proxy_set_property(_encode_path(path), value)
        if status != 0:
            raise host_error("proxy_set_property", status)
