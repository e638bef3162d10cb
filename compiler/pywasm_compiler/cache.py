"""The user's cache directory: results that cost seconds to make and nothing to lose."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pywasm_compiler.errors import CompileError

if sys.platform != "win32":
    import fcntl

_DIGEST_SIZE = 32
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


class CacheEntries:
    """Files of one directory of the cache by key: each is as it was written, or not there.

    Its checksum is in a file's name; one that is damaged is removed when it is asked for. Files are written under
    another name and then renamed, so that a process that is killed leaves nothing that another takes for whole.
    """

    def __init__(self, directory: Path, suffix: str, count: int) -> None:
        """The `count` files that were used last are kept."""
        self._directory = directory
        self._suffix = suffix
        self._count = count

    def get(self, key: str, make: Callable[[], bytes]) -> Path:
        """The file of a key, made if it is not there, by one process while others wait for it.

        Raises what `make` raises, and CompileError when there is no writing to the cache.
        """
        found = self.find(key)
        if found is not None:
            return found
        with self.alone(key):
            found = self.find(key)
            if found is not None:
                return found
            content = make()
            try:
                return self.keep(key, content)
            except OSError as error:
                raise _unwritable(self._directory, error) from error

    def find(self, key: str) -> Path | None:
        """The file of a key, None if there is none."""
        for path in sorted(self._directory.glob(f"{glob.escape(key)}-*{self._suffix}")):
            with contextlib.suppress(OSError):  # it may be there to be read only
                os.utime(path)
            try:
                with path.open("rb") as file:
                    checksum = hashlib.file_digest(file, lambda: _checksum_of(key)).hexdigest()
            except OSError:
                continue  # removed meanwhile
            if path == self._path(key, checksum):
                return path
            remove(path)
        return None

    def keep(self, key: str, content: bytes | bytearray) -> Path:
        """Write the file of a key. Raises OSError."""
        checksum = _checksum_of(key)
        checksum.update(content)
        path = self._path(key, checksum.hexdigest())
        scratch = self._directory / f".{key}.{secrets.token_hex(4)}"
        try:
            scratch.write_bytes(content)
            scratch.replace(path)
        except OSError:
            remove(scratch)
            raise
        keep_newest(self._directory, f"*{self._suffix}", self._count)
        keep_newest(self._directory, "*.lock", self._count)
        return path

    @contextlib.contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Keep out other processes that are about to make the same, so that one does and the others find it.

        Raises CompileError when there is no writing to the cache. A process that is killed keeps nobody out.
        """
        try:
            file = (self._directory / f"{key}.lock").open("wb")
        except OSError as error:
            raise _unwritable(self._directory, error) from error
        with file:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX)  # closing the file gives it back
            yield

    def _path(self, key: str, checksum: str) -> Path:
        return self._directory / f"{key}-{checksum[:32]}{self._suffix}"


class SmallEntries:
    """Many small files of one directory of the cache by key: each is as it was written, or not there.

    The key is the file's name. A file begins with a checksum of the rest. One that is damaged is made again, and so is
    one that cannot be kept.
    """

    def __init__(self, directory: Path, count: int) -> None:
        """About `count` files that were used last are kept."""
        self._directory = directory
        self._count = count
        self._tidied = False

    def get(self, key: str, make: Callable[[], bytes]) -> bytes:
        """The content of a key, made if it is not there. Raises what `make` raises."""
        path = self._directory / key
        with contextlib.suppress(OSError):
            stored = path.read_bytes()
            content = stored[_DIGEST_SIZE:]
            if stored[:_DIGEST_SIZE] == _digest_of(key, content):
                os.utime(path)
                return content
        content = make()
        scratch = self._directory / f".{key}.{secrets.token_hex(4)}"
        try:
            scratch.write_bytes(_digest_of(key, content) + content)
            scratch.replace(path)
        except OSError:
            remove(scratch)
        self._tidy()
        return content

    def _tidy(self) -> None:
        """Remove what is too much, once in a run that adds to it."""
        if not self._tidied:
            self._tidied = True
            keep_newest(self._directory, "*", self._count)


def _unwritable(directory: Path, error: OSError) -> CompileError:
    """What a user is told whose cache cannot be written, or is full."""
    return CompileError(
        f"the cache cannot be written: {error.strerror}",
        directory,
        remedy="make room there, or set XDG_CACHE_HOME to a directory that can be written",
    )


def keep_newest(directory: Path, pattern: str, count: int) -> None:
    """Remove the files that were not used for longest, and what killed processes have left half-written."""
    files = sorted(
        (file for file in directory.glob(pattern) if not file.name.startswith(".")), key=_last_use, reverse=True
    )
    remains = [file for file in directory.glob(".*") if _last_use(file) < time.time() - _LONGEST_WRITE]
    for file in (*files[count:], *remains):
        remove(file)


def remove(path: Path) -> None:
    """Remove a file. One that cannot be removed stays."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _digest_of(key: str, content: bytes) -> bytes:
    checksum = _checksum_of(key)
    checksum.update(content)
    return checksum.digest()


def _checksum_of(key: str) -> hashlib._Hash:
    """It covers the key as well: one file is not taken for another."""
    return hashlib.sha256(key.encode())


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process was quicker to remove it
        return 0.0
