"""The content of a module's memory, compressed.

A proxy keeps a module's bytes several times over: in its configuration, to clone it, to compile it. Compressed data are
less in each copy. They are in the format of LZ4's blocks, which takes few instructions to read, and lie in passive
segments, so that they are in no VM's memory. A start function fills the memory before anything else can run: each block
goes to the end of where its content belongs, a little beyond it, and is decompressed from there in place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Final

import lz4.block

from pywasm_compiler.cpython.glue import I32, Code
from pywasm_compiler.cpython.memory import PAGE_SIZE, segments
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.model import (
    CustomSection,
    DataSegment,
    ExternKind,
    Function,
    FuncType,
    Limits,
    MemoryType,
    Module,
    SegmentMode,
)

PACKED_SECTION: Final = "pywasm-filter.packed"
"""Names the addresses at which the blocks begin, and the end of the last one."""

_FUNCTIONS: Final = 2
"""Functions that unpacking takes, the module's last."""
_START: Final = FuncType()
_DECOMPRESS: Final = FuncType((I32, I32, I32))
_LEVEL: Final = 3
_LAST_SECTION: Final = 11
_MAX_PAGES: Final = 1 << 16
_LEAST_BOUNDARIES: Final = 2
_BEST_RATIO: Final = 255
"""Bytes that one byte of a block can stand for."""

_MORE: Final = 15
"""A length of so many or more goes on in bytes of its own."""
_LEAST_MATCH: Final = 4
_WORD: Final = 8
_I32_AND, _I32_SHR_U, _I32_GT_U, _I32_LT_U = 0x71, 0x76, 0x4B, 0x49
_I32_LOAD16_U: Final = 0x2F


