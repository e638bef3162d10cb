"""A position in a binary, with the primitives that core modules and components share."""

from __future__ import annotations

from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.leb128 import decode_signed, decode_unsigned


class Cursor:
    """Reads `data` from `offset` and never past `end`: every step beyond it raises MalformedModule."""

    __slots__ = ("data", "end", "offset")

    def __init__(self, data: bytes, offset: int = 0, end: int | None = None) -> None:
        self.data = data
        self.offset = offset
        self.end = len(data) if end is None else end

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return self.end - self.offset

    def byte(self) -> int:
        """One byte."""
        if self.offset >= self.end:
            raise MalformedModule(self.offset, "unexpected end")
        value = self.data[self.offset]
        self.offset += 1
        return value

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        return self.data[self._skip(size) : self.offset]

    def section(self, size: int) -> Cursor:
        """A cursor over the next `size` bytes, which this one skips."""
        return Cursor(self.data, self._skip(size), self.offset)

    def u32(self) -> int:
        """An unsigned 32-bit integer."""
        offset = self.offset
        if offset < self.end and (value := self.data[offset]) < 0x80:  # nearly all of them fit into one byte
            self.offset = offset + 1
            return value
        return self.unsigned(32)

    def unsigned(self, bits: int) -> int:
        """An unsigned integer of `bits` bits."""
        value, self.offset = decode_unsigned(self.data, self.offset, bits, self.end)
        return value

    def signed(self, bits: int) -> int:
        """A signed integer of `bits` bits."""
        value, self.offset = decode_signed(self.data, self.offset, bits, self.end)
        return value

    def count(self) -> int:
        """The length of a vector. Each element takes a byte at least: a hostile length costs no memory."""
        start = self.offset
        length = self.u32()
        if length > self.remaining:
            raise MalformedModule(start, f"{length} elements in {self.remaining} bytes")
        return length

    def name(self) -> str:
        """A length and that many bytes of UTF-8."""
        size = self.u32()
        start = self.offset
        encoded = self.take(size)
        try:
            return encoded.decode()
        except UnicodeDecodeError as error:
            raise MalformedModule(start + error.start, "a name is not UTF-8") from error

    def expect(self, byte: int, what: str) -> None:
        """Skip one byte that must be `byte`."""
        found = self.byte()
        if found != byte:
            raise MalformedModule(self.offset - 1, f"{what}: found {found:#04x} where {byte:#04x} must stand")

    def expect_end(self, what: str) -> None:
        """Refuse bytes that nothing has read."""
        if self.remaining:
            raise MalformedModule(self.offset, f"{self.remaining} bytes left over in {what}")

    def _skip(self, size: int) -> int:
        """Move on by `size` bytes; the offset before."""
        start = self.offset
        if size > self.end - start:
            raise MalformedModule(start, f"{size} bytes wanted, {self.end - start} left")
        self.offset = start + size
        return start
