"""Hypothesis strategies for core modules: every value that the model can hold and the format can say.

The modules are well-formed, not valid: indices and types need not fit together.
"""

from __future__ import annotations

from hypothesis import strategies as st
from pywasm_compiler.wasm.format import SECTION_ORDER, SectionId
from pywasm_compiler.wasm.model import (
    ConstExpr,
    CustomSection,
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

U32 = st.integers(0, 2**32 - 1)
NAMES = st.text(st.characters(codec="utf-8"), max_size=8)
VAL_TYPES = st.sampled_from(ValType)
REF_TYPES = st.sampled_from([ValType.FUNCREF, ValType.EXTERNREF])
VAL_TYPE_LISTS = st.lists(VAL_TYPES, max_size=4).map(tuple)
FUNC_TYPES = st.builds(FuncType, VAL_TYPE_LISTS, VAL_TYPE_LISTS)


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    is_64 = draw(st.booleans())
    size = st.integers(0, 2**64 - 1 if is_64 else 2**32 - 1)
    return Limits(draw(size), draw(st.none() | size), draw(st.booleans()), is_64)


TABLE_TYPES = st.builds(TableType, REF_TYPES, limits())
MEMORY_TYPES = st.builds(MemoryType, limits())
GLOBAL_TYPES = st.builds(GlobalType, VAL_TYPES, st.booleans())
IMPORTS = st.one_of(
    st.builds(Import, NAMES, NAMES, st.just(ExternKind.FUNC), U32),
    st.builds(Import, NAMES, NAMES, st.just(ExternKind.TABLE), TABLE_TYPES),
    st.builds(Import, NAMES, NAMES, st.just(ExternKind.MEMORY), MEMORY_TYPES),
    st.builds(Import, NAMES, NAMES, st.just(ExternKind.GLOBAL), GLOBAL_TYPES),
)
EXPORTS = st.builds(Export, NAMES, st.sampled_from(ExternKind).filter(lambda kind: kind is not ExternKind.TAG), U32)

REF_FUNCS = st.builds(Instruction, st.just(0xD2), U32)
INSTRUCTIONS = st.one_of(
    st.builds(Instruction, st.just(0x41), st.integers(-(2**31), 2**31 - 1)),
    st.builds(Instruction, st.just(0x42), st.integers(-(2**63), 2**63 - 1)),
    st.builds(Instruction, st.just(0x43), st.binary(min_size=4, max_size=4)),
    st.builds(Instruction, st.just(0x44), st.binary(min_size=8, max_size=8)),
    st.builds(Instruction, st.just(0x23), U32),
    REF_FUNCS,
    st.builds(Instruction, st.just(0xD0), st.sampled_from([0x70, 0x6F])),
    st.builds(Instruction, st.sampled_from([0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E])),
)
CONST_EXPRS: st.SearchStrategy[ConstExpr] = st.lists(INSTRUCTIONS, max_size=3).map(tuple)
GLOBALS = st.builds(Global, GLOBAL_TYPES, CONST_EXPRS)
FUNCTIONS = st.builds(Function, U32, st.binary(max_size=20))


@st.composite
def element_segments(draw: st.DrawFn) -> ElementSegment:
    """Segments of all eight encodings."""
    mode = draw(st.sampled_from(SegmentMode))
    uses_expressions = draw(st.booleans())
    active = mode is SegmentMode.ACTIVE
    explicit_index = active and draw(st.booleans())
    typed = uses_expressions and (explicit_index or not active)
    function_items: st.SearchStrategy[ConstExpr] = REF_FUNCS.map(lambda instruction: (instruction,))
    return ElementSegment(
        mode,
        items=tuple(draw(st.lists(CONST_EXPRS if uses_expressions else function_items, max_size=4))),
        table=draw(U32) if explicit_index else 0,
        offset=draw(CONST_EXPRS) if active else (),
        element=draw(REF_TYPES) if typed else ValType.FUNCREF,
        uses_expressions=uses_expressions,
        explicit_index=explicit_index,
    )


@st.composite
def data_segments(draw: st.DrawFn) -> DataSegment:
    content = draw(st.binary(max_size=20))
    if draw(st.booleans()):
        return DataSegment(SegmentMode.PASSIVE, content)
    explicit_index = draw(st.booleans())
    return DataSegment(
        SegmentMode.ACTIVE, content, draw(U32) if explicit_index else 0, draw(CONST_EXPRS), explicit_index
    )


@st.composite
def modules(draw: st.DrawFn) -> Module:
    data = draw(st.lists(data_segments(), max_size=3))
    module = Module(
        types=draw(st.lists(FUNC_TYPES, max_size=3)),
        imports=draw(st.lists(IMPORTS, max_size=4)),
        functions=draw(st.lists(FUNCTIONS, max_size=3)),
        tables=draw(st.lists(TABLE_TYPES, max_size=2)),
        memories=draw(st.lists(MEMORY_TYPES, max_size=2)),
        globals=draw(st.lists(GLOBALS, max_size=3)),
        exports=draw(st.lists(EXPORTS, max_size=3)),
        start=draw(st.none() | U32),
        elements=draw(st.lists(element_segments(), max_size=3)),
        data=data,
        data_count=draw(st.sampled_from([None, len(data)])),
    )
    module.customs = draw(custom_sections(module))
    return module


def custom_sections(module: Module) -> st.SearchStrategy[list[CustomSection]]:
    """Custom sections after any of the sections that the module has, in the order of the file."""
    content = {
        SectionId.TYPE: module.types,
        SectionId.IMPORT: module.imports,
        SectionId.FUNCTION: module.functions,
        SectionId.TABLE: module.tables,
        SectionId.MEMORY: module.memories,
        SectionId.GLOBAL: module.globals,
        SectionId.EXPORT: module.exports,
        SectionId.START: module.start is not None,
        SectionId.ELEMENT: module.elements,
        SectionId.DATA_COUNT: module.data_count is not None,
        SectionId.CODE: module.functions,
        SectionId.DATA: module.data,
    }
    places = [SectionId.CUSTOM, *(section for section in SECTION_ORDER if content.get(section))]
    rank = {int(section): position for position, section in enumerate(places)}
    sections = st.builds(CustomSection, NAMES, st.binary(max_size=10), st.sampled_from(places).map(int))
    return st.lists(sections, max_size=3).map(lambda customs: sorted(customs, key=lambda custom: rank[custom.after]))
