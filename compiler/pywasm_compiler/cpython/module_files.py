"""The modules that a guest may import: their files, and the code that the guest gets of them."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Any, Final, NamedTuple

from pywasm_compiler.cpython.code_cache import Code, CodeCache, Kept
from pywasm_compiler.cpython.componentize import GUEST

_STANDARD_LIBRARY: Final = "/python/"
_MODULE: Final = ".py"
_OURS: Final = "/0/"


class ModuleFile(NamedTuple):
    """A module that the guest may import: `file` is empty for a namespace, `directories` for what is no package."""

    file: str
    directories: tuple[str, ...]
    source: bytes

    @property
    def is_standard(self) -> bool:
        """Whether it is of the standard library."""
        return self.file.startswith(_STANDARD_LIBRARY)

    @property
    def is_ours(self) -> bool:
        """Whether it is one of those that load the others."""
        return self.file.startswith(_OURS)


class ModuleFiles:
    """What the guest may read: the directories of the search path, mounted under their numbers, and Python's library.

    Answers are None for what is not there.
    """

    def __init__(self, search_path: tuple[Path, ...], library: zipfile.ZipFile) -> None:
        self._roots = [(f"/{number}/", path) for number, path in enumerate((GUEST, *search_path))]
        self._library = library
        self._names = frozenset(library.namelist())
        self._read: dict[str, bytes] = {}

    def data(self) -> dict[str, Any]:
        """How many files the filter has read that are no modules, and a hash over their names and contents."""
        digest = hashlib.sha256()
        for name, content in sorted(self._read.items()):
            for part in (name.encode("utf-8", "surrogatepass"), content):
                digest.update(len(part).to_bytes(8, "little"))
                digest.update(part)
        return {"files": len(self._read), "sha256": digest.hexdigest()}

    def module(self, name: str) -> ModuleFile | None:
        """A module by its dotted name."""
        stem = name.replace(".", "/")
        return self._own_module(stem) or self._library_module(stem) or self._namespace(stem)

    def own(self, name: str) -> bytes | None:
        """Whether a module is on the search path: an empty answer."""
        return None if self._own_module(name.replace(".", "/")) is None else b""

    def file(self, name: str) -> bytes | None:
        """The content of a file."""
        if name.startswith(_STANDARD_LIBRARY):
            entry = name.removeprefix(_STANDARD_LIBRARY)
            return self._library.read(entry) if entry in self._names else None
        path = self._path(name)
        if path is None or not path.is_file():
            return None
        content = path.read_bytes()
        if path.suffix != _MODULE:
            self._read[name] = content
        return content

    def directory(self, name: str) -> bytes | None:
        """The names in a directory, one a line."""
        path = self._path(name)
        if path is None or not path.is_dir():
            return None
        return "\n".join(sorted(entry.name for entry in path.iterdir())).encode()

    def stat(self, name: str) -> bytes | None:
        """The size of a file in digits; nothing for a directory."""
        path = self._path(name)
        if path is None or not path.exists():
            return None
        return b"" if path.is_dir() else str(path.stat().st_size).encode()

    def _own_module(self, stem: str) -> ModuleFile | None:
        for mount, root in self._roots:
            for relative, directories in ((f"{stem}/__init__.py", (f"{mount}{stem}",)), (f"{stem}.py", ())):
                path = root / relative
                if path.is_file():
                    return ModuleFile(f"{mount}{relative}", directories, path.read_bytes())
        return None

    def _library_module(self, stem: str) -> ModuleFile | None:
        for relative, directories in ((f"{stem}/__init__.py", (f"{_STANDARD_LIBRARY}{stem}",)), (f"{stem}.py", ())):
            if relative in self._names:
                return ModuleFile(f"{_STANDARD_LIBRARY}{relative}", directories, self._library.read(relative))
        return None

    def _namespace(self, stem: str) -> ModuleFile | None:
        """A package without `__init__.py`, which may lie in several directories."""
        directories = tuple(f"{mount}{stem}" for mount, root in self._roots if (root / stem).is_dir())
        return ModuleFile("", directories, b"") if directories else None

    def _path(self, name: str) -> Path | None:
        for mount, root in self._roots:
            if f"{name}/".startswith(mount):
                path = (root / f"{name}/".removeprefix(mount)).resolve()
                return path if path.is_relative_to(root.resolve()) else None
        return None


class CompiledModules:
    """The code of modules by name.

    The standard library and the runtime's own package have no docstrings, and the latter no annotations, unless all are
    asked for; those of the author's modules and of what is installed may be of use at run time. Only their lines are
    quoted in tracebacks, so only there columns matter.
    """

    def __init__(self, files: ModuleFiles, cache: CodeCache, runtime_module: str, *, all_docstrings: bool) -> None:
        self._files = files
        self._cache = cache
        self._runtime_package = runtime_module.partition(".")[0]
        self._all_docstrings = all_docstrings
        self._found: dict[str, ModuleFile | None] = {}

    def find(self, name: str) -> ModuleFile | None:
        """A module's file."""
        if name not in self._found:
            self._found[name] = self._files.module(name)
        return self._found[name]

    def code(self, name: str) -> bytes | None:
        """A module's code as `marshal` writes it; None for what cannot be compiled, and for what has no file."""
        found = self.find(name)
        if found is None or not found.file:
            return None
        code = self._cache.code(found.file, found.source, self._kept(name, found))
        return None if code is None else code.content

    def packed(self, name: str, dictionary: bytes) -> Code | None:
        """The same as `zlib` packs it, with a dictionary; and what is imported."""
        found = self.find(name)
        if found is None or not found.file:
            return None
        return self._cache.packed(found.file, found.source, self._kept(name, found), dictionary)

    def is_given(self, name: str, found: ModuleFile) -> bool:
        """Whether it is one of the author's modules, or of those that are installed."""
        return not (found.is_standard or found.is_ours) and name.partition(".")[0] != self._runtime_package

    def _kept(self, name: str, found: ModuleFile) -> Kept:
        if self._all_docstrings:
            return Kept.ALL
        if found.is_standard:
            return Kept.LINES
        return Kept.CODE if name.partition(".")[0] == self._runtime_package else Kept.ALL
