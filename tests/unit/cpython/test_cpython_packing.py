"""Memory that is packed is there again: for the module, and for who looks at the module."""

import json
from dataclasses import replace

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st
from pywasm_compiler.cpython.memory import PAGE_SIZE, segments
from pywasm_compiler.cpython.packing import PACKED_SECTION, packed, unpacked
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.model import CustomSection, Limits, MemoryType, Module
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

ENGINE = wasmtime.Engine()
SHELL = read_module(
    wasmtime.wat2wasm(
        """(module
        (memory (export "memory") 1)
        (func (export "seven") (result i32) (i32.const 7))
        (func (export "third") (param i32 i64) (result i32) (local.get 0)))"""
    )
)

pieces = st.one_of(
    st.binary(max_size=40),
    st.tuples(st.binary(min_size=1, max_size=12), st.integers(1, 3000)).map(lambda pair: pair[0] * pair[1]),
    st.integers(1, 5000).map(bytes),
    st.integers(1, 60_000).flatmap(lambda size: st.randoms().map(lambda random: random.randbytes(size))),
)
contents = st.lists(pieces, max_size=8).map(b"".join)


def memory_of(content: bytes, start: int) -> bytes:
    """Whole pages with some content."""
    memory = bytes(start) + content
    return memory + bytes(-len(memory) % PAGE_SIZE or PAGE_SIZE)


def instantiated(module: Module) -> bytes:
    """The memory of an instance."""
    store = wasmtime.Store(ENGINE)
    exports = wasmtime.Instance(store, wasmtime.Module(ENGINE, write_module(module)), []).exports(store)
    function, memory = exports["seven"], exports["memory"]
    assert isinstance(function, wasmtime.Func)
    assert isinstance(memory, wasmtime.Memory)
    assert function(store) == 7
    return bytes(memory.read(store, 0, memory.data_len(store)))


@settings(deadline=None)
@given(contents, st.integers(0, 5000), st.lists(st.floats(0, 1), max_size=3))
def test_the_memory_is_filled_before_anything_runs(content: bytes, start: int, cuts: list[float]) -> None:
    memory = memory_of(content, start)
    boundaries = [start, *(start + int((len(memory) - 1 - start) * cut) for cut in cuts)]
    module = packed(SHELL, memory, boundaries)
    assert instantiated(module) == memory + bytes(PAGE_SIZE)
    plain = unpacked(read_module(write_module(module)))
    assert plain == replace(
        SHELL,
        types=module.types,
        memories=[MemoryType(Limits(len(memory) // PAGE_SIZE))],
        data=list(segments(memory, start)),
    )
    assert instantiated(plain) == memory


def test_what_is_not_packed_stays_as_it_is() -> None:
    assert unpacked(SHELL) is SHELL


@pytest.mark.parametrize(
    "layout",
    [
        b"",
        b"{}",
        b"[]",
        b"[1]",
        b"[1, 1]",
        b"[2, 1]",
        b'["a", 9]',
        b"[-1, 5]",
        b"[0, 1e3]",
        b"[0, true]",
        b"[0,99999999999]",
    ],
)
def test_a_wrong_layout_is_refused(layout: bytes) -> None:
    module = packed(SHELL, memory_of(b"content", 0), [0])
    with pytest.raises(MalformedModule, match="names no addresses"):
        unpacked(replace(module, customs=[CustomSection(PACKED_SECTION, layout, 11)]))


def test_a_layout_of_another_module_is_refused() -> None:
    module = packed(SHELL, memory_of(b"content", 0), [0])
    for other in (replace(module, start=None), replace(module, data=[]), replace(module, functions=[])):
        with pytest.raises(MalformedModule, match="belongs to another module"):
            unpacked(other)


def test_damaged_blocks_are_refused() -> None:
    module = packed(SHELL, memory_of(b"content" * 100, 0), [0])
    block = module.data[0]
    for content in (b"", b"\xff" * 50, block.content[:-3]):
        with pytest.raises(MalformedModule, match=r"cannot be read|more than"):
            unpacked(replace(module, data=[replace(block, content=content)]))
    huge = CustomSection(PACKED_SECTION, json.dumps([0, 1 << 32]).encode(), 11)
    with pytest.raises(MalformedModule, match="more than"):
        unpacked(replace(module, customs=[huge]))
