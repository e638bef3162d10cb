"""A module's memory as its data segments fill it, and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from pywasm_compiler.wasm.format import I32_CONST
from pywasm_compiler.wasm.model import DataSegment, Instruction, Module, SegmentMode

PAGE_SIZE: Final = 1 << 16

_GAP: Final = 32
"""So many zero bytes are left out; a segment's own head takes about ten."""
_ZEROS: Final = re.compile(rb"\0{%d,}" % _GAP)


def page_count(module: Module) -> int:
    """How many pages its memory begins with."""
    return module.memories[0].limits.minimum


def fill(memory: bytearray, segments: Iterable[DataSegment]) -> None:
    """Write the segments of a linked module to their addresses, which are constants."""
    for segment in segments:
        address = segment.offset[0].immediate
        assert isinstance(address, int)
        start = address & 0xFFFF_FFFF
        memory[start : start + len(segment.content)] = segment.content


def without(memory: bytes, addresses: range) -> bytes:
    """A memory with zeros at some addresses."""
    return memory[: addresses.start] + bytes(len(addresses)) + memory[addresses.stop :]


def segments(memory: bytes, start: int) -> Iterator[DataSegment]:
    """Segments that fill a memory of zeros from `start` on, without long runs of zeros."""
    for begin, size in kept_ranges(memory, start):
        yield _segment(begin, memory[begin : begin + size])


def kept_ranges(memory: bytes, start: int = 0) -> Iterator[tuple[int, int]]:
    """Begin and size of what is between long runs of zeros, from `start` on."""
    for zeros in _ZEROS.finditer(memory, start):
        if zeros.start() > start:
            yield start, zeros.start() - start
        start = zeros.end()
    if start < len(memory):
        yield start, len(memory) - start


def _segment(address: int, content: bytes) -> DataSegment:
    signed = address - (1 << 32) if address >= 1 << 31 else address
    return DataSegment(SegmentMode.ACTIVE, content, offset=(Instruction(I32_CONST, signed),))
