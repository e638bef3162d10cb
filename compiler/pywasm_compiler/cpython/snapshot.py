"""What the modules in a snapshot take: measured in the memory of a finished module, which the base image revives.

Nothing of the measuring gets into the module: it is done on a copy.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import wasmtime

from pywasm_compiler.breakdown import HEAP, Share, divided, heap_size
from pywasm_compiler.cpython.base import BaseImage
from pywasm_compiler.cpython.componentize import GUEST
from pywasm_compiler.cpython.guest_vm import GuestVm
from pywasm_compiler.cpython.memory import PAGE_SIZE, fill, page_count
from pywasm_compiler.engine import Progress
from pywasm_compiler.errors import CompileError
from pywasm_compiler.provenance import LAYOUT, record_of
from pywasm_compiler.wasm.model import Module

_MEASURE: Final = "pywasm_sizes"
_HOSTCALLS: Final = "pywasm_hostcalls"
_INFO: Final = 2
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
    return divided("snapshot", groups, heap_size(module), "tables of the interpreter")


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
    told: list[bytes] = []
    engine = wasmtime.Engine()
    guest = GuestVm(engine, base.loader(engine), _refuse, told.append)
    content = bytearray(page_count(module) * PAGE_SIZE)
    fill(content, module.data)
    guest.restore(content)
    ended = guest.run(
        f"exec(compile({source!r}, '<{_MEASURE}>', 'exec'), sizes := {{'__name__': {_MEASURE!r}}})\n"
        "import sys\n"
        f"sys.modules[{_HOSTCALLS!r}].proxy_log({_INFO}, repr(sizes['measure']({heap})).encode())\n"
    )
    if not ended or not told:
        raise CompileError("its snapshot cannot be measured: the interpreter in it reports an exception")
    sizes: dict[str, dict[str, Any]] = ast.literal_eval(told[-1].decode())
    return sizes


def _refuse(question: str, argument: bytes) -> None:
    """A snapshot asks nothing any more."""
