"""Callbacks: their names, parameters and results."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator

from pywasm_compiler.findings import Finding, Severity

from pywasm_filter.checks import sdk
from pywasm_filter.checks.names import SDK, External, Project
from pywasm_filter.checks.reach import context_of
from pywasm_filter.checks.scopes import ClassScope, Function, Scope, Unit, own_nodes, yields
from pywasm_filter.checks.sdk import CallbackSpec

_CLOSE = 0.75
_TRANSPARENT = frozenset({"override", "final"})
_PLAIN_TYPES = frozenset({"bool", "int", "str", "bytes", "float", "dict", "list", "tuple", "set"})
_ACTION = "Action"


def callback_findings(project: Project) -> Iterator[Finding]:
    """What is wrong with the callbacks of all contexts."""
    for cls in project.classes:
        context = context_of(project, cls)
        if context is None:
            continue
        specs = sdk.callbacks(context)
        for name, bindings in cls.bindings.items():
            unit = bindings[-1]
            if not isinstance(unit, Unit) or unit.function is None:
                continue
            if name in specs:
                yield from _misfits(project, unit, specs[name])
            elif name == "__init__":
                yield from _constructor(cls, unit, context)
            elif not sdk.has_member(context, name):
                yield from _misspelt(project, cls, unit, context)


# --- names ---


def _misspelt(project: Project, cls: ClassScope, unit: Unit, context: str) -> Iterator[Finding]:
    if project.mentions(unit.name) or not set(unit.decorators) <= _TRANSPARENT:
        return
    plain = sdk.snake_case(unit.name)
    ours = sdk.callbacks(context)
    if plain in ours:  # camel case
        meant, why = plain, "is not how a callback is named here"
    elif translated := [name for name in sdk.names_elsewhere().get(plain, ()) if name in ours]:
        meant, why = translated[0], "is what another SDK calls it"
    elif others := [other for other in sdk.CONTEXTS if plain in sdk.callbacks(other)]:
        message = f"{unit.name} is a callback of {others[0]}, not of {context}: it is never called"
        yield _finding(unit, "callback-name", message, f"move it to the class that derives from {others[0]}")
        return
    elif not plain.startswith("on_") or project.has_others_methods(cls):
        return
    elif close := difflib.get_close_matches(plain, ours, 1, _CLOSE):
        meant, why = close[0], "is no callback"
    else:
        message = f"{unit.name} is no callback of {context}, and nothing in the filter mentions it: it is never called"
        remedy = f"name it as one of {context}'s callbacks (docs/reference/sdk.md), or remove it"
        yield _finding(unit, "callback-name", message, remedy, Severity.WARNING)
        return
    message = f"{unit.name} {why}: it is never called"
    yield _finding(unit, "callback-name", message, f"name it {ours[meant].shown}")


# --- parameters ---


def _misfits(project: Project, unit: Unit, spec: CallbackSpec) -> Iterator[Finding]:
    function = unit.function
    assert function is not None
    if not {*unit.decorators} <= _TRANSPARENT | {"staticmethod", "classmethod"}:
        return  # who knows what they make of it
    if not _accepts(unit, len(spec.parameters)):
        given = ", ".join(spec.parameters) or "none"
        message = f"{unit.name} cannot be called with the arguments that it gets: {given}"
        yield _finding(unit, "callback-signature", message, f"define it as {spec.shown}")
    if yields(function):
        message = f"{unit.name} is a generator: nothing in it runs when it is called"
        yield _finding(unit, "callback-async", message, "remove the `yield`")
    elif isinstance(function, ast.AsyncFunctionDef) and not spec.may_be_async:
        message = f"{unit.name} cannot be async: nothing waits for it"
        at_end = unit.name in ("on_log", "on_done", "on_delete")
        task = "self.root.create_task(...)" if at_end else "self.create_task(...)"
        yield _finding(unit, "callback-async", message, f"make it a plain `def`, and begin a task in it: {task}")
    elif spec.results:
        yield from _results(project, unit, function, spec)


def _accepts(unit: Unit, count: int) -> bool:
    """Whether a method can be called with that many arguments by position."""
    assert unit.function is not None
    arguments = unit.function.args
    positional = len(arguments.posonlyargs) + len(arguments.args)
    if "staticmethod" not in unit.decorators:
        positional -= 1
        if positional < 0:
            return arguments.vararg is not None
    required = positional - len(arguments.defaults)
    needs_keyword = any(default is None for default in arguments.kw_defaults)
    return required <= count and (count <= positional or arguments.vararg is not None) and not needs_keyword


def _constructor(cls: ClassScope, unit: Unit, context: str) -> Iterator[Finding]:
    function = unit.function
    assert function is not None
    if unit.decorators:
        return
    parameters = sdk.constructor_parameters(context)
    shown = ", ".join(parameters)
    if not _accepts(unit, len(parameters)):
        message = f"{cls.node.name}.__init__ cannot be called with the arguments that it gets: {shown}"
        remedy = f"define it as __init__(self, {shown}); set other state up in on_context_create or on_configure"
        yield _finding(unit, "callback-signature", message, remedy)
    elif not any(isinstance(node, ast.Attribute) and node.attr == "__init__" for node in own_nodes(function)):
        message = f"{cls.node.name}.__init__ does not call super().__init__({shown})"
        yield _finding(unit, "callback-signature", message, f"begin it with super().__init__({shown})")


# --- results ---


def _results(project: Project, unit: Unit, function: Function, spec: CallbackSpec) -> Iterator[Finding]:
    wanted = _wanted(spec)
    if function.returns is not None:
        kinds = [_kind(project, each, unit.scope.parent or unit.scope) for each in _alternatives(function.returns)]
        wrong = [kind for kind in kinds if kind and kind not in spec.results]
        if wrong:
            message = f"{unit.name} is declared to return {' or '.join(wrong)}, not {wanted}"
            yield _finding(unit, "callback-result", message, _remedy(spec))
            return
    returned = [node for node in own_nodes(function) if isinstance(node, ast.Return)]
    for node in sorted(returned, key=lambda node: node.lineno):
        if wrong_value := _wrong_value(node.value, spec):
            message = f"{unit.name} returns {wrong_value}, not {wanted}"
            yield Finding("callback-result", message, unit.module.source.shown, node.lineno, _remedy(spec))
    if not returned and not _never_ends_plainly(function):
        message = f"{unit.name} returns nothing, not {wanted}"
        yield _finding(unit, "callback-result", message, _remedy(spec))


def _wanted(spec: CallbackSpec) -> str:
    if "bool" in spec.results:
        return "True or False"
    return "an Action" if _ACTION in spec.results else f"a {' or '.join(sorted(spec.results))}"


def _remedy(spec: CallbackSpec) -> str:
    if "bool" in spec.results:
        return "return True, or False to refuse"
    return (
        "return Action.CONTINUE or Action.PAUSE" if _ACTION in spec.results else f"return a {sorted(spec.results)[0]}"
    )


def _alternatives(annotation: ast.expr) -> Iterator[ast.expr]:
    pending = [annotation]
    while pending:
        match pending.pop():
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                pending += [right, left]
            case other:
                yield other


def _kind(project: Project, annotation: ast.expr, scope: Scope) -> str:
    """The name of a type that is surely not another one; empty where that is not clear."""
    match annotation:
        case ast.Constant(value=None):
            return "None"
        case ast.Name() | ast.Attribute():
            found = project.meaning(annotation, scope)
            if isinstance(found, External):
                module, _, name = found.name.rpartition(".")
                if module == "builtins" and name in _PLAIN_TYPES:
                    return name
                if module == SDK and name in ("HttpResponse", "Request", "Response", "Headers", "Body", "Status"):
                    return name
            return ""
        case _:
            return ""


def _wrong_value(value: ast.expr | None, spec: CallbackSpec) -> str:
    match value:
        case None:
            return "nothing"
        case ast.Constant(value=bool()) if "bool" in spec.results:
            return ""
        case ast.Constant(value=constant):
            return repr(constant)
        case ast.Dict() | ast.List() | ast.Set() | ast.Tuple() | ast.JoinedStr():
            return ast.unparse(value)[:40]
        case _:
            return ""


def _never_ends_plainly(function: Function) -> bool:
    """Whether a function without a `return` may be meant to raise, or to go on for ever."""
    return any(isinstance(node, (ast.Raise, ast.While)) for node in own_nodes(function))


def _finding(unit: Unit, rule: str, message: str, remedy: str, severity: Severity = Severity.ERROR) -> Finding:
    assert unit.function is not None
    return Finding(rule, message, unit.module.source.shown, unit.function.lineno, remedy, severity)
