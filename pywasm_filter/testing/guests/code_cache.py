"""Compiled code, kept from one process to the next: compiling a filter takes seconds, loading the result little.

The compiled code of a module is run as it is read, so a damaged file must not get that far: each has a checksum in
front. Files are written under another name and then renamed, so that readers see whole files only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import secrets
from importlib.metadata import version
from pathlib import Path

import wasmtime
from pywasm_compiler.errors import CompileError

from pywasm_filter.cache import cache_directory, keep_newest
from pywasm_filter.testing.errors import GuestLoadError
from pywasm_filter.testing.guests.engine import one_line

_CHECKSUM_SIZE = hashlib.sha256().digest_size
_SUFFIX = ".code"
_KEPT_FILES = 8


class CodeCache:
    """Compiled modules, in memory and on disk. `directory` None: the user's cache, or none if it cannot be used."""

    def __init__(self, engine: wasmtime.Engine, settings: str, directory: Path | None = None) -> None:
        """`settings` tells what of the engine's configuration the code depends on."""
        self._engine = engine
        self._settings = settings
        self._directory = directory or _user_directory()
        self._modules: dict[str, wasmtime.Module] = {}

    def module(self, code: bytes) -> wasmtime.Module:
        """The compiled module. Raises GuestLoadError when it is not valid."""
        key = self._key(code)
        module = self._modules.get(key)
        if module is None:
            module = self._modules[key] = self._load(key) or self._compile(key, code)
        return module

    def _key(self, code: bytes) -> str:
        target = f"{version('wasmtime')} {platform.system()} {platform.machine()} {self._settings}"
        return hashlib.sha256(target.encode() + b"\0" + code).hexdigest()

    def _compile(self, key: str, code: bytes) -> wasmtime.Module:
        try:
            module = wasmtime.Module(self._engine, code)
        except wasmtime.WasmtimeError as error:
            raise GuestLoadError(f"not a valid module: {one_line(error)}") from error
        self._store(key, bytes(module.serialize()))
        return module

    def _load(self, key: str) -> wasmtime.Module | None:
        if self._directory is None:
            return None
        path = self._path(self._directory, key)
        try:
            stored = path.read_bytes()
        except OSError:
            return None
        with contextlib.suppress(OSError):  # a file that is read but not written, in a cache that others fill
            os.utime(path)
        checksum, compiled = stored[:_CHECKSUM_SIZE], stored[_CHECKSUM_SIZE:]
        if checksum != _checksum(key, compiled):
            return None
        try:
            return wasmtime.Module.deserialize(self._engine, compiled)
        except wasmtime.WasmtimeError:
            # Made by a wasmtime, or for a processor, that is not this one.
            return None

    def _store(self, key: str, compiled: bytes) -> None:
        """Keep the code. That it cannot be kept costs time next time, nothing else."""
        if self._directory is None:
            return
        scratch = self._directory / f".{key}.{secrets.token_hex(4)}"
        try:
            scratch.write_bytes(_checksum(key, compiled) + compiled)
            scratch.replace(self._path(self._directory, key))
            keep_newest(self._directory, f"*{_SUFFIX}", _KEPT_FILES)
        except OSError:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)

    @staticmethod
    def _path(directory: Path, key: str) -> Path:
        return directory / f"{key}{_SUFFIX}"


def _checksum(key: str, compiled: bytes) -> bytes:
    return hashlib.sha256(key.encode() + compiled).digest()


def _user_directory() -> Path | None:
    try:
        return cache_directory("code")
    except CompileError:
        return None
