"""Where the bytes of a module's file are: a tree of shares, as far down as the module tells."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pywasm_compiler.provenance import LAYOUT, record_of
from pywasm_compiler.wasm.format import I32_CONST
from pywasm_compiler.wasm.model import Module, SegmentMode

HEAP: Final = "heap"
GROWN: Final = "grown heap"
"""What the heap has become longer by, which may lie apart from it."""
INTERPRETED: Final = "interpreted functions"
_U32: Final = 0xFFFF_FFFF
_CODE: Final = "code"
_DATA: Final = "data"
_NAMES: Final = "custom:name"


@dataclass(frozen=True)
class Share:
    """Some bytes of the file: what they are, how many, and of what they consist. The children make up the whole."""

    name: str
    size: int
    children: tuple[Share, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The stable form for other programs."""
        found: dict[str, object] = {"name": self.name, "size": self.size}
        if self.children:
            found["children"] = [child.to_json() for child in self.children]
        return found


def divided(name: str, children: Iterable[Share], size: int | None = None, rest: str = "other") -> Share:
    """A share of its children, the largest first; what they leave of `size` is one of them, named `rest`."""
    kept = [child for child in children if child.size > 0]
    total = sum(child.size for child in kept)
    if size is not None and size > total:
        kept.append(Share(rest, size - total))
        total = size
    return Share(name, total, tuple(sorted(kept, key=lambda child: (-child.size, child.name))))


def breakdown(module: Module, sections: Mapping[str, int], size: int, snapshot: Share | None = None) -> Share:
    """The shares of a file of `size` bytes with these sections. `snapshot`, if it was measured, divides the heap."""
    layout: dict[str, Any] = record_of(module).get(LAYOUT, {})
    parts = [
        _code(sections.get(_CODE, 0), layout.get("code", {})),
        _data(module, sections.get(_DATA, 0), layout, snapshot),
        Share("names of functions", sections.get(_NAMES, 0)),
    ]
    return divided("module", parts, size, "imports, exports, tables and types")


def heap_size(module: Module) -> int:
    """How many bytes the file holds of the heap; 0 for modules that do not say where it begins."""
    memory = record_of(module).get(LAYOUT, {}).get("memory", {})
    sizes = _region_sizes(module, memory)
    return sizes.get(HEAP, 0) + sizes.get(GROWN, 0)


def _code(size: int, parts: Mapping[str, Mapping[str, int]]) -> Share:
    if not parts:
        return Share("code", size)
    return divided("code", (Share(part, entry["size"]) for part, entry in parts.items()), size)


def _data(module: Module, size: int, layout: Mapping[str, Any], snapshot: Share | None) -> Share:
    memory: Mapping[str, int] = layout.get("memory", {})
    if not memory:
        return Share("data", size)
    sizes = _region_sizes(module, memory)
    heap_bytes = sizes.pop(HEAP, 0) + sizes.pop(GROWN, 0)
    heap = Share("snapshot", heap_bytes, () if snapshot is None else snapshot.children)
    interpreted = _interpreted(sizes.pop(INTERPRETED, 0), layout.get("interpreted", {}))
    static = divided("static data of the interpreter", (Share(name, count) for name, count in sizes.items()))
    return divided("data", (static, heap, interpreted), size, "addresses of segments")


def _interpreted(size: int, parts: Mapping[str, int]) -> Share:
    """Zeros at the ends may be in no segment, as they continue outside: some bytes less of the largest part."""
    excess = sum(parts.values()) - size
    largest = max(parts, key=lambda part: parts[part], default="")
    if excess > parts.get(largest, 0):
        return Share(INTERPRETED, size)
    sizes = {part: count - max(excess, 0) if part == largest else count for part, count in parts.items()}
    return divided(INTERPRETED, (Share(part, count) for part, count in sizes.items()), size, "their addresses")


def _region_sizes(module: Module, memory: Mapping[str, int]) -> dict[str, int]:
    """The bytes of the file by region of memory."""
    regions = sorted(memory.items(), key=lambda region: region[1])
    starts = [start for _, start in regions]
    sizes: dict[str, int] = {}
    for start, end in _segments(module):
        while start < end:
            index = max(bisect_right(starts, start) - 1, 0)
            stop = min(end, starts[index + 1] if index + 1 < len(starts) else end)
            if stop <= start:  # in front of the first region
                stop = end
            sizes[regions[index][0]] = sizes.get(regions[index][0], 0) + stop - start
            start = stop
    return sizes


def _segments(module: Module) -> Iterator[tuple[int, int]]:
    """Begin and end of the segments that lie at a fixed address."""
    for segment in module.data:
        match segment.offset:
            case (instruction,) if segment.mode is SegmentMode.ACTIVE and instruction.opcode == I32_CONST:
                start = instruction.immediate
                assert isinstance(start, int)
                yield start & _U32, (start & _U32) + len(segment.content)
