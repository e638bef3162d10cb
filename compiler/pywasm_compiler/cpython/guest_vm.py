"""The base image, running under wasmtime: the guest asks, the host answers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, NoReturn

import wasmtime

from pywasm_compiler.cpython.base import Loader
from pywasm_compiler.cpython.linker import RUN_SOURCE
from pywasm_compiler.cpython.memory import PAGE_SIZE
from pywasm_compiler.errors import CompileError

_OK, _NOT_FOUND = 0, 1
_LONG_AGO: Final = 946_684_800
"""2000-01-01 in seconds since the Unix epoch."""
_ASK: Final = "proxy_call_foreign_function"
_ALLOCATOR: Final = "proxy_on_memory_allocate"


def _unheard(_: bytes) -> None:
    """Messages that nobody wants."""


class GuestVm:
    """A guest of its own. `answer` gets its questions, each with an argument; None is for what is not there.

    `heard` gets the messages that it logs.
    """

    def __init__(
        self,
        engine: wasmtime.Engine,
        loader: Loader,
        answer: Callable[[str, bytes], bytes | None],
        heard: Callable[[bytes], None] = _unheard,
    ) -> None:
        self._answer = answer
        self._heard = heard
        self._store = wasmtime.Store(engine)
        self._time_ns = time_of_import() * 1_000_000_000
        functions: dict[str, Callable[..., int]] = {
            _ASK: self._ask,
            "proxy_get_current_time_nanoseconds": self._current_time,
            "proxy_log": self._log,
            "random_get": self._random,
        }
        imports = []
        for imported in loader.module.imports:
            assert isinstance(imported.type, wasmtime.FuncType)
            function = functions.get(imported.name or "", _refuse)
            imports.append(wasmtime.Func(self._store, imported.type, function))
        self._exports = wasmtime.Instance(self._store, loader.module, imports).exports(self._store)
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self._memory = memory
        memory.grow(self._store, len(loader.memory) // PAGE_SIZE - memory.size(self._store))
        memory.write(self._store, loader.memory, 0)

    def run(self, source: str) -> bool:
        """Run Python source; whether it came to its end. Raises wasmtime.Trap and wasmtime.WasmtimeError."""
        return self._call(RUN_SOURCE, self._put(source.encode() + b"\0")) == 0

    def memory(self) -> bytearray:
        """All of the memory."""
        return self._memory.read(self._store)

    def restore(self, memory: bytearray) -> None:
        """Make this the memory: that of a guest of the same code."""
        missing = len(memory) // PAGE_SIZE - self._memory.size(self._store)
        if missing > 0:
            self._memory.grow(self._store, missing)
        self._memory.write(self._store, memory, 0)

    def _call(self, name: str, *arguments: int) -> int:
        function = self._exports[name]
        assert isinstance(function, wasmtime.Func)
        result: int = function(self._store, *arguments)
        return result

    def _put(self, content: bytes) -> int:
        """The address of a copy in the guest's memory. The guest frees it."""
        address = self._call(_ALLOCATOR, len(content)) & 0xFFFF_FFFF
        if not address:
            raise MemoryError("the guest has no memory left")
        self._memory.write(self._store, content, address)
        return address

    def _read(self, address: int, size: int) -> bytes:
        start = address & 0xFFFF_FFFF
        return bytes(self._memory.read(self._store, start, start + (size & 0xFFFF_FFFF)))

    # --- hostcalls ---

    def _ask(self, name: int, name_size: int, arg: int, arg_size: int, result: int, result_size: int) -> int:
        answer = self._answer(self._read(name, name_size).decode(), self._read(arg, arg_size))
        if answer is None:
            return _NOT_FOUND
        for address, number in ((result, self._put(answer) if answer else 0), (result_size, len(answer))):
            self._memory.write(self._store, number.to_bytes(4, "little"), address)
        return _OK

    def _log(self, level: int, address: int, size: int) -> int:
        self._heard(self._read(address, size))
        return _OK

    def _current_time(self, result: int) -> int:
        self._memory.write(self._store, self._time_ns.to_bytes(8, "little"), result)
        return _OK

    def _random(self, address: int, size: int) -> int:
        self._memory.write(self._store, os.urandom(size), address)
        return _OK


def time_of_import() -> int:
    """Seconds since the Unix epoch: SOURCE_DATE_EPOCH, or long ago, so that the same sources make the same module."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not given:
        return _LONG_AGO
    if not given.isdecimal():
        raise CompileError(f"SOURCE_DATE_EPOCH is not a number of seconds: {given!r}", remedy="unset it, or correct it")
    return int(given)


def _refuse(*_: Any) -> NoReturn:
    raise RuntimeError("a hostcall while the filter is imported")
