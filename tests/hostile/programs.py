"""A module that makes the hostcalls that are written into its memory: which, when, and with which numbers."""

from __future__ import annotations

from dataclasses import dataclass

import proxy_wasm_abi
from hypothesis import strategies as st
from proxy_wasm_abi import Hostcall, Value
from proxy_wasm_abi.generated.host_imports import MODULE_EXPORTS

from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeGuest
from tests.hostile.wat import MARKER, MEMORY, exported, i32, imported, quoted

HOSTCALLS = proxy_wasm_abi.load().hostcalls
CALLBACKS = (
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_tick",
    "proxy_on_queue_ready",
    "proxy_on_http_call_response",
    "proxy_on_done",
    "proxy_on_log",
    "proxy_on_delete",
)
NO_STATUS = 255
MOST_CALLS = 6
END = 1 << 16

# Out of the way of results: they go to addresses below, or to the last bytes of the memory.
_CALLBACK, _CALLS, _STATUSES, _TEXTS = 52_000, 52_008, 54_000, 56_000
_CELLS = 14  # of an i64: which hostcall, then its arguments
_RESULTS = 48_000
_LARGEST_ALLOCATION = 30_000

_PAIRS = (
    b"\x03\0\0\0"
    + b"".join(number.to_bytes(4, "little") for number in (5, 2, 7, 3, 10, 8))
    + b":path\0/x\0:method\0GET\0:authority\0services\0"
)
# Maps whose counts and sizes are lies.
_LIES = (
    b"\xff\xff\xff\xff",
    b"\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x01\0\0\0\x01\0\0\0\xff\xff\xff\xffa\0b\0",
    b"\xff\xff\xff\x7f\x01\0\0\0\x01\0\0\0a\0b\0",
    b"\x02\0\0\0\x01\0\0\0\x01\0\0\0a\0b\0",
    b"\x01\0\0\0\x01\0\0\0\x01\0\0\0aabb",
    b"\x01\0\0\0\x01\0\0\0",
    b"\x01\0\0",
)
_WORDS = (
    b"", b"x", b"\xff\xfe", b"\0", b":path", b":status", b"content-length", b"/", b"-1", b"services", b"remotes",
    b"plugin_name",
    b"request\0headers\0x", b"compress", b"uncompress", b"expr_create", b"expr_evaluate", b"declare_property",
    b"set_envoy_filter_state", b"verify_signature", b"sign", b"x\x9c\x03\0\0\0\0\x01", b"\x0a\xff\xff\xff\xff\x0f",
)  # fmt: skip
_ALL_TEXTS = (_PAIRS, *_LIES, *_WORDS)
_ADDRESSES = [_TEXTS + sum(map(len, _ALL_TEXTS[:index])) for index in range(len(_ALL_TEXTS))]


@dataclass(frozen=True)
class Call:
    """A hostcall with its core arguments."""

    name: str
    args: tuple[int, ...]


def module() -> str:
    """The module. Each callback returns what lets things go on."""
    cases = "".join(_case(index, hostcall) for index, hostcall in enumerate(HOSTCALLS))
    labels = " ".join(f"$case{index}" for index in range(len(HOSTCALLS)))
    blocks = "".join(f"(block $case{index} " for index in reversed(range(len(HOSTCALLS))))
    callbacks = "".join(
        exported(name, MODULE_EXPORTS[name], f"(call $run {i32(index)}) {_result(name)}")
        for index, name in enumerate(CALLBACKS)
    )
    size, most = 8 * _CELLS, 4 * MOST_CALLS
    return f"""
    {"".join(map(imported, HOSTCALLS))} {MARKER} {MEMORY}
    (func (export "malloc") (param i32) (result i32)
      (select {i32(16384)} (i32.const 0) (i32.le_u (local.get 0) {i32(_LARGEST_ALLOCATION)})))
    (func $run (param $callback i32) (local $at i32) (local $status i32)
      (if (i32.ne (local.get $callback) (i32.load {i32(_CALLBACK)})) (then (return)))
      (local.set $at {i32(_CALLS)})
      (local.set $status {i32(_STATUSES)})
      (loop
        (i32.store (local.get $status) (call $make (local.get $at)))
        (local.set $at (i32.add (local.get $at) {i32(size)}))
        (local.set $status (i32.add (local.get $status) (i32.const 4)))
        (br_if 0 (i32.lt_u (local.get $status) {i32(_STATUSES + most)}))))
    (func $make (param $at i32) (result i32)
      (block $none {blocks} (br_table {labels} $none (i32.wrap_i64 (i64.load (local.get $at)))) {cases})
      {i32(NO_STATUS)})
    {callbacks} (data {i32(_TEXTS)} {quoted(b"".join(_ALL_TEXTS))})"""


