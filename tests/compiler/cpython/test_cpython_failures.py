"""Programs that cannot be imported in the guest, by a real build."""

import tempfile
from pathlib import Path

import pytest
from pywasm_compiler.engine import Options, Program, engine
from pywasm_compiler.errors import CompileError

RUNTIME = """
import importlib

def start(module_name, host):
    host_holder = importlib.import_module("host_holder")
    host_holder.host = host
    return importlib.import_module(module_name)
"""

FILTER = """
from host_holder import call

def configure():
    call()

configure()
"""

HOST_HOLDER = """
def call():
    host.proxy_log(2, b"too early")
"""


@pytest.fixture
def program(tmp_path: Path) -> Program:
    author, runtime = tmp_path / "author", tmp_path / "runtime"
    author.mkdir()
    runtime.mkdir()
    (author / "my_filter.py").write_text(FILTER)
    (runtime / "my_runtime.py").write_text(RUNTIME)
    (runtime / "host_holder.py").write_text(HOST_HOLDER)
    return Program("my_filter", "my_runtime", (author, runtime), ("proxy_log",), ("proxy_on_vm_start",))


def test_the_authors_line_is_told_and_nothing_left_behind(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(CompileError) as caught:
        engine("cpython").compile(program, Options(), lambda step: None)
    error = caught.value
    author, runtime = program.search_path
    assert "RuntimeError" in error.message
    assert "hostcalls in callbacks" in error.message
    assert (error.file, error.line) == (author / "my_filter.py", 5)
    assert f'File "{author / "my_filter.py"}", line 7, in <module>' in error.detail
    assert f'File "{runtime / "host_holder.py"}", line 3, in call' in error.detail
    assert "pywasm_entry" not in error.detail
    assert list(temporary.iterdir()) == []
    assert {path.name for path in tmp_path.rglob("*")} == {
        "author", "runtime", "temporary", "my_filter.py", "my_runtime.py", "host_holder.py"
    }  # fmt: skip
