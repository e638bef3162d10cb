"""What the modules in a snapshot take: measured in the memory of a finished module, which the base image revives.

Nothing of the measuring gets into the module: it is done on a copy.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import wasmtime

from pywasm_compiler.breakdown import HEAP, Share, divided, heap_size
from pywasm_compiler.cpython.base import BaseImage
from pywasm_compiler.cpython.componentize import GUEST
from pywasm_compiler.cpython.linker import RUN_SOURCE
from pywasm_compiler.cpython.memory import PAGE_SIZE, fill, page_count
from pywasm_compiler.engine import Progress
from pywasm_compiler.errors import CompileError
from pywasm_compiler.provenance import LAYOUT, record_of
from pywasm_compiler.wasm.model import Module

_MEASURE: Final = "pywasm_sizes"
_HOSTCALLS: Final = "pywasm_hostcalls"
_INFO: Final = 2
_U32: Final = 0xFFFF_FFFF
_STANDARD_LIBRARY: Final = "/python/"
_ENGINE_DIRECTORIES: Final = ("/0/", "/world/", "/bundled/")
_SDK: Final = "pywasm_filter"
_INTERPRETER: Final = {
    "(shared)": "shared by several packages",
    "(interpreter)": "the interpreter's own objects",
}


def snapshot_shares(module: Module, path: Path, progress: Progress) -> Share:
    """The snapshot of a module by package and module.

    Raises CompileError for a module that this version of the compiler has not made.
    """
    record = record_of(module)
    base = BaseImage(progress)
    if record.get("build", {}).get("image") != base.identity:
        raise CompileError(
            "its snapshot cannot be measured: it was made by another version of pywasm-filter or componentize-py",
            path,
            remedy="build it anew, or inspect it with the version that made it",
        )
    sizes = _measured(base, module, record[LAYOUT]["memory"][HEAP])
    packages: dict[str, dict[str, list[Share]]] = {}
    distributions = {top: entry["name"] for entry in record.get("packages", ()) for top in entry["modules"]}
    for name, entry in sizes.items():
        group, package = _place(name, entry["file"], distributions)
        packages.setdefault(group, {}).setdefault(package, []).append(
            Share(_INTERPRETER.get(name, name), entry["size"])
        )
    groups = (
        divided(group, (_package(name, modules) for name, modules in found.items()))
        for group, found in packages.items()
    )
    return divided("snapshot", groups, heap_size(module), "free blocks and tables of the interpreter")


def _package(name: str, modules: list[Share]) -> Share:
    if len(modules) == 1 and modules[0].name == name:
        return modules[0]
    return divided(name, modules)


def _place(module: str, file: str, distributions: Mapping[str, str]) -> tuple[str, str]:
    """The group and the package that a module of the guest counts to."""
    top = module.partition(".")[0]
    if module in _INTERPRETER:
        return "interpreter", _INTERPRETER[module]
    if not file or file.startswith(_STANDARD_LIBRARY):
        return "standard library", top
    if file.startswith(_ENGINE_DIRECTORIES):
        return "engine", top
    if top == _SDK:
        return "SDK", top
    if top in distributions:
        return "packages", distributions[top]
    return "filter", top


def _measured(base: BaseImage, module: Module, heap: int) -> dict[str, dict[str, Any]]:
    source = (GUEST / f"{_MEASURE}.py").read_text(encoding="utf-8")
    revived = _Revived(base, module)
    told = revived.run(
        f"exec(compile({source!r}, '<{_MEASURE}>', 'exec'), sizes := {{'__name__': {_MEASURE!r}}})\n"
        "import sys\n"
        f"sys.modules[{_HOSTCALLS!r}].proxy_log({_INFO}, repr(sizes['measure']({heap})).encode())\n"
    )
    if told is None:
        raise CompileError("its snapshot cannot be measured: the interpreter in it reports an exception")
    sizes: dict[str, dict[str, Any]] = ast.literal_eval(told)
    return sizes


class _Revived:
    """The base image with the memory of a module."""

    def __init__(self, base: BaseImage, module: Module) -> None:
        engine = wasmtime.Engine()
        loader = base.loader(engine)
        self._store = wasmtime.Store(engine)
        self._told: str | None = None
        imports = []
        for imported in loader.module.imports:
            assert isinstance(imported.type, wasmtime.FuncType)
            function: Callable[..., int] = self._log if imported.name == "proxy_log" else _refuse
            imports.append(wasmtime.Func(self._store, imported.type, function))
        self._exports = wasmtime.Instance(self._store, loader.module, imports).exports(self._store)
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self._memory = memory
        content = bytearray(page_count(module) * PAGE_SIZE)
        fill(content, module.data)
        if (missing := page_count(module) - memory.size(self._store)) > 0:
            memory.grow(self._store, missing)
        memory.write(self._store, content, 0)

    def run(self, source: str) -> str | None:
        """What a program logs in the end; None if it raises an exception."""
        program = source.encode() + b"\0"
        address = self._call("proxy_on_memory_allocate", len(program)) & _U32
        self._memory.write(self._store, program, address)
        return self._told if self._call(RUN_SOURCE, address) == 0 else None

    def _call(self, name: str, *arguments: int) -> int:
        function = self._exports[name]
        assert isinstance(function, wasmtime.Func)
        result: int = function(self._store, *arguments)
        return result

    def _log(self, level: int, address: int, size: int) -> int:
        start = address & _U32
        self._told = self._memory.read(self._store, start, start + size).decode()
        return 0


def _refuse(*_: int) -> int:
    raise RuntimeError("a hostcall while a snapshot is measured")
