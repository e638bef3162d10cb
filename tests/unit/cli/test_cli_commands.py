"""What the commands print when all is well."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from pywasm_compiler import engine as engines
from pywasm_compiler.engine import Options, Program, Progress
from typer.testing import CliRunner, Result
from wasmtime import wat2wasm

from pywasm_filter.cli.app import app
from pywasm_filter.cli.console import printable, size

ADD_HEADER = """
from pywasm_filter import Action, HttpContext


class Mine(HttpContext):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        print("seen", self.request.path)
        self.request.headers["x-added"] = "yes"
        self.request.headers["x-changed"] = "after"
        self.request.headers.discard("x-removed")
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.response.headers["x-answer"] = "42"
        return Action.CONTINUE
"""

MODULE = bytes(
    wat2wasm("""(module
    (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "_initialize"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) i32.const 8)
    (func (export "proxy_on_context_create") (param i32 i32)))""")
)


@dataclass
class FakeEngine:
    """Makes the same module of every program."""

    name: str = "fake"

    def compile(self, program: Program, options: Options, progress: Progress) -> bytes:
        progress("Compiling")
        return MODULE


@pytest.fixture
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("fake_engine_of_commands")
    vars(module)["Fake"] = FakeEngine
    monkeypatch.setitem(sys.modules, "fake_engine_of_commands", module)
    monkeypatch.setitem(engines._ENGINES, "fake", ("fake_engine_of_commands", "Fake"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "filter.py").write_text(ADD_HEADER)
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments), prog_name="pywasm-filter")
    assert result.exit_code == 0, result.output
    return result


# --- help ---


def test_help_lists_the_commands() -> None:
    output = run("--help").output
    for command in ("new", "check", "build", "inspect", "try", "--version"):
        assert command in output


@pytest.mark.parametrize("command", ["new", "check", "build", "inspect", "try"])
def test_help_of_each_command_has_a_worked_example(command: str) -> None:
    assert f"Example: pywasm-filter {command} " in run(command, "--help").output


def test_version() -> None:
    assert run("--version").output.startswith("pywasm-filter ")


def test_start_imports_nothing_heavy() -> None:
    heavy = {
        "wasmtime",
        "mypy",
        "jinja2",
        "componentize_py",
        "pytest",
        "pywasm_filter.testing",
        "pywasm_compiler.source",
    }
    program = "import sys, pywasm_filter.cli.app; print(*sys.modules)"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not heavy & set(done.stdout.split())
    assert time.monotonic() - began < 5


# --- build and inspect ---


@pytest.mark.usefixtures("fake_engine")
def test_build_writes_the_module_and_sums_up(project: Path) -> None:
    result = run("build", "filter.py", "--engine", "fake", "-o", "out.wasm")
    assert (project / "out.wasm").read_bytes() == MODULE
    assert result.stderr.splitlines() == [
        "Checking the source",
        "Importing the filter in a fresh interpreter",
        "Compiling",
        "Saving it",
    ]
    lines = result.stdout.splitlines()
    assert lines[0] == "out.wasm"
    assert f"{len(MODULE)} B (" in lines[1]
    assert lines[2] == "  imports  1 of env: proxy_log"
    assert "envoy" in lines[3]
    assert lines[4].endswith(" s")
    assert "\x1b" not in result.output


@pytest.mark.usefixtures("fake_engine")
def test_build_is_named_after_the_source(project: Path) -> None:
    result = run("build", "filter.py", "--engine", "fake", "--json")
    summary = json.loads(result.stdout)
    assert (project / "filter.wasm").read_bytes() == MODULE
    assert summary["path"] == "filter.wasm"
    assert summary["size"] == len(MODULE)
    assert summary["imports"] == {"env": ["proxy_log"]}
    assert "envoy" in summary["hosts"]


def test_inspect(project: Path) -> None:
    (project / "some.wasm").write_bytes(MODULE)
    output = run("inspect", "some.wasm").stdout
    assert "some.wasm: Proxy-Wasm ABI 0.2.1" in output
    assert "imports of env (1)\n  proxy_log\n" in output
    assert "loads    Envoy" in output
    assert "refuses  Kong" in output
    assert "it does not export proxy_on_configure, which the host requires" in output
    assert json.loads(run("inspect", "some.wasm", "--json").stdout)["abi_version"] == "0.2.1"


def test_names_from_a_module_cannot_reach_the_terminal(project: Path) -> None:
    evil = MODULE.replace(b"proxy_log", b"\x1b[2J\x07xyz_")
    (project / "some.wasm").write_bytes(evil)
    output = run("inspect", "some.wasm").stdout
    assert "\x1b" not in output
    assert "\\x1b[2J\\x07xyz" in output


# --- check ---


def test_check_finds_nothing(project: Path) -> None:
    assert run("check", "filter.py").stdout == "filter.py: no problem found\n"
    assert json.loads(run("check", "filter.py", "--json").stdout) == {"ok": True, "findings": []}


def test_check_finds_everything_at_once(project: Path) -> None:
    source = ADD_HEADER.replace("-> Action", "-> int").replace(
        "from pywasm_filter", "import ssl\nfrom pywasm_filter", 1
    )
    (project / "filter.py").write_text(source)
    result = CliRunner().invoke(app, ["check", "filter.py", "--json"])
    assert result.exit_code == 1
    findings = json.loads(result.stdout)["findings"]
    assert [(finding["file"], finding["line"]) for finding in findings] == [
        ("filter.py", 2),
        ("filter.py", 7),
        ("filter.py", 14),
    ]
    assert "no module 'ssl'" in findings[0]["message"]
    assert [finding["rule"] for finding in findings] == ["missing-module", "callback-result", "callback-result"]
    assert {finding["severity"] for finding in findings} == {"error"}
    assert all(finding["remedy"] for finding in findings)
    assert sorted(path.name for path in project.iterdir()) == ["filter.py"]


def test_check_tells_a_mistake_once(project: Path) -> None:
    (project / "helper.py").write_text("x = (\n")
    (project / "filter.py").write_text("import helper\n" + ADD_HEADER)
    result = CliRunner().invoke(app, ["check", "filter.py"])
    assert "helper.py:1: error: syntax error" in result.stderr
    assert result.stderr.count("helper.py:1: ") == 1


def test_check_when_mypy_itself_fails(project: Path) -> None:
    (project / "mypy.ini").write_text("[mypy]\nplugins = no_such_plugin\n")
    (project / "filter.py").write_text("import ssl\n" + ADD_HEADER)
    result = CliRunner().invoke(app, ["check", "filter.py"])
    assert result.exit_code == 1
    assert "filter.py:1: error: the Python" in result.stderr
    assert "no_such_plugin" in result.stderr
    assert "2 errors found" in result.stderr


def test_check_covers_the_modules_beside_the_filter(project: Path) -> None:
    (project / "helper.py").write_text("def f(x):\n    return x\n")
    (project / "filter.py").write_text("import helper\n" + ADD_HEADER)
    result = CliRunner().invoke(app, ["check", str(project / "filter.py")])
    assert result.exit_code == 1
    assert f"{project}/helper.py:1: error: Function is missing a type annotation [no-untyped-def]" in result.stderr
    assert "1 error found" in result.stderr


# --- new ---


def test_new(project: Path) -> None:
    result = run("new", "my_filter")
    assert "my_filter/filter.py\n" in result.stdout
    assert "Next:  cd my_filter" in result.stdout
    assert run("check", "my_filter/filter.py").exit_code == 0


def test_new_shows_commands_that_a_shell_understands(project: Path) -> None:
    refused = CliRunner().invoke(app, ["new", "my filters/first"])
    assert "remedy: mkdir -p 'my filters'\n" in refused.stderr
    (project / "my filters").mkdir()
    assert "Next:  cd 'my filters/first';" in run("new", "my filters/first").stdout


# --- try ---


def test_try_marks_what_changed(project: Path) -> None:
    output = run(
        *("try", "filter.py", "/x?y=1", "-H", "x-changed: before", "-H", "x-removed: old", "-H", "accept: */*"),
        *("-d", "hello", "--upstream-status", "201", "--upstream-header", "x-up: 1", "--upstream-body", "made"),
    ).stdout
    lines = output.splitlines()
    for line in (
        "  method: POST",
        "  path: /x?y=1",
        "  accept: */*",
        "+ x-added: yes",
        "~ x-changed: after   (was: before)",
        "- x-removed: old",
        "  hello",
        "  status: 201",
        "  x-up: 1",
        "+ x-answer: 42",
        "  server: envoy   (by the proxy)",
        "  made",
        "  [info] seen /x?y=1",
    ):
        assert line in lines
    assert "\x1b" not in output


def test_try_for_machines(project: Path) -> None:
    outcome = json.loads(run("try", "filter.py", "http://example.com/x", "-X", "DELETE", "--json").stdout)
    assert outcome["sent"] == {"method": "DELETE", "path": "/x", "headers": []}
    request = outcome["request"]
    assert {"kind": "unchanged", "name": "authority", "before": ["example.com"], "after": ["example.com"]} in request[
        "first_line"
    ]
    assert {"kind": "added", "name": "x-added", "before": [], "after": ["yes"]} in request["headers"]
    assert request["body"] == {"changed": False, "before": {"text": ""}, "after": {"text": ""}}
    assert {"kind": "added", "name": "x-answer", "before": [], "after": ["42"]} in outcome["response"]["headers"]
    assert outcome["answered_by_upstream"] is True
    assert outcome["reset"] is False
    assert outcome["logs"] == [{"level": "info", "message": "seen /x"}]
    assert outcome["notes"] == []


def test_try_with_a_filter_that_answers(project: Path) -> None:
    (project / "filter.py").write_text("""
