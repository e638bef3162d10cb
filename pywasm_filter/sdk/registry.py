"""Which root contexts a filter's module offers, told explicitly or found in it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from pywasm_filter.sdk.contexts import HttpContext, RootContext


class RegistrationError(Exception):
    """The module does not say, or says twice, which context classes the proxy is to use."""


class Registry:
    """Root context classes by root_id."""

    def __init__(self) -> None:
        self.roots: dict[str, type[RootContext]] = {}

    def add(self, root: type[RootContext], root_id: str) -> None:
        """Offer `root` under `root_id`.

        Raises RegistrationError for a class that is no RootContext and for a root_id that is taken.
        """
        if not (isinstance(root, type) and issubclass(root, RootContext)):
            raise RegistrationError(f"register_root_context needs a subclass of RootContext, not {root!r}")
        if root_id in self.roots:
            raise RegistrationError(
                f"root_id {root_id!r} is registered twice: {self.roots[root_id].__name__} and {root.__name__}"
            )
        self.roots[root_id] = root

    def find(self, root_id: str) -> type[RootContext] | None:
        """The class for the root_id in the proxy's configuration.

        A root registered without an id serves every id; a root that is the only one serves the empty id.
        """
        found = self.roots.get(root_id) or self.roots.get("")
        if found is None and root_id == "" and len(self.roots) == 1:
            return next(iter(self.roots.values()))
        return found


_collecting: Registry | None = None


def register_root_context(root: type[RootContext], root_id: str = "") -> None:
    """Offer a root context under the `root_id` that the proxy's configuration names.

    Call it at the top level of the filter's module. A module may register several; they share one VM. A module that
    holds just one root context, or just one HTTP context, need not register it.

    Raises RegistrationError for a class that is no RootContext and for a root_id that is taken.
    """
    if _collecting is not None:
        _collecting.add(root, root_id)


def begin_collecting() -> Registry:
    """Start a new registry that `register_root_context` fills from now on."""
    global _collecting
    _collecting = Registry()
    return _collecting


def finish_collecting(registry: Registry, module: ModuleType) -> None:
    """Stop collecting; when the module has registered nothing, find its context class.

    Raises RegistrationError when there is no context class, or more than one to choose from, and when none of the
    registered roots serves the HTTP context that the module defines.
    """
    global _collecting
    _collecting = None
    if registry.roots:
        _check_served(registry, module)
    else:
        registry.add(_implied_root(module), "")


def _check_served(registry: Registry, module: ModuleType) -> None:
    https: list[type[HttpContext[Any]]] = _leaf_classes(module, HttpContext)
    if https and not any(_serves_http(root) for root in registry.roots.values()):
        raise RegistrationError(
            f"no registered root context creates {_names(https)}; set http_context = {https[0].__name__} in its class"
        )


def _serves_http(root: type[RootContext]) -> bool:
    return root.http_context is not None or root.create_http_context is not RootContext.create_http_context


def _implied_root(module: ModuleType) -> type[RootContext]:
    roots: list[type[RootContext]] = _leaf_classes(module, RootContext)
    https: list[type[HttpContext[Any]]] = _leaf_classes(module, HttpContext)
    if len(roots) > 1:
        raise RegistrationError(
            f"{_names(roots)} are all root contexts; say which to use, and under which root_id, with "
            "register_root_context(TheClass, 'root_id')"
        )
    if roots and (_serves_http(roots[0]) or not https):
        return roots[0]
    if len(https) > 1:
        raise RegistrationError(
            f"{_names(https)} are all HTTP contexts; give each a RootContext with http_context = TheClass and register "
            "that with register_root_context(TheRoot, 'root_id')"
        )
    if not https:
        raise RegistrationError("no subclass of HttpContext or RootContext in the module; a filter needs one")
    base = roots[0] if roots else RootContext
    return type(base.__name__, (base,), {"http_context": https[0], "__module__": module.__name__})


def _leaf_classes(module: ModuleType, base: type[Any]) -> list[type[Any]]:
    """Subclasses of `base` that the module itself defines and that none of its other classes derives from."""
    defined = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
    ]
    unique = list(dict.fromkeys(defined))
    return [cls for cls in unique if not any(other is not cls and issubclass(other, cls) for other in unique)]


def _names(classes: list[type[Any]]) -> str:
    return " and ".join(cls.__name__ for cls in classes)
