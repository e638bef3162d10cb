"""From `Module` to bytes, with the shortest encoding of every integer.

What `reader` makes of the result equals the module. Sections without content are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pywasm_compiler.wasm.format import (
    CORE_PREAMBLE,
    ELEM_KIND_FUNCREF,
    END,
    FUNC_TYPE,
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
from pywasm_compiler.wasm.leb128 import encode_signed, encode_unsigned
from pywasm_compiler.wasm.model import (
    ConstExpr,
    DataSegment,
    ElementSegment,
    Export,
    ExternType,
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

_INTEGER_BITS = {I32_CONST: 32, I64_CONST: 64}


def write_module(module: Module) -> bytes:
    """Encode a module. Raises ValueError when it holds a negative index, a constant beyond its type, or the like."""
    return CORE_PREAMBLE + b"".join(_sections(module))


def encode_name(name: str) -> bytes:
    """A length and the name in UTF-8."""
    encoded = name.encode()
    return encode_unsigned(len(encoded)) + encoded


def encode_vector(elements: Iterable[bytes]) -> bytes:
    """A count and the elements."""
    encoded = list(elements)
    return encode_unsigned(len(encoded)) + b"".join(encoded)


def _sections(module: Module) -> Iterator[bytes]:
    yield from _customs(module, SectionId.CUSTOM)
    for section_id in SECTION_ORDER:
        content = _content(module, section_id)
        if content:
            yield _section(section_id, content)
        yield from _customs(module, section_id)


def _customs(module: Module, after: SectionId) -> Iterator[bytes]:
    for custom in module.customs:
        if custom.after == after:
            yield _section(SectionId.CUSTOM, encode_name(custom.name) + custom.content)


def _section(section_id: SectionId, content: bytes) -> bytes:
    return b"".join((bytes((section_id,)), encode_unsigned(len(content)), content))


def _content(module: Module, section_id: SectionId) -> bytes:
    """What stands in a section; nothing when the section is to be left out."""
    match section_id:
        case SectionId.TYPE:
            return _vector_or_nothing(map(_func_type, module.types))
        case SectionId.IMPORT:
            return _vector_or_nothing(map(_import, module.imports))
        case SectionId.FUNCTION:
            return _vector_or_nothing(encode_unsigned(function.type_index) for function in module.functions)
        case SectionId.TABLE:
            return _vector_or_nothing(map(_extern_type, module.tables))
        case SectionId.MEMORY:
            return _vector_or_nothing(map(_extern_type, module.memories))
        case SectionId.GLOBAL:
            return _vector_or_nothing(map(_global, module.globals))
        case SectionId.EXPORT:
            return _vector_or_nothing(map(_export, module.exports))
        case SectionId.START:
            return b"" if module.start is None else encode_unsigned(module.start)
        case SectionId.ELEMENT:
            return _vector_or_nothing(map(_element_segment, module.elements))
        case SectionId.DATA_COUNT:
            return b"" if module.data_count is None else encode_unsigned(module.data_count)
        case SectionId.CODE:
            return _vector_or_nothing(_sized(function.body) for function in module.functions)
        case SectionId.DATA:
            return _vector_or_nothing(map(_data_segment, module.data))
        case _:
            return b""  # the model holds no tags


def _vector_or_nothing(elements: Iterable[bytes]) -> bytes:
    vector = encode_vector(elements)
    return b"" if vector == b"\0" else vector


def _sized(content: bytes) -> bytes:
    return encode_unsigned(len(content)) + content


def _val_types(types: tuple[ValType, ...]) -> bytes:
    return encode_unsigned(len(types)) + bytes(types)


def _func_type(func_type: FuncType) -> bytes:
    return bytes((FUNC_TYPE,)) + _val_types(func_type.params) + _val_types(func_type.results)


def _limits(limits: Limits) -> bytes:
    flags = LIMITS_SHARED * limits.shared | LIMITS_64 * limits.is_64
    if limits.maximum is None:
        return bytes((flags,)) + encode_unsigned(limits.minimum)
    return bytes((flags | LIMITS_HAS_MAXIMUM,)) + encode_unsigned(limits.minimum) + encode_unsigned(limits.maximum)


def _extern_type(extern_type: ExternType) -> bytes:
    match extern_type:
        case TableType(element, limits):
            return bytes((element,)) + _limits(limits)
        case MemoryType(limits):
            return _limits(limits)
        case GlobalType(value, mutable):
            return bytes((value, mutable))
        case type_index:
            return encode_unsigned(type_index)


def _import(entry: Import) -> bytes:
    return encode_name(entry.module) + encode_name(entry.name) + bytes((entry.kind,)) + _extern_type(entry.type)


def _export(entry: Export) -> bytes:
    return encode_name(entry.name) + bytes((entry.kind,)) + encode_unsigned(entry.index)


def _global(entry: Global) -> bytes:
    return _extern_type(entry.type) + _const_expr(entry.init)


def _const_expr(expression: ConstExpr) -> bytes:
    return b"".join(map(_instruction, expression)) + bytes((END,))


def _instruction(instruction: Instruction) -> bytes:
    opcode = bytes((instruction.opcode,))
    match instruction.immediate:
        case None:
            return opcode
        case bytes(raw):
            return opcode + raw
        case heap_type if instruction.opcode == REF_NULL:
            return opcode + bytes((heap_type,))
        case value if instruction.opcode in _INTEGER_BITS:
            return opcode + _constant(value, _INTEGER_BITS[instruction.opcode])
        case index:
            return opcode + encode_unsigned(index)


def _constant(value: int, bits: int) -> bytes:
    if not -1 << bits - 1 <= value < 1 << bits - 1:
        raise ValueError(f"{value} is not a signed number of {bits} bits")
    return encode_signed(value)


def _element_segment(segment: ElementSegment) -> bytes:
    """The encoding the segment asks for, or the next more general one that can say what it holds."""
    functions = [_function_index(item) for item in segment.items]
    expressions = segment.uses_expressions or segment.element is not ValType.FUNCREF or None in functions
    active = segment.mode is SegmentMode.ACTIVE
    explicit = active and (segment.explicit_index or segment.table != 0 or segment.element is not ValType.FUNCREF)

    flags = _segment_flags(segment.mode, explicit) | SEGMENT_EXPRESSIONS * expressions
    parts = [encode_unsigned(flags)]
    if explicit:
        parts.append(encode_unsigned(segment.table))
    if active:
        parts.append(_const_expr(segment.offset))
    if explicit or not active:
        parts.append(bytes((segment.element if expressions else ELEM_KIND_FUNCREF,)))
    if expressions:
        parts.append(encode_vector(map(_const_expr, segment.items)))
    else:
        parts.append(encode_vector(encode_unsigned(index) for index in functions if index is not None))
    return b"".join(parts)


def _function_index(item: ConstExpr) -> int | None:
    """The function that an item refers to, unless it is some other expression."""
    match item:
        case (Instruction(opcode=opcode, immediate=int(index)),) if opcode == REF_FUNC:
            return index
    return None


def _segment_flags(mode: SegmentMode, explicit: bool) -> int:
    match mode:
        case SegmentMode.ACTIVE:
            return SEGMENT_EXPLICIT_OR_DECLARED * explicit
        case SegmentMode.PASSIVE:
            return SEGMENT_NOT_ACTIVE
        case SegmentMode.DECLARED:
            return SEGMENT_NOT_ACTIVE | SEGMENT_EXPLICIT_OR_DECLARED


def _data_segment(segment: DataSegment) -> bytes:
    if segment.mode is SegmentMode.DECLARED:
        raise ValueError("a data segment is active or passive, never declared")
    active = segment.mode is SegmentMode.ACTIVE
    explicit = active and (segment.explicit_index or segment.memory != 0)
    parts = [encode_unsigned(_segment_flags(segment.mode, explicit))]
    if explicit:
        parts.append(encode_unsigned(segment.memory))
    if active:
        parts.append(_const_expr(segment.offset))
    parts.append(_sized(segment.content))
    return b"".join(parts)
