"""componentize-py as the maker of the base image: CPython becomes a component, its heap snapshot included."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from pywasm_compiler.errors import CompileError

_WORKER: Final = Path(__file__).with_name("componentize_worker.py")
GUEST: Final = Path(__file__).with_name("guest")
"""Our own part of what runs before the snapshot."""
_APP_MODULE: Final = "pywasm_app"
_APP_SOURCE: Final = "import pywasm_entry\n"
_WORLD: Final = "pywasm:base/guest"
_WIT: Final = "package pywasm:base;\nworld guest {}\n"
"""Nothing goes in or out by way of componentize-py's runtime: the linker adds that."""
_COPY: Final = "stdlib"
"""Where the entry module puts the standard library's source, beside itself."""
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)


class Made(NamedTuple):
    """The component, and a ZIP file with the source of its standard library."""

    component: bytes
    standard_library: bytes


def componentize() -> Made:
    """The base: CPython, and no filter. Raises CompileError."""
    with tempfile.TemporaryDirectory(prefix="pywasm-") as name:
        workspace = Path(name)
        entry = workspace / "entry"
        output = workspace / "component.wasm"
        entry.mkdir()
        for file in GUEST.glob("*.py"):
            shutil.copyfile(file, entry / file.name)
        (entry / f"{_APP_MODULE}.py").write_text(_APP_SOURCE, encoding="utf-8")
        (workspace / "base.wit").write_text(_WIT, encoding="utf-8")
        completed = _run(workspace, workspace / "base.wit", [str(entry)], output)
        if completed.returncode != 0:
            raise CompileError(
                "componentize-py failed", detail=completed.stderr or f"exit status {completed.returncode}"
            )
        return Made(output.read_bytes(), _zipped(entry / _COPY))


def _zipped(directory: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in directory.rglob("*") if path.is_file()):
            name = file.relative_to(directory).as_posix()
            archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), file.read_bytes(), zipfile.ZIP_DEFLATED)
    return content.getvalue()


def _run(workspace: Path, wit: Path, search_path: list[str], output: Path) -> subprocess.CompletedProcess[str]:
    spec = find_spec("componentize_py")
    if spec is None or spec.origin is None:
        raise CompileError("componentize-py is not installed", remedy="install pywasm-filter with its dependencies")
    scratch = workspace / "scratch"
    scratch.mkdir()
    request = {
        "package_directory": str(Path(spec.origin).parent.parent),
        "arguments": {
            "wit_path": [str(wit)],
            "worlds": [_WORLD],
            "features": [],
            "all_features": False,
            "world_module": None,
            "python_path": search_path,
            "module_worlds": [],
            "app_name": _APP_MODULE,
            "output_path": str(output),
            "stub_wasi": False,
            "import_interface_names": [],
            "export_interface_names": [],
            "full_names": False,
            "intersect_world": None,
        },
    }
    # The tool unpacks a standard library to the temporary directory: in ours it cannot be left behind.
    temporary = dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(scratch))
    return subprocess.run(
        [sys.executable, "-I", str(_WORKER)],
        input=json.dumps(request),
        env={**os.environ, **temporary, "RUST_BACKTRACE": "0", "RUST_LIB_BACKTRACE": "0"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
