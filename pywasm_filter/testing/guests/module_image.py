"""A module apart from the data that it starts with.

All filters that one version of the compiler makes share their code and differ in their data. Without the data they are
the same module, so that compiling it once serves them all; the host then writes the data into each fresh memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pywasm_compiler.wasm.errors import MalformedModule
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
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

_I32_CONST = 0x41
_U32 = 0xFFFF_FFFF


@dataclass(frozen=True)
class ModuleImage:
    """`code` is the module to compile; `segments` go to their addresses in a memory of at least `pages` pages."""

    code: bytes
    segments: tuple[tuple[int, bytes], ...] = ()
    pages: int = 0


def split_module(data: bytes) -> ModuleImage:
    """Take the active data segments out of a module, where that changes nothing: the whole module otherwise.

    It changes nothing if no code runs while the module is instantiated, the one memory is the module's own, and all
    offsets are constants.
    """
    try:
        module = read_module(data)
    except MalformedModule:
        # Whoever compiles it will say what is wrong with it.
        return ModuleImage(data)
    if module.start is not None or len(module.memories) != 1 or module.imported(ExternKind.MEMORY):
        return ModuleImage(data)
    segments = [(segment, _address(segment)) for segment in module.data if segment.mode is SegmentMode.ACTIVE]
    if any(address is None for _, address in segments):
        return ModuleImage(data)
    limits = module.memories[0].limits
    if limits.is_64 or limits.shared:
        return ModuleImage(data)
    return ModuleImage(
        code=write_module(_without_data(module)),
        segments=tuple((address, segment.content) for segment, address in segments if address is not None),
        pages=limits.minimum,
    )


def _address(segment: DataSegment) -> int | None:
    """Where an active segment goes, None if that is not a constant."""
    match segment.offset:
        case (Instruction(opcode=opcode, immediate=int(immediate)),) if opcode == _I32_CONST:
            return immediate & _U32
        case _:
            return None


def _without_data(module: Module) -> Module:
    limits = module.memories[0].limits
    return replace(
        module,
        memories=[MemoryType(Limits(0, limits.maximum))],
        data=_remaining(module),
        customs=[section for section in module.customs if _matters(section)],
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


def _matters(section: CustomSection) -> bool:
    """The names of functions show in backtraces."""
    return section.name == "name"
