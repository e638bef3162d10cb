"""The import of a filter: the base image runs under wasmtime, and what it leaves in its memory is the snapshot."""

from __future__ import annotations

import ast
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn, TypedDict

import wasmtime

from pywasm_compiler.cpython.base import BaseImage, Loader
from pywasm_compiler.cpython.componentize import GUEST
from pywasm_compiler.cpython.hostcalls import unimplemented_answer
from pywasm_compiler.cpython.linker import RUN_SOURCE
from pywasm_compiler.cpython.memory import PAGE_SIZE
from pywasm_compiler.engine import Program
from pywasm_compiler.errors import CompileError

_OK, _NOT_FOUND = 0, 1
_LONG_AGO: Final = 946_684_800
"""2000-01-01 in seconds since the Unix epoch."""
_ASK: Final = "proxy_call_foreign_function"
_STANDARD_LIBRARY: Final = "/python/"
_MOUNTED: Final = re.compile(r"/(?P<number>\d+)/(?P<path>.+)")
_FILE_IN_TRACEBACK: Final = re.compile(r'(?<=File ")[^"\n]+')
_ALLOCATOR: Final = "proxy_on_memory_allocate"


class _Failure(TypedDict):
    """What the guest reports of an exception: `frames` are file and line, outermost first."""

    type: str
    message: str
    frames: list[tuple[str, int | None]]
    traceback: str


def import_filter(base: BaseImage, program: Program) -> tuple[bytes, int]:
    """The memory with the program in it, and where the stack in it begins, below which nothing counts.

    Raises CompileError when the program cannot be imported.
    """
    engine = wasmtime.Engine()
    loader = base.loader(engine)
    with base.standard_library() as library:
        guest = _Guest(engine, loader, _Files(program.search_path, library))
        failure = guest.load(program)
    if failure is not None:
        raise _failed_import(failure, program)
    memory = guest.memory()
    glue = len(loader.memory) - PAGE_SIZE
    memory[glue : glue + PAGE_SIZE] = bytes(PAGE_SIZE)  # what the glue keeps there is of that time
    return bytes(memory), loader.stack_top


class _Files:
    """What the guest may read: the directories of the search path, mounted under their numbers, and Python's library.

    Answers are None for what is not there.
    """

    def __init__(self, search_path: tuple[Path, ...], library: zipfile.ZipFile) -> None:
        self._roots = [(f"/{number}/", path) for number, path in enumerate((GUEST, *search_path))]
        self._library = library
        self._names = frozenset(library.namelist())
        self._questions: dict[str, Callable[[str], bytes | None]] = {
            "module": self.module,
            "own": self.own,
            "file": self.file,
            "directory": self.directory,
        }

    def answer(self, question: str, argument: str) -> bytes | None:
        """The answer to one of the loader's questions."""
        return self._questions[question](argument)

    def module(self, name: str) -> bytes | None:
        """File, directories of a package, source; separated by zero bytes."""
        stem = name.replace(".", "/")
        return self._own_module(stem) or self._library_module(stem) or self._namespace(stem)

    def own(self, name: str) -> bytes | None:
        """Whether a module is on the search path: an empty answer."""
        return None if self._own_module(name.replace(".", "/")) is None else b""

    def file(self, name: str) -> bytes | None:
        """The content of a file."""
        if name.startswith(_STANDARD_LIBRARY):
            entry = name.removeprefix(_STANDARD_LIBRARY)
            return self._library.read(entry) if entry in self._names else None
        path = self._path(name)
        return path.read_bytes() if path is not None and path.is_file() else None

    def directory(self, name: str) -> bytes | None:
        """The names in a directory, one a line."""
        path = self._path(name)
        if path is None or not path.is_dir():
            return None
        return "\n".join(sorted(entry.name for entry in path.iterdir())).encode()

    def _own_module(self, stem: str) -> bytes | None:
        for mount, root in self._roots:
            for relative, package in ((f"{stem}/__init__.py", f"{mount}{stem}"), (f"{stem}.py", "")):
                path = root / relative
                if path.is_file():
                    return _module_answer(f"{mount}{relative}", package, path.read_bytes())
        return None

    def _library_module(self, stem: str) -> bytes | None:
        for relative, package in ((f"{stem}/__init__.py", f"{_STANDARD_LIBRARY}{stem}"), (f"{stem}.py", "")):
            if relative in self._names:
                return _module_answer(f"{_STANDARD_LIBRARY}{relative}", package, self._library.read(relative))
        return None

    def _namespace(self, stem: str) -> bytes | None:
        """A package without `__init__.py`, which may lie in several directories."""
        directories = [f"{mount}{stem}" for mount, root in self._roots if (root / stem).is_dir()]
        return _module_answer("", "\n".join(directories), b"") if directories else None

    def _path(self, name: str) -> Path | None:
        for mount, root in self._roots:
            if name.startswith(mount):
                path = (root / name.removeprefix(mount)).resolve()
                return path if path.is_relative_to(root.resolve()) else None
        return None


