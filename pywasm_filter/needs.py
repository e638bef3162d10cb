"""Which hostcalls a filter can make and which callbacks it has: all that its module imports and exports.

Hosts refuse modules that import what they lack, and each callback that a module exports costs a crossing. The answer is
found in the source, by name: whatever name occurs in the author's code may be called, and with it every definition of
that name in the SDK, and so on with the names in there. That never misses what is spelled out. What is put together at
run time is not seen: a hostcall that only `getattr` with a computed name leads to raises an exception that says so, and
a callback that gets its name by a computed `setattr` is never called, in process neither.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import proxy_wasm_abi

import pywasm_filter
from pywasm_filter.measured import MEASURED, answers_of, measures_body
from pywasm_filter.sdk.vm import CALLBACKS

ASYNC = "async"
"""Stands for the keyword: no identifier can be called that."""

_BEGINS_CALLOUT = frozenset(
    {ASYNC, "start_http_call", "start_grpc_call", "create_task"}
    # Coroutines of the SDK's, and what has an end of its own, need no `async` of the author's.
    | {"http_call", "grpc_call", "grpc_stream", "sleep", "gather", "wait_for"}
)

_GATES = {
    "start_async_http": _BEGINS_CALLOUT,
    "start_async_network": _BEGINS_CALLOUT,
    "_end_scope": _BEGINS_CALLOUT,
    "_let_pass": _BEGINS_CALLOUT,
    "run_ready": _BEGINS_CALLOUT,
    "create_task": _BEGINS_CALLOUT,
    # Hosts on nginx load no module that imports it.
    "proxy_get_buffer_status": frozenset({MEASURED, "Body", "proxy_get_buffer_status"}),
    "close_downstream": frozenset({"StreamContext", "close_downstream"}),
    # They make no hostcalls, and have much in common names.
    "ConfigurationParser": frozenset({"ConfigurationParser"}),
    "configuration_type": frozenset({"configuration_type"}),
}
"""Definitions of the SDK that do nothing unless the author's source has one of these names."""

_ALWAYS = frozenset(
    {
        "proxy_on_context_create",
        "proxy_on_vm_start",
        "proxy_on_configure",
        "proxy_on_delete",
    }
)

_FIRST_OF_STREAM = {"proxy_on_request_headers": "HttpContext", "proxy_on_new_connection": "StreamContext"}
"""They are exported with the context: where its creation fails, the stream fails in them."""

_AT_END = frozenset({"proxy_on_done", "proxy_on_log"})
"""What is under way in a stream ends before the author's on_log and on_done, if there is anything."""

_HELD = {"proxy_on_request_trailers": "on_request_body", "proxy_on_response_trailers": "on_response_body"}
"""A body that waits, or is collected, would go on with the trailers if a module had no callback for these."""

_ANSWERS = {
    "proxy_on_tick": {"proxy_set_tick_period_milliseconds"},
    "proxy_on_http_call_response": {"proxy_http_call"},
    "proxy_on_grpc_receive": {"proxy_grpc_call", "proxy_grpc_stream"},
    "proxy_on_grpc_close": {"proxy_grpc_call", "proxy_grpc_stream"},
    "proxy_on_grpc_receive_initial_metadata": {"proxy_grpc_stream"},
    "proxy_on_grpc_receive_trailing_metadata": {"proxy_grpc_stream"},
}
"""Callbacks that come of hostcalls, whatever the author has for them."""

_METHODS = {
    "proxy_on_downstream_connection_close": "on_downstream_close",
    "proxy_on_upstream_connection_close": "on_upstream_close",
}
"""Where the SDK's method is not called as the callback is."""


@dataclass(frozen=True)
class Needs:
    """Names of hostcalls and callbacks, in the order of the ABI's table.

    `unimplemented` are hostcalls that the filter can make and the module is not to import: they answer UNIMPLEMENTED.
    """

    hostcalls: tuple[str, ...]
    callbacks: tuple[str, ...]
    unimplemented: tuple[str, ...] = ()


def needs(modules: Iterable[Path]) -> Needs:
    """What a filter needs that consists of these modules: the author's and those of installed packages."""
    return needs_of_names(frozenset().union(*(identifiers(ast.parse(module.read_bytes())) for module in modules)))


