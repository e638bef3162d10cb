"""Finding a module's files in directories, without importing anything."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Found:
    """Where a module is: a source file, a native extension, or a directory without `__init__.py` (a namespace)."""

    name: str
    root: Path
    """The entry of the search path that holds it."""

    file: Path | None = None
    directories: tuple[Path, ...] = ()
    """Where its submodules are; empty when it is no package."""

    @property
    def is_native(self) -> bool:
        """Whether it is machine code."""
        return self.file is not None and self.file.name.endswith(tuple(EXTENSION_SUFFIXES))

    @property
    def package(self) -> str:
        """The package that its relative imports start from."""
        return self.name if self.directories else self.name.rpartition(".")[0]


class ModuleFinder:
    """Finds modules in directories, and remembers what it has found and what it has not."""

    def __init__(self, search_path: Sequence[Path]) -> None:
        self._path = tuple(search_path)
        self._known: dict[str, Found | None] = {}

    def find(self, name: str) -> list[Found] | None:
        """All modules that an import of the dotted `name` executes, outermost package first; None if one is missing.

        Source is preferred to a native extension of the same name: the guest sees only the source.
        """
        chain: list[Found] = []
        directories: Sequence[Path] = self._path
        full = ""
        for part in name.split("."):
            prefix, full = full and f"{full}.", f"{full}.{part}" if full else part
            if full not in self._known:
                self._known[full] = _find_in(directories, part, prefix)
            found = self._known[full]
            if found is None:
                return None
            chain.append(found)
            directories = found.directories
        return chain


def _find_in(directories: Iterable[Path], part: str, prefix: str) -> Found | None:
    portions: list[Path] = []
    for directory in directories:
        package = directory / part
        for file in _candidates(directory, part):
            if file.is_file():
                inside = (package,) if file.parent == package else ()
                return Found(prefix + part, directory, file, inside)
        if package.is_dir():
            portions.append(package)
    return Found(prefix + part, portions[0].parent, None, tuple(portions)) if portions else None


def _candidates(directory: Path, part: str) -> list[Path]:
    return [
        directory / part / "__init__.py",
        directory / f"{part}.py",
        *(directory / (part + suffix) for suffix in EXTENSION_SUFFIXES),
        *(directory / part / ("__init__" + suffix) for suffix in EXTENSION_SUFFIXES),
    ]


def environment_path() -> tuple[Path, ...]:
    """Directories where this interpreter finds installed packages: `sys.path` without its standard library."""
    own = {Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib")}
    own |= {directory / "lib-dynload" for directory in own}
    entries = [Path(entry).resolve() for entry in sys.path if entry]
    return tuple(entry for entry in dict.fromkeys(entries) if entry.is_dir() and entry not in own)


def editable_root(name: str) -> Path | None:
    """The directory of a top-level module that an import hook provides, as some editable installs do."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).parent
    return Path(spec.origin).parent if spec.origin and Path(spec.origin).is_file() else None
