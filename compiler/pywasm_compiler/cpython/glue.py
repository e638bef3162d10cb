"""A tiny assembler for the functions that the linker adds to the module.

A `Code` is written instruction by instruction, each a method named as in the text format with `.` turned into `_`:
`code.local_get(0).i32_const(8).i32_add()`. Locals are numbered from the parameters on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from pywasm_compiler.wasm.leb128 import encode_signed, encode_unsigned
from pywasm_compiler.wasm.model import FuncType, ValType

I32: Final = ValType.I32
I64: Final = ValType.I64

_END: Final = 0x0B
_EMPTY_BLOCK: Final = 0x40


@dataclass(frozen=True, slots=True)
class GlueFunction:
    """A function of the linker's own: `body` is encoded as in the code section, without the size in front."""

    name: str
    type: FuncType
    body: bytes


class Code:
    """The code of one function of type `signature`, in the order in which it is written down."""

    def __init__(self, signature: FuncType) -> None:
        self.signature = signature
        self._locals: list[ValType] = []
        self._code = bytearray()

    def local(self, value_type: ValType) -> int:
        """Index of a new local, zero at entry."""
        self._locals.append(value_type)
        return len(self.signature.params) + len(self._locals) - 1

    def function(self, name: str) -> GlueFunction:
        """The finished function."""
        declarations = b"".join(b"\x01" + bytes([local]) for local in self._locals)
        body = encode_unsigned(len(self._locals)) + declarations + bytes(self._code) + bytes([_END])
        return GlueFunction(name, self.signature, body)

    # --- control ---

    def unreachable(self) -> Self:
        """Trap."""
        return self._emit(0x00)

    def block(self) -> Self:
        """Begin a block; a branch to it goes behind its `end`."""
        return self._emit(0x02, bytes([_EMPTY_BLOCK]))

    def loop(self) -> Self:
        """Begin a loop; a branch to it starts it again."""
        return self._emit(0x03, bytes([_EMPTY_BLOCK]))

    def if_(self) -> Self:
        """Begin what is done when the i32 on the stack is not zero."""
        return self._emit(0x04, bytes([_EMPTY_BLOCK]))

    def else_(self) -> Self:
        """Begin what is done otherwise."""
        return self._emit(0x05)

    def end(self) -> Self:
        """End a block, loop or if."""
        return self._emit(_END)

    def br(self, depth: int) -> Self:
        """Branch to the block `depth` levels out; 0 is the innermost."""
        return self._emit(0x0C, encode_unsigned(depth))

    def br_if(self, depth: int) -> Self:
        """Branch when the i32 on the stack is not zero."""
        return self._emit(0x0D, encode_unsigned(depth))

    def br_table(self, depths: Sequence[int], default: int) -> Self:
        """Branch to the block that the i32 on the stack selects."""
        labels = b"".join(encode_unsigned(depth) for depth in (*depths, default))
        return self._emit(0x0E, encode_unsigned(len(depths)) + labels)

    def return_(self) -> Self:
        """Return with what is on the stack."""
        return self._emit(0x0F)

    def call(self, function: int) -> Self:
        """Call a function by its index."""
        return self._emit(0x10, encode_unsigned(function))

    def call_indirect(self, type_index: int) -> Self:
        """Call the function of the table that the i32 on the stack selects. Traps when its type is another."""
        return self._emit(0x11, encode_unsigned(type_index) + b"\0")

    def drop(self) -> Self:
        """Drop the value on the stack."""
        return self._emit(0x1A)

    def select(self) -> Self:
        """Keep the first of two values if the i32 behind them is not zero, else the second."""
        return self._emit(0x1B)

    # --- variables ---

    def local_get(self, index: int) -> Self:
        """Push a local."""
        return self._emit(0x20, encode_unsigned(index))

    def local_set(self, index: int) -> Self:
        """Pop into a local."""
        return self._emit(0x21, encode_unsigned(index))

    def local_tee(self, index: int) -> Self:
        """Copy the value on the stack into a local."""
        return self._emit(0x22, encode_unsigned(index))

    def global_get(self, index: int) -> Self:
        """Push a global."""
        return self._emit(0x23, encode_unsigned(index))

    def global_set(self, index: int) -> Self:
        """Pop into a global."""
        return self._emit(0x24, encode_unsigned(index))

    # --- memory ---

    def i32_load(self, offset: int = 0) -> Self:
        """Load an i32 from the address on the stack plus `offset`."""
        return self._memory(0x28, 2, offset)

    def i64_load(self, offset: int = 0) -> Self:
        """Load an i64 from the address on the stack plus `offset`."""
        return self._memory(0x29, 3, offset)

    def i32_load8_u(self, offset: int = 0) -> Self:
        """Load a byte."""
        return self._memory(0x2D, 0, offset)

    def i32_store(self, offset: int = 0) -> Self:
        """Store an i32; the address is below it on the stack."""
        return self._memory(0x36, 2, offset)

    def i64_store(self, offset: int = 0) -> Self:
        """Store an i64; the address is below it on the stack."""
        return self._memory(0x37, 3, offset)

    def i32_store8(self, offset: int = 0) -> Self:
        """Store the low byte of an i32; the address is below it on the stack."""
        return self._memory(0x3A, 0, offset)

    def load(self, opcode: int, offset: int = 0) -> Self:
        """Any load, by its opcode."""
        return self._memory(opcode, 0, offset)

    def store(self, opcode: int, offset: int = 0) -> Self:
        """Any store, by its opcode."""
        return self._memory(opcode, 0, offset)

    def memory_size(self) -> Self:
        """Size of the memory in pages."""
        return self._emit(0x3F, b"\0")

    def memory_grow(self) -> Self:
        """Grow the memory by as many pages; its size before, or -1."""
        return self._emit(0x40, b"\0")

    def memory_init(self, segment: int) -> Self:
        """(target, offset in the segment, size): copy bytes of a passive data segment."""
        return self._emit(0xFC, b"\x08" + encode_unsigned(segment) + b"\0")

    def memory_copy(self) -> Self:
        """(target, source, size): copy bytes."""
        return self._emit(0xFC, b"\x0a\0\0")

    def memory_fill(self) -> Self:
        """(target, byte, size): fill with a byte."""
        return self._emit(0xFC, b"\x0b\0")

    # --- numbers ---

    def operator(self, opcode: int) -> Self:
        """Any instruction that computes and has no immediate, by its opcode as in `wasm.code`."""
        if opcode > 0xFF:
            return self._emit(opcode >> 8, encode_unsigned(opcode & 0xFF))
        return self._emit(opcode)

    def i32_const(self, value: int) -> Self:
        """Push an i32, given as signed or unsigned."""
        return self._emit(0x41, encode_signed(_signed(value, 32)))

    def i64_const(self, value: int) -> Self:
        """Push an i64, given as signed or unsigned."""
        return self._emit(0x42, encode_signed(_signed(value, 64)))

    def i32_eqz(self) -> Self:
        """Whether the i32 is zero."""
        return self._emit(0x45)

    def i32_eq(self) -> Self:
        """Whether two i32 are equal."""
        return self._emit(0x46)

    def i32_ne(self) -> Self:
        """Whether two i32 differ."""
        return self._emit(0x47)

    def i32_ge_u(self) -> Self:
        """Whether the first i32 is at least the second, unsigned."""
        return self._emit(0x4F)

    def i64_eqz(self) -> Self:
        """Whether the i64 is zero."""
        return self._emit(0x50)

    def i64_eq(self) -> Self:
        """Whether two i64 are equal."""
        return self._emit(0x51)

    def i64_lt_u(self) -> Self:
        """Whether the first i64 is less than the second, unsigned."""
        return self._emit(0x54)

    def i32_add(self) -> Self:
        """Add two i32."""
        return self._emit(0x6A)

    def i32_sub(self) -> Self:
        """Subtract the second i32 from the first."""
        return self._emit(0x6B)

    def i32_mul(self) -> Self:
        """Multiply two i32."""
        return self._emit(0x6C)

    def i64_div_u(self) -> Self:
        """Divide the first i64 by the second, unsigned."""
        return self._emit(0x80)

    def i64_rem_u(self) -> Self:
        """Remainder of that division."""
        return self._emit(0x82)

    def i32_wrap_i64(self) -> Self:
        """Keep the low half of an i64."""
        return self._emit(0xA7)

    # --- encoding ---

    def _memory(self, opcode: int, alignment: int, offset: int) -> Self:
        return self._emit(opcode, encode_unsigned(alignment) + encode_unsigned(offset))

    def _emit(self, opcode: int, immediate: bytes = b"") -> Self:
        self._code.append(opcode)
        self._code += immediate
        return self


def _signed(value: int, bits: int) -> int:
    """The number as the signed one with the same bits. Raises ValueError when it needs more bits."""
    if not -(1 << bits - 1) <= value < 1 << bits:
        raise ValueError(f"{value} needs more than {bits} bits")
    return value - (1 << bits) if value >= 1 << bits - 1 else value
