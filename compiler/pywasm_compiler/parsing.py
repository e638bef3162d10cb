"""Reading and parsing one file of an author's source."""

from __future__ import annotations

import ast
import stat
import sys
import warnings
from functools import partial
from pathlib import Path

from pywasm_compiler.errors import CompileError

_WASM = b"\0asm"
_problem = partial(CompileError, rule="source")


def read_source(path: Path) -> str:
    """The text of a Python file. Raises CompileError when it cannot be read or is not UTF-8 text."""
    data = _read_bytes(path)
    if data.startswith(_WASM):
        raise _problem(
            "is a WebAssembly module, not Python source", path, remedy="name the Python file that it is built from"
        )
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        raise _problem("contains a NUL byte, so it is no Python source", path, line, "save the file as UTF-8 text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = f"is not UTF-8: byte {data[error.start]:#04x} at offset {error.start}"
        raise _problem(message, path, line, "save the file as UTF-8") from error


def parse_source(text: str, path: Path, *, thorough: bool = True) -> ast.Module:
    """Parse what `read_source` gave. Raises CompileError with the line for a syntax error.

    If it is not `thorough`, mistakes that the grammar allows are not found, which takes half the time.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            tree = ast.parse(text, str(path))
            if thorough:
                compile(text, str(path), "exec", dont_inherit=True)  # finds a stray return, for example
    except SyntaxError as error:
        raise _syntax_error(path, error) from error
    except (RecursionError, MemoryError) as error:
        raise _problem(
            "is nested too deeply for Python to parse", path, remedy="split the largest expression"
        ) from error
    return tree


def _read_bytes(path: Path) -> bytes:
    remedy = "check the path of the filter"
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise _problem("is a directory, not a filter", path, remedy=_name_file_in(path))
        if not stat.S_ISREG(mode):  # reading a pipe or a device might never end
            raise _problem("is not a regular file", path, remedy="name the Python file of the filter")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _problem("no such file", path, remedy=remedy) from error
    except OSError as error:
        raise _problem(f"cannot be read: {error.strerror or error}", path, remedy=remedy) from error
    except ValueError as error:  # a NUL in the path
        raise _problem(f"{str(path)!r} is no path: {error}", remedy=remedy) from error


def _name_file_in(directory: Path) -> str:
    likely = directory / "filter.py"
    return f"name the file: {likely}" if likely.is_file() else "name the Python file of the filter"


def _syntax_error(path: Path, error: SyntaxError) -> CompileError:
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return _problem(
        f"syntax error: {error.msg}",
        path,
        error.lineno,
        f"correct the line (read as {python})",
        _pointed_at((error.text or "").rstrip(), error.offset),
    )


def _pointed_at(line: str, offset: int | None) -> str:
    """The line without its indentation, and a caret below column `offset` (1-based)."""
    if not line or not offset:
        return line
    stripped = line.lstrip()
    column = max(offset - 1 - (len(line) - len(stripped)), 0)
    return f"{stripped}\n{' ' * column}^"
