"""What the glue knows of CPython's C API: the layout of its objects on a machine of 32 bits, and steps that recur."""

from __future__ import annotations

from typing import Final

from pywasm_compiler.cpython.glue import I32, Code, GlueFunction
from pywasm_compiler.cpython.layout import STACK_POINTER_INDEX
from pywasm_compiler.cpython.symbols import Symbols
from pywasm_compiler.wasm.model import FuncType

POINTER: Final = 4
OBJECT_TYPE: Final = 4
"""Offset of `ob_type`."""
OBJECT_SIZE: Final = 8
"""Offset of `ob_size`."""
BYTES_CONTENT: Final = 16
"""Offset of a bytes object's content: the size and a hash stand before it."""
ARGUMENTS_OFFSET: Final = 0x8000_0000
"""PY_VECTORCALL_ARGUMENTS_OFFSET: the callee may write to the place before the first argument."""

_STACK_ALIGNMENT: Final = 16


class Frame:
    """A piece of the shadow stack that a function has while it runs; `address` is a local with its begin."""

    def __init__(self, code: Code, size: int) -> None:
        self.address = code.local(I32)
        self._size = -(-size // _STACK_ALIGNMENT) * _STACK_ALIGNMENT

    def take(self, code: Code) -> None:
        """Move the stack pointer down."""
        code.global_get(STACK_POINTER_INDEX).i32_const(self._size).i32_sub().local_tee(self.address)
        code.global_set(STACK_POINTER_INDEX)

    def give_back(self, code: Code) -> None:
        """Move it up again."""
        code.local_get(self.address).i32_const(self._size).i32_add().global_set(STACK_POINTER_INDEX)


def branch_if_failed(code: Code, symbols: Symbols, value: int, depth: int, *, wide: bool = False) -> None:
    """Branch after a conversion to the integer in local `value` that failed: it is -1, and an exception is set."""
    code.local_get(value)
    if wide:
        code.i64_const(-1).i64_eq()
    else:
        code.i32_const(-1).i32_eq()
    code.if_().call(symbols.function("PyErr_Occurred")).br_if(depth + 1).end()


def show_and_trap(symbols: Symbols) -> GlueFunction:
    """() -> (): log the exception that is set, and end the VM: the proxy handles that by its own policy."""
    code = Code(FuncType())
    error = code.local(I32)
    code.call(symbols.function("PyErr_GetRaisedException")).local_tee(error).if_()
    code.local_get(error).call(symbols.function("PyErr_DisplayException"))
    code.end()
    code.call(symbols.flush).unreachable()
    return code.function("show exception")
