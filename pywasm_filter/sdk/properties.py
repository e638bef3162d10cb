"""Attributes that the host knows of the connection, the request, the response and the plugin."""

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.exceptions import host_error


def _encode_path(path: tuple[str, ...]) -> bytes:
    if not path:
        raise ValueError("a property's path has at least one part, as in raw('request', 'path')")
    return "\0".join(path).encode("utf-8", "surrogateescape")


class Properties:
    """Raw access to the host's attributes by path. A path is given in parts: `raw("request", "path")`."""

    __slots__ = ()

    def raw(self, *path: str) -> bytes | None:
        """The attribute as the host encodes it, None where it is absent or not available in this callback.

        Envoy sends strings as they are, numbers as 8 bytes little endian, booleans as one byte, timestamps and
        durations as nanoseconds. ABI: proxy_get_property. Raises HostError when the host cannot serialise it.
        """
        status, value = hostcalls.current.proxy_get_property(_encode_path(path))
        if status == 0:
            return value
        if status == Status.NOT_FOUND:
            return None
        raise host_error("proxy_get_property", status)

    def set_raw(self, *path: str, value: bytes) -> None:
        """Set an attribute of the stream, for other filters and the access log.

        Envoy keeps it as the filter state `wasm.<path>`. ABI: proxy_set_property. Raises HostError: NotFound where
        there is no stream, as in a root context.
        """
        status = hostcalls.current.proxy_set_property(_encode_path(path), value)
        if status != 0:
            raise host_error("proxy_set_property", status)