from pywasm_filter import Action, HttpContext


class Mine(HttpContext):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return self.send_local_response(403, headers={"x-why": "quota"}, body="no more")
""")
    output = run("try", "filter.py").stdout
    assert "the upstream got nothing" in output
    assert "made by the filter" in output
    assert "  status: 403\n" in output
    assert "+ x-why: quota\n" in output
    assert "+ no more\n" in output


def test_try_with_bodies(project: Path) -> None:
    (project / "filter.py").write_text("""
from pywasm_filter import Action, HttpContext


class Mine(HttpContext):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        del self.request.headers["content-length"]
        return Action.CONTINUE

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        self.request.body.replace(self.request.body.read().replace(b"two", b"zwei"))
        return Action.CONTINUE
""")
    (project / "body").write_bytes(b"one\ntwo\nthree")
    lines = run("try", "filter.py", "-d", "@body").stdout.splitlines()
    assert [line for line in lines if line[2:] in ("one", "two", "zwei", "three")] == [
        "  one",
        "- two",
        "+ zwei",
        "  three",
    ]
    (project / "body").write_bytes(b"\x00two\xff")
    assert "~ body of 6 B   (was: 5 B)" in run("try", "filter.py", "-d", "@body").stdout


def test_try_with_a_configuration(project: Path) -> None:
    (project / "filter.py").write_text("""
