"""Glue between the canonical ABI, as componentize-py's libraries speak it, and the Proxy-Wasm ABI of the host.

The WIT world is chosen so that both nearly agree (see `proxy_wasm_abi.render`). What differs: a hostcall with results
lowers to a function that stores all of them, status first, at an address given as its last parameter; and an export
has a function to be called after it, which frees what the call has used.
"""

from __future__ import annotations

from typing import Final

from proxy_wasm_abi import Callback, Hostcall, Value

from pywasm_compiler.cpython.glue import Code, GlueFunction
from pywasm_compiler.wasm.model import FuncType, ValType

_CORE: Final = {"i32": ValType.I32, "i64": ValType.I64}
_STATUS_SIZE: Final = 4


def host_type(function: Hostcall | Callback) -> FuncType:
    """The core type of a function of the Proxy-Wasm ABI."""
    return FuncType(
        tuple(_CORE[core] for core in function.core_params), tuple(_CORE[core] for core in function.core_results)
    )


def lowered_type(hostcall: Hostcall) -> FuncType:
    """The core type that the canonical ABI gives a hostcall: what componentize-py's libraries import."""
    params = tuple(_CORE[core] for value in hostcall.params for core in value.core_types)
    if hostcall.returns:
        return FuncType((*params, ValType.I32))
    return FuncType(params, (ValType.I32,))


def result_offsets(hostcall: Hostcall) -> tuple[tuple[int, ValType], ...]:
    """Where the host stores the results in the canonical ABI's tuple: an offset and a type for each out-pointer.

    The tuple's first field is the status, a u32. Every field is aligned to its size, a list's two words to 4.
    """
    offsets = []
    end = _STATUS_SIZE
    for value in hostcall.returns:
        for field in _stored(value):
            size = 8 if field is ValType.I64 else 4
            start = (end + size - 1) // size * size
            offsets.append((start, field))
            end = start + size
    return tuple(offsets)


def _stored(value: Value) -> tuple[ValType, ...]:
    return tuple(_CORE[core] for core in value.core_types)


def buffer_params(hostcall: Hostcall) -> tuple[int, ...]:
    """The locals that hold the addresses of list arguments."""
    locals_ = []
    index = 0
    for value in hostcall.params:
        if value.is_buffer:
            locals_.append(index)
        index += len(value.core_types)
    return tuple(locals_)


def hostcall_trampoline(hostcall: Hostcall, imported: int, free: int) -> GlueFunction:
    """What a library calls for a hostcall: `imported` is the host's function, `free` libc's.

    Results are zeroed first, as a host need not store them when it fails. Each list argument is a copy that
    componentize-py 0.25.1 has allocated with malloc, an empty one too, and never frees.
    """
    signature = lowered_type(hostcall)
    results = result_offsets(hostcall)
    code = Code(signature)
    arguments = len(signature.params) - (1 if results else 0)
    address = arguments
    for offset, field in results:
        code.local_get(address)
        if field is ValType.I64:
            code.i64_const(0).i64_store(offset)
        else:
            code.i32_const(0).i32_store(offset)
    if results:
        code.local_get(address)
    for argument in range(arguments):
        code.local_get(argument)
    for offset, _ in results:
        code.local_get(address).i32_const(offset).i32_add()
    code.call(imported)
    if results:
        code.i32_store(0)
    for argument in buffer_params(hostcall):
        code.local_get(argument).call(free)
    return code.function(f"hostcall {hostcall.name}")


def missing_hostcall(hostcall: Hostcall) -> GlueFunction:
    """What stands for a hostcall that the module does not import: a trap, for nothing can call it."""
    return Code(lowered_type(hostcall)).unreachable().function(f"no hostcall {hostcall.name}")


def callback_wrapper(callback: Callback, lifted: int, post_return: int, flush: int) -> GlueFunction:
    """What the module exports for a callback.

    `lifted` is the library's export, `post_return` frees what it has used, and `flush` writes what has been printed
    without a line end: nothing is held back from the log until the next callback.
    """
    signature = host_type(callback)
    code = Code(signature)
    for argument in range(len(signature.params)):
        code.local_get(argument)
    code.call(lifted)
    if signature.results:
        result = code.local(signature.results[0])
        code.local_tee(result).local_get(result)
    code.call(post_return).call(flush)
    return code.function(f"callback {callback.name}")
