"""Imports a filter into the base image: what comes after the base, and before the snapshot.

There are no files here. Modules come from the host, and so does what is read while they are imported, by way of a
hostcall that no proxy gets to see. The result goes to the host as well.
"""

from __future__ import annotations

import builtins
import gc
import importlib
import io
import marshal
import os
import sys

from pywasm_late import Archive, LateModule
from pywasm_late import load as load_late

TYPE_CHECKING = False
if TYPE_CHECKING:
    import traceback
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any
else:
    ModuleType = type(sys)

_ModuleSpec: Any = type(sys.__spec__)

_IN_THE_INTERPRETER = sys.meta_path[:2]
"""The finders of built-in and of frozen modules."""

_OF_THE_START = ("collections.abc", "pywasm_app", "pywasm_entry", "site", "zipimport")

_OK = 0
_STANDARD_LIBRARY = "/python/"
_SYSTEM = "pywasm_system"
_SEPARATOR = b"\0"
_SOURCE = b"source"
_LATE = b"late"


class StandIn(ModuleType):
    """A module that is there for componentize-py's runtime alone."""


def seed_random() -> None:
    """Seed the random numbers of a VM: the snapshot holds those of its making."""
    if (module := sys.modules.get("random")) is not None:
        module.seed()


exports: list[Callable[..., object]] = []
"""What the module's exports call, kept alive: their addresses are in the glue's memory."""


def load(
    filter_module: str,
    runtime_module: str,
    callbacks: Sequence[str],
    search_path: Sequence[str],
    unimplemented: Mapping[str, object],
    recorder: str = "",
    recorded: Mapping[str, tuple[str, str]] | None = None,
) -> None:
    """Import the author's module through the runtime, and make its callbacks the exports.

    `search_path` goes into `sys.path`. `unimplemented` are hostcalls that the module does without, and their answers.
    `recorder` is the function of `pywasm_recorder` that records what runs of the files in `recorded`; empty for none.
    """
    import pywasm_hostcalls as hostcalls  # which there is in a linked module alone

    functions = {name: function for name, function in vars(hostcalls).items() if name.startswith("proxy_")}
    host = _Host(hostcalls.proxy_call_foreign_function)
    finder = _Files(host)
    sys.meta_path[:] = [*_IN_THE_INTERPRETER, finder]
    try:
        _forget_the_start()
        _make_way(host)
        after_ours = sys.path.index("/0") + 1
        sys.path[after_ours:after_ours] = search_path
        with finder, importlib.import_module(_SYSTEM).System(host.ask):
            vars(hostcalls).update(dict.fromkeys(functions, _refuse_hostcall))
            if recorder:
                getattr(importlib.import_module("pywasm_recorder"), recorder)(recorded)
            vm = importlib.import_module(runtime_module).start(filter_module, hostcalls)
            if missing := [name for name in callbacks if not callable(getattr(vm, name, None))]:
                raise TypeError(f"{runtime_module} offers no {', '.join(missing)}")
            _load_what_authors_use(runtime_module)
            archive = _archive(host)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the author is told
        host.tell("failure", _described(error))
        return
    exports.append(seed_random)
    exports.extend([getattr(vm, name) for name in callbacks])
    host.tell("exports", repr(dict(zip(("start", *callbacks), map(id, exports), strict=True))))
    host.leave()
    del sys.modules[_SYSTEM]
    vars(hostcalls).update(functions)
    for name, unimplemented_answer in unimplemented.items():
        setattr(hostcalls, name, _answering(unimplemented_answer))
    sys.meta_path[:] = [_IN_THE_INTERPRETER[0], archive]
    archive.take_over()
    gc.collect()
    gc.freeze()  # what the snapshot holds is there to stay: collections need not look at it again


def _forget_the_start() -> None:
    """Forget what only the start of the base image needs."""
    for name, module in list(sys.modules.items()):
        if isinstance(module, StandIn) or name in _OF_THE_START:
            del sys.modules[name]
    if hasattr(sys, "__interactivehook__"):
        del sys.__interactivehook__
    sys.path_hooks.clear()
    sys.path_importer_cache.clear()


def _make_way(host: _Host) -> None:
    """Forget the modules of the standard library that the author has others of."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if file.startswith(_STANDARD_LIBRARY) and host.ask("own", name) is not None:
            del sys.modules[name]


def _answering(answer: object) -> Callable[..., object]:
    return lambda *_: answer


def _refuse_hostcall(*_: object) -> object:
    raise RuntimeError("there is no proxy while the module is imported: make hostcalls in callbacks")


def _load_what_authors_use(runtime_module: str) -> None:
    """Load the late modules that the author's own modules, and installed ones, have imported at their top."""
    ours = runtime_module.partition(".")[0]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or _STANDARD_LIBRARY
        if not file.startswith(_STANDARD_LIBRARY) and name.partition(".")[0] != ours:
            for value in list(vars(module).values()):
                if isinstance(value, LateModule):
                    load_late(value)


