"""When the functions of a filter run: while it is imported, or in the proxy."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from pywasm_filter.checks import sdk
from pywasm_filter.checks.names import SDK, External, Instance, Project
from pywasm_filter.checks.scopes import ClassScope, Site, Unit

_CACHES = frozenset({"cache", "cached_property", "lru_cache"})
_BORN_WITH = ("__new__", "__init__", "__post_init__")


@dataclass(frozen=True, eq=False)
class Edge:
    """A way from one function to another: `calls` it, or only mentions it."""

    target: Unit
    site: Site
    calls: bool


class Reach:
    """Which functions run when, as far as that can be told."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._edges: dict[Unit, list[Edge]] = {unit: list(self._find_edges(unit)) for unit in project.units}
        self._bodies = [module.body for module in project.modules.values()]

    @cached_property
    def at_import(self) -> frozenset[Unit]:
        """What certainly runs while the filter is imported, or may, if a condition holds."""
        return self._closure(self._bodies, lambda unit, edge: edge.calls)

    @cached_property
    def maybe_at_import(self) -> frozenset[Unit]:
        """What might run while the filter is imported: whatever is reached by a name."""
        by_name: dict[str, list[Unit]] = {}
        for unit in self._project.units:
            by_name.setdefault(unit.name, []).append(unit)
        reached = set(self._bodies)
        pending = deque(self._bodies)
        while pending:
            unit = pending.popleft()
            named = [node.attr for site in unit.sites if isinstance(node := site.node, ast.Attribute)]
            near = [*(edge.target for edge in self._edges[unit]), *unit.lambdas]
            for target in (*near, *(each for name in named for each in by_name.get(name, ()))):
                if target not in reached:
                    reached.add(target)
                    pending.append(target)
        return frozenset(reached)

    @cached_property
    def in_proxy(self) -> frozenset[Unit]:
        """What runs in the proxy when its callbacks are called, and conditions hold."""
        return self.in_proxy_past(lambda site: False, kept_by_condition=False)

    def in_proxy_past(self, catches: Callable[[Site], bool], *, kept_by_condition: bool = True) -> frozenset[Unit]:
        """As `in_proxy`, without what is done only where `catches` is ready for a failure.

        Nor what a function with a cache does that may have run while the filter was imported; nor, with
        `kept_by_condition`, what any such function does under a condition: it may have kept the result.
        """

        def follow(unit: Unit, edge: Edge) -> bool:
            if catches(edge.site) or self.keeps(edge.target):
                return False
            return not (kept_by_condition and edge.site.conditional and unit in self.at_import)

        return self._closure([unit for unit in self._callbacks() if not self.keeps(unit)], follow)

    def keeps(self, unit: Unit) -> bool:
        """Whether a function has a cache, which may have been filled while the filter was imported."""
        return unit in self.maybe_at_import and not _CACHES.isdisjoint(unit.decorators)

    def _closure(self, start: Iterable[Unit], follow: Callable[[Unit, Edge], bool]) -> frozenset[Unit]:
        reached = set(start)
        pending = deque(reached)
        while pending:
            unit = pending.popleft()
            for edge in self._edges[unit]:
                if edge.target not in reached and follow(unit, edge):
                    reached.add(edge.target)
                    pending.append(edge.target)
        return frozenset(reached)

    def _callbacks(self) -> Iterator[Unit]:
        """What the proxy has called: the callbacks and constructors of contexts, and those of their configurations."""
        for cls in self._project.classes:
            context = context_of(self._project, cls)
            if context is None:
                continue
            for name in (*sdk.callbacks(context), "__init__"):
                for binding in cls.bindings.get(name, ()):
                    if isinstance(binding, Unit):
                        yield binding
            settings = self._project.root_of(cls)
            if settings is not None and context_of(self._project, settings) is None:
                yield from self._made(settings)

    def _find_edges(self, unit: Unit) -> Iterator[Edge]:
        called = {id(site.node.func) for site in unit.sites if isinstance(site.node, ast.Call)}
        for site in unit.sites:
            if isinstance(site.node, ast.Call):
                continue
            found = self._project.meaning(site.node, site.scope)
            calls = id(site.node) in called
            match found:
                case Unit():
                    yield Edge(found, site, calls or "property" in found.decorators)
                case ClassScope():
                    for target in self._made(found):
                        yield Edge(target, site, calls)
        for inner in unit.lambdas:
            # Where it stands says nothing of when it runs.
            yield Edge(inner, Site(ast.Constant(None), unit.scope, conditional=True, guards=frozenset()), calls=False)

    def _made(self, cls: ClassScope) -> Iterator[Unit]:
        """What runs when an instance is made."""
        for name in _BORN_WITH:
            found = self._project.member(cls, name)
            if isinstance(found, Unit):
                yield found


def context_of(project: Project, cls: ClassScope) -> str | None:
    """Which of the SDK's context classes a class derives from."""
    for each in project.ancestry(cls):
        if isinstance(each, External) and each.name.startswith(f"{SDK}."):
            name = each.name.removeprefix(f"{SDK}.")
            if name in sdk.CONTEXTS:
                return name
    return None


def instance_context(project: Project, meaning: object) -> str | None:
    """Which context an expression is an instance of."""
    return (
        context_of(project, meaning.cls)
        if isinstance(meaning, Instance) and isinstance(meaning.cls, ClassScope)
        else None
    )
