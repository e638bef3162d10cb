"""Where things are in the linked module: types, functions and the values of globals.

Memory and table keep their layout: the snapshot is full of addresses.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pywasm_compiler.breakdown import HEAP
from pywasm_compiler.cpython.glue import GlueFunction
from pywasm_compiler.cpython.libraries import Libraries, Library, LinkError
from pywasm_compiler.wasm.code import Const
from pywasm_compiler.wasm.component_model import Component, CoreDefinition, Resolved
from pywasm_compiler.wasm.format import GLOBAL_GET, I32_CONST
from pywasm_compiler.wasm.model import ConstExpr, ExternKind, FuncType

STACK_POINTER: Final = "__stack_pointer"
STACK_POINTER_INDEX: Final = 0
"""The only global of the linked module."""

"""The region behind the libraries' static data."""

_MEMORY_BASE: Final = ":memory_base"
_HEAP_BASE: Final = "__heap_base"
_I32_ADD: Final = 0x6A


class TypeTable:
    """The function types of the linked module, each once."""

    def __init__(self) -> None:
        self._indices: dict[FuncType, int] = {}

    def index(self, signature: FuncType) -> int:
        """The index of a type, which is added when it is new."""
        return self._indices.setdefault(signature, len(self._indices))

    def types(self) -> list[FuncType]:
        """All types by index."""
        return list(self._indices)


class FunctionTable:
    """The function index space: the host's functions, then those that are used, in the order of their first use.

    What nothing calls, exports or holds in the table gets no index and is left out.
    """

    def __init__(self, imports: Iterable[str]) -> None:
        self.imports: dict[str, int] = {name: index for index, name in enumerate(imports)}
        self.used: list[CoreDefinition | GlueFunction] = []
        """All but the imports. It grows while the bodies in it are looked at."""
        self._indices: dict[CoreDefinition, int] = {}

    @property
    def next_index(self) -> int:
        """The index that the next function gets."""
        return len(self.imports) + len(self.used)

    def defined(self, definition: CoreDefinition) -> int:
        """The index of a function that a library defines."""
        if definition not in self._indices:
            self._indices[definition] = self._append(definition)
        return self._indices[definition]

    def add(self, function: GlueFunction) -> int:
        """Append a function of our own; its index."""
        return self._append(function)

    def _append(self, function: CoreDefinition | GlueFunction) -> int:
        self.used.append(function)
        return self.next_index - 1


class Globals:
    """The values of the libraries' globals: addresses, which never change once the snapshot is taken.

    Only the stack pointer remains a global.
    """

    def __init__(self, component: Component, libraries: Libraries) -> None:
        self._component = component
        self._libraries = libraries
        self._stack_pointer = component.resolve_export(libraries.main.instance, STACK_POINTER)
        self._values: dict[CoreDefinition, int] = {}

    def stack_top(self) -> int:
        """What the stack pointer begins with."""
        return self._value(self._stack_pointer)

    def mapping(self, library: Library) -> list[int | Const]:
        """What each global of a library becomes, by index."""
        count = len(library.core_module.imported[ExternKind.GLOBAL]) + len(library.module.globals)
        resolved = [self._resolve(library, index) for index in range(count)]
        return [
            STACK_POINTER_INDEX if entry == self._stack_pointer else Const(self._value(entry)) for entry in resolved
        ]

    def evaluate(self, library: Library, expression: ConstExpr) -> int:
        """The value of a constant expression in a library. Raises LinkError when it is not an address."""
        stack: list[int] = []
        for instruction in expression:
            immediate = instruction.immediate
            if instruction.opcode == I32_CONST and isinstance(immediate, int):
                stack.append(immediate)
            elif instruction.opcode == GLOBAL_GET and isinstance(immediate, int):
                stack.append(self._value(self._resolve(library, immediate)))
            elif instruction.opcode == _I32_ADD and len(stack) > 1:
                stack.append(stack.pop() + stack.pop())
            else:
                raise LinkError(f"{library.name}: the instruction {instruction.opcode:#04x} in a constant expression")
        return stack[-1] & 0xFFFF_FFFF

    def address(self, symbol: str) -> int:
        """The address of a variable that some library takes from another."""
        for library in self._libraries:
            for entry in library.core_module.imported[ExternKind.GLOBAL]:
                if (entry.module, entry.name) == ("GOT.mem", symbol):
                    return self._value(self._component.resolve_import(library.instance, entry.module, entry.name))
        raise LinkError(f"no library refers to the variable {symbol}")

    def regions(self) -> dict[str, int]:
        """Where in memory each library's static data begins, and the heap behind them; in the order of addresses."""
        main = self._libraries.main
        starts = {}
        for entry in main.module.exports:
            if entry.kind is ExternKind.GLOBAL and entry.name.endswith((_MEMORY_BASE, _HEAP_BASE)):
                resolved = self._component.resolve_export(main.instance, entry.name)
                starts[HEAP if entry.name == _HEAP_BASE else entry.name.removesuffix(_MEMORY_BASE)] = self._value(
                    resolved
                )
        return dict(sorted(starts.items(), key=lambda region: region[1]))

    def _resolve(self, library: Library, index: int) -> Resolved:
        imported = library.core_module.imported[ExternKind.GLOBAL]
        if index < len(imported):
            return self._component.resolve_import(library.instance, imported[index].module, imported[index].name)
        return CoreDefinition(library.instance, ExternKind.GLOBAL, index)

    def _value(self, resolved: Resolved) -> int:
        if not isinstance(resolved, CoreDefinition) or resolved.kind is not ExternKind.GLOBAL:
            raise LinkError(f"a global that no library defines: {resolved}")
        if resolved not in self._values:
            library = self._libraries.by_instance[resolved.instance]
            own = resolved.index - len(library.core_module.imported[ExternKind.GLOBAL])
            self._values[resolved] = self.evaluate(library, library.module.globals[own].init)
        return self._values[resolved]
