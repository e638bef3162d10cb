"""Which types a class gives to a generic base of its."""

from __future__ import annotations

import sys
from typing import Any, ForwardRef, TypeVar, get_args, get_origin

from pywasm_filter.sdk.contexts import RootContext


def configuration_type(root: type[RootContext]) -> Any:
    """The type of a root's configuration: Config of `class Root(RootContext[Config])`; None when it names none.

    Raises NameError as `type_argument` does.
    """
    return type_argument(root, RootContext)


def type_argument(cls: type[Any], base: type[Any]) -> Any:
    """What `cls`, or a class between the two, gives to `base`, which has one type parameter; None when none does.

    `class Root(RootContext[Config])` gives Config; a type variable is followed to the class that binds it. Raises
    NameError when the argument is a string that names nothing in the module of its class.
    """
    found, _ = _find(cls, base)
    return None if isinstance(found, TypeVar) else found


def _find(cls: type[Any], base: type[Any]) -> tuple[Any, bool]:
    """The argument, and whether `base` is reached from `cls` at all."""
    for generic in cls.__dict__.get("__orig_bases__", cls.__bases__):
        origin, arguments = get_origin(generic), get_args(generic)
        parent = generic if origin is None else origin
        if parent is base:
            return (_resolve(arguments[0], cls) if arguments else None), True
        if not isinstance(parent, type) or not issubclass(parent, base):
            continue
        found, reached = _find(parent, base)
        parameters = getattr(parent, "__parameters__", ())
        if isinstance(found, TypeVar) and found in parameters and arguments:
            return _resolve(arguments[parameters.index(found)], cls), True
        if reached:
            return found, True
    return None, False


def _resolve(argument: Any, cls: type[Any]) -> Any:
    if isinstance(argument, ForwardRef):
        argument = argument.__forward_arg__
    if isinstance(argument, str):
        return eval(argument, vars(sys.modules[cls.__module__]))
    return argument
