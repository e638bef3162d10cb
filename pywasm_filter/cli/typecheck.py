"""mypy in strict mode over a filter, its findings as ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from pywasm_compiler.cache import cache_directory
from pywasm_compiler.engine import Progress
from pywasm_compiler.errors import CompileError
from pywasm_compiler.findings import Finding, errors_of
from pywasm_compiler.search import environment_path

_MYPY = (sys.executable, "-P", "-m", "mypy", "--strict", "--output", "json", "--no-error-summary", "--no-pretty")
_REMEDIES = {
    "no-untyped-def": "annotate the parameters and the result",
    "type-arg": "name the type's parameters in brackets: dict[str, int]",
    "override": "give the method the signature that the base class has",
    "import-untyped": "install the package's type stubs, or add `# type: ignore[import-untyped]`",
    "union-attr": "test for None first",
    "no-any-return": "give the value a type before it is returned",
}
_REFERENCE = "https://mypy.readthedocs.io/en/stable/_refs.html#code-"


def type_errors(path: Path) -> list[Finding]:
    """What `mypy --strict` says of a filter and the modules beside it.

    A mypy configuration in the filter's project counts. Raises CompileError when mypy itself fails.
    """
    directory = path.parent.resolve()
    run = subprocess.run(
        [*_MYPY, "--cache-dir", str(cache_directory("mypy")), "--", path.name],
        cwd=directory,
        # The interpreter's own path, so that mypy finds what an import of the filter finds.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(entry) for entry in environment_path())},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    lines = run.stdout.splitlines()
    if run.returncode not in (0, 1) and not any(line.startswith("{") for line in lines):
        raise CompileError("mypy cannot check it", path, remedy="see what mypy says", detail=run.stdout + run.stderr)
    return [_finding(json.loads(line), path) for line in lines if line.startswith("{")]


def refuse_type_errors(path: Path, progress: Progress) -> None:
    """Raise CompileError for what mypy finds."""
    progress("Checking the types")
    if error := errors_of(type_errors(path)):
        raise error


def _finding(found: dict[str, object], path: Path) -> Finding:
    file, line, code, hint = found["file"], found["line"], found["code"], found["hint"]
    remedy = str(
        hint or _REMEDIES.get(str(code)) or (f"see {_REFERENCE}{code}" if code else "see mypy's documentation")
    )
    return Finding(
        "types",
        f"{found['message']}{f' [{code}]' if code else ''}",
        path.parent / str(file),
        line if isinstance(line, int) and line > 0 else None,
        " ".join(remedy.split()),
    )
