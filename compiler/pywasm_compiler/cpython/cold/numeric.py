"""The types of the instructions that compute, load and store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pywasm_compiler.wasm.model import ValType

I32, I64, F32, F64 = ValType.I32, ValType.I64, ValType.F32, ValType.F64


def _operators(
    opcodes: Iterable[int], params: tuple[ValType, ...], result: ValType
) -> dict[int, tuple[tuple[ValType, ...], ValType]]:
    return dict.fromkeys(opcodes, (params, result))


OPERATORS: Final[Mapping[int, tuple[tuple[ValType, ...], ValType]]] = {
    **_operators((0x45,), (I32,), I32),  # i32.eqz
    **_operators(range(0x46, 0x50), (I32, I32), I32),  # comparisons
    **_operators((0x50,), (I64,), I32),
    **_operators(range(0x51, 0x5B), (I64, I64), I32),
    **_operators(range(0x5B, 0x61), (F32, F32), I32),
    **_operators(range(0x61, 0x67), (F64, F64), I32),
    **_operators(range(0x67, 0x6A), (I32,), I32),  # clz ctz popcnt
    **_operators(range(0x6A, 0x79), (I32, I32), I32),
    **_operators(range(0x79, 0x7C), (I64,), I64),
    **_operators(range(0x7C, 0x8B), (I64, I64), I64),
    **_operators(range(0x8B, 0x92), (F32,), F32),
    **_operators(range(0x92, 0x99), (F32, F32), F32),
    **_operators(range(0x99, 0xA0), (F64,), F64),
    **_operators(range(0xA0, 0xA7), (F64, F64), F64),
    **_operators((0xA7,), (I64,), I32),  # conversions
    **_operators((0xA8, 0xA9, 0xBC), (F32,), I32),
    **_operators((0xAA, 0xAB), (F64,), I32),
    **_operators((0xAC, 0xAD), (I32,), I64),
    **_operators((0xAE, 0xAF), (F32,), I64),
    **_operators((0xB0, 0xB1, 0xBD), (F64,), I64),
    **_operators((0xB2, 0xB3, 0xBE), (I32,), F32),
    **_operators((0xB4, 0xB5), (I64,), F32),
    **_operators((0xB6,), (F64,), F32),
    **_operators((0xB7, 0xB8), (I32,), F64),
    **_operators((0xB9, 0xBA, 0xBF), (I64,), F64),
    **_operators((0xBB,), (F32,), F64),
    **_operators((0xC0, 0xC1), (I32,), I32),  # sign extension
    **_operators((0xC2, 0xC3, 0xC4), (I64,), I64),
    **_operators((0xFC00, 0xFC01), (F32,), I32),  # saturating truncation
    **_operators((0xFC02, 0xFC03), (F64,), I32),
    **_operators((0xFC04, 0xFC05), (F32,), I64),
    **_operators((0xFC06, 0xFC07), (F64,), I64),
}
"""Opcode -> types of the operands and of the result."""

LOADS: Final[Mapping[int, ValType]] = {
    0x28: I32,
    0x29: I64,
    0x2A: F32,
    0x2B: F64,
    **dict.fromkeys(range(0x2C, 0x30), I32),
    **dict.fromkeys(range(0x30, 0x36), I64),
}
"""Opcode -> type of the result."""

STORES: Final[Mapping[int, ValType]] = {
    0x36: I32,
    0x37: I64,
    0x38: F32,
    0x39: F64,
    0x3A: I32,
    0x3B: I32,
    **dict.fromkeys(range(0x3C, 0x3F), I64),
}
"""Opcode -> type of the value that is stored."""

LOAD_OF: Final[Mapping[ValType, int]] = {I32: 0x28, I64: 0x29, F32: 0x2A, F64: 0x2B}
STORE_OF: Final[Mapping[ValType, int]] = {I32: 0x36, I64: 0x37, F32: 0x38, F64: 0x39}
"""Type -> opcode of the load and store of a whole value."""
