import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st
from pywasm_compiler.wasm.code import (
    INSTRUCTIONS,
    Const,
    DecodedInstruction,
    Immediate,
    iter_instructions,
    remap_body,
)
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

from tests.unit.wasm.wasm_reference import Shifted, encode, reference_remap, shifted

NO_LOCALS = b"\0"
EVERY_INDEX = range(2**33)

MODULE = """
  (module
    (type $binary (func (param i32 i32) (result i32 i32)))
    (import "env" "imported" (func $imported))
    (memory 1) (table $t 1 funcref) (table $x 1 externref)
    (global $g (mut i32) (i32.const 0))
    (elem declare func $f) (elem $e funcref) (data $d "")
    (func $f (param i32) (local i64 i64 f32) {code}))
"""


def body_of(code: str) -> bytes:
    """The body of a function with this text, as the reference implementation encodes it."""
    return read_module(wasmtime.wat2wasm(MODULE.format(code=code))).functions[0].body


def identity(body: bytes) -> bytes:
    return remap_body(body, EVERY_INDEX, EVERY_INDEX, EVERY_INDEX)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("unreachable", (0x00, ())),
        ("nop", (0x01, ())),
        ("(block)", (0x02, (-64,))),
        ("(loop (result f64))", (0x03, (-4,))),
        ("if end", (0x04, (-64,))),
        ("(block (type $binary))", (0x02, (0,))),
        ("br 0", (0x0C, (0,))),
        ("br_if 0", (0x0D, (0,))),
        ("br_table 0 2 1 0", (0x0E, (0, 2, 1, 0))),
        ("return", (0x0F, ())),
        ("call $f", (0x10, (1,))),
        ("call_indirect (type $binary)", (0x11, (0, 0))),
        ("call_indirect $x (type $binary)", (0x11, (0, 1))),
        ("drop", (0x1A, ())),
        ("select", (0x1B, ())),
        ("select (result i64)", (0x1C, (0x7E,))),
        ("local.get 1", (0x20, (1,))),
        ("local.set 300", (0x21, (300,))),
        ("local.tee 1", (0x22, (1,))),
        ("global.get $g", (0x23, (0,))),
        ("global.set $g", (0x24, (0,))),
        ("table.get $x", (0x25, (1,))),
        ("table.set $t", (0x26, (0,))),
        ("i32.load offset=200", (0x28, (2, 200))),
        ("i64.store32 offset=4 align=1", (0x3E, (0, 4))),
        ("memory.size", (0x3F, (0,))),
        ("memory.grow", (0x40, (0,))),
        ("i32.const -1", (0x41, (-1,))),
        ("i64.const -9223372036854775808", (0x42, (-(2**63),))),
        ("f32.const 1", (0x43, (bytes.fromhex("0000803f"),))),
        ("f64.const 1", (0x44, (bytes.fromhex("000000000000f03f"),))),
        ("i32.eqz", (0x45, ())),
        ("f64.reinterpret_i64", (0xBF, ())),
        ("i64.extend32_s", (0xC4, ())),
        ("ref.null extern", (0xD0, (0x6F,))),
        ("ref.is_null", (0xD1, ())),
        ("ref.func $f", (0xD2, (1,))),
        ("i32.trunc_sat_f32_s", (0xFC00, ())),
        ("i64.trunc_sat_f64_u", (0xFC07, ())),
        ("memory.init $d", (0xFC08, (0, 0))),
        ("data.drop $d", (0xFC09, (0,))),
        ("memory.copy", (0xFC0A, (0, 0))),
        ("memory.fill", (0xFC0B, (0,))),
        ("table.init $t $e", (0xFC0C, (1, 0))),
        ("elem.drop $e", (0xFC0D, (1,))),
        ("table.copy $t $x", (0xFC0E, (0, 1))),
        ("table.grow $x", (0xFC0F, (1,))),
        ("table.size $x", (0xFC10, (1,))),
        ("table.fill $x", (0xFC11, (1,))),
    ],
)
def test_each_kind_of_instruction(code: str, expected: tuple[int, tuple[int | bytes, ...]]) -> None:
    body = body_of(f"{code} i32.const 77 drop")
    instructions = list(iter_instructions(body))
    assert instructions[0][1:] == expected
    assert instructions[0].offset == len(bytes.fromhex("02 02 7e 01 7d"))
    assert [instruction[1:] for instruction in instructions[-3:]] == [(0x41, (77,)), (0x1A, ()), (0x0B, ())]
    assert identity(body) == body


