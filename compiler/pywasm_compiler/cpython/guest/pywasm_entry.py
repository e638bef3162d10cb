"""What runs inside the guest before the snapshot is taken.

componentize-py imports a generated module that binds `WitWorld` to what `load` returns, calls it once and keeps the
object: its methods are the module's exports. The object is the runtime's own, so that no frame of ours stands between
the proxy and it. Every exception has to be handled there: one that leaves an export kills the VM.

A failure is written to `failure.json` beside this file. The directories of `sys.path` are the host's, and writable.
"""

from __future__ import annotations

import gc
import importlib
import random  # noqa: F401 - componentize-py's runtime reseeds it, and cannot import it later
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pywasm_companions import complete_standard_library

if TYPE_CHECKING:
    import traceback

FAILURE_FILE = "failure.json"


def load(
    filter_module: str,
    runtime_module: str,
    callbacks: Sequence[str],
    recorder: str = "",
    recorded: Mapping[str, tuple[str, str]] | None = None,
) -> Callable[[], object]:
    """Import the author's module through the runtime and return a constructor of the object with the callbacks.

    `recorder` is the function of `pywasm_recorder` that records what runs of the files in `recorded`; empty for none.
    """
    # Neither written to the author's directory nor read from it: a build depends on sources alone.
    sys.pycache_prefix = "/no-pycache"
    sys.dont_write_bytecode = True
    try:
        if recorder:
            getattr(importlib.import_module("pywasm_recorder"), recorder)(recorded)
        vm = _start(filter_module, runtime_module, callbacks)
        complete_standard_library()
    except BaseException as error:
        _report(error)
        raise
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, NotInSnapshot()]
    gc.collect()
    gc.freeze()  # what the snapshot holds is there to stay: collections need not look at it again
    return lambda: vm


def _start(filter_module: str, runtime_module: str, callbacks: Sequence[str]) -> object:
    hostcalls: Any = importlib.import_module("pywasm_hostcalls")
    hostcalls.numbers = _numbers_of_imports()
    hostcalls.call_import = _refuse_hostcall
    vm: object = importlib.import_module(runtime_module).start(filter_module, hostcalls)
    hostcalls.call_import = importlib.import_module("componentize_py_runtime").call_import
    if missing := [name for name in callbacks if not callable(getattr(vm, name, None))]:
        raise TypeError(f"{runtime_module} offers no {', '.join(missing)}")
    return vm


def _numbers_of_imports() -> dict[str, int]:
    """The number of each hostcall in the component's import table, which only componentize-py's own module knows."""
    from wit_world.imports import host

    runtime: Any = importlib.import_module("componentize_py_runtime")
    call_import = runtime.call_import
    runtime.call_import = lambda number, arguments: number
    numbers = {
        name: function(*[None] * function.__code__.co_argcount)
        for name, function in vars(host).items()
        if name.startswith("proxy_")
    }
    runtime.call_import = call_import
    return numbers


def _refuse_hostcall(number: int, arguments: list[object]) -> object:
    raise RuntimeError("there is no proxy while the module is imported: make hostcalls in callbacks")


class NotInSnapshot:
    """The last finder of `sys.meta_path`: says why a module cannot be imported once the snapshot is taken."""

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Raise ModuleNotFoundError."""
        message = f"No module named {name!r} in the snapshot: import it at the top of a module, not inside a function"
        raise ModuleNotFoundError(message, name=name)


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
