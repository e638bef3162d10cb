"""What a module made by this engine says of itself: its tools, and where the bytes of its code and data come from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from pywasm_compiler.cpython.cold.image import ColdImage
from pywasm_compiler.cpython.linker import LinkedModule
from pywasm_compiler.cpython.memory import kept_ranges
from pywasm_compiler.engine import Options
from pywasm_compiler.guest_modules import guest_modules
from pywasm_compiler.wasm.leb128 import encode_unsigned


def layout_record(linked: LinkedModule, interpreted: Mapping[str, int]) -> dict[str, Any]:
    """The code by part of the interpreter, in bytes of the code section, and where the regions of memory begin.

    `interpreted` are the sizes of what is interpreted, by part.
    """
    code: dict[str, dict[str, int]] = {}
    for part, function in zip(linked.parts, linked.module.functions, strict=True):
        entry = code.setdefault(part, {"functions": 0, "size": 0})
        entry["functions"] += 1
        entry["size"] += len(encode_unsigned(len(function.body))) + len(function.body)
    return {"code": code, "interpreted": dict(interpreted), "memory": dict(linked.regions)}


def interpreted_sizes(cold: ColdImage, linked: LinkedModule) -> dict[str, int]:
    """How many bytes of a module's file are code that is interpreted, by part. All its functions are in `linked`."""
    imported = len(linked.definitions) - len(linked.parts)
    parts = dict(zip(linked.definitions[imported:], linked.parts, strict=True))
    places = sorted((address - cold.address, parts[definition]) for definition, address in cold.functions.items())
    ends = [*(start for start, _ in places[1:]), len(cold.content)]
    kept = _Kept(cold.content)
    sizes: dict[str, int] = {}
    for (start, part), end in zip(places, ends, strict=True):
        sizes[part] = sizes.get(part, 0) + kept.before(end) - kept.before(start)
    return sizes


class _Kept:
    """How much of some memory is in the file: all but long runs of zeros."""

    def __init__(self, content: bytes) -> None:
        self._starts: list[int] = []
        self._before: list[int] = []
        count = 0
        for start, size in kept_ranges(content):
            self._starts.append(start)
            self._before.append(count)
            count += size
        self._total = count

    def before(self, position: int) -> int:
        """The bytes that are kept in front of a position."""
        index = bisect_right(self._starts, position) - 1
        if index < 0:
            return 0
        end = self._before[index + 1] if index + 1 < len(self._before) else self._total
        return min(self._before[index] + position - self._starts[index], end)


def build_record(image: str, versions: Mapping[str, str], time_of_import: int, options: Options) -> dict[str, Any]:
    """The tools and options of a build. `image` identifies what the base image is made of."""
    return {
        "build": {
            "engine": "cpython",
            "image": image,
            "python": guest_modules().python,
            "source_date_epoch": time_of_import,
            "tools": dict(versions),
        },
        "options": {"debug_info": str(options.debug_info), "compile_all": options.compile_all},
    }
