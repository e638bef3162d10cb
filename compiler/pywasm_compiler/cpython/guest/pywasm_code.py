"""Compiles one module in a guest of its own: what parser and compiler leave in the memory is not in the snapshot.

The host runs this source with a call of `answer` behind it. It asks for a module's source, and gets its code.
"""

from __future__ import annotations

import marshal
from _ast import (
    AST,
    AnnAssign,
    Assign,
    AsyncFunctionDef,
    Attribute,
    ClassDef,
    Compare,
    Constant,
    Expr,
    FunctionDef,
    If,
    Import,
    ImportFrom,
    Lambda,
    Module,
    Name,
    Pass,
    arg,
)

import pywasm_hostcalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_ONLY_AST = 0x400
_DOCUMENTED = (Module, ClassDef, FunctionDef, AsyncFunctionDef)
_NO_LOCATION, _NO_COLUMNS = 15, 13
_LARGEST = 8
"""Code units that an entry of a location table is for."""


def answer(file: str, bare: bool, untyped: bool) -> None:
    """Ask for the source of a file, and give its code; nothing if it is no Python.

    What is `bare` has no docstrings, and lines without columns; what is `untyped` has no annotations either.
    """
    source = _ask("source", b"")
    try:
        tree = compile(source, file, "exec", _ONLY_AST, dont_inherit=True)
        for node in _nodes(tree):
            if bare:
                _strip_docstring(node)
            if untyped:
                _strip_annotations(node)
        code = compile(tree, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # the guest that wants the module finds out for itself
    _ask("imports", repr(tuple(_imports(tree))).encode())
    _ask("code", marshal.dumps(_without_columns(code) if bare else code))


def _ask(question: str, argument: bytes) -> bytes:
    return pywasm_hostcalls.proxy_call_foreign_function(question.encode(), argument)[1]


# --- docstrings and annotations ---


def _nodes(tree: AST) -> Iterator[AST]:
    """All nodes, outer ones first."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        pending += _children(node)


def _children(node: AST) -> Iterator[AST]:
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, AST):
            yield value
        elif isinstance(value, list):
            yield from (child for child in value if isinstance(child, AST))


def _strip_docstring(node: Any) -> None:
    """Leave out what would be the docstring."""
    body: list[Any] = node.body if isinstance(node, _DOCUMENTED) else []
    while (
        body
        and isinstance(body[0], Expr)
        and isinstance(body[0].value, Constant)
        and isinstance(body[0].value.value, str)
    ):
        first = body.pop(0)
        if not body:
            body.append(Pass(**_place(first)))


def _strip_annotations(node: Any) -> None:
    """Leave out annotations, and functions that are there to be annotated."""
    if isinstance(node, arg):
        node.annotation = None
    elif isinstance(node, (FunctionDef, AsyncFunctionDef)):
        node.returns = None
    if isinstance(node, (Module, ClassDef)):
        body: list[Any] = [_assignment(child) for child in node.body if not _is_overload(child)]
        node.body = body


def _assignment(node: Any) -> Any:
    if not isinstance(node, AnnAssign):
        return node
    if node.value is None:
        return Pass(**_place(node))
    return Assign(targets=[node.target], value=node.value, **_place(node))


def _is_overload(node: Any) -> bool:
    decorators = node.decorator_list if isinstance(node, FunctionDef) else []
    return any(isinstance(decorator, Name) and decorator.id == "overload" for decorator in decorators)


def _place(node: Any) -> dict[str, Any]:
    return {name: getattr(node, name) for name in node._attributes}


# --- imports ---


def _imports(tree: AST) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """What is imported when the module's code runs: dots, module, names. Not what functions import."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, Import):
            yield from ((0, alias.name, ()) for alias in node.names)
        elif isinstance(node, ImportFrom):
            yield node.level, node.module or "", tuple(alias.name for alias in node.names)
        elif isinstance(node, If) and _is_never_true(node.test):
            pending += node.orelse
        elif not isinstance(node, (FunctionDef, AsyncFunctionDef, Lambda)):
            pending += _children(node)


def _is_never_true(test: AST) -> bool:
    """Whether it is TYPE_CHECKING, or asks for the name of the main program."""
    if isinstance(test, Compare):
        test = test.left
    name = test.id if isinstance(test, Name) else test.attr if isinstance(test, Attribute) else ""
    return name in ("TYPE_CHECKING", "__name__")


# --- location tables: Objects/locations.md of CPython, its own description of them ---


def _without_columns(code: Any) -> Any:
    """The code, and what is in it, with the lines that it had, and without columns."""
    consts = tuple(_without_columns(const) if isinstance(const, type(code)) else const for const in code.co_consts)
    bare = code.replace(co_consts=consts, co_linetable=bytes(_lines(code)))
    if [place[0] for place in bare.co_positions()] != [place[0] for place in code.co_positions()]:
        raise RuntimeError(f"a location table that cannot be read: {code.co_qualname}")
    return bare


def _lines(code: Any) -> Iterator[int]:
    """A location table: how far the line moves, for each run of instructions of one line, of at most eight units."""
    written = code.co_firstlineno
    pending: list[Any] = [None, 0]
    for start, end, line in [*code.co_lines(), (0, 0, -1)]:
        if line != pending[0]:
            for at in range(0, pending[1], _LARGEST):
                head = min(pending[1] - at, _LARGEST) - 1
                if pending[0] is None:
                    yield 0x80 | _NO_LOCATION << 3 | head
                else:
                    yield 0x80 | _NO_COLUMNS << 3 | head
                    yield from _signed(pending[0] - written)
                    written = pending[0]
            pending = [line, 0]
        pending[1] += (end - start) // 2


def _signed(number: int) -> Iterator[int]:
    rest = -number << 1 | 1 if number < 0 else number << 1
    while rest >= 64:
        yield 0x40 | rest & 63
        rest >>= 6
    yield rest