def test_remapping() -> None:
    body = body_of("""
      call $imported
      call $f
      global.get $g
      (block (type $binary) (loop (result i32) i32.const 1 br_table 0 1))
      (call_indirect $x (type $binary))
      ref.func $f
      global.set $g
      memory.copy
    """)
    remapped = remap_body(body, functions=[1000, 7], globals_=[200], types=[99])
    assert [instruction[1:] for instruction in iter_instructions(remapped)] == [
        (0x10, (1000,)),
        (0x10, (7,)),
        (0x23, (200,)),
        (0x02, (99,)),
        (0x03, (-1,)),
        (0x41, (1,)),
        (0x0E, (0, 1)),
        (0x0B, ()),
        (0x0B, ()),
        (0x11, (99, 1)),
        (0xD2, (7,)),
        (0x24, (200,)),
        (0xFC0A, (0, 0)),
        (0x0B, ()),
    ]
    assert remapped.startswith(bytes.fromhex("02 02 7e 01 7d"))


@pytest.mark.parametrize(
    ("value", "encoded"), [(5, "4105"), (-1, "417f"), (2**32 - 1, "417f"), (2**31, "418080808078")]
)
def test_a_constant_global(value: int, encoded: str) -> None:
    body = NO_LOCALS + bytes.fromhex("2300 1a 0b")
    assert remap_body(body, [], [Const(value)], []).hex() == "00" + encoded + "1a0b"


def test_a_constant_global_cannot_be_set() -> None:
    with pytest.raises(MalformedModule, match=r"global\.set of global 0, which is a constant") as caught:
        remap_body(NO_LOCALS + bytes.fromhex("4101 2400 0b"), [], [Const(1)], [])
    assert caught.value.offset == 3


@pytest.mark.parametrize("code", ["1001", "d201", "2301", "2401", "110100", "0201", "10ffffffff0f"])
def test_an_index_beyond_its_index_space(code: str) -> None:
    with pytest.raises(MalformedModule, match="an index beyond its index space") as caught:
        remap_body(NO_LOCALS + b"\x01" + bytes.fromhex(code), [0], [0], [0])
    assert caught.value.offset == 2


def test_padded_indices_come_out_minimal() -> None:
    padded = "108180808000" + "028180808000" + "0b" + "238080808000" + "1180808080008180808000" + "0b"
    minimal = "10ac02" + "02c600" + "0b" + "2304" + "110001" + "0b"
    assert remap_body(NO_LOCALS + bytes.fromhex(padded), [0, 300], [4], [0, 70]) == NO_LOCALS + bytes.fromhex(minimal)


@pytest.mark.parametrize(
    ("code", "offset", "message"),
    [
        ("fd0c", 1, "the instruction 0xfd 12 belongs to SIMD, which is not supported"),
        ("01fe00", 2, "the instruction 0xfe 0 belongs to threads"),
        ("fb8001", 1, "the instruction 0xfb 128 belongs to garbage collection"),
        ("0640", 1, "the instruction 0x06 belongs to exception handling"),
        ("1200", 1, "the instruction 0x12 belongs to tail calls"),
        ("1400", 1, "the instruction 0x14 belongs to typed function references"),
        ("fc12", 1, "the instruction 0xfc 18 is not known"),
        ("fc88f80300", 1, "the instruction 0xfc 64520 is not known"),
        ("27", 1, "the instruction 0x27 is not known"),
        ("0241", 2, "unknown block type 0x41"),
        ("02c07f", 2, "unknown block type 0xc0"),
        ("1c0141", 3, "unknown value type 0x41"),
        ("d07f", 2, "unknown heap type 0x7f"),
        ("284000", 2, "alignment 0x40: only memory 0"),
        ("0e05", 2, "5 elements in 0 bytes"),
        ("430000", 2, "4 bytes wanted, 2 left"),
        ("10", 2, "unexpected end inside an integer"),
        ("110080", 3, "unexpected end inside an integer"),
    ],
)
def test_malformed_code(code: str, offset: int, message: str) -> None:
    body = NO_LOCALS + bytes.fromhex(code)
    for consume in (identity, lambda body: list(iter_instructions(body))):
        with pytest.raises(MalformedModule) as caught:
            consume(body)
        assert message in caught.value.message
        assert caught.value.offset == offset


def test_an_integer_that_is_too_long() -> None:
    """Where it is found depends on Python: before 3.11.4 a possessive repetition does not step back."""
    for consume in (identity, lambda body: list(iter_instructions(body))):
        with pytest.raises(MalformedModule):
            consume(NO_LOCALS + bytes.fromhex("41ffffffffff00"))


@pytest.mark.parametrize(
    ("body", "message"), [("", "unexpected end"), ("0101", "unexpected end"), ("010141", "unknown value type 0x41")]
)
def test_malformed_locals(body: str, message: str) -> None:
    with pytest.raises(MalformedModule, match=message):
        identity(bytes.fromhex(body))


