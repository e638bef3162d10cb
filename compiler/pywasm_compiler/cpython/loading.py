"""The import of a filter: the base image runs under wasmtime, and what it leaves in its memory is the snapshot."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypedDict

import wasmtime

from pywasm_compiler.cache import SmallEntries, cache_directory
from pywasm_compiler.cpython.base import BaseImage, unlinkable
from pywasm_compiler.cpython.callbacks import callback_slots
from pywasm_compiler.cpython.code_cache import CodeCache
from pywasm_compiler.cpython.frozen import frozen_ranges
from pywasm_compiler.cpython.guest_vm import GuestVm
from pywasm_compiler.cpython.heap import zero_free_memory
from pywasm_compiler.cpython.hostcalls import unimplemented_answer
from pywasm_compiler.cpython.late import LATE, archive
from pywasm_compiler.cpython.libraries import LinkError
from pywasm_compiler.cpython.module_files import CompiledModules, ModuleFiles
from pywasm_compiler.cpython.platform import Scratch
from pywasm_compiler.engine import Program, Progress
from pywasm_compiler.errors import CompileError
from pywasm_compiler.import_rules import missing_remedy

_KEPT_CODE: Final = 5_000
"""So many modules' code stays in the cache."""
_MOUNTED: Final = re.compile(r"/(?P<number>\d+)/(?P<path>.+)")
_FILE_IN_TRACEBACK: Final = re.compile(r'(?<=File ")[^"\n]+')


class _Failure(TypedDict):
    """What the guest reports of an exception: `frames` are file and line, outermost first."""

    type: str
    message: str
    frames: list[tuple[str, int | None]]
    traceback: str


class Snapshot(NamedTuple):
    """The memory with a program in it. The stack begins at `stack_top`; below that nothing counts.

    `data` tells of the files that were read meanwhile, beside modules.
    """

    memory: bytes
    stack_top: int
    data: Mapping[str, Any]


def import_filter(base: BaseImage, program: Program, progress: Progress, *, all_docstrings: bool) -> Snapshot:
    """Import a program. With `all_docstrings` the standard library and the runtime keep theirs.

    Raises CompileError when the program cannot be imported.
    """
    engine = wasmtime.Engine()
    loader = base.loader(engine)
    entries = SmallEntries(cache_directory("python"), _KEPT_CODE)
    with base.standard_library() as library:
        files = ModuleFiles(program.search_path, library)
        cache = CodeCache(engine, loader, entries)
        modules = CompiledModules(files, cache, program.runtime_module, all_docstrings=all_docstrings)
        host = _Host(files, modules)
        guest = GuestVm(engine, loader, host.answer)
        try:
            ended = guest.run(f"import pywasm_loader\npywasm_loader.load{_arguments(program)!r}\n")
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise CompileError(
                "the interpreter ends while the filter is imported in the guest",
                remedy="remove what exits or crashes from the top of the filter",
                detail=str(error),
            ) from error
    if host.failure is not None:
        raise _failed_import(host.failure, program)
    if not ended or not host.exports:
        raise CompileError("the filter cannot be imported in the guest, and the guest does not say why")
    memory = guest.memory()
    scratch = Scratch(loader.glue)
    scratch.forget(memory)
    for number, name in enumerate(callback_slots()):
        address = scratch.slot(number)
        memory[address : address + 4] = host.exports.get(name, 0).to_bytes(4, "little")
    try:
        zero_free_memory(memory, loader.stack_top, loader.heap)
    except LinkError as error:  # the module is larger then, and as good
        progress(f"keeping free memory in the snapshot: {error}")
    try:
        for begin, end in frozen_ranges(engine, loader, entries):
            memory[begin:end] = bytes(end - begin)
    except LinkError as error:
        raise unlinkable(error) from error
    return Snapshot(bytes(memory), loader.stack_top, files.data())


class _Host:
    """What answers the guest's questions.

    `failure` is what the guest says went wrong; `exports` are addresses of Python's functions, by what the module is to
    call them for (see `callbacks.callback_slots`).
    """

    def __init__(self, files: ModuleFiles, modules: CompiledModules) -> None:
        self._modules = modules
        self.failure: _Failure | None = None
        self.exports: dict[str, int] = {}
        self._questions: dict[str, Callable[[str], bytes | None]] = {
            "module": self._module,
            "code": modules.code,
            "late": self._late,
            "own": files.own,
            "file": files.file,
            "directory": files.directory,
            "stat": files.stat,
            "failure": self._fail,
            "exports": self._export,
        }

    def answer(self, question: str, argument: bytes) -> bytes | None:
        """The answer to one of the loader's questions."""
        return self._questions[question](argument.decode("utf-8", "replace"))

    def _module(self, name: str) -> bytes | None:
        """File, directories of a package, form, content; separated by zero bytes."""
        found = self._modules.find(name)
        if found is None:
            return None
        if name in LATE and found.is_standard:
            form, content = b"late", b""
        else:
            code = self._modules.code(name)
            form, content = (b"source", found.source) if code is None else (b"code", code)
        return b"\0".join((found.file.encode(), "\n".join(found.directories).encode(), form, content))

    def _late(self, argument: str) -> bytes:
        """What can be imported in the proxy, when these are loaded and those are late."""
        loaded, late = (line.split() for line in argument.split("\n"))
        return archive(self._modules, loaded, late)

    def _fail(self, described: str) -> None:
        self.failure = ast.literal_eval(described)

    def _export(self, addresses: str) -> None:
        self.exports = ast.literal_eval(addresses)


def _arguments(program: Program) -> tuple[object, ...]:
    """What the guest's `pywasm_loader.load` is called with."""
    return (
        program.filter_module,
        program.runtime_module,
        program.callbacks,
        [f"/{number}" for number, _ in enumerate(program.search_path, 1)],
        {name: unimplemented_answer(name) for name in program.unimplemented},
        *_recording(program),
    )


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


# --- failures ---------------------------------------------------------------------------------------------------------


def _failed_import(failure: _Failure, program: Program) -> CompileError:
    """The guest's exception, placed in the innermost line of the author's own code."""
    located = [(_host_path(file, program.search_path), line) for file, line in failure["frames"]]
    home = _directory_of(program.filter_module, program.search_path)
    own = [(file, line) for file, line in located if file is not None and home is not None and home in file.parents]
    file, line = own[-1] if own else (None, None)
    return CompileError(
        f"the filter cannot be imported in the guest: {failure['type']}: {failure['message']}",
        file=file,
        line=line,
        remedy=missing_remedy(failure["message"]) if failure["type"] == "ModuleNotFoundError" else "",
        rule="import-failure",
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
