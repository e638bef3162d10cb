"""Message bodies that the host lends to a callback."""

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import BufferType, Status
from pywasm_filter.sdk.exceptions import host_error

_ALL = 0xFFFF_FFFF


def read_buffer(buffer_type: int, start: int, size: int) -> bytes:
    """Up to `size` bytes of a buffer of the host; empty when the host has no such buffer in this callback.

    ABI: proxy_get_buffer_bytes. Raises HostError.
    """
    status, data = hostcalls.current.proxy_get_buffer_bytes(buffer_type, start, size)
    if status == 0:
        return data
    if status == Status.NOT_FOUND:
        return b""
    raise host_error("proxy_get_buffer_bytes", status)


class Body:
    """What the host holds of a message's body in `on_request_body` or `on_response_body`.

    That is the part that has just arrived, or, when the callback before returned PAUSE, all that has arrived since.
    After an await in an async callback it is all that the host holds by then. It reads and writes through the host
    at each access and holds no copy. Editing a body does not touch the content-length header: remove it in the
    headers callback, then the message is sent chunked.
    """

    __slots__ = ("_type",)

    def __init__(self, buffer_type: BufferType) -> None:
        self._type = int(buffer_type)

    def __len__(self) -> int:
        """Size in bytes; 0 where the host lends no body. ABI: proxy_get_buffer_status."""
        status, size, _ = hostcalls.current.proxy_get_buffer_status(self._type)
        if status == 0:
            return size
        if status == Status.NOT_FOUND:
            return 0
        raise host_error("proxy_get_buffer_status", status)

    def __bytes__(self) -> bytes:
        return self.read()

    def __repr__(self) -> str:
        return f"<Body {BufferType(self._type).name}>"

    def read(self, start: int = 0, size: int | None = None) -> bytes:
        """Up to `size` bytes from `start`; all by default. ABI: proxy_get_buffer_bytes."""
        longest = _ALL - start
        return read_buffer(self._type, start, longest if size is None else min(size, longest))

    def replace(self, data: bytes) -> None:
        """Put `data` in the place of all that the buffer holds. ABI: proxy_set_buffer_bytes."""
        # More than there is: some hosts write no more bytes than they are to take away.
        self._set(0, _ALL, data)

    def append(self, data: bytes) -> None:
        """Add `data` at the end. ABI: proxy_set_buffer_bytes."""
        self._set(_ALL, 0, data)

    def prepend(self, data: bytes) -> None:
        """Add `data` at the beginning. ABI: proxy_set_buffer_bytes."""
        self._set(0, 0, data)

    def _set(self, start: int, size: int, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise TypeError(f"a body is bytes, not {type(data).__name__}; encode text first")
        status = hostcalls.current.proxy_set_buffer_bytes(self._type, start, size, data)
        if status != 0:
            raise host_error("proxy_set_buffer_bytes", status)
