"""CPython's frozen modules: code in its static data, from which it starts, and of which a proxy has no use.

Those that are loaded stay loaded. The finder of frozen modules is not among those of a proxy.
"""

from __future__ import annotations

import ast
from typing import Final

import wasmtime

from pywasm_compiler.cache import SmallEntries
from pywasm_compiler.cpython.base import Loader
from pywasm_compiler.cpython.guest_vm import GuestVm
from pywasm_compiler.cpython.libraries import LinkError

_PROGRAM: Final = """
import _imp, pywasm_hostcalls

for name in _imp._frozen_module_names():
    if (found := _imp.find_frozen(name, withdata=True)) is not None:
        pywasm_hostcalls.proxy_call_foreign_function(b"frozen", bytes(found[0]))
"""


def frozen_ranges(engine: wasmtime.Engine, loader: Loader, entries: SmallEntries) -> list[tuple[int, int]]:
    """Where the code of the frozen modules is in the memory, as begin and end.

    The guest shows the code, it is found by its content. Raises LinkError when it is not found once.
    """
    key = f"frozen-{loader.identity}"
    found: list[tuple[int, int]] = ast.literal_eval(entries.get(key, lambda: _find(engine, loader)).decode())
    return found


def _find(engine: wasmtime.Engine, loader: Loader) -> bytes:
    contents: set[bytes] = set()

    def answer(question: str, argument: bytes) -> None:
        contents.add(argument)

    GuestVm(engine, loader, answer).run(_PROGRAM)
    static = loader.memory[: loader.heap]
    ranges = []
    for content in sorted(contents):
        begin = static.find(content, loader.stack_top)
        if begin < 0 or static.find(content, begin + 1) >= 0:
            raise LinkError("a frozen module of CPython's is not in its static data, or more than once")
        ranges.append((begin, begin + len(content)))
    return repr(sorted(ranges)).encode()