from pywasm_filter import RootContext, register_root_context


class Root(RootContext):
    def on_configure(self, configuration: bytes) -> bool:
        print("configured with", configuration.decode())
        return configuration != b"bad"


register_root_context(Root, "one")
""")
    (project / "config.json").write_text("from a file")
    assert "[info] configured with inline" in run("try", "filter.py", "-c", "inline", "--root-id", "one").stdout
    assert "[info] configured with from a file" in run("try", "filter.py", "-c", "@config.json").stdout
    refused = CliRunner().invoke(app, ["try", "filter.py", "-c", "bad"])
    assert refused.exit_code == 1
    assert "on_configure refused" in refused.stderr
    assert "| [info] configured with bad" in refused.stderr


def test_try_with_a_filter_that_never_resumes(project: Path) -> None:
    (project / "filter.py").write_text("""
from pywasm_filter import Action, HttpContext


class Mine(HttpContext):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        print("pausing")
        return Action.PAUSE
""")
    result = CliRunner().invoke(app, ["try", "filter.py"])
    assert result.exit_code == 1
    assert "PAUSE" in result.stderr
    assert "pass --allow-on-headers-stop-iteration" in result.stderr
    assert "| [info] pausing" in result.stderr


def test_try_with_a_built_module(project: Path) -> None:
    (project / "some.wasm").write_bytes(MODULE)
    assert "  status: 200\n" in run("try", "some.wasm").stdout


def test_header_values_cannot_reach_the_terminal(project: Path) -> None:
    (project / "filter.py").write_text(ADD_HEADER.replace('"42"', r'"\x1b[2J"'))
    output = run("try", "filter.py").stdout
    assert "\x1b" not in output
    assert "x-answer: \\x1b[2J" in output
    refused = CliRunner().invoke(app, ["try", "filter.py", "-H", "x-evil: \x1b[2J"])
    assert refused.exit_code == 2
    assert "\x1b" not in refused.output


# --- small things ---


def test_printable() -> None:
    assert printable("a\tb\x1b\x00\udcff\nü漢") == "a\\tb\\x1b\\x00\\udcff\nü漢"


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (17_460_000, "17.5 MB")])
def test_size(count: int, text: str) -> None:
    assert size(count) == text
