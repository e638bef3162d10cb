"""Functions of the libraries that the module has in a form of its own.

WASI has no error for some things that a proxy cannot do, such as to wait: they are refused one level up, in wasi-libc.
Others would end the VM by design: Python's own function raises OSError instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from pywasm_compiler.cpython.glue import I32, Code, GlueFunction
from pywasm_compiler.cpython.symbols import Symbols
from pywasm_compiler.wasm.model import FuncType

ENOTSUP: Final = 58
EDEADLK: Final = 16
"""Error numbers of wasi-libc."""

LIBC: Final = "libc.so"
PYTHON: Final = "libpython3.14.so"


Replacement: TypeAlias = Callable[[Code, Symbols], object]
"""Writes the body of a function whose signature is the code's."""


def _set_errno(code: Code, symbols: Symbols, number: int = ENOTSUP) -> None:
    code.call(symbols.function("__errno_location")).i32_const(number).i32_store()


def _returns_error_number(code: Code, symbols: Symbols) -> None:
    code.i32_const(ENOTSUP)


def _returns_minus_one(code: Code, symbols: Symbols) -> None:
    _set_errno(code, symbols)
    code.i32_const(-1)


def _raises_os_error(code: Code, symbols: Symbols, number: int = ENOTSUP) -> None:
    """For a function of Python's that returns an object: null, with an exception set."""
    _set_errno(code, symbols, number)
    code.i32_const(symbols.address("PyExc_OSError")).i32_load().call(symbols.function("PyErr_SetFromErrno"))


def _random(code: Code, symbols: Symbols) -> None:
    """(address, size) -> error number. Its only caller asks for 256 bytes at most; hosts give 64 KiB and more."""
    code.local_get(0).local_get(1).call(symbols.random_get)


def _wait_without_end(code: Code, symbols: Symbols) -> None:
    """pthread_cond_wait. There is one thread: what it waits for never comes, so the wait is to end in OSError.

    Python takes the return for an interruption by a signal and runs what is pending: that raises. A lock inside the
    interpreter that does not take interruptions would spin, and traps.
    """
    code.i32_const(symbols.scratch.deadlock).i32_load().if_()
    _abort(code, symbols)
    code.end()
    code.i32_const(symbols.scratch.deadlock).i32_const(1).i32_store()
    code.i32_const(symbols.pointer(_raise_deadlock(symbols))).i32_const(0)
    code.call(symbols.function("Py_AddPendingCall")).drop()
    code.i32_const(0)


def _raise_deadlock(symbols: Symbols) -> GlueFunction:
    """A pending call: (argument) -> -1, with an exception set."""
    code = Code(FuncType((I32,), (I32,)))
    code.i32_const(symbols.scratch.deadlock).i32_const(0).i32_store()
    _raises_os_error(code, symbols, EDEADLK)
    code.drop().i32_const(-1)
    return code.function("deadlock")


def _abort(code: Code, symbols: Symbols) -> None:
    code.call(symbols.flush).unreachable()


REPLACED: Final[Mapping[str, Mapping[str, Replacement]]] = {
    LIBC: {
        "clock_nanosleep": _returns_error_number,
        "poll": _returns_minus_one,
        "pthread_cond_wait": _wait_without_end,
        "__wasilibc_random": _random,
        "abort": _abort,
    },
    PYTHON: {
        "os_abort": _raises_os_error,
        "os__exit": _raises_os_error,
        "signal_raise_signal": _raises_os_error,
        "faulthandler_read_null": _raises_os_error,
        "faulthandler_sigsegv": _raises_os_error,
        "faulthandler_sigabrt": _raises_os_error,
        "faulthandler_sigfpe": _raises_os_error,
        "faulthandler_fatal_error_c_thread": _raises_os_error,
    },
}
"""Library -> function, by its name in the name section -> what its body becomes."""
