"""The seam between the build and the engines that turn a Python program into a Proxy-Wasm core module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from pywasm_compiler.errors import CompileError

Progress: TypeAlias = Callable[[str], None]
"""Told the step that begins, in a few words."""


@dataclass(frozen=True)
class Recording:
    """The files of which a module is to record what runs, for coverage; `branches`: the ways between lines, too."""

    files: tuple[Path, ...]
    branches: bool


@dataclass(frozen=True)
class Program:
    """What is compiled.

    `filter_module` is the author's module and `runtime_module` the one whose `start(filter_module, host)` returns the
    object that has the callbacks as methods. Both are found on `search_path`, the directories of the guest's
    `sys.path`, in order. `hostcalls` and `callbacks` are the ABI's names of what the module imports and exports;
    hostcalls that are `unimplemented` answer that, without being imported. With a `recording` the module is one for
    tests alone. `provenance` goes into the module's record of how it was made; it is what JSON can hold.
    """

    filter_module: str
    runtime_module: str
    search_path: tuple[Path, ...]
    hostcalls: tuple[str, ...]
    callbacks: tuple[str, ...]
    recording: Recording | None = None
    unimplemented: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


class DebugInfo(StrEnum):
    """How much a module holds of what only people need; docs/reference/modules.md says what it costs."""

    NONE = "none"
    """No names of WebAssembly functions."""

    DEFAULT = "default"
    """Names of functions, for the stack traces of traps."""

    FULL = "full"
    """All there is."""


@dataclass(frozen=True)
class Options:
    """Choices of the user.

    With `compile_all` the engine compiles what it would interpret because it rarely runs: proxies take longer to load
    the module.
    """

    debug_info: DebugInfo = DebugInfo.DEFAULT
    compile_all: bool = False


DEFAULT_OPTIONS: Final = Options()


class Engine(Protocol):
    """A way to compile a program."""

    @property
    def name(self) -> str:
        """The name that the user selects the engine by."""

    def compile(self, program: Program, options: Options, progress: Progress) -> bytes:
        """The module's bytes. Raises CompileError for a mistake in the author's program."""


_ENGINES = {"cpython": ("pywasm_compiler.cpython.engine", "CPythonEngine")}
"""Name -> module and class. An engine is imported when it is asked for: each has its own heavy dependencies."""


def engine(name: str) -> Engine:
    """The engine of that name. Raises CompileError when there is none."""
    if name not in _ENGINES:
        known = ", ".join(sorted(_ENGINES))
        raise CompileError(f"there is no engine named {name!r}", remedy=f"choose one of: {known}")
    module, attribute = _ENGINES[name]
    selected: Engine = getattr(import_module(module), attribute)()
    return selected