def write(guest: WasmtimeGuest, callback: str, calls: list[Call]) -> None:
    """Have the guest make these calls in that callback."""
    guest.memory.write_u32(_CALLBACK, CALLBACKS.index(callback))
    names = [hostcall.name for hostcall in HOSTCALLS]
    for number in range(MOST_CALLS):
        guest.memory.write_u32(_STATUSES + 4 * number, NO_STATUS)
        at = _CALLS + 8 * _CELLS * number
        cells = (names.index(calls[number].name), *calls[number].args) if number < len(calls) else (len(HOSTCALLS),)
        for cell, value in enumerate(cells):
            guest.memory.write_u64(at + 8 * cell, value & 0xFFFF_FFFF_FFFF_FFFF)


def statuses(guest: WasmtimeGuest, calls: list[Call]) -> list[int]:
    """What the calls returned the last time; NO_STATUS where they have not been made."""
    found = [guest.memory.read_u32(_STATUSES + 4 * number) for number in range(len(calls))]
    assert None not in found
    return [status for status in found if status is not None]


def calls(hostcall: Hostcall) -> st.SearchStrategy[Call]:
    """Calls of a hostcall with numbers that are good, nearly good, and any."""
    parts = [_argument(value) for value in hostcall.params]
    places = len(hostcall.core_params) - sum(len(value.core_types) for value in hostcall.params)
    parts += [st.tuples(_places)] * places
    return st.tuples(*parts).map(lambda given: Call(hostcall.name, tuple(number for part in given for number in part)))


_any_number = st.one_of(
    st.integers(0, 0xFFFF_FFFF), st.sampled_from([0x7FFF_FFFF, 0x8000_0000, 0xFFFF_0000, 0xFFFF_FFFC, 0xFFFF_FFFF])
)
_places = st.one_of(
    st.integers(0, _RESULTS),
    st.sampled_from([END - 8, END - 4, END - 1, END, END + 1]),
    _any_number.filter(lambda number: not _RESULTS < number < END),
)
_texts = st.sampled_from([(address, len(text)) for address, text in zip(_ADDRESSES, _ALL_TEXTS, strict=True)])
_buffers = st.one_of(
    _texts, _texts, _texts, st.tuples(_any_number, _any_number), st.tuples(st.integers(0, END), st.integers(0, END))
)
_numbers = st.one_of(st.integers(0, 12), st.integers(0, 12), st.sampled_from([100, 200, 204, 503, 1000]), _any_number)


def _argument(value: Value) -> st.SearchStrategy[tuple[int, ...]]:
    if value.is_buffer:
        return _buffers
    wide = value.core_types == ("i64",)
    return st.tuples(st.one_of(_numbers, st.integers(-(1 << 63), (1 << 63) - 1)) if wide else _numbers)


def _case(index: int, hostcall: Hostcall) -> str:
    loads = " ".join(
        f"({kind}.load offset={8 * (cell + 1)} (local.get $at))" for cell, kind in enumerate(hostcall.core_params)
    )
    return f") (return (call ${hostcall.name} {loads}))"


def _result(callback: str) -> str:
    if not MODULE_EXPORTS[callback].results:
        return ""
    return i32(int(callback in ("proxy_on_vm_start", "proxy_on_configure", "proxy_on_done")))
