"""Interpreted functions do what compiled ones do: each instruction, and programs made of them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pywasm_compiler.cpython.cold.numeric import LOADS, OPERATORS, STORES
from pywasm_compiler.wasm.model import ValType

from tests.unit.cpython.cold_module import HEAD, STACK_TOP, ColdModule
from tests.unit.wasm.wasm_mnemonics import MNEMONICS

I32, I64, F32, F64 = ValType.I32, ValType.I64, ValType.F32, ValType.F64

EDGES: dict[ValType, list[float]] = {
    I32: [0, 1, -1, 7, 31, 32, 255, -128, 0x7FFF_FFFF, -0x8000_0000, 0x1234_5678],
    I64: [0, 1, -1, 63, 64, 0x7FFF_FFFF_FFFF_FFFF, -0x8000_0000_0000_0000, 0x1_0000_0000, -0x1_2345_6789],
    F32: [0.0, -0.0, 1.0, -1.5, 0.5, 2.5, 3e38, 1e-40, math.inf, -math.inf, math.nan, 2147483648.0, -2147483904.0],
    F64: [0.0, -0.0, 1.0, -1.5, 0.5, 2.5, 1e308, 5e-324, math.inf, -math.inf, math.nan, 2147483647.0, 1.8446744e19],
}
ADDRESS = 0xC000
"""Above the stack."""


def name_of(value_type: ValType) -> str:
    return value_type.name.lower()


def operators_text() -> str:
    """A function for each operator, named as its opcode."""
    functions = []
    for opcode, (operands, result) in OPERATORS.items():
        params = " ".join(map(name_of, operands))
        gets = " ".join(f"(local.get {position})" for position in range(len(operands)))
        functions.append(
            f'(func (export "{opcode}") (param {params}) (result {name_of(result)}) ({MNEMONICS[opcode]} {gets}))'
        )
    return f"{HEAD} (table 1 funcref) {' '.join(functions)}"


@pytest.fixture(scope="module")
def operators() -> ColdModule:
    return ColdModule(operators_text())


@pytest.mark.parametrize("opcode", OPERATORS, ids=lambda opcode: MNEMONICS[opcode])
def test_an_operator_computes_as_compiled(operators: ColdModule, opcode: int) -> None:
    operands, _ = OPERATORS[opcode]
    first, second = EDGES[operands[0]], EDGES[operands[-1]] if len(operands) > 1 else [None]
    for left in first:
        for right in second:
            operators.both(str(opcode), *(value for value in (left, right) if value is not None))
    assert operators.interpreted == set(range(len(OPERATORS)))


@pytest.fixture(scope="module", params=[0, 5, 0x234, 0x1_0000], ids="offset {}".format)
def memory_access(request: pytest.FixtureRequest) -> tuple[ColdModule, int]:
    offset = request.param
    functions = [
        f'(func (export "{opcode}") (param i32) (result {name_of(result)}) '
        f"({MNEMONICS[opcode]} offset={offset} (i32.add (i32.const 0) (local.get 0))))"
        f'(func (export "local {opcode}") (param i32) (result {name_of(result)}) '
        f"({MNEMONICS[opcode]} offset={offset} (local.get 0)))"
        for opcode, result in LOADS.items()
    ] + [
        f'(func (export "{opcode}") (param i32 {name_of(value)}) '
        f"({MNEMONICS[opcode]} offset={offset} (local.get 0) (local.get 1)))"
        for opcode, value in STORES.items()
    ]
    data = f'(data (i32.const {ADDRESS}) "\\f1\\82\\03\\84\\f5\\86\\07\\98\\09")'
    head = HEAD.replace('"memory") 1', '"memory") 2')
    return ColdModule(f"{head} {data} (table 1 funcref) {' '.join(functions)}"), offset


def test_loads_and_stores_access_the_same_bytes(memory_access: tuple[ColdModule, int]) -> None:
    module, offset = memory_access
    start = ADDRESS - offset if offset <= ADDRESS else 0
    for opcode in LOADS:
        for address in (start, start + 1, 0x1_FFF0 - offset, 0x7FFF_FFFF):
            for name in (f"{opcode}", f"local {opcode}"):
                module.both(name, address)
    for opcode, value_type in STORES.items():
        for address in (start, start + 3, 0x1_FFF0 - offset):
            for value in EDGES[value_type]:
                module.both(str(opcode), address, value)


CONTROL = f"""
  {HEAD}
  (type $unary (func (param i32) (result i32)))
  (table funcref (elem $double $abs $other))
  (func $double (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2)))
  (func $abs (param i32) (result i32)
    (if (result i32) (i32.lt_s (local.get 0) (i32.const 0))
      (then (i32.sub (i32.const 0) (local.get 0))) (else (local.get 0))))
  (func $other (param i64) (result i64) (local.get 0))
  (func $compiled (param i32 i64 f32 f64) (result f64)
    (f64.add (f64.add (f64.convert_i32_s (local.get 0)) (f64.convert_i64_s (local.get 1)))
             (f64.add (f64.promote_f32 (local.get 2)) (local.get 3))))
  (func (export "compiled") (result f64)
    (call $compiled (i32.const -3) (i64.const 0x1_0000_0000) (f32.const 0.5) (f64.const -0.25)))
  (func (export "indirect") (param i32 i32) (result i32)
    (call_indirect (type $unary) (local.get 0) (local.get 1)))
  (func $factorial (export "factorial") (param i32) (result i64)
    (if (result i64) (i32.eqz (local.get 0)) (then (i64.const 1))
      (else (i64.mul (i64.extend_i32_u (local.get 0)) (call $factorial (i32.sub (local.get 0) (i32.const 1)))))))
  (func (export "surplus") (param i32) (result i32)
    (i32.const 100)
    (block (result i32)
      (i32.const 10) (i32.const 20)
      (i32.const 5)
      (br_if 0 (local.get 0))
      (drop) (drop))
    (i32.add))
  (func (export "returns early") (param i32) (result i32)
    (i32.const 1)
    (block (loop (br_if 1 (i32.eqz (local.get 0))) (return (i32.const 42))))
    (drop)
    (i32.const 7))
  (func (export "leaves the function") (param i32) (result i32)
    (i32.const 3) (br_if 0 (local.get 0)) (drop) (i32.const 4) (br 0))
  (func (export "table") (param i32) (result i32)
    (block (block (block (br_table 0 1 2 1 (local.get 0))) (return (i32.const 10))) (return (i32.const 20)))
    (i32.const 30))
  (func (export "sum") (param i32) (result i32) (local i32)
    (loop
      (local.set 1 (i32.add (local.get 1) (local.get 0)))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get 1))
  (func (export "never ends well") (param i32) (result i32)
    (block (br_if 0 (local.get 0)) (unreachable)) (i32.const 1))
  (func (export "skips what is dead") (result i32)
    (block (br 0) (block (loop (br 0)) (unreachable)) (drop (i32.const 1)))
    (if (i32.const 0) (then (return (i32.const 1))) (else (br 0)))
    (i32.const 2))
  (func (export "stack") (param i32) (result i32) (local i32)
    (global.set 0 (local.tee 1 (i32.sub (global.get 0) (i32.const 64))))
    (i32.store (local.get 1) (local.get 0))
    (i32.store offset=4 (local.get 1) (call $double (local.get 0)))
    (i32.add (i32.load (local.get 1)) (i32.load offset=4 (local.get 1)))
    (global.set 0 (i32.add (local.get 1) (i32.const 64))))
  (func (export "memory") (param i32) (result i32)
    (memory.fill (i32.const {ADDRESS}) (i32.const 0x5a) (i32.const 16))
    (memory.copy (i32.const {ADDRESS + 4}) (i32.const {ADDRESS + 1}) (i32.const 9))
    (i32.store8 (i32.const {ADDRESS + 2}) (local.get 0))
    (memory.copy (i32.const {ADDRESS}) (i32.const {ADDRESS + 2}) (i32.const 3))
    (i32.load (i32.const {ADDRESS})))
  (func (export "select") (param i32) (result i64) (select (i64.const -7) (i64.const 1_000_000_000_000) (local.get 0)))
  (func (export "constants") (result f64)
    (f64.add (f64.promote_f32 (f32.const -1.5)) (f64.const 1e300)))
