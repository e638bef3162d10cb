"""The interpreted functions of a linked module: their compact code, and what a module with it needs."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pywasm_compiler.cpython.cold.operations import Kind, Operation
from pywasm_compiler.cpython.cold.translation import (
    ColdCallee,
    CompiledCallee,
    Environment,
    TranslationError,
    translate,
)
from pywasm_compiler.wasm.component_model import CoreDefinition
from pywasm_compiler.wasm.model import ExternKind, FuncType, Module, ValType

_ADDRESS = 4


@dataclass(frozen=True)
class ColdImage:
    """Compact code at an address of the memory that all modules of a component share.

    `content` begins with the directory, the addresses of the functions by their numbers. `functions` are the
    interpreted ones with the addresses of their code; `elements` are compiled ones that it calls, by their place behind
    the table of `table_size`. `operations` and `signatures` are in the order of their numbers.
    """

    address: int
    table_size: int
    content: bytes
    functions: Mapping[CoreDefinition, int]
    elements: tuple[CoreDefinition, ...]
    operations: tuple[Operation, ...]
    signatures: tuple[FuncType, ...]

    @property
    def addresses(self) -> range:
        """Where in memory the content is."""
        return range(self.address, self.address + len(self.content))

    def to_json(self) -> bytes:
        """Everything but the content."""
        return json.dumps(
            {
                "address": self.address,
                "table_size": self.table_size,
                "functions": [[*_coordinates(function), address] for function, address in self.functions.items()],
                "elements": [_coordinates(function) for function in self.elements],
                "operations": [[kind.name, detail, size] for kind, detail, size in self.operations],
                "signatures": [[signature.params, signature.results] for signature in self.signatures],
            }
        ).encode()

    @classmethod
    def from_json(cls, text: bytes, memory: bytes) -> Self:
        """What `to_json` has written. The content is the end of a memory."""
        values = json.loads(text)
        return cls(
            address=values["address"],
            table_size=values["table_size"],
            content=memory[values["address"] :],
            functions={_function(instance, index): address for instance, index, address in values["functions"]},
            elements=tuple(_function(*coordinates) for coordinates in values["elements"]),
            operations=tuple(Operation(Kind[kind], detail, size) for kind, detail, size in values["operations"]),
            signatures=tuple(
                FuncType(*(tuple(map(ValType, side)) for side in sides)) for sides in values["signatures"]
            ),
        )


def _coordinates(function: CoreDefinition) -> tuple[int, int]:
    return function.instance, function.index


def _function(instance: int, index: int) -> CoreDefinition:
    return CoreDefinition(instance, ExternKind.FUNC, index)


def cold_image(
    module: Module,
    definitions: Sequence[CoreDefinition | None],
    candidates: Iterable[int],
    address: int,
) -> ColdImage:
    """Compact code for functions of a module, given by their indices.

    `definitions` says where each function comes from, imports included, None for what is no library's: compact code
    cannot call that. A candidate that has no translation is left out.
    """
    return _Builder(module, definitions, candidates).build(address)


class _Builder:
    def __init__(
        self,
        module: Module,
        definitions: Sequence[CoreDefinition | None],
        candidates: Iterable[int],
    ) -> None:
        self._module = module
        self._definitions = definitions
        self._imported = len(module.imports)
        self._numbers = {index: number for number, index in enumerate(candidates)}
        self._cold = set(self._numbers)
        self._table_size = module.tables[0].limits.minimum
        self._elements: dict[CoreDefinition, int] = {}
        self._code: dict[int, bytes] = {}
        self._callers: dict[int, set[int]] = {}
        self._caller = 0

    def build(self, address: int) -> ColdImage:
        environment = Environment(self._module.types, self._signature, self._callee, {}, {})
        pending: Iterable[int] = sorted(self._cold)
        while pending:
            failed = self._translate(pending, environment)
            # Who calls what has turned out to be compiled says so in another way.
            pending = sorted({caller for index in failed for caller in self._callers.get(index, ())} & self._cold)
        directory = bytearray(_ADDRESS * len(self._numbers))
        content = bytearray()
        functions = {}
        for index, code in sorted(self._code.items()):
            place = address + len(directory) + len(content)
            struct.pack_into("<I", directory, _ADDRESS * self._numbers[index], place)
            content += code
            definition = self._definitions[index]
            assert definition is not None
            functions[definition] = place
        return ColdImage(
            address=address,
            table_size=self._table_size,
            content=bytes(directory + content),
            functions=functions,
            elements=tuple(self._elements),
            operations=tuple(environment.operations),
            signatures=tuple(environment.signatures),
        )

    def _translate(self, indices: Iterable[int], environment: Environment) -> list[int]:
        """Translate functions; returns those that cannot be."""
        failed = []
        for index in indices:
            self._caller = index
            body = self._module.functions[index - self._imported].body
            try:
                self._code[index] = translate(body, self._signature(index), environment)
            except TranslationError:
                failed.append(index)
                self._code.pop(index, None)
        self._cold.difference_update(failed)
        return failed

    def _signature(self, index: int) -> FuncType:
        return self._module.types[self._module.functions[index - self._imported].type_index]

    def _callee(self, index: int) -> ColdCallee | CompiledCallee:
        if index in self._cold:
            self._callers.setdefault(index, set()).add(self._caller)
            return ColdCallee(self._numbers[index])
        definition = self._definitions[index]
        if definition is None:
            raise TranslationError("a call of what is no library's")
        element = self._elements.setdefault(definition, len(self._elements))
        return CompiledCallee(self._table_size + element)
