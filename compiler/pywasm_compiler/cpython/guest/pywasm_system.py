"""What the `os` module says of the host's files while a filter is imported: which there are, and how long.

Afterwards it says what it always says in a proxy: that there are none.
"""

from __future__ import annotations

import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class System:
    """Stands before the functions of `os` that ask for files; `ask` has the answers of the host, or None."""

    def __init__(self, ask: Callable[[str, str], bytes | None]) -> None:
        self._ask = ask
        self._replaced: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> System:
        own = {"stat": self._stat, "lstat": self._stat, "listdir": self._listdir, "scandir": self._scandir}
        self._own = {name: getattr(os, name) for name in own}
        for name, function in own.items():
            self._replace(os, name, function)
        if glob := sys.modules.get("glob"):  # it has its own names for them
            self._replace(vars(glob)["_StringGlobber"], "scandir", staticmethod(self._scandir))
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, before in self._replaced:
            setattr(owner, name, before)

    def _replace(self, owner: Any, name: str, function: object) -> None:
        self._replaced.append((owner, name, vars(owner)[name]))
        setattr(owner, name, function)

    def _stat(self, path: Any, **options: Any) -> Any:
        size = None if isinstance(path, int) else self._ask("stat", os.fsdecode(path))
        if size is None:
            return self._own["stat"](path, **options)
        mode = stat.S_IFREG | 0o444 if size else stat.S_IFDIR | 0o555
        return os.stat_result((mode, 0, 0, 1, 0, 0, int(size or b"0"), 0, 0, 0))

    def _listdir(self, path: Any = ".") -> Any:
        listed = None if isinstance(path, int) else self._ask("directory", os.fsdecode(path))
        if listed is None:
            return self._own["listdir"](path)
        names = listed.decode("utf-8", "surrogateescape").split("\n") if listed else []
        return [os.fsencode(name) for name in names] if isinstance(path, bytes) else names

    def _scandir(self, path: Any = ".") -> Any:
        if isinstance(path, int) or self._ask("directory", os.fsdecode(path)) is None:
            return self._own["scandir"](path)
        return _Entries(_Entry(name, os.path.join(path, name), self._stat) for name in self._listdir(path))


class _Entries:
    """What `os.scandir` returns."""

    def __init__(self, entries: Iterator[_Entry]) -> None:
        self._entries = entries

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[_Entry]:
        return self._entries

    def __next__(self) -> _Entry:
        return next(self._entries)

    def close(self) -> None:
        """There is nothing to close."""


class _Entry:
    """A file or a directory (os.DirEntry)."""

    def __init__(self, name: Any, path: Any, status: Callable[..., Any]) -> None:
        self.name = name
        self.path = path
        self._status = status

    def __fspath__(self) -> Any:
        return self.path

    def stat(self, *, follow_symlinks: bool = True) -> Any:
        return self._status(self.path)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return stat.S_ISDIR(self.stat().st_mode)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return stat.S_ISREG(self.stat().st_mode)

    def is_symlink(self) -> bool:
        return False

    def is_junction(self) -> bool:
        return False

    def inode(self) -> int:
        return 0
