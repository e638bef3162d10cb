"""A module apart from the data that it starts with.

All filters that one version of the compiler makes share their code and differ in their data. Without the data they are
the same module, so that compiling it once serves them all; the host then writes the data into each fresh memory.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace

from pywasm_compiler.cpython.packing import unpacked
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.format import SectionId
from pywasm_compiler.wasm.model import (
    CustomSection,
    DataSegment,
    ExternKind,
    Instruction,
    Limits,
    MemoryType,
    Module,
    SegmentMode,
)
from pywasm_compiler.wasm.names import NAME_SECTION, Names, encode_names, module_names
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

_I32_CONST = 0x41
_U32 = 0xFFFF_FFFF
_GAP = 1 << 16


@dataclass(frozen=True)
class ModuleImage:
    """`code` is the module to compile; `runs` go to their addresses in a memory of at least `pages` pages."""

    code: bytes
    runs: tuple[tuple[int, bytearray], ...] = ()
    pages: int = 0


def split_module(data: bytes) -> ModuleImage:
    """Take the active data segments out of a module, where that changes nothing: the whole module otherwise.

    It changes nothing if no code runs while the module is instantiated, the one memory is the module's own, and all
    offsets are constants.
    """
    try:
        module = unpacked(read_module(data))
        names = module_names(module)
    except MalformedModule:
        # Whoever compiles it will say what is wrong with it.
        return ModuleImage(data)
    if module.start is not None or len(module.memories) != 1 or module.imported(ExternKind.MEMORY):
        return ModuleImage(data)
    active = [segment for segment in module.data if segment.mode is SegmentMode.ACTIVE]
    addresses = [_address(segment) for segment in active]
    if None in addresses:
        return ModuleImage(data)
    limits = module.memories[0].limits
    if limits.is_64 or limits.shared:
        return ModuleImage(data)
    return ModuleImage(
        code=write_module(_without_data(module, names)),
        runs=_runs([(address or 0, segment.content) for address, segment in zip(addresses, active, strict=True)]),
        pages=limits.minimum,
    )


def _runs(segments: list[tuple[int, bytes]]) -> tuple[tuple[int, bytearray], ...]:
    """Segments that are close to one another as one, so that a few large copies do. What comes later lies on top."""
    bounds: list[list[int]] = []
    for address, content in sorted(segments, key=lambda segment: segment[0]):
        if bounds and address - bounds[-1][1] <= _GAP:
            bounds[-1][1] = max(bounds[-1][1], address + len(content))
        else:
            bounds.append([address, address + len(content)])
    starts = [start for start, _ in bounds]
    runs = [bytearray(end - start) for start, end in bounds]
    for address, content in segments:
        index = bisect_right(starts, address) - 1
        offset = address - starts[index]
        runs[index][offset : offset + len(content)] = content
    return tuple(zip(starts, runs, strict=True))


def _address(segment: DataSegment) -> int | None:
    """Where an active segment goes, None if that is not a constant."""
    match segment.offset:
        case (Instruction(opcode=opcode, immediate=int(immediate)),) if opcode == _I32_CONST:
            return immediate & _U32
        case _:
            return None


def _without_data(module: Module, names: Names) -> Module:
    """Custom sections go as well, but for the names of functions, which show in backtraces."""
    limits = module.memories[0].limits
    functions = CustomSection(NAME_SECTION, encode_names(Names(functions=names.functions)), SectionId.DATA)
    return replace(
        module,
        memories=[MemoryType(Limits(0, limits.maximum))],
        data=_remaining(module),
        customs=[functions] if names.functions else [],
    )


def _remaining(module: Module) -> list[DataSegment]:
    """Without a data count no instruction can name a segment; otherwise their numbers must stay."""
    if module.data_count is None:
        return [segment for segment in module.data if segment.mode is not SegmentMode.ACTIVE]
    return [
        replace(segment, content=b"", offset=(Instruction(_I32_CONST, 0),))
        if segment.mode is SegmentMode.ACTIVE
        else segment
        for segment in module.data
    ]
