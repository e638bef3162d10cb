"""From bytes to `Module`.

The reader checks the format, not the meaning: indices and types may be wrong in a module that it accepts. Whatever it
is given, it returns a module or raises MalformedModule. Refused, each with a message that names it: exception handling
(tags), garbage collection types, tables with an initialiser, vectors in constant expressions.
"""

from __future__ import annotations

from typing import Final

from pywasm_compiler.wasm.cursor import Cursor
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.format import (
    COMPONENT_PREAMBLE,
    CONST_ARITHMETIC,
    CORE_PREAMBLE,
    ELEM_KIND_FUNCREF,
    END,
    F32_CONST,
    F64_CONST,
    FUNC_TYPE,
    GLOBAL_GET,
    I32_CONST,
    I64_CONST,
    LIMITS_64,
    LIMITS_HAS_MAXIMUM,
    LIMITS_SHARED,
    REF_FUNC,
    REF_NULL,
    SECTION_ORDER,
    SEGMENT_EXPLICIT_OR_DECLARED,
    SEGMENT_EXPRESSIONS,
    SEGMENT_NOT_ACTIVE,
    SectionId,
)
from pywasm_compiler.wasm.model import (
    ConstExpr,
    CustomSection,
    DataSegment,
    ElementSegment,
    Export,
    ExternKind,
    ExternType,
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

_RANK: Final = {section: rank for rank, section in enumerate(SECTION_ORDER)}
_VAL_TYPES: Final = {int(val_type): val_type for val_type in ValType}
_REF_TYPES: Final = frozenset((ValType.FUNCREF, ValType.EXTERNREF))


def is_core_module(data: bytes | bytearray | memoryview) -> bool:
    """Whether the eight bytes of the preamble are those of a core module."""
    return bytes(data[:8]) == CORE_PREAMBLE


def is_component(data: bytes | bytearray | memoryview) -> bool:
    """Whether the eight bytes of the preamble are those of a component."""
    return bytes(data[:8]) == COMPONENT_PREAMBLE


def read_module(data: bytes | bytearray | memoryview) -> Module:
    """Decode a core module. Raises MalformedModule."""
    content = bytes(data)  # no copy when it is bytes already
    if not is_core_module(content):
        raise MalformedModule(0, "not a core WebAssembly module")
    return _ModuleReader(Cursor(content, len(CORE_PREAMBLE))).read()


class _ModuleReader:
    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.module = Module()
        self.type_indices: list[int] = []
        self.bodies: list[bytes] = []

    def read(self) -> Module:
        last = SectionId.CUSTOM
        last_kept = SectionId.CUSTOM
        while self.cursor.remaining:
            start = self.cursor.offset
            section_id = self._section_id()
            body = self.cursor.section(self.cursor.u32())
            if section_id is SectionId.CUSTOM:
                self.module.customs.append(CustomSection(body.name(), body.take(body.remaining), int(last_kept)))
                continue
            if last is not SectionId.CUSTOM and _RANK[section_id] <= _RANK[last]:
                raise MalformedModule(start, f"section {section_id.name} after section {last.name}")
            if not _is_empty(section_id, body):
                last_kept = section_id
            self._read_section(section_id, body)
            body.expect_end(f"section {section_id.name}")
            last = section_id
        self._finish()
        return self.module

    def _section_id(self) -> SectionId:
        number = self.cursor.byte()
        try:
            return SectionId(number)
        except ValueError:
            raise MalformedModule(self.cursor.offset - 1, f"unknown section id {number}") from None

    def _read_section(self, section_id: SectionId, cursor: Cursor) -> None:
        module = self.module
        match section_id:
            case SectionId.TYPE:
                module.types = [_func_type(cursor) for _ in range(cursor.count())]
            case SectionId.IMPORT:
                module.imports = [_import(cursor) for _ in range(cursor.count())]
            case SectionId.FUNCTION:
                self.type_indices = [cursor.u32() for _ in range(cursor.count())]
            case SectionId.TABLE:
                module.tables = [_table_type(cursor) for _ in range(cursor.count())]
            case SectionId.MEMORY:
                module.memories = [MemoryType(_limits(cursor)) for _ in range(cursor.count())]
            case SectionId.GLOBAL:
                module.globals = [Global(_global_type(cursor), _const_expr(cursor)) for _ in range(cursor.count())]
            case SectionId.EXPORT:
                module.exports = [_export(cursor) for _ in range(cursor.count())]
            case SectionId.START:
                module.start = cursor.u32()
            case SectionId.ELEMENT:
                module.elements = [_element_segment(cursor) for _ in range(cursor.count())]
            case SectionId.DATA_COUNT:
                module.data_count = cursor.u32()
            case SectionId.CODE:
                self.bodies = [cursor.take(cursor.u32()) for _ in range(cursor.count())]
            case SectionId.DATA:
                module.data = [_data_segment(cursor) for _ in range(cursor.count())]
            case _:
                raise MalformedModule(cursor.offset, "a tag section: exception handling is not supported")

    def _finish(self) -> None:
        """What can be told only when all sections are there."""
        if len(self.type_indices) != len(self.bodies):
            raise MalformedModule(
                self.cursor.offset, f"{len(self.type_indices)} functions declared, {len(self.bodies)} bodies given"
            )
        if self.module.data_count not in (None, len(self.module.data)):
            raise MalformedModule(
                self.cursor.offset,
                f"{self.module.data_count} data segments declared, {len(self.module.data)} given",
            )
        self.module.functions = list(map(Function, self.type_indices, self.bodies))


def _is_empty(section_id: SectionId, body: Cursor) -> bool:
    """Whether this is a vector of no elements. The model does not tell that from a section that is not there."""
    if section_id in (SectionId.START, SectionId.DATA_COUNT):
        return False
    return Cursor(body.data, body.offset, body.end).u32() == 0


def _val_type(cursor: Cursor) -> ValType:
    byte = cursor.byte()
    val_type = _VAL_TYPES.get(byte)
    if val_type is None:
        raise MalformedModule(cursor.offset - 1, f"unknown value type {byte:#04x}")
    return val_type


def _ref_type(cursor: Cursor) -> ValType:
    val_type = _val_type(cursor)
    if val_type not in _REF_TYPES:
        raise MalformedModule(cursor.offset - 1, f"{val_type.name.lower()} is not a reference type")
    return val_type


def _func_type(cursor: Cursor) -> FuncType:
    cursor.expect(FUNC_TYPE, "a function type (others are not supported)")
    params = tuple(_val_type(cursor) for _ in range(cursor.count()))
    return FuncType(params, tuple(_val_type(cursor) for _ in range(cursor.count())))


def _limits(cursor: Cursor) -> Limits:
    flags = cursor.byte()
    if flags & ~(LIMITS_HAS_MAXIMUM | LIMITS_SHARED | LIMITS_64):
        raise MalformedModule(cursor.offset - 1, f"unknown limits flags {flags:#04x}")
    is_64 = bool(flags & LIMITS_64)
    bits = 64 if is_64 else 32
    minimum = cursor.unsigned(bits)
    maximum = cursor.unsigned(bits) if flags & LIMITS_HAS_MAXIMUM else None
    return Limits(minimum, maximum, bool(flags & LIMITS_SHARED), is_64)


def _table_type(cursor: Cursor) -> TableType:
    if cursor.remaining and cursor.data[cursor.offset] == 0x40:
        raise MalformedModule(cursor.offset, "a table with an initialiser is not supported")
    return TableType(_ref_type(cursor), _limits(cursor))


def _global_type(cursor: Cursor) -> GlobalType:
    value = _val_type(cursor)
    mutability = cursor.byte()
    if mutability > 1:
        raise MalformedModule(cursor.offset - 1, f"unknown mutability {mutability:#04x}")
    return GlobalType(value, mutability == 1)


def _extern_kind(cursor: Cursor) -> ExternKind:
    byte = cursor.byte()
    if byte == ExternKind.TAG:
        raise MalformedModule(cursor.offset - 1, "a tag: exception handling is not supported")
    if byte > ExternKind.TAG:
        raise MalformedModule(cursor.offset - 1, f"unknown kind of import or export {byte:#04x}")
    return ExternKind(byte)


def _import(cursor: Cursor) -> Import:
    module, name, kind = cursor.name(), cursor.name(), _extern_kind(cursor)
    return Import(module, name, kind, _extern_type(cursor, kind))


def _extern_type(cursor: Cursor, kind: ExternKind) -> ExternType:
    match kind:
        case ExternKind.TABLE:
            return _table_type(cursor)
        case ExternKind.MEMORY:
            return MemoryType(_limits(cursor))
        case ExternKind.GLOBAL:
            return _global_type(cursor)
        case _:
            return cursor.u32()


def _export(cursor: Cursor) -> Export:
    return Export(cursor.name(), _extern_kind(cursor), cursor.u32())


def _const_expr(cursor: Cursor) -> ConstExpr:
    instructions: list[Instruction] = []
    while (opcode := cursor.byte()) != END:
        instructions.append(Instruction(opcode, _const_immediate(cursor, opcode)))
    return tuple(instructions)


def _const_immediate(cursor: Cursor, opcode: int) -> int | bytes | None:
    if opcode == I32_CONST:
        return cursor.signed(32)
    if opcode == I64_CONST:
        return cursor.signed(64)
    if opcode in (GLOBAL_GET, REF_FUNC):
        return cursor.u32()
    if opcode == F32_CONST:
        return cursor.take(4)
    if opcode == F64_CONST:
        return cursor.take(8)
    if opcode == REF_NULL:
        return int(_ref_type(cursor))
    if opcode in CONST_ARITHMETIC:
        return None
    raise MalformedModule(cursor.offset - 1, f"opcode {opcode:#04x} in a constant expression is not supported")


def _element_segment(cursor: Cursor) -> ElementSegment:
    start = cursor.offset
    flags = cursor.u32()
    if flags & ~(SEGMENT_NOT_ACTIVE | SEGMENT_EXPLICIT_OR_DECLARED | SEGMENT_EXPRESSIONS):
        raise MalformedModule(start, f"unknown element segment flags {flags:#x}")
    mode = _segment_mode(flags)
    explicit_index = mode is SegmentMode.ACTIVE and bool(flags & SEGMENT_EXPLICIT_OR_DECLARED)
    uses_expressions = bool(flags & SEGMENT_EXPRESSIONS)
    table = cursor.u32() if explicit_index else 0
    offset = _const_expr(cursor) if mode is SegmentMode.ACTIVE else ()
    element = ValType.FUNCREF
    if explicit_index or mode is not SegmentMode.ACTIVE:
        if uses_expressions:
            element = _ref_type(cursor)
        else:
            cursor.expect(ELEM_KIND_FUNCREF, "the kind of an element segment")
    item = _const_expr if uses_expressions else _function_item
    items = tuple(item(cursor) for _ in range(cursor.count()))
    return ElementSegment(mode, items, table, offset, element, uses_expressions, explicit_index)


def _segment_mode(flags: int) -> SegmentMode:
    if not flags & SEGMENT_NOT_ACTIVE:
        return SegmentMode.ACTIVE
    return SegmentMode.DECLARED if flags & SEGMENT_EXPLICIT_OR_DECLARED else SegmentMode.PASSIVE


def _function_item(cursor: Cursor) -> ConstExpr:
    return (Instruction(REF_FUNC, cursor.u32()),)


def _data_segment(cursor: Cursor) -> DataSegment:
    start = cursor.offset
    flags = cursor.u32()
    if flags not in (0, SEGMENT_NOT_ACTIVE, SEGMENT_EXPLICIT_OR_DECLARED):
        raise MalformedModule(start, f"unknown data segment flags {flags:#x}")
    explicit_index = flags == SEGMENT_EXPLICIT_OR_DECLARED
    memory = cursor.u32() if explicit_index else 0
    if flags == SEGMENT_NOT_ACTIVE:
        return DataSegment(SegmentMode.PASSIVE, cursor.take(cursor.u32()))
    offset = _const_expr(cursor)
    return DataSegment(SegmentMode.ACTIVE, cursor.take(cursor.u32()), memory, offset, explicit_index)
