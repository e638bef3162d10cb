"""A module in which functions are interpreted, beside the same with all compiled, under wasmtime."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import wasmtime
from pywasm_compiler.cpython.cold.image import ColdImage, cold_image
from pywasm_compiler.cpython.cold.linking import ColdFunctions
from pywasm_compiler.cpython.glue import GlueFunction
from pywasm_compiler.cpython.layout import FunctionTable, TypeTable
from pywasm_compiler.cpython.memory import PAGE_SIZE
from pywasm_compiler.wasm.component_model import CoreDefinition
from pywasm_compiler.wasm.format import I32_CONST, REF_FUNC
from pywasm_compiler.wasm.model import (
    DataSegment,
    ElementSegment,
    ExternKind,
    Function,
    Instruction,
    Limits,
    MemoryType,
    Module,
    SegmentMode,
    TableType,
    ValType,
)
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

STACK_TOP = 0x8000

HEAD = f"""
  (memory (export "memory") 1)
  (global (export "sp") (mut i32) (i32.const {STACK_TOP}))
"""
"""What a module needs that has interpreted functions; it also needs a table."""

_ENGINE = wasmtime.Engine()


@dataclass(frozen=True)
class Outcome:
    """What a call returned, or the trap that it ended in; the memory and the stack pointer afterwards."""

    result: Any
    trap: str | None
    memory: bytes
    stack_pointer: int


class Machine:
    """An instance of a module without imports, or with functions to import."""

    def __init__(self, module: Module, imports: dict[str, Callable[..., Any]] | None = None) -> None:
        self.store = wasmtime.Store(_ENGINE)
        compiled = wasmtime.Module(_ENGINE, write_module(module))
        functions = []
        for entry in compiled.imports:
            assert isinstance(entry.type, wasmtime.FuncType)
            functions.append(wasmtime.Func(self.store, entry.type, (imports or {})[entry.name or ""]))
        self.exports = wasmtime.Instance(self.store, compiled, functions).exports(self.store)

    def call(self, name: str, *arguments: Any) -> Outcome:
        """Call an export."""
        function, memory, stack_pointer = (self.exports[entry] for entry in (name, "memory", "sp"))
        assert isinstance(function, wasmtime.Func)
        assert isinstance(memory, wasmtime.Memory)
        assert isinstance(stack_pointer, wasmtime.Global)
        result, trap, before = None, None, stack_pointer.value(self.store)
        try:
            result = _bits(function(self.store, *arguments))
        except wasmtime.Trap as error:
            trap = error.message.strip().splitlines()[-1]
            stack_pointer.set_value(self.store, before)  # the stack is not unwound
        # What lies in the stack below its top is not compared: the interpreter keeps its frames there.
        content = bytes(memory.read(self.store, STACK_TOP, PAGE_SIZE))
        return Outcome(result, trap, content, stack_pointer.value(self.store))


def _bits(value: Any) -> Any:
    """A NaN equals itself; zero and minus zero differ."""
    return struct.pack("<d", value) if isinstance(value, float) else value


class ColdModule:
    """A module in the text format, whose functions are interpreted but for those of the given indices."""

    def __init__(
        self, text: str, compiled: tuple[int, ...] = (), imports: dict[str, Callable[..., Any]] | None = None
    ) -> None:
        self.original = read_module(wasmtime.wat2wasm(f"(module {text})"))
        self._imports = imports
        imported = len(self.original.imports)
        self.definitions = [
            CoreDefinition(0, ExternKind.FUNC, index) if index >= imported else None
            for index in range(imported + len(self.original.functions))
        ]
        candidates = [index for index, known in enumerate(self.definitions) if known and index not in compiled]
        pages = self.original.memories[0].limits.minimum
        self.image = cold_image(self.original, self.definitions, candidates, pages * PAGE_SIZE)

    @property
    def interpreted(self) -> set[int]:
        """The functions that are interpreted, by index."""
        return {definition.index for definition in self.image.functions}

    @cached_property
    def compiled_machine(self) -> Machine:
        """The original."""
        return Machine(self.original, self._imports)

    @cached_property
    def machine(self) -> Machine:
        """The module with interpreted functions."""
        return Machine(with_image(self.original, self.definitions, self.image), self._imports)

    def both(self, name: str, *arguments: Any) -> Outcome:
        """Call a function in both, and hold the outcomes to each other."""
        expected = self.compiled_machine.call(name, *arguments)
        outcome = self.machine.call(name, *arguments)
        assert (outcome.result, outcome.trap, outcome.memory) == (expected.result, expected.trap, expected.memory)
        assert outcome.stack_pointer == expected.stack_pointer
        return outcome


def with_image(module: Module, definitions: list[CoreDefinition | None], image: ColdImage) -> Module:
    """What the linker does, for a module that is linked already."""
    types = TypeTable()
    for signature in module.types:
        types.index(signature)
    functions = FunctionTable([entry.name for entry in module.imports])
    for definition in definitions:
        if definition is not None:
            functions.defined(definition)
    cold = ColdFunctions(image, functions, types)
    bodies = []
    for used in functions.used:
        if isinstance(used, GlueFunction):
            bodies.append(Function(types.index(used.type), used.body))
            continue
        original = module.functions[used.index - len(module.imports)]
        body = cold.stub(used, module.types[original.type_index]) if cold.has(used) else original.body
        bodies.append(replace(original, body=body))
    size = image.table_size + len(cold.elements)
    items = tuple((Instruction(REF_FUNC, index),) for index in cold.elements)
    elements = ElementSegment(SegmentMode.ACTIVE, items, offset=(Instruction(I32_CONST, image.table_size),))
    pages = (image.address + len(image.content) + PAGE_SIZE - 1) // PAGE_SIZE
    content = DataSegment(SegmentMode.ACTIVE, image.content, offset=(Instruction(I32_CONST, image.address),))
    return replace(
        module,
        types=types.types(),
        functions=bodies,
        tables=[TableType(ValType.FUNCREF, Limits(size, size))],
        memories=[MemoryType(Limits(pages))],
        elements=[*module.elements, elements],
        data=[*module.data, content],
    )
