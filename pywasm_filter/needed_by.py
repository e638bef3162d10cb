"""Why a filter needs a hostcall: where in its source the names are that lead to it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import proxy_wasm_abi

from pywasm_filter.measured import answers_of
from pywasm_filter.needs import identifiers, named_by, needs_of_names


@dataclass(frozen=True)
class Place:
    """A name in a source file, at its first occurrence."""

    file: Path
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.name}"


def needed_by(modules: Iterable[Path], hostcall: str) -> list[Place]:
    """The names without any of which a filter would not need a hostcall.

    There are none when several parts of the source need it, each by itself.
    """
    trees = {module: ast.parse(module.read_bytes()) for module in modules}
    names = frozenset[str]().union(*(identifiers(tree) for tree in trees.values()))
    causes = {name for name in names if hostcall not in needs_of_names(names - {name}).hostcalls}
    first: dict[str, Place] = {}
    for module, tree in trees.items():
        answers = answers_of(tree)
        places = [
            Place(module, getattr(node, "lineno", 0), name)
            for node in ast.walk(tree)
            for name in named_by(node, answers)
        ]
        for place in sorted(places, key=lambda place: place.line):
            if place.name in causes:
                first.setdefault(place.name, place)
    return sorted(first.values(), key=lambda place: (str(place.file), place.line, place.name))


def faces_of(hostcall: str) -> tuple[str, ...]:
    """What authors have for a hostcall, as they write it."""
    entry = proxy_wasm_abi.load().hostcall(hostcall)
    return () if entry is None else tuple(face.shown for face in entry.names.python)
