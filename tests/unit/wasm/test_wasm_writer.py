import pytest
import wasmtime
from hypothesis import given
from pywasm_compiler.wasm.model import (
    CustomSection,
    DataSegment,
    ElementSegment,
    Function,
    FuncType,
    Global,
    GlobalType,
    Instruction,
    Limits,
    Module,
    SegmentMode,
    TableType,
    ValType,
)
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

from tests.unit.wasm.wasm_strategies import modules


@given(modules())
def test_what_is_written_reads_back(module: Module) -> None:
    encoded = write_module(module)
    assert read_module(encoded) == module
    assert write_module(read_module(encoded)) == encoded


def test_an_empty_module_is_its_preamble() -> None:
    assert write_module(Module()) == b"\0asm\x01\0\0\0"


def test_minimal_encodings_come_back_byte_for_byte() -> None:
    encoded = wasmtime.wat2wasm("""
      (module
        (@custom "producers" (before first) "p")
        (import "env" "m" (memory 1))
        (table 3 funcref)
        (global (mut i32) (i32.const -65))
        (func $f (export "f") (param i32) (result i32) (local i64) local.get 0)
        (start 1)
        (func)
        (elem (i32.const 1) $f $f)
        (data (i32.const 1024) "hello")
        (@custom "tail" "t"))
    """)
    assert write_module(read_module(encoded)) == encoded


def test_a_module_built_by_hand_runs() -> None:
    module = Module(types=[FuncType((), (ValType.I32,))])
    module.functions.append(Function(0, bytes.fromhex("00 412a 0b")))
    module.customs.append(CustomSection("note", b"\0", after=1))
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    encoded = write_module(module)
    wasmtime.Instance(store, wasmtime.Module(engine, encoded), [])
    assert encoded.hex() == "0061736d010000000105016000017f0006046e6f746500030201000a06010400412a0b"


def test_an_element_segment_is_generalised_when_it_must_be() -> None:
    null = (Instruction(0xD0, 0x70),)
    module = Module(tables=[TableType(ValType.FUNCREF, Limits(1))] * 2)
    module.elements = [ElementSegment(SegmentMode.ACTIVE, (null,), table=1, offset=(Instruction(0x41, 0),))]
    (segment,) = read_module(write_module(module)).elements
    assert segment.uses_expressions
    assert segment.explicit_index
    assert (segment.table, segment.items) == (1, (null,))


def test_a_data_segment_names_its_memory_when_it_must() -> None:
    module = Module(data=[DataSegment(SegmentMode.ACTIVE, b"", memory=2)])
    assert read_module(write_module(module)).data == [
        DataSegment(SegmentMode.ACTIVE, b"", memory=2, explicit_index=True)
    ]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Module(data=[DataSegment(SegmentMode.DECLARED, b"")]), "never declared"),
        (Module(start=-1), "-1 is negative"),
        (
            Module(globals=[Global(GlobalType(ValType.I32, False), (Instruction(0x41, 2**31),))]),
            "2147483648 is not a signed number of 32 bits",
        ),
    ],
)
def test_values_without_an_encoding(module: Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_module(module)
