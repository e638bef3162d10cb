"""Import of an author's filter into this interpreter.

Each load executes the module and its local imports anew, as each VM of a proxy does, and leaves the interpreter's own
modules as they were: filters may have names in common with one another and with tests. Run as a program, it tells in
JSON whether the filter can be loaded: `python -m pywasm_filter.loader FILE`.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import traceback
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pywasm_compiler import import_rules
from pywasm_compiler.errors import CompileError

from pywasm_filter.sdk.guest import no_debugger
from pywasm_filter.sdk.registry import RegistrationError, Registry, begin_collecting, finish_collecting

# Never set aside: their identity matters to whoever loads a filter.
_SHARED = sys.stdlib_module_names | set(import_rules.OURS)


_SDK = Path(__file__).with_name("sdk")
_WHAT_TO_OFFER = "define one class that derives from HttpContext, or register the roots: see the README"


@dataclass(frozen=True)
class LoadedFilter:
    """A filter's root contexts, and the modules of its directory that it has imported, itself among them, by name.

    The modules are not in `sys.modules`: whoever runs the filter puts them there for that time, see `installed`.
    """

    registry: Registry
    modules: Mapping[str, ModuleType]

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Have the filter's modules in `sys.modules`, where pickle and typing look for them."""
        others = {name: sys.modules[name] for name in self.modules if name in sys.modules}
        sys.modules.update(self.modules)
        try:
            yield
        finally:
            for name in self.modules:
                sys.modules.pop(name, None)
            sys.modules.update(others)


def load_filter(path: Path) -> LoadedFilter:
    """Execute the filter and collect its root contexts.

    Raises CompileError when the file cannot be read, does not compile, raises, or does not say which context class the
    proxy is to use.
    """
    path = path.resolve()
    _check_file(path)
    registry = begin_collecting()
    module, modules = _execute(path)
    loaded = LoadedFilter(registry, modules)
    try:
        with loaded.installed():  # typing looks up the names in annotations there
            finish_collecting(registry, module)
    except RegistrationError as error:
        raise CompileError(
            str(error),
            file=path,
            remedy=error.remedy or _WHAT_TO_OFFER,
            rule="no-context",
        ) from error
    return loaded


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise CompileError("is a directory, not a filter", file=path, remedy="name the Python file of the filter")
    if not path.is_file():
        raise CompileError("no such file", file=path, remedy="check the path of the filter")
    import_rules.check_file_name(path, path.name)


def _execute(path: Path) -> tuple[ModuleType, Mapping[str, ModuleType]]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _local_imports(path.parent, path.stem) as modules:
        sys.modules[path.stem] = module
        try:
            spec.loader.exec_module(module)
        except SyntaxError as error:
            raise _syntax_error(path, error) from error
        except RegistrationError as error:
            raise CompileError(
                str(error),
                file=path,
                line=_authors_line(path, error)[1],
                remedy="register each root context once, under its own root_id",
                rule="no-context",
            ) from error
        except Exception as error:
            raise _import_error(path, error) from error
        except SystemExit as error:
            raise CompileError(
                f"exits while it is imported (status {error.code})",
                file=path,
                line=_authors_line(path, error)[1],
                remedy="a filter must not call sys.exit",
                rule="import-failure",
            ) from error
    return module, modules


@contextmanager
def _local_imports(directory: Path, stem: str) -> Iterator[Mapping[str, ModuleType]]:
    """Let the filter import the modules beside it, freshly; at the end it yields those that were imported.

    What the interpreter has under their names is set aside for the time: it may be another filter's, or a test's.
    """
    siblings = {entry.stem for entry in directory.iterdir() if entry.suffix == ".py" or entry.is_dir()} | {stem}
    local = siblings - _SHARED
    modules: dict[str, ModuleType] = {}
    others, path = _take_modules(local), sys.path
    sys.path = [str(directory), *path]
    importlib.invalidate_caches()
    try:
        yield modules
    finally:
        sys.path = path
        modules.update(_take_modules(local))
        sys.modules.update(others)


def _take_modules(names: Set[str]) -> dict[str, ModuleType]:
    """Take the modules with these names, and their submodules, out of `sys.modules`."""
    taken = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in names}
    for name in taken:
        del sys.modules[name]
    return taken


def _syntax_error(path: Path, error: SyntaxError) -> CompileError:
    file = Path(error.filename) if error.filename else path
    source = (error.text or "").rstrip("\n")
    return CompileError(
        f"syntax error: {error.msg}",
        file=file,
        line=error.lineno,
        remedy="correct the line",
        detail=source,
        rule="source",
    )


def _import_error(path: Path, error: Exception) -> CompileError:
    file, line = _authors_line(path, error)
    summary = traceback.TracebackException.from_exception(error)
    while len(summary.stack) > 1 and not Path(summary.stack[0].filename).is_relative_to(path.parent):
        del summary.stack[0]
    while len(summary.stack) > 1 and Path(summary.stack[-1].filename).is_relative_to(_SDK):
        del summary.stack[-1]
    return CompileError(
        f"raises {type(error).__name__} while it is imported: {error}",
        file=file,
        line=line,
        remedy=_import_remedy(error),
        detail="".join(summary.format()),
        rule="import-failure",
    )


def _import_remedy(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "correct the name, install the package, or put the module beside the filter"
    if isinstance(error, ImportError) and "relative import" in str(error):
        return "import the modules beside the filter by their full names: import helper"
    return "code at the top of a filter runs at build time; it must not need the proxy, a network or files"


def _authors_line(path: Path, error: BaseException) -> tuple[Path, int | None]:
    """The innermost frame in the author's directory."""
    found: tuple[Path, int | None] = (path, None)
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).is_relative_to(path.parent):
            found = (Path(frame.filename), frame.lineno)
    return found


def main(arguments: list[str]) -> int:
    """Load one filter and print the outcome: `{"roots": [...]}` or `{"error": {...}}`. Returns the exit status."""
    sys.breakpointhook = no_debugger
    try:
        with redirect_stdout(sys.stderr):  # what the filter prints must not mix with the outcome
            registry = load_filter(Path(arguments[0])).registry
    except CompileError as error:
        outcome: dict[str, object] = {
            "error": {
                "message": error.message,
                "file": None if error.file is None else str(error.file),
                "line": error.line,
                "remedy": error.remedy,
                "detail": error.detail,
                "rule": error.rule,
            }
        }
        print(json.dumps(outcome))
        return 1
    print(json.dumps({"roots": sorted(registry.roots)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
