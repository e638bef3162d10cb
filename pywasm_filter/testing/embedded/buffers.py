"""Buffers that the host lends to the plugin, and the bytes of a body on their way."""

from __future__ import annotations

from typing import Protocol

from pywasm_filter.sdk.abi import Status


class LentBuffer(Protocol):
    """What the buffer hostcalls work on."""

    def __len__(self) -> int: ...

    def read(self, start: int, size: int) -> bytes:
        """`size` bytes from `start`; both are within the buffer."""
        ...

    def write(self, start: int, size: int, value: bytes) -> Status:
        """Replace `size` bytes from `start`."""
        ...


class ConstantBuffer:
    """A buffer that the plugin can only read."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __len__(self) -> int:
        return len(self._content)

    def read(self, start: int, size: int) -> bytes:
        """`size` bytes from `start`."""
        return self._content[start : start + size]

    def write(self, start: int, size: int, value: bytes) -> Status:
        """Refused."""
        return Status.BAD_ARGUMENT


class BodyBuffer:
    """Bytes of a body: one frame of it, or what is held back."""

    def __init__(self, content: bytes = b"") -> None:
        self._content = bytearray(content)

    def __len__(self) -> int:
        return len(self._content)

    def read(self, start: int, size: int) -> bytes:
        """`size` bytes from `start`."""
        return bytes(self._content[start : start + size])

    def write(self, start: int, size: int, value: bytes) -> Status:
        """At the start: drain `size` bytes, then prepend. At or past the end: append. In the middle: refused."""
        if start == 0:
            self._content[: min(size, len(self._content))] = value
            return Status.OK
        if start >= len(self._content):
            self._content += value
            return Status.OK
        return Status.BAD_ARGUMENT

    def take(self) -> bytes:
        """All bytes; the buffer is empty afterwards."""
        content = bytes(self._content)
        self._content.clear()
        return content

    def move_from(self, other: BodyBuffer) -> None:
        """Append the bytes of another buffer, which is empty afterwards."""
        self._content += other.take()
