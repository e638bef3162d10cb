"""What the SDK says of its contexts: callbacks, their parameters and results, and what has to be awaited."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin

import proxy_wasm_abi

import pywasm_filter
from pywasm_filter.checks.names import SDK
from pywasm_filter.sdk.contexts import RootContext
from pywasm_filter.sdk.http_context import HttpContext
from pywasm_filter.sdk.stream_context import StreamContext

CONTEXTS: Mapping[str, type[Any]] = {
    "HttpContext": HttpContext,
    "RootContext": RootContext,
    "StreamContext": StreamContext,
}
"""The classes that authors derive theirs from."""

_WORD_IN_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PLAIN_STARTS = ("on_", "create_http_context", "create_stream_context")


@dataclass(frozen=True)
class CallbackSpec:
    """A callback as a context class has it.

    `parameters` are names without `self`. `results` are names of types that it may return; empty where the result does
    not count. `may_be_async` tells whether the proxy waits for it.
    """

    name: str
    parameters: tuple[str, ...]
    results: frozenset[str]
    may_be_async: bool

    @property
    def shown(self) -> str:
        """As an author writes it."""
        return f"{self.name}({', '.join(('self', *self.parameters))})"


@cache
def callbacks(context: str) -> Mapping[str, CallbackSpec]:
    """The callbacks of a context class, by name."""
    cls = CONTEXTS[context]
    return {
        name: _spec(name, getattr(cls, name))
        for name in dir(cls)
        if name.startswith(_PLAIN_STARTS) and inspect.isfunction(getattr(cls, name))
    }


def _spec(name: str, function: Callable[..., object]) -> CallbackSpec:
    parameters = tuple(inspect.signature(function).parameters)[1:]
    if not name.startswith("on_"):
        return CallbackSpec(name, parameters, frozenset(), may_be_async=False)
    returned = eval(function.__annotations__["return"], vars(inspect.getmodule(function)))
    alternatives = get_args(returned) if get_origin(returned) is types.UnionType else (returned,)
    plain = [each for each in alternatives if isinstance(each, type)]
    return CallbackSpec(
        name,
        parameters,
        frozenset() if None in alternatives or types.NoneType in alternatives else frozenset(t.__name__ for t in plain),
        may_be_async=any(not isinstance(each, type) and each is not None for each in alternatives),
    )


def has_member(context: str, name: str) -> bool:
    """Whether a context class has an attribute, callbacks included."""
    cls = CONTEXTS[context]
    return hasattr(cls, name) or any(name in vars(base).get("__annotations__", {}) for base in cls.__mro__)


@cache
def constructor_parameters(context: str) -> tuple[str, ...]:
    """What `__init__` of a context class takes."""
    return tuple(inspect.signature(CONTEXTS[context].__init__).parameters)[1:]


def must_be_awaited(name: str) -> bool:
    """Whether a dotted name is a coroutine function of the SDK's: `pywasm_filter.HttpContext.http_call`, `….gather`."""
    package, _, path = name.partition(".")
    if package != SDK:
        return False
    found: object = pywasm_filter
    for part in path.split("."):
        found = inspect.getattr_static(found, part, None)
    return inspect.iscoroutinefunction(found)


@cache
def names_elsewhere() -> Mapping[str, tuple[str, ...]]:
    """What callbacks are called in the ABI and in other SDKs, in snake case -> our names."""
    found: dict[str, list[str]] = {}
    for callback in proxy_wasm_abi.load().callbacks:
        ours = [face.path.rpartition(".")[2] for face in callback.names.python]
        names = callback.names
        theirs = [callback.name, *names.rust, *names.go, *names.cpp, *names.assemblyscript]
        for name in theirs:
            known = found.setdefault(snake_case(re.split(r"::|\.", name)[-1]), [])
            known += [each for each in ours if each not in known]
    return {name: tuple(ours) for name, ours in found.items()}


@cache
def hostcalls_elsewhere() -> Mapping[str, tuple[str, ...]]:
    """What hostcalls are called in other SDKs, in snake case -> what authors write here."""
    found: dict[str, list[str]] = {}
    for hostcall in proxy_wasm_abi.load().hostcalls:
        names = hostcall.names
        for name in (*names.rust, *names.go, *names.cpp, *names.assemblyscript):
            known = found.setdefault(snake_case(re.split(r"::|\.", name)[-1]), [])
            known += [face.shown for face in names.python if face.shown not in known]
    return {name: tuple(ours) for name, ours in found.items()}


def snake_case(name: str) -> str:
    """`OnHttpRequestHeaders` -> `on_http_request_headers`."""
    return _WORD_IN_CAMEL_CASE.sub("_", name).lower()
