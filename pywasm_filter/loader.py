"""Import of an author's filter into this interpreter.

Each load executes the module and its local imports anew, as each VM of a proxy does. Run as a program, it tells in
JSON whether the filter can be loaded: `python -m pywasm_filter.loader FILE`.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType

from pywasm_compiler.errors import CompileError

from pywasm_filter.sdk.registry import RegistrationError, Registry, begin_collecting, finish_collecting


def load_filter(path: Path) -> Registry:
    """Execute the filter and collect its root contexts.

    Raises CompileError when the file cannot be read, does not compile, raises, or does not say which context class the
    proxy is to use.
    """
    path = path.resolve()
    _check_file(path)
    registry = begin_collecting()
    module = _execute(path)
    try:
        finish_collecting(registry, module)
    except RegistrationError as error:
        raise CompileError(
            str(error),
            file=path,
            remedy="define one class that derives from HttpContext, or register the roots: see the README",
        ) from error
    return registry


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise CompileError("is a directory, not a filter", file=path, remedy="name the Python file of the filter")
    if not path.is_file():
        raise CompileError("no such file", file=path, remedy="check the path of the filter")
    if not path.stem.isidentifier() or path.suffix != ".py":
        raise CompileError(
            "is not a name that Python can import", file=path, remedy="name the file like a module: my_filter.py"
        )
    if path.stem in sys.stdlib_module_names:
        raise CompileError(
            f"hides the standard library's module {path.stem!r}", file=path, remedy="give the file another name"
        )


def _execute(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _local_imports(path.parent):
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
            ) from error
        except Exception as error:
            raise _import_error(path, error) from error
        except SystemExit as error:
            raise CompileError(
                f"exits while it is imported (status {error.code})",
                file=path,
                line=_authors_line(path, error)[1],
                remedy="a filter must not call sys.exit",
            ) from error
    return module


@contextmanager
def _local_imports(directory: Path) -> Iterator[None]:
    """Let the filter import modules beside it, freshly."""
    siblings = {entry.stem for entry in directory.iterdir() if entry.suffix == ".py" or entry.is_dir()}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in siblings and file is not None and Path(file).is_relative_to(directory):
            del sys.modules[name]
    sys.path.insert(0, str(directory))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(directory))


def _syntax_error(path: Path, error: SyntaxError) -> CompileError:
    file = Path(error.filename) if error.filename else path
    source = (error.text or "").rstrip("\n")
    return CompileError(
        f"syntax error: {error.msg}",
        file=file,
        line=error.lineno,
        remedy="correct the line",
        detail=source,
    )


def _import_error(path: Path, error: Exception) -> CompileError:
    file, line = _authors_line(path, error)
    summary = traceback.TracebackException.from_exception(error)
    while len(summary.stack) > 1 and not Path(summary.stack[0].filename).is_relative_to(path.parent):
        del summary.stack[0]
    return CompileError(
        f"raises {type(error).__name__} while it is imported: {error}",
        file=file,
        line=line,
        remedy="code at the top of a filter runs at build time; it must not need the proxy, a network or files",
        detail="".join(summary.format()),
    )


def _authors_line(path: Path, error: BaseException) -> tuple[Path, int | None]:
    """The innermost frame in the author's directory."""
    found: tuple[Path, int | None] = (path, None)
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).is_relative_to(path.parent):
            found = (Path(frame.filename), frame.lineno)
    return found


def main(arguments: list[str]) -> int:
    """Load one filter and print the outcome: `{"roots": [...]}` or `{"error": {...}}`. Returns the exit status."""
    try:
        with redirect_stdout(sys.stderr):  # what the filter prints must not mix with the outcome
            registry = load_filter(Path(arguments[0]))
    except CompileError as error:
        outcome: dict[str, object] = {
            "error": {
                "message": error.message,
                "file": None if error.file is None else str(error.file),
                "line": error.line,
                "remedy": error.remedy,
                "detail": error.detail,
            }
        }
        print(json.dumps(outcome))
        return 1
    print(json.dumps({"roots": sorted(registry.roots)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
