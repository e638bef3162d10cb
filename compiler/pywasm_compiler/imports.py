"""The import statements of a Python source, and when each of them is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum


class Need(Enum):
    """What becomes of the module when the import fails."""

    REQUIRED = "required"
    """It does not load."""

    OPTIONAL = "optional"
    """It goes on: the failure is caught, or the import stands under a condition that may be false."""

    DEFERRED = "deferred"
    """It loads; the import is executed when a function is called."""


@dataclass(frozen=True, slots=True)
class ImportStatement:
    """One module named by an import statement.

    `level` counts the leading dots. `names` holds what `from module import …` asks for, `*` left out; each may be a
    submodule or an attribute.
    """

    module: str
    line: int
    need: Need
    level: int = 0
    names: tuple[str, ...] = ()


def find_imports(tree: ast.Module) -> list[ImportStatement]:
    """All imports of a module in source order, without those for the type checker alone (`if TYPE_CHECKING`)."""
    return list(_statements(tree.body, Need.REQUIRED))


def _statements(body: Sequence[ast.AST], need: Need) -> Iterator[ImportStatement]:
    for node in body:
        yield from _statement(node, need)


def _statement(node: ast.AST, need: Need) -> Iterator[ImportStatement]:
    match node:
        case ast.Import():
            for alias in node.names:
                yield ImportStatement(alias.name, node.lineno, need)
        case ast.ImportFrom():
            names = tuple(alias.name for alias in node.names if alias.name != "*")
            yield ImportStatement(node.module or "", node.lineno, need, node.level, names)
        case ast.If(test=test) if _is_type_checking(test):
            yield from _statements(node.orelse, need)
        case ast.If(test=ast.UnaryOp(op=ast.Not(), operand=test)) if _is_type_checking(test):
            yield from _statements(node.body, need)
        case ast.Try() | ast.TryStar() if any(_catches_import_error(handler.type) for handler in node.handlers):
            yield from _statements([*node.body, *node.handlers, *node.orelse], Need.OPTIONAL)
            yield from _statements(node.finalbody, need)
        case ast.With() if any(_suppresses_import_error(item.context_expr) for item in node.items):
            yield from _statements(node.body, Need.OPTIONAL)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from _statements(node.body, Need.DEFERRED if need is Need.REQUIRED else need)
        case ast.If():
            yield from _branches(node, Need.OPTIONAL if need is Need.REQUIRED else need)
        case ast.While() | ast.For() | ast.Match():
            yield from _children(node, Need.OPTIONAL if need is Need.REQUIRED else need)
        case _:
            yield from _children(node, need)


def _branches(node: ast.If, need: Need) -> Iterator[ImportStatement]:
    """Imports of an `if` and of all its `elif`, which are nested in the tree: there may be many."""
    while True:
        yield from _statements(node.body, need)
        match node.orelse:
            case [ast.If() as following] if not _is_type_checking(following.test):
                node = following
            case rest:
                yield from _statements(rest, need)
                return


def _children(node: ast.AST, need: Need) -> Iterator[ImportStatement]:
    """Imports of a compound statement; an expression holds none."""
    yield from _statements([child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr)], need)


def _is_type_checking(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
        case _:
            return False


def _catches_import_error(caught: ast.expr | None) -> bool:
    match caught:
        case None:
            return True
        case ast.Tuple(elts=types):
            return any(_catches_import_error(each) for each in types)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")
        case _:
            return False


def _suppresses_import_error(context: ast.expr) -> bool:
    match context:
        case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress"), args=caught):
            return any(_catches_import_error(each) for each in caught)
        case _:
            return False
