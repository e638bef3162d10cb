"""CPython's guard against deep recursion, made to see the stack that it guards.

CPython ends a recursion in C, such as that of `json.loads("[[[…")`, with RecursionError when its stack pointer comes
near the end of the stack. In WebAssembly that is the pointer of the shadow stack in memory, which holds only what has
an address. The frames themselves are on the host's stack, where no code can look, and its end is a trap that kills the
VM: a request body could do that.

So every function that checks the depth takes bytes from the shadow stack in proportion to what the host's stack has
given since the last check, and the limits are set to where the host's stack still has room. Measured was the depth at
which it ends: in V8, with its 984 KiB, and in wasmtime, with 512 KiB. The limits stop at about 60 % of the lesser one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

from pywasm_compiler.cpython.libraries import Library, LinkError
from pywasm_compiler.wasm.code import iter_instructions
from pywasm_compiler.wasm.format import I32_CONST
from pywasm_compiler.wasm.leb128 import encode_signed, encode_unsigned
from pywasm_compiler.wasm.model import DataSegment, FuncType, Instruction, SegmentMode

CHECKS: Final = (
    "_Py_CheckRecursiveCall",
    "_Py_ReachedRecursionLimitWithMargin",
    "_Py_EnterRecursiveCall",
    "Py_EnterRecursiveCall",
)
"""Functions that a guarded function calls to check the depth, or when a check of its own fails."""

COSTS: Final = {
    # Its frame is the largest of all, in V8 most of the 3.7 kB between two calls from C to Python.
    "_PyEval_EvalFrameDefault": 4608,
    "_Py_Dealloc": 896,
}
"""Guarded functions that have all of the check in them."""

COST: Final = 896
PARSER_COST: Final = 384
"""The functions of the parser are small and many. They also count their depth themselves, to at most 4,000."""

_PARSER_SUFFIX: Final = "_rule"

SOFT_LIMIT: Final = 160 * 1024
"""Where RecursionError is raised. Below it there must be room for the largest frames: 128 KiB for the product of huge
decimal numbers, 48 KiB for select."""

HARD_LIMIT: Final = 64 * 1024
"""Where the interpreter gives up, when handling the RecursionError goes still deeper."""

_LIMITS_BEFORE: Final = (16 * 1024, 8 * 1024)
"""What CPython sets on its own: it takes all of the shadow stack."""

_RUNTIME_SIZE: Final = 0x10_0000
"""Bytes to look through; more than `_PyRuntime` takes."""

_BLOCK, _LOOP, _IF, _END, _BR, _RETURN = 0x02, 0x03, 0x04, 0x0B, 0x0C, 0x0F
_CALL, _GLOBAL_GET, _GLOBAL_SET, _I32_CONST, _I32_ADD, _I32_SUB = 0x10, 0x23, 0x24, 0x41, 0x6A, 0x6B
_NO_RESULT: Final = 0x40


def guarded_functions(python: Library) -> dict[int, int]:
    """The functions of CPython's library that check the depth, by index, and the bytes that each is to take."""
    checks = {index for name in CHECKS for index in python.functions_named(name)}
    calls = [encoding for index in checks for encoding in _encodings_of_call(index)]
    guarded = {python.function_named(name): cost for name, cost in COSTS.items()}
    for index, function in enumerate(python.module.functions, len(python.imported_functions)):
        # Found are the bytes of a call wherever they stand: a function too many that takes stack does no harm.
        if index not in checks and index not in guarded and any(call in function.body for call in calls):
            guarded[index] = PARSER_COST if python.names.get(index, "").endswith(_PARSER_SUFFIX) else COST
    return guarded


def _encodings_of_call(index: int) -> Iterator[bytes]:
    """A call as short as can be, and as linkers leave it: with the index padded to five bytes."""
    yield bytes([_CALL]) + encode_unsigned(index)
    yield bytes([_CALL, *(index >> shift & 0x7F | 0x80 for shift in (0, 7, 14, 21)), index >> 28])


def take_stack(body: bytes, signature: FuncType, stack_pointer: int, size: int) -> bytes:
    """The body, with `size` bytes of shadow stack taken while it runs. `stack_pointer` is the index of that global.

    The code becomes a block, and where it returned it goes to the end of that.
    """
    instructions = list(iter_instructions(body))
    start, end = instructions[0].offset, instructions[-1].offset
    result = signature.results[0] if signature.results else _NO_RESULT
    parts = [body[:start], _move(stack_pointer, size, _I32_SUB), bytes([_BLOCK, result])]
    copied = start
    depth = 0
    for instruction in instructions[:-1]:
        if instruction.opcode in (_BLOCK, _LOOP, _IF):
            depth += 1
        elif instruction.opcode == _END:
            depth -= 1
        elif instruction.opcode == _RETURN:
            parts += [body[copied : instruction.offset], bytes([_BR]), encode_unsigned(depth)]
            copied = instruction.offset + 1
    parts += [body[copied:end], bytes([_END]), _move(stack_pointer, size, _I32_ADD), bytes([_END])]
    return b"".join(parts)


def _move(stack_pointer: int, size: int, operation: int) -> bytes:
    index = encode_unsigned(stack_pointer)
    constant = bytes([_I32_CONST]) + encode_signed(size)
    return bytes([_GLOBAL_GET]) + index + constant + bytes([operation, _GLOBAL_SET]) + index


def limits_segment(segments: Iterable[DataSegment], stack_top: int, runtime: int) -> DataSegment:
    """A data segment that sets other limits, to come behind those of the snapshot.

    The limits stand in the state of CPython's only thread, behind the top of the stack; that is in `_PyRuntime`, whose
    address is `runtime`.
    """
    before = struct.pack("<3I", stack_top, *_LIMITS_BEFORE)
    region = _memory(segments, runtime, _RUNTIME_SIZE)
    if region.count(before) != 1:
        raise LinkError(f"the snapshot holds CPython's limits of the stack {region.count(before)} times")
    address = runtime + region.index(before) + 4
    content = struct.pack("<2I", SOFT_LIMIT, HARD_LIMIT)
    return DataSegment(SegmentMode.ACTIVE, content, offset=(Instruction(I32_CONST, address),))


def _memory(segments: Iterable[DataSegment], start: int, size: int) -> bytes:
    """A part of the memory as the segments fill it."""
    region = bytearray(size)
    for segment in segments:
        address = segment.offset[0].immediate
        assert isinstance(address, int)  # the linker has made a constant of it
        position = address - start
        content = segment.content[max(0, -position) : max(0, size - position)]
        position = max(0, position)
        region[position : position + len(content)] = content
    return bytes(region)