def _archive(host: _Host) -> Archive:
    """What can be imported later: the host knows what functions of the loaded modules import when they are called."""
    late = [name for name, module in sys.modules.items() if isinstance(module, LateModule)]
    loaded = sorted(sys.modules.keys() - late)
    answer = host.ask("late", "\n".join([" ".join(loaded), " ".join(sorted(late))]))
    built_in, dictionary, modules = marshal.loads(answer or b"")
    for name in built_in:
        importlib.import_module(name)
    return Archive(dictionary, modules)


class _Host:
    """The host's answers. Each is None where there is nothing, and when the import is over."""

    def __init__(self, call: Callable[[bytes, bytes], tuple[int, bytes]]) -> None:
        self._call = call
        self._gone = False

    def ask(self, question: str, argument: str) -> bytes | None:
        if self._gone:  # loaders stay with their modules, and are asked for source lines in the proxy
            return None
        status, answer = self._call(question.encode(), argument.encode("utf-8", "surrogatepass"))
        return answer if status == _OK else None

    def tell(self, what: str, text: str) -> None:
        self.ask(what, text)

    def leave(self) -> None:
        self._gone = True


class _Files:
    """Modules and files of the host: a finder, a loader, and what `open` reads with."""

    def __init__(self, host: _Host) -> None:
        self._host = host
        self._contents: dict[str, tuple[str, bytes, bytes]] = {}
        self._origins: dict[str, str] = {}

    def __enter__(self) -> _Files:
        self._opened = builtins.open
        builtins.open = io.open = self._open
        return self

    def __exit__(self, *_: object) -> None:
        builtins.open = io.open = self._opened

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where the host has the module, if it has it."""
        answer = self._host.ask("module", name)
        if answer is None:
            return None
        file, package, form, content = answer.split(_SEPARATOR, 3)
        loader: Any = self if file else None  # it has a loader's methods
        spec: ModuleSpec = _ModuleSpec(name, loader, origin=file.decode() or None, is_package=bool(package))
        if package:
            spec.submodule_search_locations = package.decode().split("\n")
        if file:
            spec.has_location = True
            self._contents[name] = file.decode(), form, content
            self._origins[name] = file.decode()
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """An ordinary module, or one that loads itself when it is used."""
        return LateModule(spec.name) if self._contents[spec.name][1] == _LATE else None

    def exec_module(self, module: ModuleType) -> None:
        """Run its code, unless it is a late one."""
        if not isinstance(module, LateModule):
            self.run(module)

    def run(self, module: ModuleType) -> None:
        """Run its code; what comes as source cannot be compiled, and raises SyntaxError here."""
        name = module.__spec__.name if module.__spec__ else module.__name__
        file, form, content = self._contents.pop(name)
        if form == _LATE:
            content = self._host.ask("code", name) or b""
        code = compile(content, file, "exec", dont_inherit=True) if form == _SOURCE else marshal.loads(content)
        exec(code, module.__dict__)

    def get_source(self, name: str) -> str | None:
        """The source of a module, for linecache; None once the snapshot is taken."""
        content = self._host.ask("file", self._origins.get(name, ""))
        return None if content is None else content.decode("utf-8", "replace")

    def get_data(self, path: str) -> bytes:
        """A file beside a module, for pkgutil. Raises FileNotFoundError."""
        content = self._host.ask("file", path)
        if content is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        return content

    def get_resource_reader(self, name: str) -> _Resources:
        """The files of a package, for importlib.resources."""
        return _Resources(self, self._host, sys.modules[name].__path__[0])

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *args: Any, **options: Any) -> Any:
        """`open` of a file of the host's, to be read; all else fails as in a proxy."""
        if isinstance(file, int) or set(mode) - set("rbt"):
            return self._opened(file, mode, buffering, *args, **options)
        data = io.BytesIO(self.get_data(os.fsdecode(file)))
        return data if "b" in mode else io.TextIOWrapper(data, *args, **options)


class _Resources:
    """A package's files (importlib.resources.abc.ResourceReader)."""

    def __init__(self, files: _Files, host: _Host, directory: str) -> None:
        self._files = files
        self._host = host
        self._directory = directory

    def open_resource(self, resource: str) -> io.BytesIO:
        return io.BytesIO(self._files.get_data(f"{self._directory}/{resource}"))

    def resource_path(self, resource: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", resource)

    def is_resource(self, name: str) -> bool:
        return self._host.ask("file", f"{self._directory}/{name}") is not None

    def contents(self) -> Iterator[str]:
        listed = self._host.ask("directory", self._directory)
        return iter(listed.decode().split("\n") if listed else ())


def _described(error: BaseException) -> str:
    """The text of a dict: type, message, frames as file and line, traceback."""
    import traceback

    summary = traceback.TracebackException.from_exception(error)
    summary.stack = traceback.StackSummary.from_list([frame for frame in summary.stack if not _is_machinery(frame)])
    frames = [(frame.filename, frame.lineno) for frame in summary.stack]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    return repr(
        {
            "type": type(error).__name__,
            "message": str(error),
            "frames": frames,
            "traceback": "".join(summary.format()),
        }
    )


def _is_machinery(frame: traceback.FrameSummary) -> bool:
    """Whether a frame is ours or the import system's: they tell the author nothing."""
    return frame.filename in (__file__, importlib.__file__) or frame.filename.startswith("<frozen importlib")
