"""What runs inside the guest while the base image is made: CPython and what every filter finds in it.

componentize-py imports a generated module that takes `WitWorld` from here, calls it once and keeps the object: its
methods are the module's exports. It gets them later, when `pywasm_loader` imports a filter.
"""

from __future__ import annotations

import gc
import importlib
import pkgutil
import random  # noqa: F401 - componentize-py's runtime reseeds it, and cannot import it later
import sys
from pathlib import Path
from typing import Any, cast

import pywasm_loader

_STANDARD_LIBRARY = Path("/python")
_COPY = "stdlib"


class WitWorld:
    """Stands for the object with the exports, of which there is one."""

    def __new__(cls) -> WitWorld:
        """That object."""
        return cast("WitWorld", pywasm_loader.exports)


def _prepare() -> None:
    sys.dont_write_bytecode = True
    hostcalls: Any = importlib.import_module("pywasm_hostcalls")
    hostcalls.numbers = _numbers_of_imports()
    hostcalls.call_import = importlib.import_module("componentize_py_runtime").call_import
    _import_encodings()
    _copy_standard_library()
    gc.collect()


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


def _import_encodings() -> None:
    """Without its module an encoding is unknown; together they take less than the noise between two snapshots."""
    import encodings

    for codec in pkgutil.iter_modules(encodings.__path__, "encodings."):
        try:
            importlib.import_module(codec.name)
        except ImportError:
            # Not a part of this guest, such as those of Windows: who calls for it gets the same error.
            continue


def _copy_standard_library() -> None:
    """Hand the source of the standard library out: the directory of this file is the host's."""
    copy = Path(__file__).with_name(_COPY)
    for file in _STANDARD_LIBRARY.rglob("*"):
        if file.is_file():
            target = copy / file.relative_to(_STANDARD_LIBRARY)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())


_prepare()
