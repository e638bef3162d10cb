"""What a module says of its making, whatever it says."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from pywasm_compiler.inspection import inspect_module
from pywasm_compiler.provenance import PROVENANCE_SECTION, encode_record, record_of
from pywasm_compiler.wasm.model import CustomSection
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module
from wasmtime import wat2wasm

RECORD = {
    "build": {"engine": "cpython", "image": "1f", "python": "3.14.0", "source_date_epoch": 0, "tools": {"t": "1"}},
    "data": {"files": 1, "sha256": "00"},
    "filter": {"module": "filter", "files": 2, "sha256": "00"},
    "layout": {
        "code": {"CPython": {"functions": 1, "size": 3}},
        "interpreted": {},
        "memory": {"libc.so": 8, "heap": 16},
    },
    "options": {"debug_info": "default"},
    "packages": [{"name": "tzdata", "version": "2025.2", "modules": ["tzdata"], "files": 3, "sha256": "00"}],
    "target": {"hosts": ["envoy"], "allow_missing": []},
}
PLAIN = wat2wasm(
    '(module (memory (export "memory") 1) (data (i32.const 4) "0123456789abcdefghij")'
    '(func (export "proxy_abi_version_0_2_1")) (func (export "malloc") (param i32) (result i32) (i32.const 0)))'
)


def saying(content: bytes) -> bytes:
    return write_module(replace(read_module(PLAIN), customs=[CustomSection(PROVENANCE_SECTION, content, 11)]))


def test_what_is_written_is_read() -> None:
    module = read_module(saying(encode_record(RECORD)))
    assert record_of(module) == RECORD
    assert encode_record(dict(reversed(RECORD.items()))) == encode_record(RECORD)


def test_modules_that_say_nothing() -> None:
    assert record_of(read_module(PLAIN)) == {}
    assert record_of(read_module(saying(b"{"))) == {}
    assert record_of(read_module(saying(b"[" * 100_000))) == {}
    assert record_of(read_module(saying(json.dumps({**RECORD, "format": 2}).encode()))) == {}


def test_parts_that_are_something_else_are_left_out() -> None:
    for part in RECORD:
        for other in (None, {}, [], 3, "x", [None], {"code": {"": 3}, "memory": {"": -1}}):
            found = record_of(read_module(saying(encode_record({**RECORD, part: other}))))
            assert found.get(part) in (None, {}, [])
            assert {name: found[name] for name in RECORD if name != part} == {
                name: RECORD[name] for name in RECORD if name != part
            }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "a", "\ud800", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["code", "memory", "a"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(RECORD)), VALUES))
def test_any_record_can_be_inspected(record: dict[str, object]) -> None:
    data = saying(encode_record(record))
    found = inspect_module(data)
    assert found.bytes.size == len(data)


def test_the_shares_make_up_the_file() -> None:
    data = saying(encode_record(RECORD))
    shares = {share.name: share for share in inspect_module(data).bytes.children}
    assert sum(share.size for share in shares.values()) == len(data)
    assert {child.name: child.size for child in shares["code"].children} == {
        "other": shares["code"].size - 3,
        "CPython": 3,
    }
    parts = {child.name: child for child in shares["data"].children}
    # 20 bytes from 4 on: the heap begins at 16; what lies in front of the first region counts to it.
    assert parts["snapshot"].size == 8
    assert parts["static data of the interpreter"].size == 12
