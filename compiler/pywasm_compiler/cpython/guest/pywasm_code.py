"""Compiles one module in a guest of its own: what parser and compiler leave in the memory is not in the snapshot.

The host runs this source with a call of `answer` behind it. It asks for a module's source, and gets its code.
"""

from __future__ import annotations

import marshal
from _ast import (
    AST,
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
)

import pywasm_hostcalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_ONLY_AST = 0x400
_DOCUMENTED = (Module, ClassDef, FunctionDef, AsyncFunctionDef)


def answer(file: str, docstrings: bool) -> None:
    """Ask for the source of a file, and give its code, with or without docstrings; nothing if it is no Python."""
    source = _ask("source", b"")
    try:
        tree = compile(source, file, "exec", _ONLY_AST, dont_inherit=True)
        if not docstrings:
            for node in _nodes(tree):
                _strip(node)
        code = compile(tree, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # the guest that wants the module finds out for itself
    _ask("imports", repr(tuple(_imports(tree))).encode())
    _ask("code", marshal.dumps(code))


def _ask(question: str, argument: bytes) -> bytes:
    number = pywasm_hostcalls.numbers["proxy_call_foreign_function"]
    answered: tuple[int, bytes] = pywasm_hostcalls.call_import(number, [question.encode(), argument])
    return answered[1]


def _nodes(tree: AST) -> Iterator[AST]:
    """All nodes that may have a docstring."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, _DOCUMENTED):
            yield node
        pending += _children(node)


def _children(node: AST) -> Iterator[AST]:
    for field in node._fields:
        value = getattr(node, field, None)
        if isinstance(value, AST):
            yield value
        elif isinstance(value, list):
            yield from (child for child in value if isinstance(child, AST))


def _strip(node: Any) -> None:
    """Leave out what would be the docstring."""
    body: list[AST] = node.body
    while (
        body
        and isinstance(body[0], Expr)
        and isinstance(body[0].value, Constant)
        and isinstance(body[0].value.value, str)
    ):
        first = body.pop(0)
        if not body:
            body.append(Pass(**{name: getattr(first, name) for name in first._attributes}))


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
