"""Which root contexts a filter's module offers, told explicitly or found in it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeAlias

from pywasm_filter.sdk.abi import LogLevel
from pywasm_filter.sdk.contexts import RootContext
from pywasm_filter.sdk.exceptions import ConfigurationError
from pywasm_filter.sdk.http_context import HttpContext
from pywasm_filter.sdk.output import log
from pywasm_filter.sdk.stream_context import StreamContext

Parse: TypeAlias = Callable[[bytes], object]


class RegistrationError(Exception):
    """The module does not say, or says twice, which context classes the proxy is to use."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
        """What to do about it; empty where that depends on the place."""


class Registry:
    """Root context classes by root_id."""

    def __init__(self) -> None:
        self.roots: dict[str, type[RootContext[Any]]] = {}
        self._parsers: dict[type[RootContext[Any]], Parse | None] = {}

    def add(self, root: type[RootContext[Any]], root_id: str) -> None:
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

    def find(self, root_id: str) -> type[RootContext[Any]] | None:
        """The class for the root_id in the proxy's configuration.

        A root registered without an id serves every id; a root that is the only one serves the empty id.
        """
        found = self.roots.get(root_id) or self.roots.get("")
        if found is None and root_id == "" and len(self.roots) == 1:
            return next(iter(self.roots.values()))
        return found

    def prepare_configurations(self) -> None:
        """Find out what the configurations are read into. Raises RegistrationError for a type that cannot be read."""
        for root in self.roots.values():
            self._parsers[root] = _parser(root)

    def configure(self, root: RootContext[Any], configuration: bytes) -> bool:
        """Give a root context its `config`. False, and a line in the log, when the configuration does not fit."""
        parse = self._parsers.get(type(root))
        if parse is None:
            return True
        try:
            root.config = parse(configuration)
        except ConfigurationError as error:
            log(LogLevel.ERROR, str(error))
            return False
        return True


def serves_http(root: type[RootContext[Any]]) -> bool:
    """Whether a root context creates HTTP contexts."""
    return root.http_context is not None or root.create_http_context is not RootContext.create_http_context


def serves_tcp(root: type[RootContext[Any]]) -> bool:
    """Whether a root context creates contexts of TCP connections."""
    return root.stream_context is not None or root.create_stream_context is not RootContext.create_stream_context


def _parser(root: type[RootContext[Any]]) -> Parse | None:
    generic = [cls for cls in root.__mro__ if issubclass(cls, RootContext) and cls is not RootContext]
    if not any("__orig_bases__" in vars(cls) for cls in generic):
        return None
    # Imported by filters that use it: it needs much of the standard library.
    from pywasm_filter.sdk.configuration import ConfigurationParser
    from pywasm_filter.sdk.type_arguments import configuration_type

    try:
        target = configuration_type(root)
        return None if target is None else ConfigurationParser(target).parse
    except (TypeError, NameError) as error:
        raise RegistrationError(
            f"the configuration of {root.__name__} cannot be read: {error}",
            "name a type in RootContext[...] that can be read from JSON, such as a dataclass of plain types",
        ) from error


_collecting: Registry | None = None


def register_root_context(root: type[RootContext[Any]], root_id: str = "") -> None:
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
    registry.prepare_configurations()


def _check_served(registry: Registry, module: ModuleType) -> None:
    roots = list(registry.roots.values())
    https = _leaf_classes(module, HttpContext)
    if https and not any(serves_http(root) for root in roots):
        raise RegistrationError(
            f"no registered root context creates {_names(https)}; set http_context = {https[0].__name__} in its class"
        )
    streams = _leaf_classes(module, StreamContext)
    if streams and not any(serves_tcp(root) for root in roots):
        raise RegistrationError(
            f"no registered root context creates {_names(streams)}; set stream_context = {streams[0].__name__} in its "
            "class"
        )


def _implied_root(module: ModuleType) -> type[RootContext[Any]]:
    roots = _leaf_classes(module, RootContext)
    if len(roots) > 1:
        raise RegistrationError(
            f"{_names(roots)} are all root contexts; say which to use, and under which root_id, with "
            "register_root_context(TheClass, 'root_id')"
        )
    https = _leaf_classes(module, HttpContext)
    streams = _leaf_classes(module, StreamContext)
    if not roots and not https and not streams:
        raise RegistrationError(
            "no subclass of HttpContext, StreamContext or RootContext in the module; a filter needs one"
        )
    base: type[RootContext[Any]] = roots[0] if roots else RootContext
    served: dict[str, object] = {}
    if not serves_http(base) and https:
        served["http_context"] = _only(https, "HTTP contexts", "http_context")
    if not serves_tcp(base) and streams:
        served["stream_context"] = _only(streams, "stream contexts", "stream_context")
    if roots and not served:
        return base
    return type(base.__name__, (base,), {"__module__": module.__name__, **served})


def _only(classes: list[type[Any]], what: str, attribute: str) -> type[Any]:
    if len(classes) > 1:
        raise RegistrationError(
            f"{_names(classes)} are all {what}; give each a RootContext with {attribute} = TheClass and register "
            "that with register_root_context(TheRoot, 'root_id')"
        )
    return classes[0]


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
