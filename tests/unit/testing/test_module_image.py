"""Data taken out of a module and written back by the host change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st
from pywasm_compiler.cpython.packing import packed
from pywasm_compiler.wasm.names import Names, module_names
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

from pywasm_filter.testing.guests.engine import engine, set_deadline
from pywasm_filter.testing.guests.memory import PAGE, GuestMemory
from pywasm_filter.testing.guests.module_image import ModuleImage, split_module


def wasm(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"(module {text})"))


def runs(data: bytes) -> list[tuple[int, bytes]]:
    return [(address, bytes(content)) for address, content in split_module(data).runs]


def memory_of(image: ModuleImage) -> bytes:
    """The whole memory after instantiation."""
    store = wasmtime.Store(engine())
    set_deadline(store, 10)
    instance = wasmtime.Instance(store, wasmtime.Module(engine(), image.code), [])
    exported = instance.exports(store)["memory"]
    assert isinstance(exported, wasmtime.Memory)
    memory = GuestMemory(store, exported)
    memory.ensure_pages(image.pages)
    for address, content in image.runs:
        assert memory.write(address, content)
    return bytes(exported.read(store))


DATA = '(memory (export "memory") 2 5) (data (i32.const 8) "abc") (data (i32.const 70000) "z") (data (i32.const 9) "X")'


def test_modules_that_differ_in_data_share_their_code() -> None:
    first, second = wasm(DATA), wasm('(memory (export "memory") 1 5) (data (i32.const 0) "other")')
    assert split_module(first).code == split_module(second).code
    assert split_module(first).pages == 2
    assert runs(first) == [(8, b"aXc"), (70000, b"z")]


def test_the_memory_is_the_same_either_way() -> None:
    plain = ModuleImage(wasm(DATA))
    assert memory_of(split_module(plain.code)) == memory_of(plain)
    assert len(memory_of(plain)) == 2 * PAGE


def test_segments_far_apart_are_written_apart() -> None:
    text = '(memory 9) (data (i32.const 200000) "far") (data (i32.const 4) "near") (data (i32.const 60000) "by")'
    assert runs(wasm(text)) == [(4, b"near" + bytes(60000 - 8) + b"by"), (200000, b"far")]


@given(st.lists(st.tuples(st.integers(0, 4 * PAGE - 9), st.binary(min_size=1, max_size=9)), max_size=8))
def test_any_data_ends_where_it_belongs(segments: list[tuple[int, bytes]]) -> None:
    data = " ".join(
        f'(data (i32.const {address}) "{"".join(f"{chr(92)}{byte:02x}" for byte in content)}")'
        for address, content in segments
    )
    plain = ModuleImage(wasm(f'(memory (export "memory") 4) {data}'))
    assert memory_of(split_module(plain.code)) == memory_of(plain)


def test_an_address_beyond_two_gibibytes_is_unsigned() -> None:
    assert runs(wasm('(memory 1) (data (i32.const -16) "x")')) == [(0xFFFF_FFF0, b"x")]


def test_passive_segments_keep_their_numbers() -> None:
    text = """
      (memory (export "memory") 1)
      (data (i32.const 0) "active")
      (data $passive "passive")
      (func (export "copy") (memory.init $passive (i32.const 100) (i32.const 0) (i32.const 7)))"""
    image = split_module(wasm(text))
    assert runs(wasm(text)) == [(0, b"active")]
    assert [segment.content for segment in read_module(image.code).data] == [b"", b"passive"]
    store = wasmtime.Store(engine())
    set_deadline(store, 10)
    exports = wasmtime.Instance(store, wasmtime.Module(engine(), image.code), []).exports(store)
    memory, copy = exports["memory"], exports["copy"]
    assert isinstance(memory, wasmtime.Memory)
    assert isinstance(copy, wasmtime.Func)
    GuestMemory(store, memory).ensure_pages(image.pages)
    copy(store)
    assert bytes(memory.read(store, 100, 107)) == b"passive"


@pytest.mark.parametrize(
    "text",
    [
        '(memory 1) (data (i32.const 0) "x") (func $f) (start $f)',
        '(import "env" "memory" (memory 1)) (data (i32.const 0) "x")',
        '(memory 1) (global i32 (i32.const 4)) (data (global.get 0) "x")',
        '(memory i64 1) (data (i64.const 0) "x")',
        "(func)",
    ],
    ids=["start", "imported memory", "offset", "64 bit", "no memory"],
)
def test_what_could_make_a_difference_stays_as_it_is(text: str) -> None:
    data = wasm(text)
    assert split_module(data) == ModuleImage(data)


def test_bytes_that_are_no_module_stay_as_they_are() -> None:
    assert split_module(b"nonsense") == ModuleImage(b"nonsense")


def test_names_of_functions_stay_and_other_custom_sections_go() -> None:
    def custom(name: str) -> bytes:
        text = '(memory 1) (data (i32.const 0) "x") (@custom "producers" "p") (func $called)'
        return bytes(wasmtime.wat2wasm(f"(module ${name} {text})"))

    first = split_module(custom("first")).code
    assert first == split_module(custom("second")).code
    assert [section.name for section in read_module(first).customs] == ["name"]
    assert module_names(read_module(first)) == Names(functions={0: "called"})


def test_a_corrupt_name_section_stays_as_it_is() -> None:
    data = wasm(r'(memory 1) (data (i32.const 0) "x") (@custom "name" "\01\ff")')
    assert split_module(data) == ModuleImage(data)


def test_packed_data_are_taken_out_decompressed() -> None:
    plain = read_module(wasmtime.wat2wasm('(module (memory 1) (func) (data (i32.const 65000) "some content"))'))
    memory = bytes(65000) + b"some content" + bytes(PAGE - 65012)
    packed_image = split_module(write_module(packed(replace(plain, data=[]), memory, [64])))
    assert packed_image.pages == 1
    assert packed_image.runs == ((65000, bytearray(b"some content")),)
    assert read_module(packed_image.code).start is None
