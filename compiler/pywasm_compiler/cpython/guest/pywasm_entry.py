"""What runs inside the guest before the snapshot is taken.

componentize-py imports a generated module that binds `WitWorld` to what `load` returns, calls it once and keeps the
object: its methods are the module's exports. The object is the runtime's own, so that no frame of ours stands between
the proxy and it. Every exception has to be handled there: one that leaves an export kills the VM.

A failure is written to `failure.json` beside this file. The directories of `sys.path` are the host's, and writable.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import linecache
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import BuiltinImporter, FileFinder, FrozenImporter, ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import traceback

FAILURE_FILE = "failure.json"


def load(filter_module: str, runtime_module: str, callbacks: Sequence[str]) -> Callable[[], object]:
    """Import the author's module through the runtime and return a constructor of the object with the callbacks."""
    try:
        vm = _start(filter_module, runtime_module, callbacks)
    except BaseException as error:
        _report(error)
        raise
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, NotInSnapshot()]
    gc.collect()
    gc.freeze()  # what the snapshot holds is there to stay: collections need not look at it again
    return lambda: vm


def _start(filter_module: str, runtime_module: str, callbacks: Sequence[str]) -> object:
    _name_sources()
    from wit_world.imports import host

    componentize_py: Any = importlib.import_module("componentize_py_runtime")
    call_import = componentize_py.call_import
    componentize_py.call_import = _refuse_hostcall
    try:
        vm: object = importlib.import_module(runtime_module).start(filter_module, host)
    finally:
        componentize_py.call_import = call_import
    if missing := [name for name in callbacks if not callable(getattr(vm, name, None))]:
        raise TypeError(f"{runtime_module} offers no {', '.join(missing)}")
    return vm


def _refuse_hostcall(index: int, parameters: list[object]) -> object:
    raise RuntimeError("there is no proxy while the module is imported: make hostcalls in callbacks")


class NotInSnapshot:
    """The last finder of `sys.meta_path`: says why a module cannot be imported once the snapshot is taken."""

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Raise ModuleNotFoundError."""
        message = f"No module named {name!r} in the snapshot: import it at the top of a module, not inside a function"
        raise ModuleNotFoundError(message, name=name)


# --- source lines -----------------------------------------------------------------------------------------------------


def _name_sources() -> None:
    """Let code that is not the standard library's bear paths relative to its directory of `sys.path`."""
    directories = {path for path in sys.path if path.strip("/").isdecimal()}

    def finder(path: str) -> FileFinder:
        if not any(path == directory or path.startswith(f"{directory}/") for directory in directories):
            raise ImportError(path=path)
        return FileFinder(path, (NamedSourceLoader, [".py"]))

    sys.path_hooks.insert(0, finder)
    sys.path_importer_cache.clear()


class NamedSourceLoader(SourceFileLoader):
    """Compiles a source under its relative path and keeps its lines: tracebacks show both when there are no files."""

    def get_code(self, fullname: str) -> CodeType:
        """The code, always from the source: a build must not depend on a `__pycache__`."""
        path = self.get_filename(fullname)
        source = self.get_data(path)
        name = path.lstrip("/").partition("/")[2]
        # No time stamp: linecache then never asks whether the file has changed.
        lines = importlib.util.decode_source(source).splitlines(keepends=True)
        linecache.cache[name] = (len(source), None, lines, name)
        return self.source_to_code(source, name)


# --- failures ---------------------------------------------------------------------------------------------------------


def _report(error: BaseException) -> None:
    import json
    import traceback

    summary = traceback.TracebackException.from_exception(error)
    summary.stack = traceback.StackSummary.from_list([frame for frame in summary.stack if not _is_machinery(frame)])
    frames = [(frame.filename, frame.lineno) for frame in summary.stack]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    report = {
        "type": type(error).__name__,
        "message": str(error),
        "frames": frames,
        "traceback": "".join(summary.format()),
    }
    Path(__file__).with_name(FAILURE_FILE).write_text(json.dumps(report), encoding="utf-8")


def _is_machinery(frame: traceback.FrameSummary) -> bool:
    """Whether a frame is ours or the import system's: they tell the author nothing."""
    return frame.filename in (__file__, importlib.__file__) or frame.filename.startswith("<frozen importlib")
