"""The module's exports: each calls a Python function by way of CPython's C API.

When a filter is loaded, a slot of the glue's memory gets the function. CPython's thread is attached since then (see
`platform.run_source`) and stays it: there is no other that could want the interpreter.
"""

from __future__ import annotations

from proxy_wasm_abi import Callback, load

from pywasm_compiler.cpython.core_types import host_type
from pywasm_compiler.cpython.glue import I32, Code, GlueFunction
from pywasm_compiler.cpython.python_api import ARGUMENTS_OFFSET, POINTER, Frame, branch_if_failed
from pywasm_compiler.cpython.symbols import Symbols
from pywasm_compiler.wasm.model import FuncType

START = "start"
"""What is called before the first callback, once: () -> object."""


def callback_slots() -> tuple[str, ...]:
    """What the slots are for, in their order."""
    return (START, *(callback.name for callback in load().callbacks))


def call_start(symbols: Symbols, slot: int, fail: int) -> GlueFunction:
    """() -> (): call what is to be called first, and empty its slot. `fail` shows an exception and traps."""
    code = Code(FuncType())
    function = code.local(I32)
    result = code.local(I32)
    decref = symbols.function("Py_DecRef")
    code.i32_const(slot).i32_load().local_set(function)
    code.i32_const(slot).i32_const(0).i32_store()
    code.local_get(function).call(symbols.function("PyObject_CallNoArgs")).local_tee(result)
    code.i32_eqz().if_().call(fail).end()
    code.local_get(result).call(decref)
    return code.function("start")


def callback(entry: Callback, symbols: Symbols, slots: dict[str, int], start: int, fail: int) -> GlueFunction:
    """What the module exports for a callback.

    `slots` are addresses of functions, `start` is `call_start`, and `fail` shows an exception and traps. What has been
    printed without a line end is written afterwards: nothing is held back from the log until the next callback.
    """
    signature = host_type(entry)
    code = Code(signature)
    count = len(signature.params)
    frame = Frame(code, POINTER * (1 + count))  # the first place is the callee's
    result = code.local(I32)
    number = code.local(I32)
    decref = symbols.function("Py_DecRef")
    code.i32_const(slots[START]).i32_load().if_().call(start).end()
    frame.take(code)
    code.block().block()
    for argument in range(count):
        place = POINTER * (1 + argument)
        code.local_get(frame.address)
        code.local_get(argument).call(symbols.function("PyLong_FromUnsignedLong")).local_tee(result)
        code.i32_store(place)
        code.local_get(result).i32_eqz().br_if(0)
    code.i32_const(slots[entry.name]).i32_load()
    code.local_get(frame.address).i32_const(POINTER).i32_add()
    code.i32_const(count | ARGUMENTS_OFFSET).i32_const(0)
    code.call(symbols.function("PyObject_Vectorcall")).local_tee(result).i32_eqz().br_if(0)
    if signature.results:
        code.local_get(result).call(symbols.function("PyLong_AsLong")).local_set(number)
        branch_if_failed(code, symbols, number, 0)
    code.br(1).end()
    code.call(fail)
    code.end()
    for argument in range(count):
        code.local_get(frame.address).i32_load(POINTER * (1 + argument)).call(decref)
    code.local_get(result).call(decref)
    frame.give_back(code)
    code.call(symbols.flush)
    if signature.results:
        code.local_get(number)
    return code.function(f"callback {entry.name}")
