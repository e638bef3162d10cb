import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.model import CustomSection, Module
from pywasm_compiler.wasm.names import (
    Names,
    Producers,
    decode_names,
    decode_producers,
    encode_names,
    encode_producers,
    merge_producers,
    module_names,
    module_producers,
)
from pywasm_compiler.wasm.reader import read_module

from tests.unit.wasm.wasm_strategies import NAMES, U32

NAME_MAPS = st.builds(Names, st.none() | NAMES, st.dictionaries(U32, NAMES, max_size=5))
PRODUCERS: st.SearchStrategy[Producers] = st.dictionaries(NAMES, st.dictionaries(NAMES, NAMES, max_size=3), max_size=3)


def test_names_of_a_module() -> None:
    module = read_module(wasmtime.wat2wasm('(module $m (import "a" "b" (func $b)) (func) (func $c (local $x i32)))'))
    assert module_names(module) == Names("m", {0: "b", 2: "c"})
    assert module_names(Module()) == Names()


def test_encoding_is_that_of_other_tools() -> None:
    module = read_module(wasmtime.wat2wasm("(module $m (func $f) (func) (func $g))"))
    (section,) = module.customs
    assert encode_names(module_names(module)) == section.content


def test_other_subsections_are_left_out() -> None:
    content = bytes.fromhex("0201ff" + "0002016d" + "0900" + "010401030166")
    assert decode_names(content) == Names("m", {3: "f"})


@given(NAME_MAPS)
def test_names_round_trip(names: Names) -> None:
    assert decode_names(encode_names(names)) == names


def test_functions_are_encoded_in_order() -> None:
    assert encode_names(Names(functions={2: "b", 1: "a"})).hex() == "0107" + "02" + "010161" + "020162"


def test_producers_of_a_module() -> None:
    content = encode_producers({"language": {"C11": ""}, "processed-by": {"clang": "19.1.5"}})
    assert content.hex(" ", 1).startswith("02 08 6c 61")
    module = Module(customs=[CustomSection("other", b"\xff"), CustomSection("producers", content)])
    assert module_producers(module) == {"language": {"C11": ""}, "processed-by": {"clang": "19.1.5"}}
    assert module_producers(Module()) == {}


@given(PRODUCERS)
def test_producers_round_trip(producers: Producers) -> None:
    assert decode_producers(encode_producers(producers)) == producers


def test_merging_producers() -> None:
    first = {"language": {"C11": "", "Rust": "1.80"}, "processed-by": {"clang": "19"}}
    second = {"processed-by": {"clang": "18", "rustc": "1.80"}, "sdk": {"wasi": "25"}}
    assert merge_producers([first, second, first]) == {
        "language": {"C11": "", "Rust": "1.80"},
        "processed-by": {"clang": "19, 18", "rustc": "1.80"},
        "sdk": {"wasi": "25"},
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0105", "5 bytes wanted, 0 left"),
        ("0003016d00", "1 bytes left over in the module name"),
        ("01020000", "1 bytes left over in the function names"),
        ("010101", "1 elements in 0 bytes"),
        ("010401000161ff", "unexpected end inside an integer"),
    ],
)
def test_malformed_names(content: str, message: str) -> None:
    with pytest.raises(MalformedModule, match=message):
        decode_names(bytes.fromhex(content))


@given(NAME_MAPS, st.integers(0, 10**6), st.integers(0, 255))
def test_mutated_names_never_crash(names: Names, position: int, value: int) -> None:
    content = bytearray(b"\x05\0" + encode_names(names))
    content[position % len(content)] = value
    try:
        decoded = decode_names(bytes(content))
    except MalformedModule:
        return
    assert decode_names(encode_names(decoded)) == decoded


def test_malformed_producers() -> None:
    with pytest.raises(MalformedModule, match="1 bytes left over in the producers"):
        decode_producers(b"\0\0")
