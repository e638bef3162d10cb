"""The operations of the compact code.

Each is a byte, numbered in the order in which they are first needed, then its numbers, little-endian and unaligned. It
works on a frame in the shadow stack: the locals, then the operands, eight bytes each. Blocks have no code: branches say
how far it is to where they go.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple


class Kind(Enum):
    """What an operation does. In brackets are its numbers; `n` is one of as many bytes as the operation's `size`."""

    OPERATOR = auto()  # `detail` is the opcode, as for LOAD and STORE
    LOAD = auto()  # [offset: n]
    STORE = auto()  # [offset: n]
    LOAD_AT_LOCAL = auto()  # [local, offset: n] of the address in a local
    CONST = auto()  # [value: n] `detail` is the value type
    GET = auto()  # [local]
    GET_TWO = auto()  # [local, local]
    GET_AND_CONST = auto()  # [local, value: n] two operands
    SET = auto()  # [local]
    TEE = auto()  # [local]
    SET_CONST = auto()  # [local, value: n] local = value
    ADD_CONST = auto()  # [value: n] an i32
    LOCAL_PLUS_CONST = auto()  # [local, value: n] an i32
    STACK_POINTER_GET = auto()
    STACK_POINTER_SET = auto()
    DROP = auto()
    SELECT = auto()
    BRANCH = auto()  # [distance: n]
    BRANCH_IF = auto()  # [distance: n]
    BRANCH_UNLESS = auto()  # [distance: n]
    BRANCH_TABLE = auto()  # [count: 2, then distances: n, from the first of them]
    UNWIND = auto()  # [slots: 2] operands are dropped until that many slots are left; `detail`: so many stay on top
    RETURN = auto()  # `detail` is the number of results
    CALL_COLD = auto()  # [number: 2]
    CALL = auto()  # [type, element: 2] of the table
    CALL_INDIRECT = auto()  # [type]
    MEMORY_SIZE = auto()
    MEMORY_GROW = auto()
    MEMORY_COPY = auto()
    MEMORY_FILL = auto()
    UNREACHABLE = auto()


class Operation(NamedTuple):
    """An operation, in one of its sizes."""

    kind: Kind
    detail: int = 0
    size: int = 0


MAX_OPERATIONS: Final = 256
SLOT: Final = 8
"""Bytes of a local or operand."""

# What stands in front of a function's code: parameters, locals with these, slots of the frame (2 bytes, even).
HEAD_SIZE: Final = 4
