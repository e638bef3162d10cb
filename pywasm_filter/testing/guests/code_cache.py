"""Compiled code, kept from one process to the next: compiling a filter takes seconds, loading the result little.

The compiled code of a module is run as it is read, so a damaged file must not get that far: its checksum is in its
name. Files are written under another name and then renamed, so that readers see whole files only. They are mapped into
memory, not read: all processes of a test run share one copy.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import secrets
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import wasmtime
from pywasm_compiler.errors import CompileError

from pywasm_filter.cache import cache_directory, keep_newest, locked
from pywasm_filter.testing.errors import GuestLoadError
from pywasm_filter.testing.guests.engine import one_line
from pywasm_filter.testing.recent import Recent

_SUFFIX = ".code"
_KEPT_FILES = 12
_KEPT_MODULES = 8


class CodeCache:
    """Compiled modules: those used last in memory, more on disk.

    `directory` None: the user's cache, or none if it cannot be used. Modules of less than `least_size` bytes are
    compiled each time: that takes no longer than reading them.
    """

    def __init__(
        self, engine: wasmtime.Engine, settings: str, directory: Path | None = None, *, least_size: int = 0
    ) -> None:
        """`settings` tells what of the engine's configuration the code depends on."""
        self._engine = engine
        self._settings = settings
        self._directory = directory or _user_directory()
        self._least_size = least_size
        self._modules: Recent[str, wasmtime.Module] = Recent(_KEPT_MODULES)

    def module(self, code: bytes) -> wasmtime.Module:
        """The compiled module. Raises GuestLoadError when it is not valid."""
        key = self._key(code)
        return self._modules.get(key, lambda: self._made(key, code))

    def _key(self, code: bytes) -> str:
        target = f"{version('wasmtime')} {platform.system()} {platform.machine()} {self._settings}"
        return hashlib.sha256(target.encode() + b"\0" + code).hexdigest()

    def _made(self, key: str, code: bytes) -> wasmtime.Module:
        """The module from disk; compiled if it is not there, by one process while others wait for it."""
        directory = self._directory
        if directory is None or len(code) < self._least_size:
            return self._compile(code)
        loaded = self._load(directory, key)
        if loaded is not None:
            return loaded
        with _alone(directory / f"{key}.lock"):
            return self._load(directory, key) or self._keep(directory, key, self._compile(code))

    def _compile(self, code: bytes) -> wasmtime.Module:
        try:
            return wasmtime.Module(self._engine, code)
        except wasmtime.WasmtimeError as error:
            raise GuestLoadError(f"not a valid module: {one_line(error)}") from error

    def _load(self, directory: Path, key: str) -> wasmtime.Module | None:
        for path in _files(directory, key):
            with contextlib.suppress(OSError):  # a file that is read but not written, in a cache that others fill
                os.utime(path)
            try:
                with path.open("rb") as file:
                    checksum = hashlib.file_digest(file, lambda: hashlib.sha256(key.encode())).hexdigest()
                if path == _path(directory, key, checksum):
                    return wasmtime.Module.deserialize_file(self._engine, str(path))
            except OSError:
                continue  # removed meanwhile
            except wasmtime.WasmtimeError:
                pass  # made by a wasmtime, or for a processor, that is not this one
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        return None

    def _keep(self, directory: Path, key: str, module: wasmtime.Module) -> wasmtime.Module:
        """Put a module that was compiled onto the disk, and take it from there.

        That it cannot be kept costs time and memory, nothing else.
        """
        compiled = module.serialize()
        checksum = hashlib.sha256(key.encode())
        checksum.update(compiled)
        path = _path(directory, key, checksum.hexdigest())
        scratch = directory / f".{key}.{secrets.token_hex(4)}"
        try:
            scratch.write_bytes(compiled)
            scratch.replace(path)
            keep_newest(directory, f"*{_SUFFIX}", _KEPT_FILES)
            keep_newest(directory, "*.lock", _KEPT_FILES)
            kept = wasmtime.Module.deserialize_file(self._engine, str(path))
        except (OSError, wasmtime.WasmtimeError):
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
            return module
        module.close()
        del compiled
        _give_memory_back()
        return kept


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keep out other processes that compile the same; where that is not possible, they do it as well."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(CompileError):
            stack.enter_context(locked(lock))
        yield


def _give_memory_back() -> None:
    """The compiler leaves hundreds of megabytes with the C library's allocator, which keeps them unless it is asked."""
    if platform.system() == "Linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)


def _path(directory: Path, key: str, checksum: str) -> Path:
    return directory / f"{key}-{checksum}{_SUFFIX}"


def _files(directory: Path, key: str) -> list[Path]:
    try:
        return sorted(directory.glob(f"{key}-*{_SUFFIX}"))
    except OSError:
        return []


def _user_directory() -> Path | None:
    try:
        return cache_directory("code")
    except CompileError:
        return None