def _module_answer(file: str, package: str, source: bytes) -> bytes:
    return b"\0".join((file.encode(), package.encode(), source))


class _Guest:
    """The base image, running."""

    def __init__(self, engine: wasmtime.Engine, loader: Loader, files: _Files) -> None:
        self._files = files
        self._store = wasmtime.Store(engine)
        self._time_ns = time_of_import() * 1_000_000_000
        self._failure: _Failure | None = None
        functions: dict[str, Callable[..., int]] = {
            _ASK: self._ask,
            "proxy_get_current_time_nanoseconds": self._current_time,
            "proxy_log": lambda level, address, size: _OK,
            "random_get": self._random,
        }
        imports = []
        for imported in loader.module.imports:
            assert isinstance(imported.type, wasmtime.FuncType)
            function = functions.get(imported.name or "", _refuse)
            imports.append(wasmtime.Func(self._store, imported.type, function))
        self._exports = wasmtime.Instance(self._store, loader.module, imports).exports(self._store)
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self._memory = memory
        memory.write(self._store, loader.memory, 0)

    def load(self, program: Program) -> _Failure | None:
        """Import a program; what the guest says went wrong. Raises CompileError when it does not even say that."""
        arguments = (
            program.filter_module,
            program.runtime_module,
            program.callbacks,
            program.hostcalls,
            [f"/{number}" for number, _ in enumerate(program.search_path, 1)],
            {name: unimplemented_answer(name) for name in program.unimplemented},
            *_recording(program),
        )
        source = f"import pywasm_loader\npywasm_loader.load{arguments!r}\n".encode() + b"\0"
        try:
            status = self._call(RUN_SOURCE, self._put(source))
        except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
            raise CompileError(
                "the interpreter ends while the filter is imported in the guest",
                remedy="remove what exits or crashes from the top of the filter",
                detail=str(error),
            ) from error
        if status != 0 and self._failure is None:
            raise CompileError("the filter cannot be imported in the guest, and the guest does not say why")
        return self._failure

    def memory(self) -> bytearray:
        """All of the memory."""
        return self._memory.read(self._store)

    def _call(self, name: str, *arguments: int) -> int:
        function = self._exports[name]
        assert isinstance(function, wasmtime.Func)
        result: int = function(self._store, *arguments)
        return result

    def _put(self, content: bytes) -> int:
        """The address of a copy in the guest's memory. The guest frees it."""
        address = self._call(_ALLOCATOR, len(content)) & 0xFFFF_FFFF
        if not address:
            raise MemoryError("the guest has no memory left")
        self._memory.write(self._store, content, address)
        return address

    def _read(self, address: int, size: int) -> bytes:
        start = address & 0xFFFF_FFFF
        return bytes(self._memory.read(self._store, start, start + (size & 0xFFFF_FFFF)))

    # --- hostcalls ---

    def _ask(self, name: int, name_size: int, arg: int, arg_size: int, result: int, result_size: int) -> int:
        question = self._read(name, name_size).decode()
        argument = self._read(arg, arg_size).decode("utf-8", "replace")
        if question == "failure":
            self._failure = ast.literal_eval(argument)
            return _NOT_FOUND
        answer = self._files.answer(question, argument)
        if answer is None:
            return _NOT_FOUND
        for address, number in ((result, self._put(answer) if answer else 0), (result_size, len(answer))):
            self._memory.write(self._store, number.to_bytes(4, "little"), address)
        return _OK

    def _current_time(self, result: int) -> int:
        self._memory.write(self._store, self._time_ns.to_bytes(8, "little"), result)
        return _OK

    def _random(self, address: int, size: int) -> int:
        self._memory.write(self._store, os.urandom(size), address)
        return _OK


def time_of_import() -> int:
    """Seconds since the Unix epoch: SOURCE_DATE_EPOCH, or long ago, so that the same sources make the same module."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not given:
        return _LONG_AGO
    if not given.isdecimal():
        raise CompileError(f"SOURCE_DATE_EPOCH is not a number of seconds: {given!r}", remedy="unset it, or correct it")
    return int(given)


def _refuse(*_: Any) -> NoReturn:
    raise RuntimeError("a hostcall while the filter is imported")


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
