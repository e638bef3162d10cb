"""A pytest plugin for `tools/compiled_functions.py`: which functions of their modules run while tests run.

Modules are built with all functions compiled, and each function gets two instructions more that set a byte of its own
behind the module's memory. What runs before the first callback is not counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pywasm_compiler.cpython.engine import CPythonEngine
from pywasm_compiler.cpython.linker import GLUE_PREFIX
from pywasm_compiler.engine import Options, Program, Progress
from pywasm_compiler.wasm.code import insert_at_entry
from pywasm_compiler.wasm.leb128 import encode_signed
from pywasm_compiler.wasm.model import Limits, MemoryType
from pywasm_compiler.wasm.names import module_names
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

from pywasm_filter.testing.guests import wasmtime_guest
from pywasm_filter.testing.guests.module_image import ModuleImage, split_module

OUTPUT = "PYWASM_FUNCTIONS_FILE"
"""The environment variable that names the file to write: a name on each line."""

_LEAST = 5_000
"""A module with fewer functions is no interpreter."""
_PAGE = 1 << 16
_I32_CONST, _ONE, _I32_STORE8 = b"\x41", b"\x41\x01", b"\x3a\x00\x00"


class Recorder:
    """The functions that have run, by name."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._layouts: dict[int, tuple[tuple[tuple[int, bytearray], ...], int, list[str]]] = {}

    def split(self, data: bytes) -> ModuleImage:
        """`split_module` of a module that records."""
        module = read_module(data)
        if len(module.functions) < _LEAST:
            return split_module(data)
        names = module_names(module).functions
        pages = module.memories[0].limits.minimum
        functions = [
            replace(
                function,
                body=insert_at_entry(
                    function.body, _I32_CONST + encode_signed(pages * _PAGE + number) + _ONE + _I32_STORE8
                ),
            )
            for number, function in enumerate(module.functions)
        ]
        image = split_module(
            write_module(replace(module, functions=functions, memories=[MemoryType(Limits(pages + 1))]))
        )
        ordered = [names.get(number + len(module.imports), "") for number in range(len(functions))]
        self._layouts[id(image.runs)] = image.runs, pages * _PAGE, ordered  # it keeps them, so that the id stays theirs
        return image

    def read(self, image: ModuleImage, guest: wasmtime_guest.WasmtimeGuest) -> None:
        """Take note of what has run in a guest."""
        if id(image.runs) in self._layouts:
            _, address, names = self._layouts[id(image.runs)]
            flags = guest.memory.read(address, len(names)) or b""
            self.names.update(name for name, flag in zip(names, flags, strict=True) if flag)


def pytest_configure(config: pytest.Config) -> None:
    """Record from now on."""
    config.stash[_RECORDER] = recorder = Recorder()
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    compile_ = CPythonEngine.compile
    initialise, enter = wasmtime_guest.WasmtimeGuest.__init__, wasmtime_guest.WasmtimeGuest._enter
    images: dict[int, ModuleImage] = {}

    def compile_all(engine: CPythonEngine, program: Program, options: Options, progress: Progress) -> bytes:
        return compile_(engine, program, replace(options, compile_all=True), progress)

    def initialise_recorded(guest: Any, module: Any, image: ModuleImage, *rest: Any) -> None:
        images[id(guest)] = image
        initialise(guest, module, image, *rest)

    def enter_recorded(guest: Any, *arguments: Any) -> int | None:
        try:
            return enter(guest, *arguments)
        finally:
            if not guest._discarded:
                recorder.read(images[id(guest)], guest)

    patch.setattr(CPythonEngine, "compile", compile_all)
    patch.setattr(wasmtime_guest, "split_module", recorder.split)
    patch.setattr(wasmtime_guest.WasmtimeGuest, "__init__", initialise_recorded)
    patch.setattr(wasmtime_guest.WasmtimeGuest, "_enter", enter_recorded)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Write what has run."""
    yield
    names = {name for name in session.config.stash[_RECORDER].names if name and not name.startswith(GLUE_PREFIX)}
    Path(os.environ[OUTPUT]).write_text("".join(f"{name}\n" for name in sorted(names)), encoding="utf-8")


_RECORDER = pytest.StashKey[Recorder]()
