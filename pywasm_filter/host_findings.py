"""What a filter needs and a host lacks: found in the filter's source, with the place, the reason and its source."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cache, cached_property
from pathlib import Path

import proxy_wasm_abi
from proxy_wasm_abi import Host
from proxy_wasm_abi.attributes import load_attributes
from proxy_wasm_abi.hosts import ABORTS, MISSING, TRAPS, HostcallFact, NeverCalled
from pywasm_compiler.findings import Finding, Severity
from pywasm_compiler.source import SourceTree

import pywasm_filter.sdk.foreign
from pywasm_filter.needed_by import Sureness, Use, uses_of
from pywasm_filter.needs import Needs, method_of, needs
from pywasm_filter.project import Target
from pywasm_filter.sdk.abi import (
    Action,
    FilterDataStatus,
    FilterHeadersStatus,
    FilterMetadataStatus,
    FilterStatus,
    FilterTrailersStatus,
)

ABI_VERSION = "0.2.1"
EXPORTED = ("_initialize", "malloc", "proxy_on_memory_allocate")
"""What a built module exports beside its callbacks."""

_OK = "OK"
_ASYNC_STATUS = FilterHeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK
_STATUSES: tuple[type[IntEnum], ...] = (
    FilterHeadersStatus,
    FilterDataStatus,
    FilterTrailersStatus,
    FilterMetadataStatus,
    FilterStatus,
)
_FOREIGN = "call_foreign_function"
_PROPERTIES = "properties"


def host_findings(tree: SourceTree, target: Target) -> list[Finding]:
    """What the hosts of a target lack that a filter needs, but for what its author allows to be missing.

    Errors are for what does not load, ends the VM, fails or never happens there; warnings for what has no effect, and
    for attributes that are never there.
    """
    if all(host.is_plain_envoy for host in target.profiles):
        return []
    judged = _Filter(tree)
    return [finding for host in target.profiles for finding in _Judge(host, judged, target).findings()]


@dataclass(frozen=True)
class _Place:
    """A line of the author's, and what is written there."""

    file: Path
    line: int
    text: str


class _Filter:
    """A filter's source, as far as hosts differ in it."""

    def __init__(self, tree: SourceTree) -> None:
        shown = {source.shown.resolve(): source.shown for source in tree.sources}
        self.file = shown.get(tree.filter, tree.filter)
        self._own = tuple(shown.get(module, module) for module in tree.modules)
        self.modules = (*self._own, *tree.installed)

    @cached_property
    def needs(self) -> Needs:
        """Hostcalls and callbacks."""
        return needs(self.modules)

    @cache  # noqa: B019 - it lives as long as the judgement
    def uses(self, hostcall: str, *, named: bool) -> list[Use]:
        """The places that lead to a hostcall; with `named` those at which the author calls for it, it seems."""
        found = uses_of(self.modules, hostcall, named=named)
        return [use for use in found if use.sureness is not Sureness.UNLIKELY] if named else found

    @cached_property
    def trees(self) -> Mapping[Path, ast.Module]:
        """The author's own modules."""
        return {file: ast.parse(file.read_bytes()) for file in self._own}

    def methods(self, name: str) -> Iterator[_Place]:
        """Where the author's classes define a method."""
        for file, node in self._nodes():
            if isinstance(node, ast.ClassDef):
                for entry in node.body:
                    if isinstance(entry, (ast.FunctionDef, ast.AsyncFunctionDef)) and entry.name == name:
                        yield _Place(file, entry.lineno, _definition(entry))

    def statuses(self) -> Iterator[tuple[_Place, str]]:
        """Where callbacks return a status beside CONTINUE and PAUSE, and its name; `async` ones do when they wait."""
        awaiting = {method_of(name) for name in _stream_callbacks()}
        members = {enum.__name__: enum for enum in _STATUSES}
        for file, node in self._nodes():
            match node:
                case ast.Attribute(value=ast.Name(id=enum)) if enum in members:
                    if getattr(members[enum], node.attr, Action.CONTINUE) > Action.PAUSE:
                        yield _Place(file, node.lineno, ast.unparse(node)), node.attr
                case ast.ClassDef():
                    for entry in node.body:
                        if isinstance(entry, ast.AsyncFunctionDef) and entry.name in awaiting:
                            yield _Place(file, entry.lineno, _definition(entry)), _ASYNC_STATUS.name

    def foreign_functions(self) -> Iterator[tuple[_Place, str]]:
        """Where functions of the host's are called, and their names."""
        named = _foreign_functions()
        for file, node in self._nodes():
            match node:
                case ast.Name(id=name) | ast.Attribute(attr=name) if name in named:
                    for foreign in sorted(named[name]):
                        yield _Place(file, node.lineno, ast.unparse(node)), foreign
                case ast.Call(args=[ast.Constant(value=str(foreign)), *_]) if _last(node.func) == _FOREIGN:
                    yield _Place(file, node.lineno, ast.unparse(node.func)), foreign

    def attributes(self) -> Iterator[tuple[_Place, str]]:
        """Where attributes are read so that it raises an exception if they are absent; their paths, with dots."""
        known = _attribute_paths()
        for file, node in self._nodes():
            if isinstance(node, ast.Attribute) and (path := known.get(_below_properties(node))) is not None:
                yield _Place(file, node.lineno, ast.unparse(node)), path

    def _nodes(self) -> Iterator[tuple[Path, ast.AST]]:
        for file, tree in self.trees.items():
            for node in ast.walk(tree):
                yield file, node


