"""The code of Python modules, compiled by the guest's own compiler and kept in the user's cache."""

from __future__ import annotations

import ast
import hashlib
import zlib
from enum import StrEnum
from typing import Final, NamedTuple

import wasmtime

from pywasm_compiler.cache import SmallEntries
from pywasm_compiler.cpython.base import Loader
from pywasm_compiler.cpython.componentize import GUEST
from pywasm_compiler.cpython.guest_vm import GuestVm

_COMPILER: Final = (GUEST / "pywasm_code.py").read_text(encoding="utf-8")


class Kept(StrEnum):
    """What is kept of a source, beside what it does."""

    ALL = "all"
    LINES = "lines"
    """No docstrings; tracebacks have lines, and could not mark what is meant within one."""

    CODE = "code"
    """No annotations of its functions and variables, either."""


class Code(NamedTuple):
    """A module's code as `marshal` writes it, and what is imported when it runs.

    An import is the number of leading dots, the module, and the names that may be modules in it.
    """

    content: bytes
    imports: tuple[tuple[int, str, tuple[str, ...]], ...]


class CodeCache:
    """Compiles modules, each in a guest of its own: what comes out depends on the source alone."""

    def __init__(self, engine: wasmtime.Engine, loader: Loader, entries: SmallEntries) -> None:
        self._engine = engine
        self._loader = loader
        self._entries = entries

    def code(self, file: str, source: bytes, kept: Kept) -> Code | None:
        """A module's code; None for source that the guest cannot compile.

        `file` is its name in the guest."""
        key = hashlib.sha256(repr((self._loader.identity, file, str(kept))).encode() + source).hexdigest()
        return _decoded(self._entries.get(key, lambda: self._compile(file, source, kept)))

    def packed(self, file: str, source: bytes, kept: Kept, dictionary: bytes) -> Code | None:
        """The same as `zlib` packs it, with a dictionary."""
        code = self.code(file, source, kept)
        if code is None:
            return None
        key = hashlib.sha256(b"packed" + hashlib.sha256(dictionary).digest() + code.content).hexdigest()
        return code._replace(content=self._entries.get(key, lambda: _pack(code.content, dictionary)))

    def _compile(self, file: str, source: bytes, kept: Kept) -> bytes:
        """Imports and code, with a zero byte between them; nothing for source that cannot be compiled."""
        result: dict[str, bytes] = {}

        def answer(question: str, argument: bytes) -> bytes:
            result[question] = argument
            return source

        try:
            GuestVm(self._engine, self._loader, answer).run(
                f"{_COMPILER}\n\nanswer({file!r}, {kept is not Kept.ALL}, {kept is Kept.CODE})\n"
            )
        except (wasmtime.Trap, wasmtime.WasmtimeError):
            return b""  # the guest that wants the module comes to the same end, where it is told
        if "code" not in result:
            return b""
        return result["imports"] + b"\0" + result["code"]


def _decoded(entry: bytes) -> Code | None:
    if not entry:
        return None
    imports, _, content = entry.partition(b"\0")
    return Code(content, ast.literal_eval(imports.decode()))


def _pack(content: bytes, dictionary: bytes) -> bytes:
    packer = zlib.compressobj(zlib.Z_BEST_COMPRESSION, zdict=dictionary)
    return packer.compress(content) + packer.flush()
