"""A module's linear memory, reached with addresses that the module chose: nothing may be trusted."""

from __future__ import annotations

import ctypes
import mmap
import sys

import wasmtime

PAGE = 1 << 16
_LARGE = 4 << 20


class GuestMemory:
    """Reads and writes within bounds, and refuses the rest. Addresses and sizes are unsigned."""

    def __init__(self, store: wasmtime.Store, memory: wasmtime.Memory) -> None:
        self._store = store
        self._memory = memory

    @property
    def size(self) -> int:
        """Bytes that it has now."""
        return self._memory.data_len(self._store)

    def read(self, address: int, size: int) -> bytes | None:
        """The bytes, None if they are not all within the memory."""
        # Python's integers do not wrap around: the sum is exact.
        if address + size > self.size:
            return None
        return ctypes.string_at(self._pointer(address), size) if size else b""

    def write(self, address: int, data: bytes | bytearray) -> bool:
        """Whether the bytes fit, in which case they are written."""
        if address + len(data) > self.size:
            return False
        if data:
            source = data if isinstance(data, bytes) else (ctypes.c_char * len(data)).from_buffer(data)
            ctypes.memmove(self._pointer(address), source, len(data))
        return True

    def read_u32(self, address: int) -> int | None:
        """A little-endian integer, None if it is not within the memory."""
        data = self.read(address, 4)
        return None if data is None else int.from_bytes(data, "little")

    def write_u32(self, address: int, value: int) -> bool:
        """Whether a little-endian integer fits, in which case it is written."""
        return self.write(address, value.to_bytes(4, "little"))

    def write_u64(self, address: int, value: int) -> bool:
        """Whether a little-endian integer fits, in which case it is written."""
        return self.write(address, value.to_bytes(8, "little"))

    def ensure_pages(self, pages: int) -> None:
        """Grow the memory to that many pages. Raises wasmtime.WasmtimeError beyond its maximum."""
        present = self.size // PAGE
        if pages > present:
            self._memory.grow(self._store, pages - present)

    def expect_filling(self) -> None:
        """Ask for large pages, with which a large memory is filled in a third of the time. It is advice only."""
        if sys.platform == "linux" and self.size >= _LARGE:
            ctypes.CDLL(None).madvise(ctypes.c_void_p(self._pointer(0)), ctypes.c_size_t(self.size), mmap.MADV_HUGEPAGE)

    def _pointer(self, address: int) -> int:
        """An address within the memory as one of this process, good until the memory grows."""
        return ctypes.addressof(self._memory.data_ptr(self._store).contents) + address
