"""Coverage by pytest-cov: of a filter in process, and of the same filter inside a module under wasmtime."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from pywasm_compiler.cpython.loading import _recording
from pywasm_compiler.engine import Program, Recording

pytest_plugins = ["pytester"]

FILTER = '''"""Each kind of code that has its own way through lines."""

import contextlib
import logging
from dataclasses import dataclass

from helper import shout
from pywasm_filter import Action, HttpContext, RootContext

if __debug__:
    LIMIT = 3
else:
    LIMIT = 0


@dataclass
class Settings:
    words: tuple[str, ...] = (
        "a",
        "b",
    )


def pairs(words):
    for word in words:
        if word == "never":
            continue
        yield word, \\
            len(word)


@contextlib.contextmanager
def marked(stream):
    stream.marks = 0
    try:
        yield stream
    finally:
        stream.marks += 1


class Greet(HttpContext["Root"]):
    settings = Settings()

    def on_request_headers(self, num_headers, end_of_stream):
        path = self.request.path
        if path == "/local":
            self.send_local_response(
                418,
                body=b"short",
            )
            return Action.PAUSE
        with marked(self) as stream:
            for word, length in pairs(self.settings.words):
                stream.marks += length
        try:
            int(path[1:])
        except ValueError:
            self.request.headers["x-hello"] = shout("hi")
        else:
            self.number()
        finally:
            self.seen = [word for word in self.settings.words if word != "b"]
        return Action.CONTINUE

    def number(self):
        match self.request.path:
            case "/1":
                count = 0
                while count < LIMIT:
                    count += 1
                    if count == 2:
                        break
                self.count = count  # without it, 3.11.2 takes the break for the loop's own end
            case "/2":
                logging.info("two")
            case _:
                pass

    async def on_response_headers(self, num_headers, end_of_stream):
        check = lambda value: value and (
            len(value)
        )
        if check(self.seen):
            await self.sleep(1)
            self.response.headers["x-slept"] = "1"
        else:
            logging.error("not seen")
        return Action.CONTINUE

    def on_log(self):
        if self.seen:
            raise ValueError("for the traceback")
        logging.info("not reached")


class Root(RootContext):
    http_context = Greet

    def on_tick(self):
        logging.info("never")
'''
TEST = """
def test_word(proxy):
    exchange = proxy.get("/word")
    assert exchange.upstream_request.headers["x-hello"] == "HI"
    assert exchange.response.headers["x-slept"] == "1"

def test_number(proxy):
    assert proxy.get("/1").response.status == 200

def test_other():
    pass
"""
HELPER = """
def shout(text):
    return text.upper()
"""
MODULE = """
(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1000)))
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for all tests here, so that its modules are built once."""
    directory = tmp_path_factory.mktemp("measured")
    for name, text in {"filter": FILTER, "helper": HELPER, "test_it": TEST}.items():
        (directory / f"{name}.py").write_text(text)
    return directory


class Project:
    """Runs pytest in the directory of the sources."""

    def __init__(self, pytester: pytest.Pytester, directory: Path) -> None:
        self.pytester = pytester
        self.directory = directory

    def measured(self, *options: str) -> dict[str, Any]:
        """What coverage.py reports of each file."""
        report = self.pytester.path / "report.json"
        arguments = ["-p", "pytest_cov", "-p", "no:cacheprovider", "-W", "error", f"--cov-report=json:{report}"]
        self.pytester.runpytest_subprocess(*arguments, *options).assert_outcomes(passed=3)
        files = json.loads(report.read_text())["files"]
        for file in files.values():
            for region in ("functions", "classes"):
                del file[region]
        return dict(files)


@pytest.fixture
def project(plugin_pytester: pytest.Pytester, sources: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(sources)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return Project(plugin_pytester, sources)


def line_of(text: str) -> int:
    [number] = [number for number, line in enumerate(FILTER.splitlines(), 1) if text in line]
    return number


def test_lines_in_process(project: Project) -> None:
    files = project.measured("--cov=.")
    assert sorted(files) == ["filter.py", "helper.py", "test_it.py"]
    missing = files["filter.py"]["missing_lines"]
    assert line_of("raise ValueError") not in missing
    assert line_of("send_local_response") in missing
    by_name = project.measured("--cov=filter", "--cov=helper")
    assert sorted(by_name) == ["filter.py", "helper.py"]
    assert by_name["filter.py"]["missing_lines"] == missing


def test_lines_inside_the_module(project: Project) -> None:
    in_process = project.measured("--cov=.")
    assert project.measured("--cov=.", "--cov-context=test", "--pywasm-host=wasmtime") == in_process
    with closing(sqlite3.connect(project.directory / ".coverage")) as data:
        query = """
            select context from context join line_bits on context_id = context.id join file on file_id = file.id
            where path like '%filter.py'
        """
        contexts = {context for (context,) in data.execute(query)}
    assert {"test_it.py::test_word[wasmtime]|run", "test_it.py::test_number[wasmtime]|run"} <= contexts
    assert "test_it.py::test_other|run" not in contexts


def test_settings_and_workers(project: Project) -> None:
    """The settings of coverage.py hold for lines inside the module, and its files come together."""
    in_process = project.measured("--cov=filter")
    settings = project.pytester.path / "settings.ini"
    settings.write_text("[run]\nomit = */helper.py\n")
    options = ["--pywasm-host=wasmtime", "-p", "xdist", "-n", "2", f"--cov-config={settings}"]
    assert project.measured("--cov=filter", "--cov=helper", *options) == in_process


def test_branches_inside_the_module(project: Project) -> None:
    in_process = project.measured("--cov=.", "--cov-branch")
    assert project.measured("--cov=.", "--cov-branch", "--pywasm-host=wasmtime") == in_process
    loop = line_of("while count < LIMIT")
    assert [loop, loop + 1] in in_process["filter.py"]["executed_branches"]


def test_a_built_module_is_not_measured(project: Project, tmp_path: Path) -> None:
    """It is another's, or it is the one that ships: neither has anything to record in."""
    module = tmp_path / "module.wasm"
    module.write_bytes(wasmtime.wat2wasm(MODULE))
    test = tmp_path / "test_module.py"
    test.write_text("def test_it(proxy): proxy.get()")
    project.pytester.runpytest_subprocess(
        "-p", "pytest_cov", f"--cov={tmp_path}", f"--pywasm-filter={module}", "--pywasm-host=wasmtime", str(test)
    ).assert_outcomes(passed=1)


def test_the_module_that_ships_records_nothing() -> None:
    program = Program("filter", "runtime", (Path("/author"),), ("proxy_log",), ("proxy_on_tick",))
    assert _recording(program) == ()
    files = (Path("/author/package/__init__.py"), Path("/author/filter.py"), Path("/elsewhere/other.py"))
    recorded = {
        "/1/package/__init__.py": ("/author/package/__init__.py", "package"),
        "/1/filter.py": ("/author/filter.py", "filter"),
    }
    for branches, recorder in [(False, "record_lines"), (True, "record_arcs")]:
        recording = Recording(files, branches=branches)
        assert _recording(replace(program, recording=recording)) == (recorder, recorded)