def packed(module: Module, memory: bytes, boundaries: Iterable[int]) -> Module:
    """A module without data, with a memory's content compressed.

    It is one block from each boundary to the next, the last to the end; before the first there is nothing. All of
    the module's memory is filled before its other functions run. It has a page more than the content.
    """
    starts = sorted(set(boundaries))
    ends = [*starts[1:], len(memory)]
    with ThreadPoolExecutor() as threads:  # LZ4 leaves the interpreter to others meanwhile
        blocks = list(threads.map(_Block, starts, (memory[start:end] for start, end in zip(starts, ends, strict=True))))
    first = len(module.imported(ExternKind.FUNC)) + len(module.functions)
    types = list(module.types)
    functions = [
        Function(_type_index(types, _START), _unpack(blocks, first + 1, len(memory))),
        Function(_type_index(types, _DECOMPRESS), _decompress()),
    ]
    layout = CustomSection(PACKED_SECTION, json.dumps([*starts, len(memory)]).encode(), _LAST_SECTION)
    return replace(
        module,
        types=types,
        functions=[*module.functions, *functions],
        memories=[MemoryType(Limits(len(memory) // PAGE_SIZE + 1))],
        start=first,
        data=[DataSegment(SegmentMode.PASSIVE, block.compressed) for block in blocks],
        data_count=len(blocks),
        customs=[*module.customs, layout],
    )


def unpacked(module: Module) -> Module:
    """The module as it was, with the content of its memory in active segments; one that is not packed as it is.

    Raises MalformedModule when it says that it is packed, and is not.
    """
    layout = next((custom for custom in module.customs if custom.name == PACKED_SECTION), None)
    if layout is None:
        return module
    boundaries = _boundaries(layout.content)
    blocks = [segment.content for segment in module.data]
    if len(boundaries) != len(blocks) + 1 or module.start is None or len(module.functions) < _FUNCTIONS:
        raise MalformedModule(0, f"the section {PACKED_SECTION} belongs to another module")
    content_size = boundaries[-1] - boundaries[0]
    if content_size > _BEST_RATIO * sum(map(len, blocks)):
        raise MalformedModule(0, "more than compressed data can hold")
    memory = bytearray(boundaries[-1])
    for (start, end), block in zip(pairwise(boundaries), blocks, strict=True):
        try:
            content = lz4.block.decompress(block, uncompressed_size=end - start)
        except lz4.block.LZ4BlockError as error:
            raise MalformedModule(0, f"a block of compressed data cannot be read: {error}") from error
        memory[start : start + len(content)] = content
    return replace(
        module,
        functions=module.functions[:-_FUNCTIONS],
        memories=[MemoryType(Limits(len(memory) // PAGE_SIZE))],
        start=None,
        data=list(segments(bytes(memory), boundaries[0])),
        data_count=None,
        customs=[custom for custom in module.customs if custom is not layout],
    )


class _Block:
    """Content that begins at an address, compressed."""

    def __init__(self, address: int, content: bytes) -> None:
        self.address = address
        self.end = address + len(content)
        self.compressed: bytes = lz4.block.compress(
            content, mode="high_compression", compression=_LEVEL, store_size=False
        )

    @property
    def place(self) -> int:
        """Where it goes to be decompressed: so far beyond the end that what is written never overtakes what is read."""
        return self.end + (len(self.compressed) >> 8) + 32 - len(self.compressed)


def _boundaries(content: bytes) -> list[int]:
    """The addresses of a layout, in ascending order."""
    try:
        boundaries = json.loads(content)
    except (ValueError, RecursionError):
        boundaries = None
    if (
        not isinstance(boundaries, list)
        or len(boundaries) < _LEAST_BOUNDARIES
        or not all(type(address) is int for address in boundaries)
        or not boundaries[0] >= 0
        or any(after <= before for before, after in pairwise(boundaries))
        or boundaries[-1] > _MAX_PAGES * PAGE_SIZE
    ):
        raise MalformedModule(0, f"the section {PACKED_SECTION} names no addresses")
    return boundaries


def _type_index(types: list[FuncType], signature: FuncType) -> int:
    if signature not in types:
        types.append(signature)
    return types.index(signature)


# --- in the module ----------------------------------------------------------------------------------------------------


def _unpack(blocks: Sequence[_Block], decompress: int, end: int) -> bytes:
    """() -> (): fill the memory. A block's surplus lies where the next one begins, that of the last is zeroed."""
    code = Code(_START)
    for number, block in enumerate(blocks):
        code.i32_const(block.place).i32_const(0).i32_const(len(block.compressed)).memory_init(number)
        code.i32_const(block.place).i32_const(block.place + len(block.compressed)).i32_const(block.address)
        code.call(decompress)
    code.i32_const(end).i32_const(0).i32_const(PAGE_SIZE).memory_fill()
    return code.function("unpack").body


def _decompress() -> bytes:
    """(compressed data, their end, target) -> (): a block of LZ4."""
    code = Code(_DECOMPRESS)
    source, end, target = range(3)
    token, length, match = (code.local(I32) for _ in range(3))
    code.block().loop()
    _next_byte(code, source).local_tee(token).i32_const(4).operator(_I32_SHR_U).local_set(length)
    _extend(code, source, length)
    _copy(code, source, target, length)
    code.local_get(source).local_get(end).operator(_I32_LT_U).i32_eqz().br_if(1)  # the last ones are literals
    code.local_get(target).local_get(source).load(_I32_LOAD16_U).i32_sub().local_set(match)
    code.local_get(source).i32_const(2).i32_add().local_set(source)
    code.local_get(token).i32_const(_MORE).operator(_I32_AND).local_set(length)
    _extend(code, source, length)
    code.local_get(length).i32_const(_LEAST_MATCH).i32_add().local_set(length)
    # One byte over and over again, most often zero, is filled in one go.
    code.local_get(match).i32_const(1).i32_add().local_get(target).i32_eq().if_()
    code.local_get(target).local_get(match).i32_load8_u().local_get(length).memory_fill()
    code.local_get(target).local_get(length).i32_add().local_set(target)
    code.br(1)
    code.end()
    # Words are copied only where none is written before it is read.
    code.local_get(match).i32_const(_WORD).i32_add().local_get(target).operator(_I32_GT_U).if_()
    _copy_bytes(code, match, target, length)
    code.else_()
    _copy(code, match, target, length)
    code.end()
    code.br(0)
    code.end().end()
    return code.function("decompress").body


def _next_byte(code: Code, source: int) -> Code:
    """The byte that `source` points to, which then points to the next."""
    return code.local_get(source).i32_load8_u().local_get(source).i32_const(1).i32_add().local_set(source)


def _extend(code: Code, source: int, length: int) -> None:
    """Read the rest of a length, if there is one: as long as bytes are 255, and the byte behind them."""
    byte = code.local(I32)
    code.local_get(length).i32_const(_MORE).i32_eq().if_()
    code.loop()
    _next_byte(code, source).local_tee(byte).local_get(length).i32_add().local_set(length)
    code.local_get(byte).i32_const(0xFF).i32_eq().br_if(0)
    code.end().end()


def _copy(code: Code, source: int, target: int, length: int) -> None:
    """Copy as many bytes, a word at a time first; both addresses go on, and the length becomes zero."""
    code.block().loop()
    code.local_get(length).i32_const(_WORD).operator(_I32_LT_U).br_if(1)
    code.local_get(target).local_get(source).i64_load().i64_store()
    for local, step in ((source, _WORD), (target, _WORD), (length, -_WORD)):
        code.local_get(local).i32_const(step).i32_add().local_set(local)
    code.br(0)
    code.end().end()
    _copy_bytes(code, source, target, length)


def _copy_bytes(code: Code, source: int, target: int, length: int) -> None:
    code.block().loop()
    code.local_get(length).i32_eqz().br_if(1)
    code.local_get(target).local_get(source).i32_load8_u().i32_store8()
    for local, step in ((source, 1), (target, 1), (length, -1)):
        code.local_get(local).i32_const(step).i32_add().local_set(local)
    code.br(0)
    code.end().end()
