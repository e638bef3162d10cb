"""Calls of every hostcall with every address and size hostile, as one module that tells their statuses.

What a call needs beside the hostile value is good: whatever the host does before it looks at it, it does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import proxy_wasm_abi
from proxy_wasm_abi import Hostcall, Value
from proxy_wasm_abi.generated.host_imports import MODULE_EXPORTS

from pywasm_filter.sdk.abi import Status
from tests.hostile.wat import LOG, MARKER, MEMORY, exported, i32, imported, quoted

END = 1 << 16
# The buffers that are not all within the memory of one page.
BAD_BUFFERS = (
    (END, 1),
    (END - 1, 2),
    (END + 1, 0),
    (1, 0xFFFF_FFFF),
    (END, 0xFFFF_FFFF),
    (0xFFFF_FFFF, 0),
    (0xFFFF_FFFF, 1),
    (0xFFFF_FFFF, 0xFFFF_FFFF),
    (0x8000_0000, 0x8000_0000),
    (0x7FFF_FFFF, 1),
    (0, 0xFFFF_FFFF),
    (0xFFFF_0000, END),
)
# Places for results, within and outside of the memory, and at addresses that are not aligned.
PLACES = (
    0,
    1,
    3,
    END - 8,
    END - 7,
    END - 4,
    END - 3,
    END - 1,
    END,
    END + 1,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFC,
    0xFFFF_FFFF,
)
# For what is no address, beside a buffer that is not there: which of the two does the host look at first?
NUMBERS = (0, 1, 5, 8, 9, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
# What an allocator may answer, and whether it is to be used: 0 as the first is the good one.
ALLOCATIONS = (0, END, END - 1, END + 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)

_TEXTS = 4096
_STATUSES = 8192
_RESULT = 1024

# Arguments with which a hostcall has a result to store, where 0 and "x" do not.
_GOOD: dict[tuple[str, str], int | bytes] = {
    ("proxy_call_foreign_function", "function_name"): b"compress",
    ("proxy_dequeue_shared_queue", "queue_id"): 1,
    ("proxy_get_buffer_bytes", "buffer_type"): 6,
    ("proxy_get_buffer_bytes", "max_size"): 100,
    ("proxy_get_buffer_status", "buffer_type"): 6,
    ("proxy_get_header_map_value", "key"): b":method",
    ("proxy_get_metric", "metric_id"): 4,
    ("proxy_get_property", "path"): b"plugin_name",
    ("proxy_resolve_shared_queue", "vm_id"): b"",
    # Neither is lent in the callback.
    ("proxy_set_header_map_pairs", "map_type"): 7,
    ("proxy_set_buffer_bytes", "buffer_type"): 5,
}
VM_CONFIGURATION = b"configuration"


@dataclass(frozen=True)
class Call:
    """A call; the result of the allocator while it lasts, 0 for a good one.

    `reads_outside`: it names bytes that are not there; `also` is what the host may answer before it looks for them.
    """

    hostcall: Hostcall
    args: tuple[int, ...]
    allocation: int = 0
    reads_outside: bool = False
    also: tuple[Status, ...] = ()


class Texts:
    """Texts in the module's memory."""

    def __init__(self) -> None:
        self._content = bytearray()

    def address(self, text: bytes) -> int:
        """Put a text into the memory."""
        self._content += text
        return _TEXTS + len(self._content) - len(text)

    def data(self) -> str:
        """The segment."""
        assert _TEXTS + len(self._content) <= _STATUSES
        return f"(data {i32(_TEXTS)} {quoted(bytes(self._content))})"


Arguments = list[tuple[int, ...]]


def calls(texts: Texts) -> Iterator[Call]:
    """All of them, those of one hostcall after the other."""
    for hostcall in proxy_wasm_abi.load().hostcalls:
        good: Arguments = [_good(hostcall, value, texts) for value in hostcall.params]
        places = [_RESULT + 16 * index for index in range(len(hostcall.core_params) - sum(map(len, good)))]
        for args, also in _bad_arguments(hostcall, good):
            yield Call(hostcall, (*_flat(args), *places), reads_outside=True, also=also)
        for bad_places in _bad_places(places):
            yield Call(hostcall, (*_flat(good), *bad_places))
        # Envoy does not survive it when a foreign function's result cannot be allocated: a test of its own.
        if any(value.is_buffer for value in hostcall.returns) and hostcall.name != "proxy_call_foreign_function":
            for allocation in ALLOCATIONS:
                yield Call(hostcall, (*_flat(good), *places), allocation)