class _Judge:
    """One host over one filter."""

    def __init__(self, host: Host, judged: _Filter, target: Target) -> None:
        self._host = host
        self._filter = judged
        self._target = target

    def findings(self) -> Iterator[Finding]:
        """All of them; where no module at all would load, only that."""
        unfit = list(self._unfit())
        yield from unfit
        if not unfit:
            yield from self._hostcalls()
            yield from self._callbacks()
            yield from self._statuses()
            yield from self._foreign_functions()
            yield from self._attributes()

    def _unfit(self) -> Iterator[Finding]:
        host = self._host
        remedy = "choose another host: no setting changes that"
        if ABI_VERSION not in host.abi_versions:
            message = (
                f"{host.name} loads modules of the ABI {' and '.join(host.abi_versions)}; this makes {ABI_VERSION}"
            )
            yield self._finding(message, host.abi_source, remedy=remedy)
        for name in host.required_exports:
            if name not in (*EXPORTED, *self._filter.needs.callbacks):
                message = f"{host.name} loads no module that does not export {name}; this makes none that does"
                yield self._finding(message, host.required_exports_source, remedy=remedy)

    def _hostcalls(self) -> Iterator[Finding]:
        for name in self._filter.needs.hostcalls:
            fact = self._host.answer(name)
            if fact is None or self._target.allows(name):
                continue
            if fact.except_in:
                yield from self._misplaced(name, fact)
            elif fact.answer == MISSING:
                message = f"{self._host.name} loads no module that imports {name}"
                yield self._of_uses(message, fact, name, self._filter.uses(name, named=False))
            elif fact.answer == _OK:
                yield from self._without_effect(name, fact)
            else:
                yield from self._failing(name, fact)

    def _failing(self, name: str, fact: HostcallFact) -> Iterator[Finding]:
        """A hostcall that a module may import, but not call."""
        uses = self._filter.uses(name, named=True)
        if uses:
            finding = self._of_uses(f"{self._host.name} {_reaction(name, fact)}", fact, name, uses)
            certain = any(use.sureness is Sureness.CERTAIN for use in uses)
            yield finding if certain else replace(finding, severity=Severity.WARNING)

    def _misplaced(self, name: str, fact: HostcallFact) -> Iterator[Finding]:
        """A hostcall in callbacks in which the host has it not."""
        callbacks = {method_of(callback.name): callback.name for callback in proxy_wasm_abi.load().callbacks}
        for use in self._filter.uses(name, named=True):
            callback = callbacks.get(use.within)
            if callback is not None and callback not in fact.except_in:
                message = f"{self._host.name} {_reaction(name, fact)} in {use.within}"
                finding = self._of_uses(message, fact, name, [use])
                yield replace(finding, remedy=f"call it in {_methods(fact.except_in)}; or {finding.remedy}")

    def _without_effect(self, name: str, fact: HostcallFact) -> Iterator[Finding]:
        """Only where the author asks for it: what the SDK does with it besides, it does for other hosts."""
        uses = self._filter.uses(name, named=True)
        if uses:
            finding = self._of_uses(f"{self._host.name} takes {name} and does nothing", fact, name, uses)
            yield replace(finding, severity=Severity.WARNING, remedy=f"do not rely on it, and {_allow(name)}")

    def _callbacks(self) -> Iterator[Finding]:
        sources = {name: fact.source for fact in _never_called(self._host) for name in fact.names}
        for name in self._filter.needs.callbacks:
            if name not in self._host.never_called or self._target.allows(name):
                continue
            for place in self._filter.methods(method_of(name)):
                yield self._finding(
                    f"{self._host.name} never calls {name}: {place.text} does nothing there",
                    sources[name],
                    place,
                    remedy=f"do it in another callback; or {_allow(name)}, if the filter can do without",
                )

    def _statuses(self) -> Iterator[Finding]:
        source = self._source("only_continue_and_pause")
        if source is None:
            return
        for place, status in self._filter.statuses():
            if not self._target.allows(status):
                yield self._finding(
                    f"{self._host.name} knows no status but CONTINUE and PAUSE; {place.text} returns {status}",
                    source,
                    place,
                    remedy=f"return Action.PAUSE, and go on when a start_http_call calls back; or {_allow(status)}",
                )

    def _foreign_functions(self) -> Iterator[Finding]:
        source = self._source("foreign_functions_lacking")
        for place, name in self._filter.foreign_functions():
            if source and name in self._host.rules.foreign_functions_lacking and not self._target.allows(name):
                yield self._finding(
                    f"{self._host.name} has no foreign function {name!r}; {place.text} needs it",
                    source,
                    place,
                    remedy=f"do without it; or handle NotFound, and {_allow(name)}",
                )

    def _attributes(self) -> Iterator[Finding]:
        source = self._source("attributes")
        for place, path in self._filter.attributes():
            if source and not self._host.rules.has_attribute(path) and not self._target.allows(path):
                finding = self._finding(
                    f"{self._host.name} has no attribute {path}, which {place.text} reads",
                    source,
                    place,
                    remedy=f"read it with self.properties.get, which has a default; or {_allow(path)}",
                )
                yield replace(finding, severity=Severity.WARNING)

    def _source(self, rule: str) -> str | None:
        """Where a rule of the host is known from; None when it has no such rule."""
        facts = [fact for host in _line(self._host) for fact in host.rule_facts if fact.name == rule]
        return facts[-1].source if facts else None

    def _of_uses(self, message: str, fact: HostcallFact, name: str, uses: list[Use]) -> Finding:
        """A finding at the first of the places that lead to a hostcall."""
        remedy = f"do without it; or handle Unimplemented, and {_allow(name)}"
        if not uses:
            return self._finding(f"{message}; every filter needs it", fact.source, remedy=remedy)
        first, *others = uses
        verb = "needs it" if first.sureness is Sureness.CERTAIN else "may need it"
        place = _Place(first.file, first.line, first.text)
        more = [f"also in {use}" for use in others]
        return self._finding(f"{message}; {first.text} {verb}", fact.source, place, [first.way, *more], remedy)

    def _finding(
        self, message: str, source: str, place: _Place | None = None, evidence: Iterable[str] = (), remedy: str = ""
    ) -> Finding:
        detail = "\n".join([*evidence, f"known from {source} ({self._host.origin})"])
        file, line = (self._filter.file, None) if place is None else (place.file, place.line)
        return Finding(rule="host", message=message, file=file, line=line, remedy=remedy, detail=detail)


