"""The base image and what is imported into it: the same sources make the same module, and the cache is safe."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from pywasm_compiler.cache import cache_directory
from pywasm_compiler.cpython import base as base_module
from pywasm_compiler.cpython import loading
from pywasm_compiler.cpython.base import BaseImage
from pywasm_compiler.cpython.componentize import Made
from pywasm_compiler.engine import Options, Program, engine
from pywasm_compiler.errors import CompileError
from pywasm_compiler.import_rules import STAND_INS

RUNTIME = """
import importlib

class Vm:
    def proxy_on_vm_start(self, context_id, size):
        return 1

def start(module_name, host):
    importlib.import_module(module_name)
    return Vm()
"""


def program(directory: Path, source: str = "") -> Program:
    directory.mkdir()
    (directory / "my_filter.py").write_text(source)
    (directory / "my_runtime.py").write_text(RUNTIME)
    return Program("my_filter", "my_runtime", (directory,), ("proxy_log",), ("proxy_on_vm_start",))


def compiled(made: Program) -> bytes:
    return engine("cpython").compile(made, Options(), lambda step: None)


def refusal(made: Program) -> CompileError:
    with pytest.raises(CompileError) as caught:
        compiled(made)
    return caught.value


def test_the_same_sources_make_the_same_module(tmp_path: Path) -> None:
    source = "import logging, time\nNAMES = {'b', 'a', 'c'}\nSTARTED = time.time()\n"
    assert compiled(program(tmp_path / "here", source)) == compiled(program(tmp_path / "there", source))


def test_kept_code_makes_the_same_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = 'import logging\n\n\ndef double(x: int) -> int:\n    """Twice."""\n    return x + x\n'
    before = compiled(program(tmp_path / "author", source))
    entries = tmp_path / "entries"
    entries.mkdir()
    monkeypatch.setattr(loading, "cache_directory", lambda purpose: entries)
    for made in ("anew", "from what was kept"):
        assert compiled(program(tmp_path / made, source)) == before
    assert len(list(entries.iterdir())) > 100


def test_the_time_of_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import time\nassert int(time.time()) == 1_700_000_000\n"
    assert "AssertionError" in refusal(program(tmp_path / "long_ago", source)).message
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert compiled(program(tmp_path / "then", source))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert "SOURCE_DATE_EPOCH" in refusal(program(tmp_path / "never", source)).message


def test_what_random_yields_is_not_in_the_module_of_all(tmp_path: Path) -> None:
    source = "import secrets\nKEY = secrets.token_bytes(32)\n"
    assert compiled(program(tmp_path / "one", source)) != compiled(program(tmp_path / "other", source))


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("import json\n\n\njson.loads('[')\n", 4, "JSONDecodeError"),
        ("x = 1\ny = = 2\n", 2, "SyntaxError"),
        ("raise SystemExit(3)\n", 1, "SystemExit"),
        ("open('/etc/passwd')\n", 1, "FileNotFoundError"),
        ("open('notes.txt', 'w')\n", 1, "No such file or directory"),
        ("import nowhere\n", 1, "No module named 'nowhere'"),
    ],
)
def test_a_failure_names_the_authors_line(tmp_path: Path, source: str, line: int, message: str) -> None:
    made = program(tmp_path / "author", source)
    error = refusal(made)
    assert message in error.message
    assert (error.file, error.line) == (made.search_path[0] / "my_filter.py", line)
    assert "pywasm_loader" not in error.detail


def test_the_stand_in_for_ssl(tmp_path: Path) -> None:
    source = """
import asyncio.sslproto
import http.client
import urllib.request
from ssl import CERT_REQUIRED, SSLContext, SSLError, create_default_context

assert issubclass(http.client.HTTPSConnection, http.client.HTTPConnection)
for make in (SSLContext, create_default_context, lambda: http.client.HTTPSConnection("example.test")):
    try:
        make()
    except OSError as error:
        assert "there is no TLS in a proxy's VM" in str(error), error
    else:
        raise AssertionError(make)
"""
    made = program(tmp_path / "author", source)
    assert compiled(replace(made, search_path=(*made.search_path, STAND_INS)))
    assert "No module named '_ssl'" in refusal(made).message


def test_a_module_that_only_the_host_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / f"hidden{EXTENSION_SUFFIXES[0]}").touch()
    (site / "outside.py").touch()
    monkeypatch.syspath_prepend(str(site))
    source = "import importlib\nimportlib.import_module({!r})\n"
    assert "machine code" in refusal(program(tmp_path / "one", source.format("hidden"))).remedy
    assert "at the top of the filter" in refusal(program(tmp_path / "two", source.format("outside"))).remedy
    assert refusal(program(tmp_path / "three", source.format("nowhere"))).remedy == ""


def test_nothing_outside_the_search_path_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    error = refusal(program(tmp_path / "author", "open(__file__ + '/../../secret.txt')\n"))
    assert "FileNotFoundError" in error.message


# --- the cache ---


@pytest.fixture
def forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The base of another cache, with quick steps in the place of the real ones: what was made."""
    made: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def componentize() -> Made:
        made.append("component")
        return Made(b"component", EMPTY_ZIP)

    monkeypatch.setattr(base_module, "componentize", componentize)
    return made


EMPTY_ZIP = b"PK\5\6" + bytes(18)


def test_each_form_is_made_once(forms: list[str]) -> None:
    for _ in range(2):
        BaseImage(lambda step: None).standard_library().close()
    assert forms == ["component"]


def test_a_damaged_form_is_made_anew(forms: list[str]) -> None:
    BaseImage(lambda step: None).standard_library().close()
    [file] = cache_directory("images").glob("stdlib-*.stdlib")
    file.write_bytes(file.read_bytes()[:-1])
    assert BaseImage(lambda step: None).standard_library().namelist() == []
    assert forms == ["component", "component"]


HOLD = """
import sys, time
from pywasm_compiler.cpython import base
from pywasm_compiler.cpython.componentize import Made

def componentize():
    print("making", flush=True)
    time.sleep(float(sys.argv[1]))
    return Made(b"component", b"PK\\5\\6" + bytes(18))

base.componentize = componentize
base.BaseImage(lambda step: None).standard_library()
print("done", flush=True)
"""


def hold(seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", HOLD, str(seconds)], stdout=subprocess.PIPE, text=True)


def test_one_of_two_at_once_makes_it(forms: list[str]) -> None:
    first = hold(1.0)
    assert first.stdout is not None
    assert first.stdout.readline() == "making\n"
    second = hold(0)
    assert second.communicate(timeout=60)[0] == "done\n"
    assert first.communicate(timeout=60)[0] == "done\n"


def test_one_that_is_killed_keeps_nobody_out(forms: list[str]) -> None:
    with hold(60) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "making\n"
        killed.send_signal(signal.SIGKILL)
    begun = time.monotonic()
    assert hold(0).communicate(timeout=60)[0] == "making\ndone\n"
    assert time.monotonic() - begun < 50