U32 = st.integers(0, 2**32 - 1)
VALUE_TYPES = st.sampled_from([0x7F, 0x7E, 0x7D, 0x7C, 0x7B, 0x70, 0x6F])
BLOCK_TYPES = st.sampled_from([-1, -2, -3, -4, -5, -16, -17, -64]) | U32
IMMEDIATES: dict[Immediate, st.SearchStrategy[tuple[int | bytes, ...]]] = {
    Immediate.LABELS: st.lists(U32, max_size=4).map(tuple),
    Immediate.VALUE_TYPES: st.lists(VALUE_TYPES, max_size=3).map(tuple),
    Immediate.BLOCK_TYPE: st.tuples(BLOCK_TYPES),
    Immediate.HEAP_TYPE: st.tuples(st.sampled_from([0x70, 0x6F])),
    Immediate.ALIGNMENT: st.tuples(st.integers(0, 0x3F)),
    Immediate.OFFSET: st.tuples(st.integers(0, 2**64 - 1)),
    Immediate.I32: st.tuples(st.integers(-(2**31), 2**31 - 1)),
    Immediate.I64: st.tuples(st.integers(-(2**63), 2**63 - 1)),
    Immediate.F32: st.tuples(st.binary(min_size=4, max_size=4)),
    Immediate.F64: st.tuples(st.binary(min_size=8, max_size=8)),
}


@st.composite
def instructions(draw: st.DrawFn) -> tuple[int, tuple[int | bytes, ...]]:
    """An opcode and its immediates, flat as in `DecodedInstruction`."""
    opcode = draw(st.sampled_from(sorted(INSTRUCTIONS)))
    fields = INSTRUCTIONS[opcode]
    return opcode, tuple(value for field in fields for value in draw(IMMEDIATES.get(field, st.tuples(U32))))


@given(st.lists(instructions(), max_size=20))
def test_any_code_is_decoded_and_remapped(code: list[tuple[int, tuple[int | bytes, ...]]]) -> None:
    body = NO_LOCALS + b"".join(encode(*instruction) for instruction in code)
    decoded = list(iter_instructions(body))
    assert [instruction[1:] for instruction in decoded] == code
    assert all(body[instruction.offset] in (instruction.opcode, 0xFC) for instruction in decoded)

    assert identity(body) == body
    expected = NO_LOCALS + b"".join(encode(*shifted(instruction)) for instruction in code)
    assert remap_body(body, Shifted(1), Shifted(2), Shifted(3)) == expected
    assert reference_remap(body) == expected


@given(st.lists(instructions(), min_size=1, max_size=5), st.data())
def test_truncated_code_never_crashes(code: list[tuple[int, tuple[int | bytes, ...]]], data: st.DataObject) -> None:
    encoded = [encode(*instruction) for instruction in code]
    body = NO_LOCALS + b"".join(encoded)
    truncated = body[: data.draw(st.integers(1, len(body) - 1))]
    boundaries = {1 + sum(map(len, encoded[:count])) for count in range(len(encoded))}
    assert (attempt(truncated) is None) == (len(truncated) not in boundaries)


@given(st.binary(max_size=40))
def test_random_bytes_never_crash(code: bytes) -> None:
    decoded = attempt(NO_LOCALS + code)
    if decoded is not None:
        expected = b"".join(encode(*instruction[1:]) for instruction in decoded)
        # Only indices are made minimal: the rest of `code` may hold padding.
        assert decoded_without_offsets(identity(NO_LOCALS + code)) == decoded_without_offsets(NO_LOCALS + expected)


def decoded_without_offsets(body: bytes) -> list[tuple[int, tuple[int | bytes, ...]]]:
    return [(instruction.opcode, instruction.immediates) for instruction in iter_instructions(body)]


def attempt(body: bytes) -> list[DecodedInstruction] | None:
    """The instructions, or None for malformed code; then `remap_body` must not have crashed either."""
    try:
        identity(body)
        return list(iter_instructions(body))
    except MalformedModule:
        return None


def test_a_remapped_module_still_runs() -> None:
    engine = wasmtime.Engine()
    module = read_module(
        wasmtime.wat2wasm("""
          (module
            (func $unused)
            (func $seven (result i32) i32.const 7)
            (func (export "f") (param i32) (result i32)
              (block $b (result i32) (br_table $b $b (call $seven) (local.get 0)))))
        """)
    )
    unused, seven, f = module.functions
    moved = [type(entry)(entry.type_index, remap_body(entry.body, [1, 0, 2], [], [])) for entry in (seven, unused, f)]
    module.functions = moved
    store = wasmtime.Store(engine)
    instance = wasmtime.Instance(store, wasmtime.Module(engine, write_module(module)), [])
    exported = instance.exports(store)["f"]
    assert isinstance(exported, wasmtime.Func)
    assert exported(store, 1) == 7