def _reaction(name: str, fact: HostcallFact) -> str:
    if fact.answer == TRAPS:
        return f"ends the VM that calls {name}"
    return f"aborts when {name} is called" if fact.answer == ABORTS else f"answers {fact.answer} to {name}"


def _allow(name: str) -> str:
    return f"pass --allow-missing {name}"


def _methods(callbacks: Iterable[str]) -> str:
    return " or ".join(map(method_of, callbacks))


def _line(host: Host) -> list[Host]:
    """A host and those that it is like, the eldest first."""
    return [host] if host.like is None else [*_line(host.like), host]


def _never_called(host: Host) -> Iterator[NeverCalled]:
    for entry in _line(host):
        yield from entry.never_called_facts


def _definition(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return f"{'async ' if isinstance(node, ast.AsyncFunctionDef) else ''}def {node.name}"


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _stream_callbacks() -> list[str]:
    return [
        callback.name
        for callback in proxy_wasm_abi.load().callbacks
        if callback.name.startswith(("proxy_on_request_", "proxy_on_response_"))
    ]


@cache
def _foreign_functions() -> Mapping[str, frozenset[str]]:
    """The SDK's functions and classes for functions of the host, and those."""
    assert pywasm_filter.sdk.foreign.__file__ is not None
    module = ast.parse(Path(pywasm_filter.sdk.foreign.__file__).read_bytes())
    found: dict[str, frozenset[str]] = {}
    for statement in module.body:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)) and statement.name != _FOREIGN:
            found[statement.name] = frozenset(
                node.args[0].value
                for node in ast.walk(statement)
                if isinstance(node, ast.Call)
                and _last(node.func) == _FOREIGN
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, str)
            )
    return found


@cache
def _attribute_paths() -> Mapping[tuple[str, ...], str]:
    """How authors reach an attribute below `properties` -> its path, with dots."""
    return {
        (*filter(None, group.name.split(".")), attribute.name): ".".join(attribute.path)
        for group in load_attributes().groups
        for attribute in group.attributes
        if not attribute.is_group
    }


def _below_properties(node: ast.Attribute) -> tuple[str, ...]:
    """The names that follow `properties` in a chain of attributes; none if that is not in it."""
    names: list[str] = []
    current: ast.expr = node
    while isinstance(current, ast.Attribute):
        if current.attr == _PROPERTIES:
            return tuple(reversed(names))
        names.append(current.attr)
        current = current.value
    return ()
