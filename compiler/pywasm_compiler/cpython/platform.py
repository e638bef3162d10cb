"""What the glue keeps in memory of its own, and the functions that use it: a monotonic clock and the log, by lines.

The memory is one page behind the snapshot's, and libc's allocator never learns of it: it asks for memory by growing it,
and takes what it gets even when that does not adjoin what it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pywasm_compiler.cpython.glue import I32, I64, Code, GlueFunction
from pywasm_compiler.wasm.model import FuncType

PAGE_SIZE: Final = 0x1_0000
LINE_CAPACITY: Final = 0x8000

_NEWLINE: Final = 0x0A
_KEPT_FROM: Final = 32 + LINE_CAPACITY
_SLOTS_SIZE: Final = 256


@dataclass(frozen=True, slots=True)
class Scratch:
    """Addresses in the glue's own page, which begins at `base`."""

    base: int

    @property
    def instant(self) -> int:
        """u64: where the host stores the time."""
        return self.base

    @property
    def latest(self) -> int:
        """u64: the latest time that the monotonic clock has shown."""
        return self.base + 8

    @property
    def line_size(self) -> int:
        """u32: bytes of the line that has begun."""
        return self.base + 16

    @property
    def line_level(self) -> int:
        """u32: its log level."""
        return self.base + 20

    @property
    def deadlock(self) -> int:
        """u32: 1 while an exception is due for a wait that would never end."""
        return self.base + 24

    @property
    def line(self) -> int:
        """The line itself, LINE_CAPACITY bytes."""
        return self.base + 32

    def slot(self, number: int) -> int:
        """u32: a function of Python's, written when a filter is loaded; see `callbacks.callback_slots`."""
        return self.base + _KEPT_FROM + 4 * number

    @property
    def constants(self) -> int:
        """What never changes, up to the end of the page."""
        return self.base + _KEPT_FROM + _SLOTS_SIZE

    def forget(self, memory: bytearray) -> None:
        """Zero what the glue keeps while it runs: all that a snapshot is not to have of it."""
        memory[self.base : self.base + _KEPT_FROM] = bytes(_KEPT_FROM)


def monotonic(scratch: Scratch, current_time: int) -> GlueFunction:
    """() -> i64: the host's time, or the latest one shown when the host's clock was set back.

    `current_time` is proxy_get_current_time_nanoseconds.
    """
    code = Code(FuncType((), (I64,)))
    now = code.local(I64)
    latest = code.local(I64)
    code.i32_const(scratch.instant).i64_const(0).i64_store()
    code.i32_const(scratch.instant).call(current_time).drop()
    code.i32_const(scratch.instant).i64_load().local_set(now)
    code.i32_const(scratch.latest).i64_load().local_set(latest)
    code.local_get(now).local_get(latest).i64_lt_u().if_()
    code.local_get(latest).local_set(now)
    code.end()
    code.i32_const(scratch.latest).local_get(now).i64_store()
    code.local_get(now)
    return code.function("monotonic")


def flush(scratch: Scratch, log: int) -> GlueFunction:
    """() -> (): write the line that has begun, unless it is empty. `log` is proxy_log."""
    code = Code(FuncType())
    code.i32_const(scratch.line_size).i32_load().if_()
    code.i32_const(scratch.line_level).i32_load()
    code.i32_const(scratch.line)
    code.i32_const(scratch.line_size).i32_load()
    code.call(log).drop()
    code.i32_const(scratch.line_size).i32_const(0).i32_store()
    code.end()
    return code.function("flush")


def write(scratch: Scratch, flush: int) -> GlueFunction:
    """(level, address, size) -> (): add bytes to the line; it is written at its end, when it is full or the level is
    another. Line ends are not part of it.
    """
    code = Code(FuncType((I32, I32, I32)))
    level, address, size = range(3)
    end = code.local(I32)
    byte = code.local(I32)
    used = code.local(I32)
    code.i32_const(scratch.line_level).i32_load().local_get(level).i32_ne().if_()
    code.call(flush)
    code.i32_const(scratch.line_level).local_get(level).i32_store()
    code.end()
    code.local_get(address).local_get(size).i32_add().local_set(end)
    code.block().loop()
    code.local_get(address).local_get(end).i32_eq().br_if(1)
    code.local_get(address).i32_load8_u().local_set(byte)
    code.local_get(address).i32_const(1).i32_add().local_set(address)
    code.local_get(byte).i32_const(_NEWLINE).i32_eq().if_()
    code.call(flush)
    code.br(1)
    code.end()
    code.i32_const(scratch.line_size).i32_load().local_tee(used)
    code.i32_const(LINE_CAPACITY).i32_eq().if_()
    code.call(flush)
    code.i32_const(0).local_set(used)
    code.end()
    code.local_get(used).local_get(byte).i32_store8(scratch.line)
    code.i32_const(scratch.line_size).local_get(used).i32_const(1).i32_add().i32_store()
    code.br(0)
    code.end().end()
    return code.function("write")