@lru_cache(maxsize=64)
def needs_of_names(authors: frozenset[str]) -> Needs:
    """What a filter needs in whose source these identifiers occur."""
    abi = proxy_wasm_abi.load()
    callbacks, reached = _closure(authors)
    return Needs(
        tuple(call.name for call in abi.hostcalls if call.name in reached),
        tuple(callback.name for callback in abi.callbacks if callback.name in callbacks),
    )


@lru_cache(maxsize=64)
def _closure(authors: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The callbacks of a filter, and all identifiers that lead anywhere from its own."""
    all_hostcalls = {call.name for call in proxy_wasm_abi.load().hostcalls}
    closed = frozenset(name for name, keys in _GATES.items() if keys.isdisjoint(authors))
    hostcalls: set[str] = set()
    while True:
        callbacks = frozenset(name for name in CALLBACKS if _exports(name, authors, hostcalls))
        reached = _reached({*authors, *callbacks, "Vm", "start"}, closed)
        if reached & all_hostcalls == hostcalls:
            return callbacks, frozenset(reached)
        hostcalls = reached & all_hostcalls


def chains_to(target: str, authors: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """The author's names that lead to a hostcall, or to an identifier of the SDK's, each with a shortest way there.

    A way begins with the author's name and ends with `target`. There are none to what every filter has.
    """
    callbacks, reached = _closure(authors)
    by_name, by_class = _definitions()
    leading: dict[str, set[str]] = {}
    for name in reached:
        for entry in by_name.get(name, ()):
            if not entry.owner or entry.owner in reached:
                for led_to in entry.leads_to & reached:
                    leading.setdefault(led_to, set()).add(name)
    for cls in by_class.keys() & reached:
        for method in by_class[cls]:
            if method.name.startswith("__"):  # nobody calls them by their names
                for led_to in method.leads_to & reached:
                    leading.setdefault(led_to, set()).add(cls)
    for gate in _GATES.keys() & reached:
        leading.setdefault(gate, set()).update(_GATES[gate] & authors)
    for callback in callbacks - _ALWAYS:
        leading.setdefault(callback, set()).update(_causes(callback) & (authors | reached))
    ways: dict[str, tuple[str, ...]] = {target: (target,)}
    pending = [target]
    for name in pending:  # breadth first, from the target backwards
        for before in sorted(leading.get(name, set()) - ways.keys()):
            ways[before] = (before, *ways[name])
            pending.append(before)
    return {name: ways[name] for name in ways.keys() & authors if name != target or target in authors}


def owners(name: str, led_to: str) -> frozenset[str]:
    """The classes of the SDK whose method of a name leads to another; none if something else of that name does."""
    by_name, _ = _definitions()
    found = [entry.owner for entry in by_name.get(name, ()) if led_to in entry.leads_to]
    return frozenset() if "" in found else frozenset(found)


def classes_with(name: str) -> frozenset[str]:
    """The classes of the SDK that have a method of a name; "" stands for what is in no class."""
    by_name, _ = _definitions()
    return frozenset(entry.owner for entry in by_name.get(name, ()))


def attributes_holding(cls: str) -> frozenset[str]:
    """The attributes to which the SDK's classes assign a new object of a class."""
    return frozenset(attribute for attribute, made in _assigned_objects() if made == cls)


@cache
def _assigned_objects() -> frozenset[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for module in _sdk_modules():
        for node in ast.walk(module):
            match node:
                case (
                    ast.Assign(targets=[ast.Attribute(attr=attr)], value=ast.Call(func=ast.Name(id=made)))
                    | ast.AnnAssign(target=ast.Attribute(attr=attr), value=ast.Call(func=ast.Name(id=made)))
                ):
                    found.add((attr, made))
    return frozenset(found)


def _causes(callback: str) -> frozenset[str]:
    """What may be in the author's source, or be reached from it, for a module to have a callback; see `_exports`."""
    named = {method_of(callback), _FIRST_OF_STREAM.get(callback, ""), _HELD.get(callback, "")}
    return frozenset(named | _ANSWERS.get(callback, set()) | (_BEGINS_CALLOUT if callback in _AT_END else frozenset()))


def _exports(callback: str, authors: Set[str], hostcalls: Set[str]) -> bool:
    if callback in _ALWAYS:
        return True
    causes = _causes(callback)
    return not causes.isdisjoint(authors) or not causes.isdisjoint(hostcalls)


def method_of(callback: str) -> str:
    """The author's method for a callback."""
    return _METHODS.get(callback, callback.removeprefix("proxy_"))


# --- the SDK's definitions ---


@dataclass(frozen=True)
class _Definition:
    """Something with a name, and the identifiers that it leads to. `owner` is the class of a method."""

    name: str
    owner: str
    leads_to: frozenset[str]


def _reached(names: Set[str], closed: Set[str]) -> set[str]:
    """All identifiers that can be reached from `names` through the SDK, past those that are closed."""
    by_name, by_class = _definitions()
    reached: set[str] = set()
    pending = set(names) - closed
    while pending:
        name = pending.pop()
        reached.add(name)
        for entry in by_name.get(name, ()):
            if not entry.owner or entry.owner in reached:
                pending |= entry.leads_to - closed - reached
        for method in by_class.get(name, ()):  # those that waited for their class
            if method.name in reached or method.name.startswith("__"):
                pending |= method.leads_to - closed - reached
    return reached


@cache
def _definitions() -> tuple[Mapping[str, list[_Definition]], Mapping[str, list[_Definition]]]:
    """All of the SDK by name, and its methods by the name of their class."""
    by_name: dict[str, list[_Definition]] = {}
    by_class: dict[str, list[_Definition]] = {}
    for module in _sdk_modules():
        for entry in _module_definitions(module):
            by_name.setdefault(entry.name, []).append(entry)
            if entry.owner:
                by_class.setdefault(entry.owner, []).append(entry)
    return by_name, by_class


def _sdk_modules() -> Iterator[ast.Module]:
    assert pywasm_filter.__file__ is not None
    for file in sorted((Path(pywasm_filter.__file__).parent / "sdk").glob("*.py")):
        yield ast.parse(file.read_bytes())


def _module_definitions(module: ast.Module) -> Iterator[_Definition]:
    for statement in module.body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield _Definition(statement.name, "", _led_to(statement))
            case ast.ClassDef():
                yield from _class_definitions(statement)
            case ast.Assign() | ast.AnnAssign():
                value = frozenset() if statement.value is None else _led_to(statement.value)
                for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
                    yield from (_Definition(name, "", value) for name in _led_to(target))


def _class_definitions(cls: ast.ClassDef) -> Iterator[_Definition]:
    methods = [entry for entry in cls.body if isinstance(entry, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for method in methods:
        yield _Definition(method.name, cls.name, _led_to(method))
    rest: set[str] = set()
    for node in [*cls.bases, *(entry for entry in cls.body if entry not in methods)]:
        rest |= _led_to(node)
    yield _Definition(cls.name, "", frozenset(rest))


def _led_to(node: ast.AST) -> frozenset[str]:
    """Identifiers in a piece of the SDK's code, but for annotations: they call nothing."""
    found: set[str] = set()
    pending = [node]
    while pending:
        current = pending.pop()
        match current:
            case ast.Name():
                found.add(current.id)
            case ast.Attribute():
                found.add(current.attr)
        for field, value in ast.iter_fields(current):
            if field not in ("annotation", "returns"):
                pending += value if isinstance(value, list) else [value]
        pending = [entry for entry in pending if isinstance(entry, ast.AST)]
    return frozenset(found)


# --- the author's identifiers ---


def identifiers(module: ast.Module) -> frozenset[str]:
    """Everything in a module that may name something of the SDK."""
    answers = answers_of(module)
    return frozenset().union(*(named_by(node, answers) for node in ast.walk(module)))


def named_by(node: ast.AST, answers: frozenset[str]) -> set[str]:
    """What a node itself, without those below it, may name; text that could be an identifier included.

    `answers` are the names of answers to callouts in the module.
    """
    found = {MEASURED} if measures_body(node, answers) else set()
    match node:
        case ast.Name():
            found.add(node.id)
        case ast.Attribute():
            found.add(node.attr)
        case ast.keyword():
            found.add(node.arg or "")
        case ast.alias():
            found |= {*node.name.split("."), node.asname or ""}
        case ast.MatchClass():
            found.update(node.kwd_attrs)
        case ast.Constant() if isinstance(node.value, str):
            found.update(node.value.split("."))  # as attrgetter has them
        case ast.FunctionDef() | ast.ClassDef():
            found.add(node.name)
        case ast.AsyncFunctionDef():
            found |= {node.name, ASYNC}
    return found - {""}
