"""Modules that are loaded when they are first used: what a proxy may never need takes no memory as long as it does not.

There are two kinds. Some of the standard library's modules, which others import at their top for rare occasions, become
a `LateModule` when they are imported: it loads itself when something is asked of it. And what functions of the standard
library import when they are called is not imported at all, before somebody calls them.

While a filter is imported the code comes from the host, in the proxy from the archive that is part of the snapshot.
"""

from __future__ import annotations

import marshal
import sys
import zlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any
else:
    ModuleType = type(sys)

_ModuleSpec: Any = type(sys.__spec__)
_OF_THE_IMPORT = ("__path__", "__file__", "__cached__", "__spec__", "__loader__", "__package__")
"""What the import system sets, or misses: to ask for it is no use of the module."""


class LateModule(ModuleType):
    """A module that is not loaded yet. What its import has set can be read, all else loads it."""

    def __getattr__(self, name: str) -> Any:
        if name in _OF_THE_IMPORT:
            raise AttributeError(name)
        load(self)
        return getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("__"):
            load(self)
        ModuleType.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        load(self)
        delattr(self, name)

    def __dir__(self) -> Iterable[str]:
        load(self)
        return dir(self)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override] # a module has it ready, this one makes it
        load(self)
        return vars(self)


def load(module: ModuleType) -> None:
    """Load a late module. If that fails it stays late, and is tried again when it is used again."""
    names = _names_of(module)
    before = dict(names)
    ModuleType.__setattr__(module, "__class__", ModuleType)
    try:
        _spec_of(module).loader.run(module)
    except BaseException:
        names.clear()
        names.update(before)
        module.__class__ = LateModule
        raise


def _names_of(module: ModuleType) -> dict[str, Any]:
    """What `vars` answers for an ordinary module."""
    attribute: Any = vars(ModuleType)["__dict__"]
    names: dict[str, Any] = attribute.__get__(module)
    return names


def _spec_of(module: ModuleType) -> Any:
    return module.__spec__


class Archive:
    """The last finder of `sys.meta_path` in a proxy, and the loader of what it finds; it says why it finds no more."""

    def __init__(self, dictionary: bytes, modules: Mapping[str, tuple[str, str, bytes]]) -> None:
        """`modules`: name -> file, the package's directory if it is one, and the code.

        That is as `marshal` writes it, and as `zlib` packs it with the dictionary.
        """
        self._dictionary = dictionary
        self._modules = modules

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec:
        """Where the module is in the archive. Raises ModuleNotFoundError."""
        if name not in self._modules:
            message = (
                f"No module named {name!r} in the snapshot: import it at the top of a module, not inside a function"
            )
            raise ModuleNotFoundError(message, name=name)
        file, directory, _ = self._modules[name]
        spec: ModuleSpec = _ModuleSpec(name, self, origin=file, is_package=bool(directory))
        if directory:
            spec.submodule_search_locations = [directory]
        spec.has_location = True
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run its code."""
        self.run(module)

    def run(self, module: ModuleType) -> None:
        """Run a module's code."""
        _, _, packed = self._modules[_spec_of(module).name]
        code = marshal.loads(zlib.decompressobj(zdict=self._dictionary).decompress(packed))
        exec(code, module.__dict__)

    def take_over(self) -> None:
        """Become the loader of the modules that nobody has used so far."""
        for module in sys.modules.values():
            if isinstance(module, LateModule):
                _names_of(module)["__loader__"] = _spec_of(module).loader = self
