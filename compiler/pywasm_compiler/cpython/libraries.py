"""The core modules of a component that componentize-py makes, told apart by their shape.

`main` defines the memory and, since the snapshot was taken, holds all of its content; `init` does nothing any more, but
its element segments fill a part of the table. The others are dynamic libraries, libc and CPython among them. The
adapter for the first preview of WASI and the pair of modules that breaks the cycle between imports and memory are left
out: what they stand for, the host's functions, is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from pywasm_compiler.wasm.component_model import Component, CoreInstantiation, CoreModule
from pywasm_compiler.wasm.model import ExternKind, FuncType, Import, Module
from pywasm_compiler.wasm.names import module_names


class LinkError(Exception):
    """The component is not of the kind that this version of componentize-py makes."""


@dataclass(frozen=True, eq=False)
class Library:
    """An instance of a core module. `name` is what `init` calls it, or its number."""

    name: str
    instance: int
    core_module: CoreModule

    @property
    def module(self) -> Module:
        """The decoded module."""
        return self.core_module.module

    @cached_property
    def imported_functions(self) -> list[Import]:
        """The functions that it imports: the begin of its function index space."""
        return self.core_module.imported[ExternKind.FUNC]

    @cached_property
    def names(self) -> dict[int, str]:
        """Names of its functions by index, as far as the module has them."""
        return dict(module_names(self.module).functions)

    def functions_named(self, name: str) -> list[int]:
        """The functions of that name, by index; static functions may share one. Raises LinkError when there is none."""
        found = [index for index, other in self.names.items() if other == name]
        if not found:
            raise LinkError(f"{self.name} has no function {name}")
        return found

    def function_named(self, name: str) -> int:
        """The function of that name. Raises LinkError when there is not exactly one."""
        found = self.functions_named(name)
        if len(found) > 1:
            raise LinkError(f"{self.name} has {len(found)} functions {name}")
        return found[0]

    def type_of_import(self, entry: Import) -> FuncType:
        """The type that an imported function is declared with."""
        if not isinstance(entry.type, int):
            raise LinkError(f"{self.name}: the import {entry.name} has no function type")
        return self.module.types[entry.type]


@dataclass(frozen=True)
class Libraries:
    """All that is linked; `libraries` are in the order of instantiation."""

    main: Library
    libraries: tuple[Library, ...]
    init: Library

    def __iter__(self) -> Iterator[Library]:
        """Those whose functions are part of the result: not `init`, whose work is done."""
        yield self.main
        yield from self.libraries

    @cached_property
    def by_instance(self) -> dict[int, Library]:
        """The ones whose functions are part of the result, by instance."""
        return {library.instance: library for library in self}


def select_libraries(component: Component) -> Libraries:
    """Tell the modules apart. Raises LinkError when a part is missing or there is more than expected."""
    instances = {
        index: instance
        for index, instance in enumerate(component.core_instances)
        if isinstance(instance, CoreInstantiation) and not _stands_for_the_host(component, instance)
    }
    main = [index for index, instance in instances.items() if _module(component, instance).memories]
    init = [index for index, instance in instances.items() if not _module(component, instance).exports]
    if len(main) != 1 or len(init) != 1:
        raise LinkError(f"{len(main)} modules define a memory and {len(init)} export nothing, where one of each must")
    names = {instance: name for name, instance in instances[init[0]].arguments.items()}
    libraries = {
        index: Library(names.get(index, f"library {index}"), index, component.core_modules[instance.module])
        for index, instance in instances.items()
    }
    for library in libraries.values():
        if library.module.start is not None:
            raise LinkError(f"{library.name} has a start function")
    rest = tuple(library for index, library in libraries.items() if index not in (*main, *init))
    return Libraries(libraries[main[0]], rest, libraries[init[0]])


def _stands_for_the_host(component: Component, instance: CoreInstantiation) -> bool:
    """Whether it is the adapter, or one of the two that give lowered imports to the libraries."""
    arguments = instance.arguments.keys()
    shim = component.core_modules[instance.module].exports.get("$imports")
    return "__main_module__" in arguments or arguments == {""} or shim is not None


def _module(component: Component, instance: CoreInstantiation) -> Module:
    return component.core_modules[instance.module].module
