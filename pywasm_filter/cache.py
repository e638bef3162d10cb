"""The user's cache directory: results that cost seconds to make and nothing to lose."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pywasm_compiler.errors import CompileError

if sys.platform != "win32":
    import fcntl

_LONGEST_WRITE = 3600.0  # seconds; files that are being written begin with a dot


def cache_directory(purpose: str) -> Path:
    """The directory for one purpose, made if need be: `$XDG_CACHE_HOME/pywasm-filter/<purpose>`, or below ~/.cache.

    Raises CompileError when it cannot be made.
    """
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    directory = Path(base) / "pywasm-filter" / purpose
    try:
        directory = directory.expanduser()
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        raise CompileError(
            f"the cache directory cannot be made: {error}",
            directory,
            remedy="set XDG_CACHE_HOME to a directory that can be written",
        ) from error
    return directory


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes out that lock the same path, so that they need not all do the same work.

    Raises CompileError when there is no writing to the cache.
    """
    try:
        file = path.open("wb")
    except OSError as error:
        raise CompileError(
            f"the cache cannot be written: {error.strerror}",
            path.parent,
            remedy="set XDG_CACHE_HOME to a directory that can be written",
        ) from error
    with file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)  # closing the file gives it back
        yield


def keep_newest(directory: Path, pattern: str, count: int) -> None:
    """Remove all but the `count` files that were used last, and what killed processes have left half-written.

    One that cannot be removed stays.
    """
    files = sorted(directory.glob(pattern), key=_last_use, reverse=True)
    remains = [file for file in directory.glob(".*") if _last_use(file) < time.time() - _LONGEST_WRITE]
    for file in (*files[count:], *remains):
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process was quicker to remove it
        return 0.0
