import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.model import (
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
from pywasm_compiler.wasm.reader import is_component, is_core_module, read_module
from pywasm_compiler.wasm.writer import write_module

from tests.unit.wasm.wasm_strategies import modules

PREAMBLE = b"\0asm\x01\0\0\0"


def from_wat(text: str) -> Module:
    return read_module(wasmtime.wat2wasm(text))


def section(section_id: int, content: str) -> bytes:
    """A section from the hexadecimal digits of its content."""
    raw = bytes.fromhex(content)
    return bytes((section_id, len(raw))) + raw


def i32_const(value: int) -> Instruction:
    return Instruction(0x41, value)


def test_all_sections() -> None:
    module = from_wat("""
      (module
        (type (func (param i32 f64) (result i64)))
        (import "env" "f" (func (type 0)))
        (import "env" "t" (table 1 funcref))
        (import "env" "m" (memory 2 3))
        (import "env" "g" (global (mut i32)))
        (table 4 5 externref)
        (global f32 (f32.const 1.5))
        (export "f" (func 0)) (export "t" (table 1)) (export "m" (memory 0)) (export "g" (global 1))
        (start 1)
        (func (type 1))
        (type (func))
        (data (i32.const 8) "abc")
        (data "passive"))
    """)
    f64_one_and_a_half = bytes.fromhex("0000c03f")
    assert module.types == [FuncType((ValType.I32, ValType.F64), (ValType.I64,)), FuncType()]
    assert module.imports == [
        Import("env", "f", ExternKind.FUNC, 0),
        Import("env", "t", ExternKind.TABLE, TableType(ValType.FUNCREF, Limits(1))),
        Import("env", "m", ExternKind.MEMORY, MemoryType(Limits(2, 3))),
        Import("env", "g", ExternKind.GLOBAL, GlobalType(ValType.I32, True)),
    ]
    assert module.functions == [Function(1, b"\0\x0b")]
    assert module.tables == [TableType(ValType.EXTERNREF, Limits(4, 5))]
    assert module.globals == [Global(GlobalType(ValType.F32, False), (Instruction(0x43, f64_one_and_a_half),))]
    assert module.exports == [
        Export("f", ExternKind.FUNC, 0),
        Export("t", ExternKind.TABLE, 1),
        Export("m", ExternKind.MEMORY, 0),
        Export("g", ExternKind.GLOBAL, 1),
    ]
    assert module.start == 1
    assert module.data == [
        DataSegment(SegmentMode.ACTIVE, b"abc", offset=(i32_const(8),)),
        DataSegment(SegmentMode.PASSIVE, b"passive"),
    ]


def test_memories_shared_and_64_bit() -> None:
    module = from_wat("(module (memory 1 2 shared) (memory i64 4294967297))")
    assert module.memories == [
        MemoryType(Limits(1, 2, shared=True)),
        MemoryType(Limits(2**32 + 1, is_64=True)),
    ]


def test_data_count_and_explicit_memory() -> None:
    module = from_wat("""
      (module (memory 1) (memory 1) (data (memory 1) (i32.const 0) "x") (data "y")
        (func (data.drop 1)))
    """)
    assert module.data_count == 2
    assert module.data[0] == DataSegment(
        SegmentMode.ACTIVE, b"x", memory=1, offset=(i32_const(0),), explicit_index=True
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("i32.const -2147483648", [i32_const(-(2**31))]),
        ("i64.const 9223372036854775807", [Instruction(0x42, 2**63 - 1)]),
        ("f32.const 1", [Instruction(0x43, bytes.fromhex("0000803f"))]),
        ("f64.const 1", [Instruction(0x44, bytes.fromhex("000000000000f03f"))]),
        ("global.get 0", [Instruction(0x23, 0)]),
        ("ref.func 0", [Instruction(0xD2, 0)]),
        ("ref.null func", [Instruction(0xD0, 0x70)]),
        ("ref.null extern", [Instruction(0xD0, 0x6F)]),
        (
            "i32.add (global.get 0) (i32.mul (i32.const 2) (i32.const 3))",
            [Instruction(0x23, 0), i32_const(2), i32_const(3), Instruction(0x6C), Instruction(0x6A)],
        ),
        ("i64.sub (i64.const 1) (i64.const 2)", [Instruction(0x42, 1), Instruction(0x42, 2), Instruction(0x7D)]),
    ],
)
def test_constant_expressions(expression: str, expected: list[Instruction]) -> None:
    # wat2wasm does not validate: the global's declared type need not fit its initialiser.
    module = from_wat(f'(module (import "env" "g" (global i32)) (func) (global i32 ({expression})))')
    assert module.globals[0].init == tuple(expected)


