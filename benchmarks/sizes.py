"""How large a module is, and of what."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

from pywasm_compiler.wasm.reader import read_module


@dataclass(frozen=True)
class Sizes:
    """Bytes of a module."""

    code: int
    """Of all function bodies: what V8 compiles while Envoy starts."""
    data: int
    """Of all data segments: what each VM begins with."""
    total: int
    packed: int
    """The whole module, gzipped."""


def sizes(path: Path) -> Sizes:
    """Of a core module. Raises WasmFormatError when it is none."""
    module = path.read_bytes()
    parts = read_module(module)
    return Sizes(
        code=sum(len(function.body) for function in parts.functions),
        data=sum(len(segment.content) for segment in parts.data),
        total=len(module),
        packed=len(gzip.compress(module, 6)),
    )
