"""What `os` says of the host's files while a filter is imported: what runs in the guest, run here."""

# ruff: noqa: PTH110, PTH112, PTH113, PTH116, PTH202, PTH208 - the functions of os are what is tried

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

import pytest
from pywasm_compiler.cpython.componentize import GUEST

FILES = {"/1/data/a.txt": 3, "/1/data/ü.json": 0, "/1/filter.py": 10}
DIRECTORIES = {"/1": ["data", "filter.py"], "/1/data": ["a.txt", "ü.json"], "/1/empty": []}


def ask(question: str, argument: str) -> bytes | None:
    listed = DIRECTORIES.get(argument)
    if question == "directory":
        return None if listed is None else "\n".join(listed).encode()
    assert question == "stat"
    size = FILES.get(argument)
    return b"" if listed is not None else None if size is None else str(size).encode()


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(GUEST))
    module: Any = import_module("pywasm_system")
    monkeypatch.delitem(sys.modules, "glob", raising=False)  # the guest's is another
    yield module.System(ask)
    del sys.modules["pywasm_system"]


def test_what_there_is(system: Any) -> None:
    with system:
        assert S_ISREG(os.stat("/1/filter.py").st_mode)
        assert S_ISDIR(os.lstat("/1/data").st_mode)
        assert os.stat("/1/data/a.txt").st_size == 3
        assert os.stat(b"/1/filter.py").st_size == 10
        assert [os.path.exists(f"/1/{name}") for name in ("data", "empty", "filter.py", "none")] == [True] * 3 + [False]
        assert [os.path.isfile(f"/1/{name}") for name in ("data", "filter.py", "none")] == [False, True, False]
        assert os.path.isdir("/1/data")
        assert os.path.getsize("/1/data/ü.json") == 0


def test_what_is_in_a_directory(system: Any) -> None:
    with system:
        assert os.listdir("/1/data") == ["a.txt", "ü.json"]
        assert os.listdir(b"/1/data") == [b"a.txt", "ü.json".encode()]
        assert os.listdir("/1/empty") == []
        with os.scandir("/1") as entries:
            assert [(entry.name, entry.path, entry.is_dir(), entry.is_file()) for entry in entries] == [
                ("data", "/1/data", True, False),
                ("filter.py", "/1/filter.py", False, True),
            ]
        first = next(os.scandir(Path("/1/data")))
        assert os.fspath(first) == "/1/data/a.txt"
        assert not first.is_symlink()
        assert first.stat().st_size == 3


def test_all_else_is_asked_of_the_system(system: Any, tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("four")
    before = os.stat, os.lstat, os.listdir, os.scandir
    with system:
        assert os.stat != before[0]
        assert os.stat(tmp_path / "own.txt").st_size == 4
        assert os.listdir(tmp_path) == ["own.txt"]
        with os.scandir(tmp_path) as entries:
            assert [entry.name for entry in entries] == ["own.txt"]
        assert os.fstat(0) is not None
        for function in (os.stat, os.listdir, os.scandir):
            with pytest.raises(FileNotFoundError):
                function("/1/nowhere")
    assert (os.stat, os.lstat, os.listdir, os.scandir) == before
