"""Why a filter needs a hostcall or has a callback: where in its source that begins, and the way from there."""

from __future__ import annotations

import ast
from asyncio import Future
from collections import deque
from collections.abc import Coroutine, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import proxy_wasm_abi

from pywasm_filter.measured import MEASURED, answers_of, measured_body
from pywasm_filter.needs import (
    ASYNC,
    Needs,
    attributes_holding,
    chains_to,
    classes_with,
    identifiers,
    named_by,
    needs_of_names,
    owners,
)

_LONGEST_SHOWN = 60
_LONGEST_WAY = 6
_DIRECT = 2
"""A way of this length leads from a name of the author's to a class of the SDK without a detour."""

_OF_VALUES = frozenset(
    name for kind in (bytearray, bytes, deque, dict, float, int, list, set, str, tuple) for name in dir(kind)
)
"""Names of methods of plain values: what has them is one, unless it is known better."""

_OF_COROUTINES = frozenset(name for kind in (Coroutine, Future, Generator) for name in dir(kind))
_EXAMINED = 12
"""Of so many names it is found out whether the filter would need a function without them."""


class Sureness(IntEnum):
    """How sure it is that a place means what is looked for, from its look.

    Each doubt weighs as much as two more steps of the way, which may well lead through a name that others have, too.
    """

    CERTAIN = 0
    """It is called on what has it, or nothing else has such a name."""

    POSSIBLE = 2
    """Others have such a name, too."""

    UNLIKELY = 4
    """It is called on something else, or imported and that is all."""


@dataclass(frozen=True)
class Use:
    """A place in the author's source that leads to a function of the ABI.

    `text` is what is written there, `chain` a shortest way from its name to the function, both included, `within` the
    author's function around it, empty at the top of a module.
    """

    file: Path
    line: int
    text: str
    chain: tuple[str, ...]
    within: str = ""
    sureness: Sureness = Sureness.CERTAIN

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"

    @property
    def way(self) -> str:
        """From what is written to the function; the middle of a long way is left out, for it tells nothing."""
        steps = self.chain[1:] if len(self.chain) <= _LONGEST_WAY else ("…", self.chain[-1])
        return " → ".join((self.text, *steps))


@dataclass(frozen=True)
class _Candidate:
    use: Use
    name: str

    def rank(self, causes: frozenset[str]) -> tuple[bool, int]:
        """The least is best; `causes` are names without which the filter would not need the function."""
        return self.name not in causes, len(self.use.chain) + self.use.sureness


def uses_of(modules: Iterable[Path], function: str, *, named: bool = False) -> list[Use]:
    """The places that lead to a hostcall or a callback in the shortest way, in the order of the source.

    Names are what it goes by, as `needs` does, which takes too many things for a use rather than too few. With `named`,
    and for a function that every filter has, only the places count at which the author says what authors have for it.
    """
    trees = {module: ast.parse(module.read_bytes()) for module in modules}
    names = frozenset[str]().union(*(identifiers(tree) for tree in trees.values()))
    chains = chains_to(function, names)
    if named or function in _all(needs_of_names(frozenset())):
        faces = _faces(function)
        chains = {name: chain for name, chain in chains.items() if name in faces}
    nearest = sorted(chains, key=lambda name: (len(chains[name]), name))[:_EXAMINED]
    causes = frozenset(name for name in nearest if function not in _all(needs_of_names(names - {name})))
    own = _defined(trees.values())
    candidates = [
        candidate for file, tree in trees.items() for candidate in _Places(file, tree, chains, names, own).candidates()
    ]
    if not candidates:
        return []
    best = min(candidate.rank(causes) for candidate in candidates)
    found = {candidate.use for candidate in candidates if candidate.rank(causes) == best}
    order = list(trees)
    return sorted(found, key=lambda use: (order.index(use.file), use.line, use.text))


def _faces(function: str) -> frozenset[str]:
    """The names by which authors call a function, but for those that they assign to, which elsewhere mean another."""
    entry = proxy_wasm_abi.load().hostcall(function)
    faces = () if entry is None else entry.names.python
    return frozenset({function} | {face.path.rpartition(".")[2] for face in faces if " = " not in face.shown})