REF_FUNC = (Instruction(0xD2, 0),)
REF_NULL = (Instruction(0xD0, 0x70),)
AT_3 = (i32_const(3),)
ELEMENT_ENCODINGS = [
    (0, "(elem (i32.const 3) func 0 0)", ElementSegment(SegmentMode.ACTIVE, (REF_FUNC, REF_FUNC), offset=AT_3)),
    (1, "(elem func 0)", ElementSegment(SegmentMode.PASSIVE, (REF_FUNC,))),
    (
        2,
        "(elem (table 1) (i32.const 3) func 0)",
        ElementSegment(SegmentMode.ACTIVE, (REF_FUNC,), table=1, offset=AT_3, explicit_index=True),
    ),
    (3, "(elem declare func 0)", ElementSegment(SegmentMode.DECLARED, (REF_FUNC,))),
    (
        4,
        "(elem (i32.const 3) funcref (ref.func 0) (ref.null func))",
        ElementSegment(SegmentMode.ACTIVE, (REF_FUNC, REF_NULL), offset=AT_3, uses_expressions=True),
    ),
    (
        5,
        "(elem externref (ref.null extern))",
        ElementSegment(
            SegmentMode.PASSIVE,
            ((Instruction(0xD0, 0x6F),),),
            element=ValType.EXTERNREF,
            uses_expressions=True,
        ),
    ),
    (
        6,
        "(elem (table 1) (i32.const 3) funcref (ref.null func))",
        ElementSegment(
            SegmentMode.ACTIVE,
            (REF_NULL,),
            table=1,
            offset=AT_3,
            uses_expressions=True,
            explicit_index=True,
        ),
    ),
    (
        7,
        "(elem declare funcref (ref.func 0))",
        ElementSegment(SegmentMode.DECLARED, (REF_FUNC,), uses_expressions=True),
    ),
]


@pytest.mark.parametrize(("flags", "text", "expected"), ELEMENT_ENCODINGS)
def test_element_encodings(flags: int, text: str, expected: ElementSegment) -> None:
    encoded = wasmtime.wat2wasm(f"(module (func) (table 9 funcref) (table 9 funcref) {text})")
    module = read_module(encoded)
    assert module.elements == [expected]
    assert write_module(module) == encoded
    _id, _size, _count, written_flags = write_module(Module(elements=[expected]))[8:12]
    assert written_flags == flags


def test_custom_sections_keep_their_place() -> None:
    types = section(1, "01600000")
    data = PREAMBLE + section(0, "0161ff") + types + section(0, "0162") + section(0, "0163") + section(8, "00")
    module = read_module(data + section(0, "0164"))
    assert module.customs == [
        CustomSection("a", b"\xff", 0),
        CustomSection("b", b"", 1),
        CustomSection("c", b"", 1),
        CustomSection("d", b"", 8),
    ]


def test_an_empty_section_is_no_place() -> None:
    module = read_module(PREAMBLE + section(1, "00") + section(0, "0161"))
    assert module.customs == [CustomSection("a", b"", 0)]
    assert read_module(write_module(module)) == module


def test_padded_integers_are_read() -> None:
    padded = section(1, "8180808000" + "60" + "8000" + "8000")
    assert read_module(PREAMBLE + padded).types == [FuncType()]


def test_a_memoryview_will_do() -> None:
    data = wasmtime.wat2wasm("(module (func))")
    assert read_module(memoryview(b"xx" + data)[2:]) == read_module(data)


