"""Function bodies: what a linker has to change in them, and a readable view of their instructions.

`INSTRUCTIONS` says which immediates follow each opcode; the rest is derived from it. Known are the instructions of
WebAssembly 1.0, sign extension, saturating truncation, bulk memory, reference types and multi-value; any other raises
MalformedModule. Offsets in errors count from the start of the body.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

from pywasm_compiler.wasm.cursor import Cursor
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.leb128 import decode_unsigned, encode_signed, encode_unsigned
from pywasm_compiler.wasm.model import ValType


class Immediate(Enum):
    """What can follow an opcode."""

    FUNCTION = auto()
    TYPE = auto()
    TABLE = auto()
    MEMORY = auto()
    GLOBAL = auto()
    LOCAL = auto()
    LABEL = auto()
    DATA = auto()
    ELEMENT = auto()
    LABELS = auto()  # a vector of labels
    BLOCK_TYPE = auto()  # a value type or nothing (negative), or a type index
    HEAP_TYPE = auto()
    VALUE_TYPES = auto()  # a vector of value types
    ALIGNMENT = auto()
    OFFSET = auto()
    I32 = auto()
    I64 = auto()
    F32 = auto()
    F64 = auto()


@dataclass(frozen=True, slots=True)
class Const:
    """An i32 that stands in for an immutable global; signed or unsigned reading of the same bits."""

    value: int


class DecodedInstruction(NamedTuple):
    """One instruction of a body.

    `opcode` is the byte, or `0xFC00` plus the second number for instructions behind the prefix 0xFC. `immediates` holds
    integers, and raw bytes for floats; the vectors of `br_table` and `select` are flat.
    """

    offset: int
    opcode: int
    immediates: tuple[int | bytes, ...]


PREFIX_FC: Final = 0xFC

INSTRUCTIONS: Final[dict[int, tuple[Immediate, ...]]] = {
    **dict.fromkeys((0x00, 0x01, 0x05, 0x0B, 0x0F), ()),  # unreachable nop else end return
    **dict.fromkeys((0x02, 0x03, 0x04), (Immediate.BLOCK_TYPE,)),  # block loop if
    **dict.fromkeys((0x0C, 0x0D), (Immediate.LABEL,)),  # br br_if
    0x0E: (Immediate.LABELS, Immediate.LABEL),  # br_table
    0x10: (Immediate.FUNCTION,),  # call
    0x11: (Immediate.TYPE, Immediate.TABLE),  # call_indirect
    **dict.fromkeys((0x1A, 0x1B), ()),  # drop select
    0x1C: (Immediate.VALUE_TYPES,),  # select t
    **dict.fromkeys((0x20, 0x21, 0x22), (Immediate.LOCAL,)),  # local.get local.set local.tee
    **dict.fromkeys((0x23, 0x24), (Immediate.GLOBAL,)),  # global.get global.set
    **dict.fromkeys((0x25, 0x26), (Immediate.TABLE,)),  # table.get table.set
    **dict.fromkeys(range(0x28, 0x3F), (Immediate.ALIGNMENT, Immediate.OFFSET)),  # loads and stores
    **dict.fromkeys((0x3F, 0x40), (Immediate.MEMORY,)),  # memory.size memory.grow
    0x41: (Immediate.I32,),
    0x42: (Immediate.I64,),
    0x43: (Immediate.F32,),
    0x44: (Immediate.F64,),
    **dict.fromkeys(range(0x45, 0xC5), ()),  # numeric, sign extension
    0xD0: (Immediate.HEAP_TYPE,),  # ref.null
    0xD1: (),  # ref.is_null
    0xD2: (Immediate.FUNCTION,),  # ref.func
    **dict.fromkeys(range(0xFC00, 0xFC08), ()),  # saturating truncation
    0xFC08: (Immediate.DATA, Immediate.MEMORY),  # memory.init
    0xFC09: (Immediate.DATA,),  # data.drop
    0xFC0A: (Immediate.MEMORY, Immediate.MEMORY),  # memory.copy
    0xFC0B: (Immediate.MEMORY,),  # memory.fill
    0xFC0C: (Immediate.ELEMENT, Immediate.TABLE),  # table.init
    0xFC0D: (Immediate.ELEMENT,),  # elem.drop
    0xFC0E: (Immediate.TABLE, Immediate.TABLE),  # table.copy
    **dict.fromkeys((0xFC0F, 0xFC10, 0xFC11), (Immediate.TABLE,)),  # table.grow table.size table.fill
}
"""The immediates of every known instruction, by opcode as in `DecodedInstruction`."""

_PROPOSALS: Final = {
    **dict.fromkeys((0x06, 0x07, 0x08, 0x09, 0x0A, 0x18, 0x19, 0x1F), "exception handling"),
    **dict.fromkeys((0x12, 0x13), "tail calls"),
    **dict.fromkeys((0x14, 0x15, 0xD3, 0xD4, 0xD5, 0xD6), "typed function references"),
    0xFB: "garbage collection",
    0xFD: "SIMD",
    0xFE: "threads",
}

_MAX_LOCALS: Final = 50_000  # V8's
_CALL, _CALL_INDIRECT, _GLOBAL_GET, _GLOBAL_SET, _I32_CONST, _REF_FUNC = 0x10, 0x11, 0x23, 0x24, 0x41, 0xD2
_BLOCKS: Final = frozenset((0x02, 0x03, 0x04))
_REMAPPED_OPCODES: Final = _BLOCKS | {_CALL, _CALL_INDIRECT, _GLOBAL_GET, _GLOBAL_SET, _REF_FUNC}
_VALUE_TYPES: Final = frozenset(ValType)
_HEAP_TYPES: Final = frozenset((ValType.FUNCREF, ValType.EXTERNREF))
_PLAIN_BLOCK_TYPES: Final = _VALUE_TYPES | {0x40}  # 0x40: no result


def _one_of(values: Iterable[int]) -> bytes:
    """A regular expression for one byte out of `values`."""
    return b"[" + b"".join(b"\\x%02x" % value for value in sorted(values)) + b"]"


_LEB_32: Final = rb"[\x80-\xff]{0,4}+[\x00-\x7f]"
_LEB_64: Final = rb"[\x80-\xff]{0,9}+[\x00-\x7f]"
_PLAIN_IMMEDIATES: Final = {
    Immediate.BLOCK_TYPE: _one_of(_PLAIN_BLOCK_TYPES),
    Immediate.HEAP_TYPE: _one_of(_HEAP_TYPES),
    Immediate.VALUE_TYPES: rb"\x01" + _one_of(_VALUE_TYPES),
    Immediate.ALIGNMENT: rb"[\x00-\x3f]",
    Immediate.OFFSET: _LEB_64,
    Immediate.I64: _LEB_64,
    Immediate.F32: rb".{4}",
    Immediate.F64: rb".{8}",
}


def _plain_code() -> re.Pattern[bytes]:
    """What matches a run of instructions to be copied, derived from `INSTRUCTIONS`.

    A regular expression can say everything but a vector (`br_table`). Left out are the opcodes to be rewritten, except
    blocks whose type is not an index, and encodings that no compiler emits, such as a padded alignment. Repetition is
    possessive: nothing is ever read a second time, whatever the input.
    """
    last_bytes: dict[tuple[bytes, bytes], list[int]] = {}
    for opcode, fields in INSTRUCTIONS.items():
        if Immediate.LABELS not in fields and opcode not in _REMAPPED_OPCODES - _BLOCKS:
            prefix = rb"\xfc" if opcode > 0xFF else b""
            immediates = b"".join(_PLAIN_IMMEDIATES.get(field, _LEB_32) for field in fields)
            last_bytes.setdefault((prefix, immediates), []).append(opcode & 0xFF)
    alternatives = [prefix + _one_of(last) + immediates for (prefix, immediates), last in last_bytes.items()]
    return re.compile(b"(?:" + b"|".join(alternatives) + b")*+", re.DOTALL)


_skip_plain: Final = _plain_code().match


def remap_body(body: bytes, functions: Sequence[int], globals_: Sequence[int | Const], types: Sequence[int]) -> bytes:
    """Rewrite the indices of a body: the index `i` of a function, global or type becomes what stands at `i`.

    `global.get` of a Const becomes an `i32.const`. The new indices get their shortest encoding. All else is copied and
    not checked, the indices of tables, memories, data and element segments among it. Raises MalformedModule for an
    unknown instruction, an index that the sequences do not have, and `global.set` of a Const.
    """
    position = _after_locals(body)
    end = len(body)
    copied = 0
    parts: list[bytes] = []
    try:
        while True:
            # Nine instructions of ten need no change: the regular expression runs over them at the speed of C.
            position = _skip_plain(body, position).end()  # type: ignore[union-attr] # it matches nothing, too
            if position == end:
                parts.append(body[copied:])
                return b"".join(parts)
            opcode = body[position]
            if opcode in _REMAPPED_OPCODES:
                parts.append(body[copied:position])
                replacement, position = _remapped(body, position, functions, globals_, types)
                parts.append(replacement)
                copied = position
            else:  # rare: of variable length, or not known at all
                position = _after_instruction(body, position)
    except IndexError:
        raise MalformedModule(position, "an index beyond its index space") from None


def insert_at_entry(body: bytes, code: bytes) -> bytes:
    """A body that runs some code first, which is encoded and leaves the stack as it is."""
    start = _after_locals(body)
    return body[:start] + code + body[start:]


def iter_instructions(body: bytes) -> Iterator[DecodedInstruction]:
    """The instructions of a body, in order, with their immediates. For inspection and tests: readable, not fast."""
    cursor = Cursor(body, _after_locals(body))
    while cursor.remaining:
        yield _decode(cursor)


def local_types(body: bytes) -> tuple[ValType, ...]:
    """The types of the local variables that a body declares: parameters are not among them."""
    cursor = Cursor(body)
    runs = [(cursor.u32(), _value_type(cursor)) for _ in range(cursor.count())]
    if sum(count for count, _ in runs) > _MAX_LOCALS:
        raise MalformedModule(0, f"more than {_MAX_LOCALS} locals")
    return tuple(ValType(value_type) for count, value_type in runs for _ in range(count))


def _after_locals(body: bytes) -> int:
    """Where the code starts, after the declarations of local variables."""
    cursor = Cursor(body)
    for _ in range(cursor.count()):
        cursor.u32()
        _value_type(cursor)
    return cursor.offset


def _remapped(
    body: bytes, start: int, functions: Sequence[int], globals_: Sequence[int | Const], types: Sequence[int]
) -> tuple[bytes, int]:
    """An instruction with its index replaced, and the offset behind the original."""
    opcode = body[start]
    if opcode in _BLOCKS:
        index, position = _block_type_index(body, start + 1)
        return body[start : start + 1] + encode_signed(types[index]), position
    index, position = decode_unsigned(body, start + 1)
    if opcode in (_CALL, _REF_FUNC):
        return body[start : start + 1] + encode_unsigned(functions[index]), position
    if opcode == _CALL_INDIRECT:
        table, position = decode_unsigned(body, position)
        return body[start : start + 1] + encode_unsigned(types[index]) + encode_unsigned(table), position
    target = globals_[index]
    if not isinstance(target, Const):
        return body[start : start + 1] + encode_unsigned(target), position
    if opcode == _GLOBAL_SET:
        raise MalformedModule(start, f"global.set of global {index}, which is a constant")
    return bytes((_I32_CONST,)) + encode_signed(_wrap_i32(target.value)), position


def _wrap_i32(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def _block_type_index(body: bytes, position: int) -> tuple[int, int]:
    """A block type that is an index: the plain ones have been skipped."""
    cursor = Cursor(body, position)
    index = _block_type(cursor)
    return index, cursor.offset


def _after_instruction(body: bytes, position: int) -> int:
    cursor = Cursor(body, position)
    _decode(cursor)
    return cursor.offset


def _decode(cursor: Cursor) -> DecodedInstruction:
    start = cursor.offset
    opcode = cursor.byte()
    if opcode == PREFIX_FC:
        opcode = (PREFIX_FC << 8) + cursor.u32()
    fields = INSTRUCTIONS.get(opcode)
    if fields is None:
        raise _unknown(start, opcode, cursor)
    return DecodedInstruction(start, opcode, tuple(value for field in fields for value in _immediates(cursor, field)))


def _unknown(offset: int, opcode: int, cursor: Cursor) -> MalformedModule:
    name = f"{opcode:#04x}"
    if opcode > 0xFF:
        name = f"0xfc {opcode - (PREFIX_FC << 8)}"
    elif opcode >= 0xFB:  # a prefix
        name = f"{opcode:#04x} {cursor.u32()}"
    proposal = _PROPOSALS.get(opcode)
    reason = f"belongs to {proposal}, which is not supported" if proposal else "is not known"
    return MalformedModule(offset, f"the instruction {name} {reason}")


def _immediates(cursor: Cursor, field: Immediate) -> tuple[int | bytes, ...]:
    match field:
        case Immediate.I32:
            return (cursor.signed(32),)
        case Immediate.I64:
            return (cursor.signed(64),)
        case Immediate.F32:
            return (cursor.take(4),)
        case Immediate.F64:
            return (cursor.take(8),)
        case Immediate.BLOCK_TYPE:
            return (_block_type(cursor),)
        case Immediate.HEAP_TYPE:
            return (_heap_type(cursor),)
        case Immediate.VALUE_TYPES:
            return tuple(_value_type(cursor) for _ in range(cursor.count()))
        case Immediate.LABELS:
            return tuple(cursor.u32() for _ in range(cursor.count()))
        case Immediate.ALIGNMENT:
            return (_alignment(cursor),)
        case Immediate.OFFSET:
            return (cursor.unsigned(64),)  # memories may have 64-bit addresses
        case _:
            return (cursor.u32(),)


def _block_type(cursor: Cursor) -> int:
    start = cursor.offset
    block_type = cursor.signed(33)
    if block_type < 0 and cursor.data[start] not in _PLAIN_BLOCK_TYPES:
        raise MalformedModule(start, f"unknown block type {cursor.data[start]:#04x}")
    return block_type


def _value_type(cursor: Cursor) -> int:
    value_type = cursor.byte()
    if value_type not in _VALUE_TYPES:
        raise MalformedModule(cursor.offset - 1, f"unknown value type {value_type:#04x}")
    return value_type


def _heap_type(cursor: Cursor) -> int:
    heap_type = cursor.byte()
    if heap_type not in _HEAP_TYPES:
        raise MalformedModule(cursor.offset - 1, f"unknown heap type {heap_type:#04x}")
    return heap_type


def _alignment(cursor: Cursor) -> int:
    start = cursor.offset
    alignment = cursor.u32()
    if alignment >= 0x40:  # bit 6 announces the index of a memory
        raise MalformedModule(start, f"alignment {alignment:#x}: only memory 0 can be loaded from and stored to")
    return alignment
