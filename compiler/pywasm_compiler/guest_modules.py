"""Which modules the guest's standard library has: asked of the guest itself, kept as data in `guest_modules.json`.

After a change of the componentize-py version: `python -m pywasm_compiler.guest_modules`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("guest_modules.json")

_COMPONENTIZE = (sys.executable, "-c", "import componentize_py; componentize_py.script()")
_WORLD = "package pywasm:modules; world modules { export answer: func(); }"

# Importing is what tells. componentize-py shows the guest's output only when the guest fails, so it has to fail.
_GUEST_PROGRAM = """
import importlib, io, json, pkgutil, platform, sys

# Side effects, or programs rather than modules.
SKIPPED = {"antigravity", "ensurepip", "idlelib", "test", "this", "turtledemo"}

class WitWorld:
    def answer(self): pass

def walk(directory, prefix):
    for found in pkgutil.iter_modules([directory], prefix):
        if found.name.split(".")[0] not in SKIPPED and not found.name.endswith("__main__"):
            yield found.name
            if found.ispkg:
                yield from walk(directory + "/" + found.name.rpartition(".")[2], found.name + ".")

stderr, sys.stderr = sys.stderr, io.StringIO()
importable, missing = [], {}
for name in sorted({*walk("/python", ""), *sys.stdlib_module_names} - SKIPPED):
    try:
        importlib.import_module(name)
        importable.append(name)
    except BaseException as error:
        missing[name] = error.name if isinstance(error, ModuleNotFoundError) else name
# Modules without a file of their own, such as os.path and collections.abc.
made = {name for name in sys.modules if name.partition(".")[0] in sys.stdlib_module_names}
importable = sorted({*importable, *made} - {"__main__"})
sys.stderr = stderr
answer = {"python": platform.python_version(), "importable": importable, "missing": missing}
raise RuntimeError("<answer>" + json.dumps(answer) + "</answer>")
"""


@dataclass(frozen=True)
class GuestModules:
    """The guest's standard library: `importable` modules by dotted name, submodules included.

    `missing` has those that CPython ships and that cannot be imported there, with the module whose lack is the cause
    (the name itself when it is absent altogether). `python` is the guest's version of Python.
    """

    python: str
    importable: frozenset[str]
    missing: Mapping[str, str]

    def has_top_level(self, name: str) -> bool:
        """Whether the first part of a dotted name belongs to the guest's standard library, importable or not."""
        top = name.partition(".")[0]
        return top in self.importable or top in self.missing


@cache
def guest_modules() -> GuestModules:
    """Read the table. The result is shared and immutable."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    return GuestModules(table["python"], frozenset(table["importable"]), table["missing"])


def ask_guest() -> GuestModules:
    """Build a component that tries every module of its standard library, and read the answer. Takes ten seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        (directory / "world.wit").write_text(_WORLD, encoding="utf-8")
        (directory / "ask.py").write_text(_GUEST_PROGRAM, encoding="utf-8")
        run = subprocess.run(
            [*_COMPONENTIZE, "-d", "world.wit", "-w", "modules", "componentize", "ask", "-p", ".", "-o", "ask.wasm"],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
    start, end = run.stderr.rfind("<answer>{"), run.stderr.rfind("</answer>")
    if start < 0 or end < start:
        raise RuntimeError(f"the guest gave no answer:\n{run.stderr}")
    answer = json.loads(run.stderr[start + len("<answer>") : end])
    return GuestModules(answer["python"], frozenset(answer["importable"]), answer["missing"])


def render(modules: GuestModules) -> str:
    """The table as it is stored."""
    table = {
        "python": modules.python,
        "missing": dict(sorted(modules.missing.items())),
        "importable": sorted(modules.importable),
    }
    return json.dumps(table, indent=1) + "\n"


if __name__ == "__main__":
    TABLE.write_text(render(ask_guest()), encoding="utf-8")