def _bad_arguments(hostcall: Hostcall, good: Arguments) -> Iterator[tuple[Arguments, tuple[Status, ...]]]:
    """Buffers that are not there, each by itself, then all of them beside numbers that are none."""
    buffers = [index for index, value in enumerate(hostcall.params) if value.is_buffer]
    if not buffers:
        return
    for index in buffers:
        for bad in BAD_BUFFERS:
            yield [*good[:index], bad, *good[index + 1 :]], ()
    all_bad = [BAD_BUFFERS[0] if index in buffers else known for index, known in enumerate(good)]
    for index in set(range(len(good))).difference(buffers):
        for number in NUMBERS:
            yield [*all_bad[:index], (number,), *all_bad[index + 1 :]], (Status.BAD_ARGUMENT,)


def _bad_places(places: list[int]) -> Iterator[list[int]]:
    """Places for results that are not there or not aligned, then places that overlap."""
    for index in range(len(places)):
        for bad in PLACES:
            yield [*places[:index], bad, *places[index + 1 :]]
    if len(places) > 1:
        yield [_RESULT] * len(places)
        yield [_RESULT + index for index in range(len(places))]


def places_of_addresses(hostcall: Hostcall) -> list[int]:
    """Which of the core parameters are addresses and sizes."""
    found: list[int] = []
    position = 0
    for value in hostcall.params:
        width = len(value.core_types)
        found += range(position, position + width) if value.is_buffer else ()
        position += width
    return [*found, *range(position, len(hostcall.core_params))]


def module(texts: Texts, every_call: list[Call]) -> str:
    """One that makes the calls in on_request_headers and logs a line for each hostcall: `name: statuses`, "a" for 0."""
    hostcalls = list(dict.fromkeys(call.hostcall for call in every_call))
    setup, made = [], []
    for hostcall in hostcalls:
        mine = [call for call in every_call if call.hostcall is hostcall]
        label = f"{hostcall.name}: ".encode()
        made += [
            f"(memory.copy {i32(_STATUSES)} {i32(texts.address(label))} {i32(len(label))})",
            *(_told(call, _STATUSES + len(label) + index) for index, call in enumerate(mine)),
            f"(drop (call $proxy_log (i32.const 2) {i32(_STATUSES)} {i32(len(label) + len(mine))}))",
        ]
    x = texts.address(b"x")
    setup = [
        f"(drop (call $proxy_set_shared_data {i32(x)} {i32(1)} {i32(x)} {i32(1)} {i32(0)}))",
        f"(drop (call $proxy_register_shared_queue {i32(x)} {i32(1)} {i32(_RESULT)}))",
        *[f"(drop (call $proxy_enqueue_shared_queue {i32(1)} {i32(x)} {i32(1)}))"] * 100,
        f"(drop (call $proxy_define_metric {i32(0)} {i32(x)} {i32(1)} {i32(_RESULT)}))",
    ]
    imports = [imported(hostcall) for hostcall in hostcalls if hostcall.name != "proxy_log"]
    return "\n".join(
        [
            LOG,
            *imports,
            MARKER,
            MEMORY,
            "(global $allocation (mut i32) (i32.const 0))",
            '(func (export "malloc") (param i32) (result i32)',
            "  (if (result i32) (global.get $allocation) (then (global.get $allocation)) (else (i32.const 16384))))",
            exported(
                "proxy_on_request_headers",
                MODULE_EXPORTS["proxy_on_request_headers"],
                "\n".join([*setup, *made, i32(0)]),
            ),
            texts.data(),
        ]
    )


def _told(call: Call, place: int) -> str:
    args = " ".join(
        f"(i64.const {value})" if kind == "i64" else i32(value)
        for kind, value in zip(call.hostcall.core_params, call.args, strict=True)
    )
    return (
        f"(global.set $allocation {i32(call.allocation)}) "
        f"(i32.store8 {i32(place)} (i32.add (i32.const 97) (call ${call.hostcall.name} {args})))"
    )


def _good(hostcall: Hostcall, value: Value, texts: Texts) -> tuple[int, ...]:
    given = _GOOD.get((hostcall.name, value.name), b"x" if value.is_buffer else 0)
    return (texts.address(given), len(given)) if isinstance(given, bytes) else (given,)


def _flat(values: Arguments) -> tuple[int, ...]:
    return tuple(number for value in values for number in value)
