"""Where a filter's source may ask for the length of a body, which hosts on nginx do not tell."""

from __future__ import annotations

import ast

MEASURED = "len(body)"
"""Stands for a body that is not just read or written: something may ask for its length."""

_BODIES = frozenset({"body", "downstream_data", "upstream_data"})
_UNMEASURED = frozenset({"read", "replace", "append", "prepend"})
_ANSWER = "HttpResponse"
_CALLOUT = "http_call"


def measures_body(node: ast.AST, answers: frozenset[str]) -> bool:
    """Whether a body below a node is more than read or written there. `answers` are names of answers to callouts."""
    return measured_body(node, answers) is not None


def measured_body(node: ast.AST, answers: frozenset[str]) -> ast.AST | None:
    """The body below a node that is more than read or written there, if there is one."""
    if isinstance(node, ast.Attribute) and node.attr in _UNMEASURED:
        return None
    return next((below for below in ast.iter_child_nodes(node) if _is_body(below, answers)), None)


def answers_of(module: ast.Module) -> frozenset[str]:
    """The names in a module that are bound to answers of HTTP callouts and to nothing else: their bodies are bytes."""
    nodes = list(ast.walk(module))
    targets = {id(node.targets[0]) for node in nodes if isinstance(node, ast.Assign) and _is_callout(node)}
    answers: set[str] = set()
    others: set[str] = set()
    for node in nodes:
        match node:
            case ast.Name(ctx=ast.Store()):
                (answers if id(node) in targets else others).add(node.id)
            case ast.arg():
                (answers if _is_answer(node.annotation) else others).add(node.arg)
            case ast.alias():
                others.add(node.asname or node.name)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                others.add(node.name)
            case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar() if node.name:
                others.add(node.name)
            case ast.MatchMapping(rest=str(name)):
                others.add(name)
    return frozenset(answers - others)


def _is_callout(node: ast.Assign) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name()], value=ast.Await(value=ast.Call(func=ast.Attribute(attr=attr)))):
            return attr == _CALLOUT
    return False


def _is_answer(annotation: ast.expr | None) -> bool:
    match annotation:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
            return name == _ANSWER
    return False


def _is_body(node: ast.AST, answers: frozenset[str]) -> bool:
    match node:
        case ast.Attribute(attr="body", value=ast.Name(id=name)) if name in answers:
            return False
        case ast.Attribute():
            return node.attr in _BODIES
        case ast.Constant() if isinstance(node.value, str):
            return not _BODIES.isdisjoint(node.value.split("."))
        case ast.MatchClass():
            return not _BODIES.isdisjoint(node.kwd_attrs)
    return False
