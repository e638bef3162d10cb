"""Why a filter needs a hostcall or has a callback: where in its source that begins, and the way from there."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pywasm_filter.measured import MEASURED, answers_of, measured_body
from pywasm_filter.needs import ASYNC, Needs, chains_to, identifiers, named_by, needs_of_names, owners

_LONGEST_SHOWN = 60
_LONGEST_WAY = 6
_DIRECT = 2
"""A way of this length leads from a name of the author's to a class of the SDK without a detour."""

# How sure it is that a place means what is looked for, from its look: each doubt weighs as much as two more steps of
# the way, which may well lead through a name that others have, too.
_ON_ITS_OWNER, _BY_NAME, _IMPORTED = 0, 2, 4


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
    look: int

    def rank(self, causes: frozenset[str]) -> tuple[bool, int]:
        """The least is best; `causes` are names without which the filter would not need the function."""
        return self.name not in causes, len(self.use.chain) + self.look


def uses_of(modules: Iterable[Path], function: str) -> list[Use]:
    """The places that lead to a hostcall or a callback in the shortest way, in the order of the source.

    There are none when every filter has the function. Names are what it goes by, as `needs` does: a method of the
    same name on another object may be among them where the source does not show what it is called on.
    """
    if function in _all(needs_of_names(frozenset())):
        return []
    trees = {module: ast.parse(module.read_bytes()) for module in modules}
    names = frozenset[str]().union(*(identifiers(tree) for tree in trees.values()))
    chains = chains_to(function, names)
    causes = frozenset(name for name in chains if function not in _all(needs_of_names(names - {name})))
    candidates = [
        candidate for file, tree in trees.items() for candidate in _Places(file, tree, chains, names).candidates()
    ]
    if not candidates:
        return []
    best = min(candidate.rank(causes) for candidate in candidates)
    found = {candidate.use for candidate in candidates if candidate.rank(causes) == best}
    order = list(trees)
    return sorted(found, key=lambda use: (order.index(use.file), use.line, use.text))


def _all(needed: Needs) -> tuple[str, ...]:
    return (*needed.hostcalls, *needed.callbacks)


class _Places:
    """The places in one module that name what leads to a function."""

    def __init__(
        self, file: Path, tree: ast.Module, chains: Mapping[str, tuple[str, ...]], names: frozenset[str]
    ) -> None:
        self._file = file
        self._tree = tree
        self._chains = chains
        self._answers = answers_of(tree)
        self._owners = {name: _names_of_owners(chain, names) for name, chain in chains.items()}

    def candidates(self) -> Iterator[_Candidate]:
        """All of them."""
        yield from self._below(self._tree, "", 0)

    def _below(self, node: ast.AST, within: str, line: int) -> Iterator[_Candidate]:
        line = getattr(node, "lineno", line)
        for name in sorted(named_by(node, self._answers) & self._chains.keys()):
            use = Use(self._file, line, _text(node, name, self._answers), self._chains[name], within)
            yield _Candidate(use, name, self._look(node, name))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            within = node.name
        for child in ast.iter_child_nodes(node):
            yield from self._below(child, within, line)

    def _look(self, node: ast.AST, name: str) -> int:
        if isinstance(node, ast.alias):
            return _IMPORTED
        owners = self._owners[name]
        if not owners:
            return _ON_ITS_OWNER
        base = node.value if isinstance(node, ast.Attribute) else None
        named = {entry for below in ast.walk(base) for entry in named_by(below, self._answers)} if base else set()
        return _BY_NAME if owners.isdisjoint(named) else _ON_ITS_OWNER


def _names_of_owners(chain: tuple[str, ...], names: frozenset[str]) -> frozenset[str]:
    """The author's names for the object whose method begins a way; none where it begins with no method."""
    classes = owners(*chain[:2]) if len(chain) > 1 else frozenset()
    named = {name for cls in classes for name, way in chains_to(cls, names).items() if len(way) <= _DIRECT}
    return frozenset(named | ({"self"} if any(cls.endswith("Context") for cls in classes) else set()))


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
