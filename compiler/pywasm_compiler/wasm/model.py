"""What a core WebAssembly module is made of, independent of its bytes.

Index spaces follow the specification: imported entities come first, then the module's own. Function bodies stay
encoded (`Function.body`): only the linker looks into them, through `code`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias


class ValType(IntEnum):
    """Value types, by their byte in the binary format."""

    I32 = 0x7F
    I64 = 0x7E
    F32 = 0x7D
    F64 = 0x7C
    V128 = 0x7B
    FUNCREF = 0x70
    EXTERNREF = 0x6F


class ExternKind(IntEnum):
    """Kinds of imports and exports, by their byte in the binary format."""

    FUNC = 0
    TABLE = 1
    MEMORY = 2
    GLOBAL = 3
    TAG = 4


@dataclass(frozen=True, slots=True)
class FuncType:
    """Parameters and results of a function."""

    params: tuple[ValType, ...] = ()
    results: tuple[ValType, ...] = ()

    def __str__(self) -> str:
        def names(types: tuple[ValType, ...]) -> str:
            return ", ".join(t.name.lower() for t in types)

        return f"({names(self.params)}) -> ({names(self.results)})"


@dataclass(frozen=True, slots=True)
class Limits:
    """Size bounds of a memory (in 64 KiB pages) or of a table (in elements)."""

    minimum: int
    maximum: int | None = None
    shared: bool = False
    is_64: bool = False


@dataclass(frozen=True, slots=True)
class TableType:
    """Element type and bounds of a table."""

    element: ValType
    limits: Limits


@dataclass(frozen=True, slots=True)
class MemoryType:
    """Bounds of a linear memory, in pages of 64 KiB."""

    limits: Limits


@dataclass(frozen=True, slots=True)
class GlobalType:
    """Value type and mutability of a global."""

    value: ValType
    mutable: bool


ExternType: TypeAlias = "int | TableType | MemoryType | GlobalType"
"""What an import declares: a type index for a function, the type itself for the others."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import. `type` is an index into `Module.types` when `kind` is FUNC."""

    module: str
    name: str
    kind: ExternKind
    type: ExternType


@dataclass(frozen=True, slots=True)
class Export:
    """One export: `index` points into the index space of `kind`."""

    name: str
    kind: ExternKind
    index: int


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a constant expression: opcode and its decoded immediate.

    `immediate` is an int for `i32.const`, `i64.const`, `global.get`, `ref.func`; the raw little-endian bytes for
    `f32.const` and `f64.const`; the heap-type byte for `ref.null`; None for `i32.add` and its like.
    """

    opcode: int
    immediate: int | bytes | None = None


ConstExpr: TypeAlias = tuple[Instruction, ...]
"""A constant expression without its closing `end`."""


@dataclass(frozen=True, slots=True)
class Global:
    """A global defined by the module."""

    type: GlobalType
    init: ConstExpr


@dataclass(frozen=True, slots=True)
class Function:
    """A function defined by the module. `body` holds local declarations and code, without the size in front."""

    type_index: int
    body: bytes


class SegmentMode(IntEnum):
    """How a data or element segment is used."""

    ACTIVE = 0
    PASSIVE = 1
    DECLARED = 2


@dataclass(frozen=True, slots=True)
class ElementSegment:
    """An element segment: every item is a constant expression (`ref.func` or `ref.null`).

    `uses_expressions` and `explicit_index` keep apart the encodings of the format that mean the same.
    """

    mode: SegmentMode
    items: tuple[ConstExpr, ...]
    table: int = 0
    offset: ConstExpr = ()
    element: ValType = ValType.FUNCREF
    uses_expressions: bool = False
    explicit_index: bool = False


@dataclass(frozen=True, slots=True)
class DataSegment:
    """A data segment: bytes copied to `offset` of `memory` at instantiation when active."""

    mode: SegmentMode
    content: bytes
    memory: int = 0
    offset: ConstExpr = ()
    explicit_index: bool = False


@dataclass(frozen=True, slots=True)
class CustomSection:
    """A custom section and where it stands: `after` is the id of the section before it (0: at the beginning)."""

    name: str
    content: bytes
    after: int = 0


@dataclass(slots=True)
class Module:
    """A core module. `functions`, `tables`, … hold what the module defines; imports are apart, in `imports`."""

    types: list[FuncType] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    tables: list[TableType] = field(default_factory=list)
    memories: list[MemoryType] = field(default_factory=list)
    globals: list[Global] = field(default_factory=list)
    exports: list[Export] = field(default_factory=list)
    start: int | None = None
    elements: list[ElementSegment] = field(default_factory=list)
    data: list[DataSegment] = field(default_factory=list)
    data_count: int | None = None
    customs: list[CustomSection] = field(default_factory=list)

    def imported(self, kind: ExternKind) -> list[Import]:
        """The imports of one kind, in the order of their index space."""
        return [entry for entry in self.imports if entry.kind is kind]

    def function_type(self, index: int) -> FuncType:
        """The type of a function by its index in the function index space (imports first)."""
        imported = self.imported(ExternKind.FUNC)
        if index < len(imported):
            type_index = imported[index].type
            assert isinstance(type_index, int)
            return self.types[type_index]
        return self.types[self.functions[index - len(imported)].type_index]

    def export(self, name: str) -> Export | None:
        """The export of that name, if there is one."""
        return next((entry for entry in self.exports if entry.name == name), None)