def test_preambles() -> None:
    core, component = wasmtime.wat2wasm("(module)"), wasmtime.wat2wasm("(component)")
    assert (is_core_module(core), is_component(core)) == (True, False)
    assert (is_core_module(component), is_component(memoryview(component))) == (False, True)
    assert not is_core_module(core[:7])
    assert not is_component(b"")


@pytest.mark.parametrize(
    ("data", "offset", "message"),
    [
        (b"", 0, "not a core WebAssembly module"),
        (b"\0asm\x0d\0\x01\0", 0, "not a core WebAssembly module"),
        (PREAMBLE + b"\x0e\0", 8, "unknown section id 14"),
        (PREAMBLE + b"\x01", 9, "unexpected end inside an integer"),
        (PREAMBLE + b"\x01\x05\x00", 10, "5 bytes wanted, 1 left"),
        (PREAMBLE + section(1, "0000"), 11, "1 bytes left over in section TYPE"),
        (PREAMBLE + section(1, "ffffffff0f"), 10, "4294967295 elements in 0 bytes"),
        (PREAMBLE + section(1, "015e7f00"), 11, "found 0x5e where 0x60 must stand"),
        (PREAMBLE + section(1, "0160017300"), 13, "unknown value type 0x73"),
        (PREAMBLE + section(1, "00") + section(1, "00"), 11, "section TYPE after section TYPE"),
        (PREAMBLE + section(6, "00") + section(5, "00"), 11, "section MEMORY after section GLOBAL"),
        (PREAMBLE + section(10, "00") + section(12, "00"), 11, "section DATA_COUNT after section CODE"),
        (PREAMBLE + section(13, "010000"), 10, "exception handling is not supported"),
        (PREAMBLE + section(2, "01016101ff0000"), 14, "a name is not UTF-8"),
        (PREAMBLE + section(2, "010161016204"), 15, "exception handling is not supported"),
        (PREAMBLE + section(2, "010161016205"), 15, "unknown kind of import or export 0x05"),
        (PREAMBLE + section(3, "0100"), 12, "1 functions declared, 0 bodies given"),
        (PREAMBLE + section(10, "01020000"), 14, "0 functions declared, 1 bodies given"),
        (PREAMBLE + section(4, "014000"), 11, "a table with an initialiser"),
        (PREAMBLE + section(4, "017f00"), 11, "i32 is not a reference type"),
        (PREAMBLE + section(5, "010800"), 11, "unknown limits flags 0x08"),
        (PREAMBLE + section(6, "017f0241000b"), 12, "unknown mutability 0x02"),
        (PREAMBLE + section(6, "017f004100"), 15, "unexpected end"),
        (PREAMBLE + section(6, "017f00fd0b"), 13, "opcode 0xfd in a constant expression"),
        (PREAMBLE + section(9, "0108"), 11, "unknown element segment flags 0x8"),
        (PREAMBLE + section(9, "010101"), 12, "the kind of an element segment"),
        (PREAMBLE + section(11, "0103"), 11, "unknown data segment flags 0x3"),
        (PREAMBLE + section(12, "01"), 11, "1 data segments declared, 0 given"),
    ],
)
def test_malformed_modules(data: bytes, offset: int, message: str) -> None:
    with pytest.raises(MalformedModule) as caught:
        read_module(data)
    assert message in caught.value.message
    assert caught.value.offset == offset


def outcome(data: bytes) -> Module | MalformedModule:
    """What the reader makes of it; any other exception fails the test."""
    try:
        return read_module(data)
    except MalformedModule as error:
        return error


@given(modules(), st.data())
def test_truncated_modules_never_crash(module: Module, data: st.DataObject) -> None:
    encoded = write_module(module)
    size = data.draw(st.integers(0, len(encoded) - 1))
    assert outcome(encoded[:size]) != module


@given(modules(), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_mutated_modules_never_crash(module: Module, mutations: list[tuple[int, int]]) -> None:
    encoded = bytearray(write_module(module))
    for position, value in mutations:
        encoded[position % len(encoded)] = value
    match outcome(bytes(encoded)):
        case Module() as other:
            assert read_module(write_module(other)) == other
        case error:
            assert 0 <= error.offset <= len(encoded)
