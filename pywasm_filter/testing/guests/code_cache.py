"""Compiled code, kept from one process to the next: compiling a filter takes seconds, loading the result little.

The compiled code of a module is run as it is read, so a damaged file must not get that far. Files are mapped into
memory, not read: all processes of a test run share one copy.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

import wasmtime
from pywasm_compiler.cache import CacheEntries, cache_directory, remove
from pywasm_compiler.errors import CompileError

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
        directory = directory or _user_directory()
        self._entries = None if directory is None else CacheEntries(directory, _SUFFIX, _KEPT_FILES)
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
        entries = self._entries
        if entries is None or len(code) < self._least_size:
            return self._compile(code)
        loaded = self._load(entries, key)
        if loaded is not None:
            return loaded
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(CompileError):  # where nobody can be kept out, the others compile as well
                stack.enter_context(entries.alone(key))
            return self._load(entries, key) or self._keep(entries, key, self._compile(code))

    def _compile(self, code: bytes) -> wasmtime.Module:
        try:
            return wasmtime.Module(self._engine, code)
        except wasmtime.WasmtimeError as error:
            raise GuestLoadError(f"not a valid module: {one_line(error)}") from error

    def _load(self, entries: CacheEntries, key: str) -> wasmtime.Module | None:
        path = entries.find(key)
        if path is None:
            return None
        try:
            return wasmtime.Module.deserialize_file(self._engine, str(path))
        except wasmtime.WasmtimeError:  # made by a wasmtime, or for a processor, that is not this one; or removed
            remove(path)
            return None

    def _keep(self, entries: CacheEntries, key: str, module: wasmtime.Module) -> wasmtime.Module:
        """Put a module that was compiled onto the disk, and take it from there.

        That it cannot be kept costs time and memory, nothing else.
        """
        try:
            path = entries.keep(key, module.serialize())
            kept = wasmtime.Module.deserialize_file(self._engine, str(path))
        except (OSError, wasmtime.WasmtimeError):
            return module
        module.close()
        _give_memory_back()
        return kept


def _give_memory_back() -> None:
    """The compiler leaves hundreds of megabytes with the C library's allocator, which keeps them unless it is asked."""
    if platform.system() == "Linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)


def _user_directory() -> Path | None:
    try:
        return cache_directory("code")
    except CompileError:
        return None
