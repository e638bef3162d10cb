"""Functions that take stack while they run, and the limits in the snapshot."""

import struct

import pytest
import wasmtime
from pywasm_compiler.cpython.libraries import Library, LinkError
from pywasm_compiler.cpython.stack import (
    CHECKS,
    COST,
    COSTS,
    HARD_LIMIT,
    PARSER_COST,
    SOFT_LIMIT,
    guarded_functions,
    limits_segment,
    take_stack,
)
from pywasm_compiler.wasm.component_model import CoreModule
from pywasm_compiler.wasm.format import I32_CONST
from pywasm_compiler.wasm.leb128 import encode_unsigned
from pywasm_compiler.wasm.model import CustomSection, DataSegment, Function, FuncType, Instruction, Module, SegmentMode
from pywasm_compiler.wasm.names import Names, encode_names
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

TOP = 0x10_0000
SIZE = 4608

# Each function notes the stack pointer while it runs, and leaves in every way that there is.
WAT = """
  (module
    (global $sp (export "sp") (mut i32) (i32.const 1048576))
    (global $seen (export "seen") (mut i32) (i32.const 0))
    (func (export "falls") (global.set $seen (global.get $sp)))
    (func (export "returns") (param i32) (result i32)
      (global.set $seen (global.get $sp))
      (block (loop (if (local.get 0) (then (return (i32.const 7))))))
      (if (result i32) (i32.eqz (local.get 0)) (then (return (i32.const 8))) (else (i32.const 9))))
    (func (export "leaves") (param i32)
      (global.set $seen (global.get $sp))
      (block (br_if 1 (local.get 0)) (br 0)))
    (func (export "uses") (result i32)
      (local i32)
      (local.set 0 (i32.sub (global.get $sp) (i32.const 16)))
      (global.set $sp (local.get 0))
      (global.set $seen (global.get $sp))
      (global.set $sp (i32.add (local.get 0) (i32.const 16)))
      (i32.const 1)))
"""


class Guarded:
    """The module above, with all of its functions taking stack."""

    def __init__(self, text: str) -> None:
        module = read_module(wasmtime.wat2wasm(text))
        module.functions = [
            Function(function.type_index, take_stack(function.body, module.types[function.type_index], 0, SIZE))
            for function in module.functions
        ]
        self.store = wasmtime.Store()
        compiled = wasmtime.Module(self.store.engine, write_module(module))
        self.exports = wasmtime.Instance(self.store, compiled, []).exports(self.store)

    def call(self, name: str, *arguments: int) -> object:
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        return function(self.store, *arguments)

    def value(self, name: str) -> int:
        variable = self.exports[name]
        assert isinstance(variable, wasmtime.Global)
        return int(variable.value(self.store))


@pytest.mark.parametrize(
    ("name", "arguments", "result", "used"),
    [
        ("falls", (), None, 0),
        ("returns", (1,), 7, 0),
        ("returns", (0,), 8, 0),
        ("leaves", (0,), None, 0),
        ("leaves", (1,), None, 0),
        ("uses", (), 1, 16),
    ],
)
def test_stack_is_taken_and_given_back(name: str, arguments: tuple[int, ...], result: object, used: int) -> None:
    guarded = Guarded(WAT)
    assert guarded.call(name, *arguments) == result
    assert guarded.value("seen") == TOP - SIZE - used
    assert guarded.value("sp") == TOP


BRANCHES = """
  (module
    (global $sp (export "sp") (mut i32) (i32.const 1048576))
    (func (export "branches") (param i32) (result i64)
      (block $far (result i64)
        (block $near (result i64)
          (i64.const 5)
          (br_table $near $far 2 (local.get 0)))
        (return (i64.add (i64.const 1))))
      (i64.add (i64.const 2))))
"""


@pytest.mark.parametrize(("index", "result"), [(0, 6), (1, 7), (2, 5), (9, 5)])
def test_a_branch_out_of_the_function_is_a_return(index: int, result: int) -> None:
    guarded = Guarded(BRANCHES)
    assert guarded.call("branches", index) == result
    assert guarded.value("sp") == TOP


# --- which functions --------------------------------------------------------------------------------------------------


def library(bodies: dict[str, bytes]) -> Library:
    module = Module(types=[FuncType()], functions=[Function(0, body) for body in bodies.values()])
    module.customs = [CustomSection("name", encode_names(Names("python", dict(enumerate(bodies)))), 11)]
    return Library("libpython3.14.so", 0, CoreModule(0, b"", module))


def calling(index: int, padded: bool) -> bytes:
    encoded = bytes([index | 0x80, 0x80, 0x80, 0x80, 0]) if padded else encode_unsigned(index)
    return b"\0\x10" + encoded + b"\x0b"


NOTHING = b"\0\x0b"
CHECKERS = dict.fromkeys((*CHECKS, *COSTS), NOTHING)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("check", range(len(CHECKS)))
def test_callers_of_a_check_are_guarded(check: int, padded: bool) -> None:
    python = library({**CHECKERS, "free": NOTHING, "json": calling(check, padded), "atom_rule": calling(check, padded)})
    guarded = {python.names[index]: cost for index, cost in guarded_functions(python).items()}
    assert guarded == {**COSTS, "json": COST, "atom_rule": PARSER_COST}


def test_a_check_is_not_guarded_itself() -> None:
    python = library({**CHECKERS, "_Py_EnterRecursiveCall": calling(0, padded=True)})
    assert len(guarded_functions(python)) == len(COSTS)


@pytest.mark.parametrize("name", CHECKERS)
def test_a_missing_function_is_an_error(name: str) -> None:
    with pytest.raises(LinkError, match=name):
        guarded_functions(library({other: NOTHING for other in CHECKERS if other != name}))


def test_two_interpreter_loops_are_an_error() -> None:
    python = library(CHECKERS)
    python.names[99] = "_PyEval_EvalFrameDefault"
    with pytest.raises(LinkError, match="2 functions"):
        guarded_functions(python)


# --- limits -----------------------------------------------------------------------------------------------------------


RUNTIME = 0x2000
STATE = struct.pack("<3I", TOP, 16384, 8192)


def segment(address: int, content: bytes) -> DataSegment:
    return DataSegment(SegmentMode.ACTIVE, content, offset=(Instruction(I32_CONST, address),))


@pytest.mark.parametrize(
    "segments",
    [
        [segment(0, b"before"), segment(RUNTIME + 98, b"xx" + STATE + b"yy")],
        # What is zero may be in no segment, and a segment may begin before what is looked through.
        [segment(RUNTIME + 102, STATE[2:6]), segment(RUNTIME + 109, STATE[9:10]), segment(0, STATE)],
        [segment(0, bytes(RUNTIME + 100) + STATE)],
    ],
)
def test_the_limits_follow_the_top_of_the_stack(segments: list[DataSegment]) -> None:
    limits = limits_segment(segments, TOP, RUNTIME)
    assert limits == segment(RUNTIME + 104, struct.pack("<2I", SOFT_LIMIT, HARD_LIMIT))
    assert HARD_LIMIT < SOFT_LIMIT < TOP


@pytest.mark.parametrize(
    "contents",
    [
        [(RUNTIME, b"none")],
        [(RUNTIME, STATE), (RUNTIME + 50, STATE)],
        [(RUNTIME - 12, STATE)],
        [(RUNTIME + (1 << 20), STATE)],
    ],
)
def test_limits_that_are_not_there_once_are_an_error(contents: list[tuple[int, bytes]]) -> None:
    with pytest.raises(LinkError, match="limits"):
        limits_segment([segment(address, content) for address, content in contents], TOP, RUNTIME)
