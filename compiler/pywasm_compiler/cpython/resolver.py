"""What the functions are that the libraries import: another library's, or glue, which is made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeGuard, overload

from proxy_wasm_abi import Hostcall, load

from pywasm_compiler.cpython import platform
from pywasm_compiler.cpython.glue import Code, GlueFunction
from pywasm_compiler.cpython.layout import FunctionTable, Globals
from pywasm_compiler.cpython.libraries import Libraries, Library, LinkError
from pywasm_compiler.cpython.wasi import STDERR, STDOUT, Platform, is_wasi, wasi_function
from pywasm_compiler.wasm.component_model import Component, CoreDefinition, Resolved
from pywasm_compiler.wasm.model import ExternKind, FuncType, Import, ValType

LOG: Final = "proxy_log"
CURRENT_TIME: Final = "proxy_get_current_time_nanoseconds"
RANDOM: Final = "random_get"
RANDOM_TYPE: Final = FuncType((ValType.I32, ValType.I32), (ValType.I32,))

_LOG_LEVELS: Final = {STDOUT: "INFO", STDERR: "ERROR"}


def needed_hostcalls(wanted: Iterable[str]) -> list[Hostcall]:
    """The hostcalls that the linked module imports, in the table's order: those wanted, and what the glue calls."""
    names = {*wanted, LOG, CURRENT_TIME}
    return [hostcall for hostcall in load().hostcalls if hostcall.name in names]


class Resolver:
    """Indices of functions and addresses of variables, by the names that the libraries know them by."""

    def __init__(self, component: Component, libraries: Libraries, functions: FunctionTable, globals_: Globals) -> None:
        self._component = component
        self._libraries = libraries
        self._functions = functions
        self._globals = globals_
        self._glue: dict[str, int] = {}
        self.scratch = platform.Scratch(libraries.main.module.memories[0].limits.minimum * platform.PAGE_SIZE)
        self.random_get = functions.imports[RANDOM]
        self.flush = functions.add(platform.flush(self.scratch, functions.imports[LOG]))
        self.pointers: list[int] = []
        """Functions that the table has to hold behind its own."""
        self.pointer_names: list[str] = []
        """Their names."""
        self._platform = self._wasi_platform()

    def indices(self, library: Library) -> Sequence[int]:
        """The function index space of a library, in indices of the linked module."""
        return _LibraryFunctions(self, library)

    def defined(self, library: Library, index: int) -> int:
        """The index of a function that the library defines itself."""
        return self._functions.defined(CoreDefinition(library.instance, ExternKind.FUNC, index))

    def imported(self, library: Library, entry: Import) -> int:
        """The index of a function that the library imports. Raises LinkError when there is none for it."""
        signature = library.type_of_import(entry)
        resolved = self._component.resolve_import(library.instance, entry.module, entry.name)
        if self._is_linked(resolved):
            return self._functions.defined(resolved)
        builder = wasi_function(entry.module, entry.name) if is_wasi(entry.module) else None
        if builder is None:
            raise LinkError(f"{library.name} imports {entry.name} of {entry.module}, which a proxy does not offer")
        return self._glued(f"{entry.module} {entry.name}", signature, lambda code: builder(code, self._platform))

    def function(self, name: str) -> int:
        """The index of a function that a library exports."""
        for library in self._libraries.libraries:
            if name in library.core_module.exports:
                resolved = self._component.resolve_export(library.instance, name)
                if self._is_linked(resolved):
                    return self._functions.defined(resolved)
        raise LinkError(f"no library exports {name}")

    def address(self, name: str) -> int:
        """The address of a variable that a library exports."""
        return self._globals.address(name)

    def pointer(self, function: GlueFunction) -> int:
        """A pointer to a function of our own: the table is longer by it."""
        self.pointers.append(self._functions.add(function))
        self.pointer_names.append(function.name)
        return self._libraries.main.module.tables[0].limits.minimum + len(self.pointers) - 1

    def _is_linked(self, resolved: Resolved) -> TypeGuard[CoreDefinition]:
        return (
            isinstance(resolved, CoreDefinition)
            and resolved.kind is ExternKind.FUNC
            and resolved.instance in self._libraries.by_instance
        )

    def _glued(self, name: str, signature: FuncType, build: Callable[[Code], object]) -> int:
        """The index of a function of our own, which is made the first time that it is asked for."""
        if name not in self._glue:
            code = Code(signature)
            build(code)
            self._glue[name] = self._functions.add(code.function(name))
        return self._glue[name]

    def _wasi_platform(self) -> Platform:
        current_time = self._functions.imports[CURRENT_TIME]
        levels = {
            member.name: member.value for enum in load().enums if enum.name == "LogLevel" for member in enum.members
        }
        return Platform(
            current_time=current_time,
            monotonic=self._functions.add(platform.monotonic(self.scratch, current_time)),
            write=self._functions.add(platform.write(self.scratch, self.flush)),
            flush=self.flush,
            levels={stream: levels[name] for stream, name in _LOG_LEVELS.items()},
        )


class _LibraryFunctions(Sequence[int]):
    """Imports are resolved when a body or the table refers to them: what is never used needs no counterpart."""

    def __init__(self, resolver: Resolver, library: Library) -> None:
        self._resolver = resolver
        self._library = library
        self._imports: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._library.imported_functions) + len(self._library.module.functions)

    @overload
    def __getitem__(self, index: int, /) -> int: ...
    @overload
    def __getitem__(self, index: slice, /) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice, /) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        if index >= len(self):
            raise IndexError(index)
        imported = self._library.imported_functions
        if index >= len(imported):
            return self._resolver.defined(self._library, index)
        if index not in self._imports:
            self._imports[index] = self._resolver.imported(self._library, imported[index])
        return self._imports[index]
