"""A slow, plain counterpart of `remap_body`, made of `iter_instructions` and an encoder."""

from __future__ import annotations

from collections.abc import Sequence

from pywasm_compiler.wasm.code import INSTRUCTIONS, Immediate, iter_instructions
from pywasm_compiler.wasm.leb128 import encode_signed, encode_unsigned


def encode(opcode: int, immediates: tuple[int | bytes, ...]) -> bytes:
    """The bytes of one instruction, minimal: what `iter_instructions` takes apart."""
    encoded = bytes((opcode,)) if opcode <= 0xFF else bytes((opcode >> 8, opcode & 0xFF))
    fields: Sequence[Immediate] = INSTRUCTIONS[opcode]
    if fields == (Immediate.VALUE_TYPES,):
        return encoded + bytes((len(immediates),)) + b"".join(map(encode_value, immediates))
    if fields == (Immediate.LABELS, Immediate.LABEL):
        encoded += encode_unsigned(len(immediates) - 1)
    signed = Immediate.I32, Immediate.I64, Immediate.BLOCK_TYPE
    encode_one = encode_signed_value if fields and fields[0] in signed else encode_value
    return encoded + b"".join(map(encode_one, immediates))


def encode_value(value: int | bytes) -> bytes:
    return value if isinstance(value, bytes) else encode_unsigned(value)


def encode_signed_value(value: int | bytes) -> bytes:
    assert isinstance(value, int)
    return encode_signed(value)


REMAPPED = {
    0x02: Immediate.BLOCK_TYPE,
    0x03: Immediate.BLOCK_TYPE,
    0x04: Immediate.BLOCK_TYPE,
    0x10: Immediate.FUNCTION,
    0xD2: Immediate.FUNCTION,
    0x11: Immediate.TYPE,
    0x23: Immediate.GLOBAL,
    0x24: Immediate.GLOBAL,
}


class Shifted(Sequence[int]):
    """An index space in which each index moves up by `by`."""

    def __init__(self, by: int) -> None:
        self.by = by

    def __getitem__(self, index: int) -> int:  # type: ignore[override] # never sliced
        assert index >= 0
        return index + self.by

    def __len__(self) -> int:
        return 2**33


def shifted(instruction: tuple[int, tuple[int | bytes, ...]]) -> tuple[int, tuple[int | bytes, ...]]:
    """What `remap_body` shall make of an instruction when functions move by 1, globals by 2 and types by 3."""
    opcode, (first, *rest) = instruction if instruction[1] else (instruction[0], (0,))
    match REMAPPED.get(opcode):
        case None:
            return instruction
        case Immediate.FUNCTION:
            by = 1
        case Immediate.GLOBAL:
            by = 2
        case _:
            by = 3
    assert isinstance(first, int)
    return opcode, (first + by if first >= 0 else first, *rest)


def reference_remap(body: bytes) -> bytes:
    """`remap_body(body, Shifted(1), Shifted(2), Shifted(3))`, one instruction after the other."""
    instructions = list(iter_instructions(body))
    starts = [instruction.offset for instruction in instructions] + [len(body)]
    remapped = body[: starts[0]]
    for instruction, end in zip(instructions, starts[1:], strict=True):
        before = (instruction.opcode, instruction.immediates)
        after = shifted(before)
        remapped += body[instruction.offset : end] if after == before else encode(*after)
    return remapped