"""
COMPILED = 3
CALLS: dict[str, list[tuple[int, ...]]] = {
    "compiled": [()],
    "indirect": [(21, 0), (-5, 1), (5, 2), (5, 1000), (5, -1)],
    "factorial": [(0,), (1,), (20,)],
    "surplus": [(0,), (1,)],
    "returns early": [(0,), (1,)],
    "leaves the function": [(0,), (1,)],
    "table": [(0,), (1,), (2,), (3,), (4,), (-1,)],
    "sum": [(1,), (1000,)],
    "never ends well": [(0,), (1,)],
    "skips what is dead": [()],
    "stack": [(4,)],
    "memory": [(0x77,)],
    "select": [(0,), (1,)],
    "constants": [()],
}


@pytest.fixture(scope="module")
def control() -> ColdModule:
    return ColdModule(CONTROL.replace('(export "memory") (param', '(export "bulk") (param'), compiled=(COMPILED,))


@pytest.mark.parametrize("name", CALLS)
def test_control_goes_where_it_goes_compiled(control: ColdModule, name: str) -> None:
    for arguments in CALLS[name]:
        control.both("bulk" if name == "memory" else name, *arguments)
    assert COMPILED not in control.interpreted
    assert len(control.interpreted) == len(control.original.functions) - 1


def test_a_deep_recursion_gives_the_stack_back(control: ColdModule) -> None:
    outcome = control.both("factorial", 60)
    assert outcome.stack_pointer == STACK_TOP


def test_memory_grows() -> None:
    module = ColdModule(
        f"""{HEAD} (table 1 funcref)
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "size") (result i32) (memory.size))"""
    )
    pages = module.machine.call("size").result
    assert pages == 2, "one page for the compact code"
    assert module.machine.call("grow", 3).result == pages
    assert module.machine.call("size").result == pages + 3
    assert module.machine.call("grow", 0x1_0000).result == -1


def test_what_has_no_translation_stays_compiled() -> None:
    locals_ = " ".join(["i32"] * 256)
    module = ColdModule(
        f"""
        (import "host" "add_one" (func $import (param i32) (result i32)))
        {HEAD} (table 1 funcref)
        (func $calls_import (export "calls import") (param i32) (result i32) (call $import (local.get 0)))
        (func $many (export "many") (param i32) (result i32) (local {locals_}) (local.get 0))
        (func $two (result i32 i32) (i32.const 1) (i32.const 2))
        (func (export "calls two") (result i32) (i32.sub (call $two)))
        (func (export "drops") (param i32) (result i32)
          (block (i32.const 1) (br_table 0 0 (local.get 0)) (drop)) (i32.const 5))
        (func (export "calls them") (param i32) (result i32) (call $many (call $calls_import (local.get 0))))
        """,
        imports={"add_one": lambda value: value + 1},
    )
    assert module.interpreted == {6}
    assert module.both("calls them", 4).result == 5
    assert module.both("calls two").result == -1
    assert module.both("drops", 1).result == 5


def test_far_branches_reach() -> None:
    filler = "(local.set 1 (i32.add (local.get 1) (i32.const 100000)))" * 6000
    module = ColdModule(
        f"""{HEAD} (table 1 funcref)
        (func (export "far") (param i32) (result i32) (local i32)
          (block (br_if 0 (local.get 0)) {filler})
          (block (block (br_table 0 1 (local.get 0))) {filler})
          (local.get 1))"""
    )
    for argument in (0, 1):
        module.both("far", argument)
    assert module.interpreted == {0}


# --- random programs --------------------------------------------------------------------------------------------------

_LOCALS = ("$a", "$b", "$c")
_BINARY = ("add", "sub", "mul", "and", "or", "xor", "shl", "shr_u", "rotl", "eq", "lt_s", "ge_u", "div_u", "rem_s")

expressions = st.recursive(
    st.one_of(
        st.integers(-(2**31), 2**31 - 1).map(lambda value: f"(i32.const {value})"),
        st.integers(-200, 200).map(lambda value: f"(i32.const {value})"),
        st.sampled_from(_LOCALS).map(lambda name: f"(local.get {name})"),
    ),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(_BINARY), inner, inner).map(lambda parts: f"(i32.{parts[0]} {parts[1]} {parts[2]})"),
        inner.map(lambda operand: f"(i32.eqz {operand})"),
        st.tuples(st.sampled_from(_LOCALS), inner).map(lambda parts: f"(local.tee {parts[0]} {parts[1]})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"(select {' '.join(parts)})"),
        st.tuples(inner, st.integers(0, 60)).map(
            lambda parts: f"(i32.load offset={ADDRESS + parts[1]} (i32.and {parts[0]} (i32.const 255)))"
        ),
        st.tuples(inner, inner, inner).map(
            lambda parts: f"(if (result i32) {parts[0]} (then {parts[1]}) (else {parts[2]}))"
        ),
        # A branch that takes its value with it and leaves another behind.
        st.tuples(inner, inner, inner).map(
            lambda parts: f"(block (result i32) {parts[0]} {parts[1]} (br_if 0 {parts[2]}) (drop))"
        ),
        st.tuples(inner, inner).map(lambda parts: f"(call $helper {parts[0]} {parts[1]})"),
    ),
    max_leaves=8,
)


def _loop(parts: tuple[int, str, str]) -> str:
    """A loop that ends: its counter is its own local, set anew."""
    count, body, condition = parts
    return (
        f"(local.set $n (i32.const {count})) (block (loop {body} (br_if 1 {condition}) "
        "(br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))"
    )


statements = st.recursive(
    st.one_of(
        st.tuples(st.sampled_from(_LOCALS), expressions).map(lambda parts: f"(local.set {parts[0]} {parts[1]})"),
        expressions.map(lambda value: f"(drop {value})"),
        st.tuples(expressions, expressions).map(
            lambda parts: f"(i32.store16 offset={ADDRESS} (i32.and {parts[0]} (i32.const 255)) {parts[1]})"
        ),
        st.tuples(expressions, expressions).map(lambda parts: f"(if {parts[0]} (then (return {parts[1]})))"),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(" ".join),
        st.tuples(expressions, inner, inner).map(lambda parts: f"(if {parts[0]} (then {parts[1]}) (else {parts[2]}))"),
        st.tuples(expressions, inner).map(lambda parts: f"(block (br_if 0 {parts[0]}) {parts[1]})"),
        st.tuples(expressions, inner, inner).map(
            lambda parts: f"(block (block (block (br_table 0 1 2 0 {parts[0]})) {parts[1]} (br 1)) {parts[2]})"
        ),
    ),
    max_leaves=10,
)
programs = st.tuples(st.lists(statements, max_size=4).map(" ".join), st.integers(1, 5), statements, expressions)


@settings(deadline=None, max_examples=150)
@given(programs, expressions, expressions, st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=2))
def test_a_program_runs_as_compiled(
    program: tuple[str, int, str, str], helper: str, result: str, arguments: list[int]
) -> None:
    before, count, body, condition = program
    module = ColdModule(
        f"""{HEAD} (table 1 funcref)
        (func $helper (param $a i32) (param $b i32) (result i32) (local $c i32)
          {helper.replace("call $helper", "i32.xor")})
        (func (export "main") (param $a i32) (param $b i32) (result i32) (local $c i32) (local $n i32)
          {before} {_loop((count, body, condition))} {result})"""
    )
    module.both("main", *arguments)
    assert module.interpreted == {0, 1}


@settings(deadline=None, max_examples=50)
@given(programs, expressions, st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=2))
def test_what_is_compiled_and_what_is_not_call_each_other(
    program: tuple[str, int, str, str], result: str, arguments: list[int]
) -> None:
    before, count, body, condition = program
    main = f"{before} {_loop((count, body, condition))} {result}".replace("call $helper", "call $between")
    module = ColdModule(
        f"""{HEAD} (table 1 funcref)
        (func $helper (param $a i32) (param $b i32) (result i32) (i32.sub (local.get $a) (local.get $b)))
        (func $between (param $a i32) (param $b i32) (result i32) (call $helper (local.get $b) (local.get $a)))
        (func (export "main") (param $a i32) (param $b i32) (result i32) (local $c i32) (local $n i32) {main})""",
        compiled=(1,),
    )
    module.both("main", *arguments)
    assert module.interpreted == {0, 2}
