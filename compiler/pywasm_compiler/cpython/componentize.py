"""componentize-py as a step of the build: a Python program becomes a component, its heap snapshot included."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypedDict

from proxy_wasm_abi.render import WIT_PACKAGE, WIT_WORLD, render_wit

from pywasm_compiler.cpython.hostcalls import render_hostcalls
from pywasm_compiler.engine import Program
from pywasm_compiler.errors import CompileError

_WORKER: Final = Path(__file__).with_name("componentize_worker.py")
_GUEST: Final = Path(__file__).with_name("guest")
"""Our own part of what runs before the snapshot."""
_APP_MODULE: Final = "pywasm_app"
_HOSTCALLS_MODULE: Final = "pywasm_hostcalls"
_FAILURE_FILE: Final = "failure.json"
_OUTPUT_LIMIT: Final = 10_000
"""Bytes that componentize-py takes from the guest's stdout and stderr each; the next write fails with EPIPE."""

_MOUNTED: Final = re.compile(r"/(?P<number>\d+)/(?P<path>.+)")
_FILE_IN_TRACEBACK: Final = re.compile(r'(?<=File ")[^"\n]+')


class _Failure(TypedDict):
    """What the guest reports of an exception: `frames` are file and line, outermost first."""

    type: str
    message: str
    frames: list[tuple[str, int | None]]
    traceback: str


def componentize(program: Program) -> bytes:
    """The component. Raises CompileError when the program cannot be imported in the guest."""
    with tempfile.TemporaryDirectory(prefix="pywasm-") as name:
        workspace = Path(name)
        entry = workspace / "entry"
        output = workspace / "component.wasm"
        entry.mkdir()
        for file in _GUEST.glob("*.py"):
            shutil.copyfile(file, entry / file.name)
        (entry / f"{_APP_MODULE}.py").write_text(_app_source(program), encoding="utf-8")
        (entry / f"{_HOSTCALLS_MODULE}.py").write_text(render_hostcalls(program.hostcalls), encoding="utf-8")
        (workspace / "proxy.wit").write_text(render_wit(program.hostcalls, program.callbacks), encoding="utf-8")
        search_path = [str(path) for path in (entry, *program.search_path)]
        completed = _run(workspace, workspace / "proxy.wit", search_path, output)
        if completed.returncode == 0:
            return output.read_bytes()
        report = entry / _FAILURE_FILE
        if report.is_file():
            raise _failed_import(json.loads(report.read_text(encoding="utf-8")), program)
        raise CompileError("componentize-py failed", detail=completed.stderr or f"exit status {completed.returncode}")


def _app_source(program: Program) -> str:
    arguments = [program.filter_module, program.runtime_module, program.callbacks, *_recording(program)]
    return f"from pywasm_entry import load\n\nWitWorld = load({', '.join(map(repr, arguments))})\n"


def _recording(program: Program) -> tuple[()] | tuple[str, dict[str, tuple[str, str]]]:
    """The recorder, and the files for it: name in the guest -> path on the host, module. Nothing if there is none."""
    if program.recording is None:
        return ()
    files = {}
    for file in program.recording.files:
        for number, directory in enumerate(program.search_path, 1):
            if file.is_relative_to(directory):
                relative = file.relative_to(directory)
                module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
                files[f"/{number}/{relative.as_posix()}"] = (str(file), module)
                break
    return "record_arcs" if program.recording.branches else "record_lines", files


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
            "worlds": [f"{WIT_PACKAGE}/{WIT_WORLD}"],
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


# --- failures ---------------------------------------------------------------------------------------------------------


def _failed_import(failure: _Failure, program: Program) -> CompileError:
    """The guest's exception, placed in the innermost line of the author's own code."""
    located = [(_host_path(file, program.search_path), line) for file, line in failure["frames"]]
    home = _directory_of(program.filter_module, program.search_path)
    own = [(file, line) for file, line in located if file is not None and home is not None and home in file.parents]
    file, line = own[-1] if own else (None, None)
    remedy = ""
    if failure["type"] == "BrokenPipeError":
        remedy = f"print less while the module is imported: {_OUTPUT_LIMIT} bytes are the limit"
    return CompileError(
        f"the filter cannot be imported in the guest: {failure['type']}: {failure['message']}",
        file=file,
        line=line,
        remedy=remedy,
        detail=_FILE_IN_TRACEBACK.sub(
            lambda name: str(_host_path(name[0], program.search_path) or name[0]), failure["traceback"]
        ),
    )


def _host_path(name: str, search_path: tuple[Path, ...]) -> Path | None:
    """Where a file of the guest is on the host: the directories of `sys.path` are mounted under their numbers."""
    mounted = _MOUNTED.fullmatch(name)
    if mounted is None or not 1 <= int(mounted["number"]) <= len(search_path):
        return None
    return search_path[int(mounted["number"]) - 1] / mounted["path"]


def _directory_of(module: str, search_path: tuple[Path, ...]) -> Path | None:
    """The directory that a module is imported from."""
    stem = Path(*module.split("."))
    return next(
        (path for path in search_path if (path / stem).with_suffix(".py").is_file() or (path / stem).is_dir()), None
    )