def _defined(trees: Iterable[ast.Module]) -> frozenset[str]:
    """The names of functions and methods that the author defines."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, functions))


def _all(needed: Needs) -> tuple[str, ...]:
    return (*needed.hostcalls, *needed.callbacks)


class _Places:
    """The places in one module that name what leads to a function."""

    def __init__(
        self,
        file: Path,
        tree: ast.Module,
        chains: Mapping[str, tuple[str, ...]],
        names: frozenset[str],
        own: frozenset[str],
    ) -> None:
        self._own = own
        self._file = file
        self._tree = tree
        self._chains = chains
        self._answers = answers_of(tree)
        self._names = names
        self._objects: dict[frozenset[str], frozenset[str]] = {}

    def candidates(self) -> Iterator[_Candidate]:
        """All of them."""
        yield from self._below(self._tree, "", 0)

    def _below(self, node: ast.AST, within: str, line: int) -> Iterator[_Candidate]:
        line = getattr(node, "lineno", line)
        for name in sorted(named_by(node, self._answers) & self._chains.keys()):
            text = _text(node, name, self._answers)
            use = Use(self._file, line, text, self._chains[name], within, self._sureness(node, name))
            yield _Candidate(use, name)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            within = node.name
        for child in ast.iter_child_nodes(node):
            yield from self._below(child, within, line)

    def _sureness(self, node: ast.AST, name: str) -> Sureness:
        if isinstance(node, ast.alias):  # elsewhere it goes by its other name, if it has one
            return Sureness.CERTAIN if node.asname else Sureness.UNLIKELY
        classes = owners(*self._chains[name][:2]) if len(self._chains[name]) > 1 else frozenset()
        if not classes:
            return Sureness.CERTAIN
        called_on = node.value if isinstance(node, ast.Attribute) else None
        object_name = "" if called_on is None else _last_name(called_on)
        if object_name in self._objects_of(classes):
            return Sureness.CERTAIN
        others = classes_with(name) - classes
        if isinstance(node, ast.Name) or isinstance(called_on, (ast.Constant, ast.JoinedStr)):
            return Sureness.UNLIKELY  # a variable, or a method of a plain value
        if object_name in self._objects_of(others) or name in _OF_VALUES:
            return Sureness.UNLIKELY
        return Sureness.POSSIBLE if others or name in _OF_COROUTINES or name in self._own else Sureness.CERTAIN

    def _objects_of(self, classes: frozenset[str]) -> frozenset[str]:
        """The author's names for objects of classes of the SDK."""
        if classes not in self._objects:
            named = {
                name for cls in classes for name, way in chains_to(cls, self._names).items() if len(way) <= _DIRECT
            }
            self_too = {"self"} if any(cls.endswith("Context") for cls in classes) else set()
            self._objects[classes] = frozenset(named | self_too).union(*map(attributes_holding, classes))
        return self._objects[classes]


def _last_name(node: ast.expr) -> str:
    """The name of what an expression yields, or of what yields it."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return node.attr
        case ast.Call(func=inner) | ast.Await(value=inner) | ast.Subscript(value=inner):
            return _last_name(inner)
    return ""


def _text(node: ast.AST, name: str, answers: frozenset[str]) -> str:
    """What is written in a place, in a few words."""
    if name == MEASURED and (body := measured_body(node, answers)) is not None:
        return f"the length of {_shortened(ast.unparse(body), 'a body')}"
    match node:
        case ast.Attribute():
            return _shortened(ast.unparse(node), node.attr)
        case ast.FunctionDef():
            return f"def {node.name}"
        case ast.AsyncFunctionDef():
            return f"async def {node.name}"
        case ast.ClassDef():
            return f"class {node.name}"
        case ast.alias():
            return f"import of {node.name}"
    return "async" if name == ASYNC else name


def _shortened(text: str, otherwise: str) -> str:
    return otherwise if len(text) > _LONGEST_SHOWN or "\n" in text else text
