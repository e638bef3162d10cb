"""Coroutines that nobody awaits."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pywasm_compiler.findings import Finding

from pywasm_filter.checks import sdk
from pywasm_filter.checks.names import External, Method, Project
from pywasm_filter.checks.scopes import Site, Unit, own_nodes

_REMEDY = "`await` it in an `async def` callback"
_REMEDIES = {
    "http_call": "`await` it in an `async def` callback, or use self.start_http_call, which needs no await",
    "grpc_call": "`await` it in an `async def` callback, or use self.start_grpc_call, which needs no await",
}


def unawaited(project: Project) -> Iterator[Finding]:
    """Calls of coroutine functions whose result is dropped, or used as if it were the answer."""
    for unit in project.units:
        for site in unit.discarded:
            if name := _coroutine(project, site):
                yield _finding(unit, site.node, name, "is called and not awaited: it does nothing")
        for site in unit.sites:
            if isinstance(site.node, ast.Attribute) and not _is_coroutines(site.node.attr):
                inner = Site(site.node.value, site.scope, site.conditional, site.guards)
                if name := _coroutine(project, inner):
                    message = f"is not awaited: what it returns has no '{site.node.attr}' yet"
                    yield _finding(unit, site.node, name, message)
        yield from _kept(project, unit)


def _kept(project: Project, unit: Unit) -> Iterator[Finding]:
    """Coroutines that a local name gets, and of which only attributes are used, or nothing."""
    if unit.function is None:
        return
    candidates = {name: site for name, site in unit.assigned if _coroutine(project, site)}
    for variable, site in candidates.items():
        if len(unit.scope.bindings.get(variable, ())) != 1 or variable in unit.scope.elsewhere:
            continue
        attributes, others = _uses(unit, variable)
        if others or _mentioned_inside(unit, variable):
            continue
        name = _coroutine(project, site)
        what = f"has no '{attributes[0].attr}' yet" if attributes else "does nothing"
        yield _finding(unit, site.node, name, f"is not awaited: what '{variable}' gets {what}")


def _uses(unit: Unit, variable: str) -> tuple[list[ast.Attribute], bool]:
    """Attributes of a coroutine's that are asked for as if it were the answer, and whether it is used otherwise."""
    attributes: list[ast.Attribute] = []
    count = 0
    assert unit.function is not None
    for node in own_nodes(unit.function):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == variable:
                if not _is_coroutines(attribute):
                    attributes.append(node)
            case ast.Name(id=name, ctx=ast.Load()) if name == variable:
                count += 1
    return attributes, count != len(attributes)


def _mentioned_inside(unit: Unit, variable: str) -> bool:
    """Whether functions inside the function use the name."""
    assert unit.function is not None
    own = set(map(id, own_nodes(unit.function)))
    everything = ast.walk(unit.function)
    return any(isinstance(node, ast.Name) and node.id == variable and id(node) not in own for node in everything)


def _is_coroutines(attribute: str) -> bool:
    """What a coroutine object itself has."""
    return attribute in ("close", "send", "throw") or attribute.startswith(("cr_", "__"))


def _coroutine(project: Project, site: Site) -> str:
    """The name of the coroutine function that an expression calls; empty if it does not."""
    if not isinstance(site.node, ast.Call):
        return ""
    match project.meaning(site.node.func, site.scope):
        case Unit(is_coroutine=True, name=name, decorators=[]):
            return name
        case External(name=name) | Method(name=name) if sdk.must_be_awaited(name):
            return name.rpartition(".")[2]
        case _:
            return ""


def _finding(unit: Unit, node: ast.expr, name: str, message: str) -> Finding:
    task = "; self.create_task(...) if nobody shall wait for it" if name != "sleep" else ""
    remedy = _REMEDIES.get(name, _REMEDY) + task
    return Finding("unawaited", f"{name} {message}", unit.module.source.shown, node.lineno, remedy)
