"""Writes the list of the functions of CPython that are compiled: those that run in filters. All others are interpreted.

    python tools/compiled_functions.py

It runs tests under wasmtime, with modules that record their functions: the examples, the SDK's faces, and filters that
ask much of the language and the standard library. That takes some minutes. A new version of componentize-py asks for a
new list.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pywasm_compiler.cpython.cold.selection import COMPILED_FUNCTIONS

_ROOT = Path(__file__).parent.parent
_TESTS = ("examples", "tests/conformance/test_standard_library.py", "tests/faces")
_HEADER = (
    "# Made by tools/compiled_functions.py: functions of CPython that run in filters. All others are interpreted.\n"
)


def main() -> int:
    """Run the tests and write the list. Returns pytest's status if tests fail."""
    with tempfile.TemporaryDirectory() as directory:
        names = Path(directory) / "names"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]),
            "XDG_CACHE_HOME": directory,
            "PYWASM_FUNCTIONS_FILE": str(names),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tools.function_recorder", "--pywasm-host=wasmtime"]
        tested = subprocess.run([*command, *_TESTS], cwd=_ROOT, env=environment, check=False)
        if tested.returncode != 0:
            return tested.returncode
        found = names.read_text(encoding="utf-8")
    scratch = COMPILED_FUNCTIONS.with_suffix(".new")
    scratch.write_text(_HEADER + found, encoding="utf-8")
    scratch.replace(COMPILED_FUNCTIONS)
    print(f"{COMPILED_FUNCTIONS}: {found.count(chr(10))} functions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
