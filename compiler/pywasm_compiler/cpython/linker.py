"""From a component made by componentize-py to one core module that a Proxy-Wasm host loads.

Memory and table stay as they are: the snapshot is full of addresses. Functions get new indices, what the libraries
import from outside becomes glue, and their globals become constants.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

from proxy_wasm_abi import load

from pywasm_compiler.breakdown import GROWN, INTERPRETED
from pywasm_compiler.cpython.callbacks import START, call_start, callback, callback_slots
from pywasm_compiler.cpython.cold.image import ColdImage
from pywasm_compiler.cpython.cold.linking import ColdFunctions
from pywasm_compiler.cpython.core_types import host_type
from pywasm_compiler.cpython.glue import Code, GlueFunction
from pywasm_compiler.cpython.hostcalls import HostcallTable
from pywasm_compiler.cpython.layout import STACK_POINTER_INDEX, FunctionTable, Globals, TypeTable
from pywasm_compiler.cpython.libraries import Library, LinkError, select_libraries
from pywasm_compiler.cpython.origins import GLUE, parts_of
from pywasm_compiler.cpython.python_api import show_and_trap
from pywasm_compiler.cpython.replacements import PYTHON, REPLACED, Replacement
from pywasm_compiler.cpython.resolver import RANDOM, RANDOM_TYPE, Resolver, needed_hostcalls
from pywasm_compiler.cpython.run_source import run_source
from pywasm_compiler.cpython.stack import guarded_functions, limits_segment, take_stack
from pywasm_compiler.wasm.code import Const, remap_body
from pywasm_compiler.wasm.component_model import Component, CoreDefinition
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.format import I32_CONST, REF_FUNC, REF_NULL
from pywasm_compiler.wasm.model import (
    DataSegment,
    ElementSegment,
    Export,
    ExternKind,
    Function,
    FuncType,
    Global,
    GlobalType,
    Import,
    Instruction,
    Limits,
    MemoryType,
    Module,
    SegmentMode,
    TableType,
    ValType,
)

HOST_MODULE: Final = "env"
RUN_SOURCE: Final = "run_source"
"""(address of Python source that ends with a zero byte) -> 0, or -1 after an exception."""
GLUE_PREFIX: Final = "pywasm "
"""What the names of our own functions begin with."""


@dataclass(frozen=True)
class LinkedModule:
    """The result: the module, and the names of its functions by index, imports included.

    Modules of one component can be given each other's memory if `pointers`, what comes behind the libraries' part of
    the table, is the same. The stack goes down from `stack_top`. `parts` say of each function that the module defines
    which part of the interpreter it belongs to, `regions` where in memory each library's static data begins, the heap
    and what is interpreted.
    """

    module: Module
    names: dict[int, str]
    pointers: tuple[str, ...]
    stack_top: int
    parts: tuple[str, ...]
    regions: Mapping[str, int]
    definitions: tuple[CoreDefinition | None, ...]
    """Where its functions come from by index; None for imports and for our own."""


def link(
    component: Component,
    hostcalls: Collection[str],
    callbacks: Collection[str],
    *,
    runs_source: bool = False,
    cold: ColdImage | None = None,
) -> LinkedModule:
    """Link the libraries of a component.

    The module imports these hostcalls and exports these callbacks. With `runs_source` it also exports RUN_SOURCE. What
    is in `cold` is interpreted; all else is compiled. Raises LinkError, and MalformedModule for a module that breaks
    the format.
    """
    linker = _Linker(component, hostcalls, cold)
    exports = list(linker.exports(callbacks))
    if runs_source:
        exports.append(linker.source_runner())
    module = Module(
        imports=list(linker.imports()),
        memories=[linker.memory()],
        globals=[linker.stack_pointer()],
        exports=exports,
        elements=linker.elements(),
        data=linker.data(),
    )
    # The table and the exports use the first functions; each brings those that it calls.
    module.functions = [linker.function(used) for used in linker.functions.used]
    module.elements += linker.pointers()
    module.tables = [linker.table()]
    module.types = linker.types.types()
    return LinkedModule(
        module=module,
        names=linker.names(),
        pointers=tuple(linker.resolver.pointer_names),
        stack_top=linker.globals.stack_top(),
        parts=tuple(map(linker.part, linker.functions.used)),
        regions=linker.regions(),
        definitions=linker.definitions(),
    )


@dataclass(frozen=True)
class _IndexSpaces:
    """What the indices in the bodies of a library become.

    By index: functions that get another body, and bytes of stack that functions take more.
    """

    functions: Sequence[int]
    globals: Sequence[int | Const]
    types: Sequence[int]
    replaced: Mapping[int, Replacement]
    guarded: Mapping[int, int]


class _Linker:
    def __init__(self, component: Component, hostcalls: Collection[str], cold: ColdImage | None) -> None:
        self.component = component
        self.libraries = select_libraries(component)
        self.hostcalls = needed_hostcalls(hostcalls)
        self.types = TypeTable()
        self.globals = Globals(component, self.libraries)
        self.functions = FunctionTable([*(hostcall.name for hostcall in self.hostcalls), RANDOM])
        self.resolver = Resolver(component, self.libraries, self.functions, self.globals)
        imports = {name: index for name, index in self.functions.imports.items() if name in hostcalls}
        self.hostcall_table = HostcallTable(self.resolver, imports, self.functions.add)
        self.spaces = {library.instance: self.spaces_of(library) for library in self.libraries}
        self.cold = ColdFunctions(cold, self.functions, self.types) if cold else None

    def spaces_of(self, library: Library) -> _IndexSpaces:
        """What the indices in the bodies of a library become."""
        replaced = REPLACED.get(library.name, {})
        return _IndexSpaces(
            functions=self.resolver.indices(library),
            globals=self.globals.mapping(library),
            types=[self.types.index(signature) for signature in library.module.types],
            replaced={library.function_named(name): build for name, build in replaced.items()},
            guarded=guarded_functions(library) if library.name == PYTHON else {},
        )

    def function(self, used: CoreDefinition | GlueFunction) -> Function:
        """A function of the linked module."""
        if isinstance(used, GlueFunction):
            return Function(self.types.index(used.type), used.body)
        if self.cold and self.cold.has(used):
            signature = self.type_of(used)
            return Function(self.types.index(signature), self.cold.stub(used, signature))
        library = self.libraries.by_instance[used.instance]
        spaces = self.spaces[used.instance]
        if build := spaces.replaced.get(used.index):
            code = Code(library.module.function_type(used.index))
            build(code, self.resolver)
            return self.function(code.function(library.names[used.index]))
        function = library.module.functions[used.index - len(library.imported_functions)]
        try:
            body = remap_body(function.body, spaces.functions, spaces.globals, spaces.types)
            if size := spaces.guarded.get(used.index):
                body = take_stack(body, library.module.function_type(used.index), STACK_POINTER_INDEX, size)
        except MalformedModule as error:
            raise LinkError(f"{library.name}: {library.names.get(used.index, used.index)}: {error}") from error
        return Function(spaces.types[function.type_index], body)

    def type_of(self, definition: CoreDefinition) -> FuncType:
        """The type of a library's function."""
        return self.libraries.by_instance[definition.instance].module.function_type(definition.index)

    def elements(self) -> list[ElementSegment]:
        """What fills the table: a segment for each run of functions without a gap."""
        table: dict[int, int] = {}
        for library in (*self.libraries, self.libraries.init):
            indices = self.resolver.indices(library)
            for segment in library.module.elements:
                start = self.globals.evaluate(library, segment.offset)
                for position, (item,) in enumerate(segment.items, start):
                    if item.opcode == REF_FUNC and isinstance(item.immediate, int):
                        table[position] = indices[item.immediate]
                    elif item.opcode != REF_NULL:
                        raise LinkError(f"{library.name} has an element that is not a function")
        positions = sorted(table)
        starts = positions[:1] + [after for before, after in pairwise(positions) if after != before + 1]
        ends = [before + 1 for before, after in pairwise(positions) if after != before + 1] + [positions[-1] + 1]
        return [
            _elements(start, [table[position] for position in range(start, end)])
            for start, end in zip(starts, ends, strict=True)
        ]

    def pointers(self) -> list[ElementSegment]:
        """What comes behind the libraries' part of the table."""
        return [_elements(self._table_size(), [*self.resolver.pointers, *self.called_by_cold()])]

    def called_by_cold(self) -> list[int]:
        """The compiled functions that interpreted ones call."""
        return self.cold.elements if self.cold else []

    def imports(self) -> Iterator[Import]:
        """The host's functions."""
        for hostcall in self.hostcalls:
            yield Import(HOST_MODULE, hostcall.name, ExternKind.FUNC, self.types.index(host_type(hostcall)))
        yield Import(load().wasi_module, RANDOM, ExternKind.FUNC, self.types.index(RANDOM_TYPE))

    def exports(self, callbacks: Collection[str]) -> Iterator[Export]:
        """What a Proxy-Wasm host looks for, and nothing else."""
        abi = load()
        nothing = self.functions.add(Code(FuncType()).function("nothing"))
        yield Export("memory", ExternKind.MEMORY, 0)
        yield Export(abi.marker, ExternKind.FUNC, nothing)
        yield Export("_initialize", ExternKind.FUNC, nothing)
        for allocator in abi.allocators:
            yield Export(allocator, ExternKind.FUNC, self.resolver.function("malloc"))
        fail = self.functions.add(show_and_trap(self.resolver))
        slots = {name: self.resolver.scratch.slot(number) for number, name in enumerate(callback_slots())}
        start = self.functions.add(call_start(self.resolver, slots[START], fail))
        for entry in abi.callbacks:
            if entry.name in callbacks:
                function = callback(entry, self.resolver, slots, start, fail)
                yield Export(entry.name, ExternKind.FUNC, self.functions.add(function))

    def source_runner(self) -> Export:
        """What the loader has more."""
        return Export(RUN_SOURCE, ExternKind.FUNC, self.functions.add(run_source(self.resolver, self.hostcall_table)))

    def table(self) -> TableType:
        """The table, which never grows."""
        size = self._table_size() + len(self.resolver.pointers) + len(self.called_by_cold())
        return TableType(ValType.FUNCREF, Limits(size, size))

    def _table_size(self) -> int:
        return self.libraries.main.module.tables[0].limits.minimum

    def memory(self) -> MemoryType:
        """The memory, with one page more than the snapshot has: the glue's."""
        return MemoryType(Limits(self.libraries.main.module.memories[0].limits.minimum + 1))

    def stack_pointer(self) -> Global:
        """The one global that changes."""
        return Global(GlobalType(ValType.I32, mutable=True), (_i32_const(self.globals.stack_top()),))

    def data(self) -> list[DataSegment]:
        """The snapshot, what is changed in it, and the glue's constants."""
        segments = [
            self._data_segment(library, segment) for library in self.libraries for segment in library.module.data
        ]
        limits = limits_segment(segments, self.globals.stack_top(), self.globals.address("_PyRuntime"))
        table = self.hostcall_table
        constants = DataSegment(SegmentMode.ACTIVE, table.content, offset=(_i32_const(table.address),))
        return [*segments, limits, constants]

    def _data_segment(self, library: Library, segment: DataSegment) -> DataSegment:
        if segment.mode is not SegmentMode.ACTIVE:
            raise LinkError(f"{library.name} has a data segment that is not active")
        offset = _i32_const(self.globals.evaluate(library, segment.offset))
        return DataSegment(SegmentMode.ACTIVE, segment.content, offset=(offset,))

    def part(self, used: CoreDefinition | GlueFunction) -> str:
        """Which part of the interpreter a function belongs to."""
        if isinstance(used, GlueFunction):
            return GLUE
        library = self.libraries.by_instance[used.instance]
        return self.parts[used.instance][used.index - len(library.imported_functions)]

    @cached_property
    def parts(self) -> Mapping[int, Sequence[str]]:
        """The parts that the functions of each library belong to, by its instance."""
        return {library.instance: parts_of(library) for library in self.libraries}

    def regions(self) -> dict[str, int]:
        """Where in memory each kind of content begins."""
        regions = self.globals.regions()
        if self.cold:
            regions |= {INTERPRETED: self.cold.addresses.start, GROWN: self.cold.addresses.stop}
        return regions

    def names(self) -> dict[int, str]:
        """Names of all functions by index, imports included."""
        names = {index: name for name, index in self.functions.imports.items()}
        for index, used in enumerate(self.functions.used, len(names)):
            if isinstance(used, GlueFunction):
                names[index] = GLUE_PREFIX + used.name
            elif (name := self.libraries.by_instance[used.instance].names.get(used.index)) is not None:
                names[index] = name
        return names

    def definitions(self) -> tuple[CoreDefinition | None, ...]:
        """Where all functions come from by index, imports included."""
        own = (used if isinstance(used, CoreDefinition) else None for used in self.functions.used)
        return (*(None for _ in self.functions.imports), *own)


def _elements(start: int, functions: Sequence[int]) -> ElementSegment:
    items = tuple((Instruction(REF_FUNC, function),) for function in functions)
    return ElementSegment(SegmentMode.ACTIVE, items, offset=(_i32_const(start),))


def _i32_const(value: int) -> Instruction:
    return Instruction(I32_CONST, value - (1 << 32) if value >= 1 << 31 else value)
