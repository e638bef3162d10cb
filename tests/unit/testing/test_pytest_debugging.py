"""breakpoint() in a filter, and what pytest shows of an exception in one, on each host."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

pytest_plugins = ["pytester"]

FILTER = """
import logging

from pywasm_filter import Action, HttpContext


class Debugged(HttpContext):
    async def on_request_headers(self, num_headers, end_of_stream):
        print("printed before")
        if self.request.path == "/raise":
            self.fail({})
        if self.request.path == "/stop":
            secret = "se" + "same"
            breakpoint()
            print("printed after", flush=True)
        self.request.headers["x-end"] = "reached"
        return Action.CONTINUE

    def fail(self, table):
        return table["missing"]
"""
TEST = """
import pytest

def test_stop(proxy):
    print("printed by the test")
    assert proxy.get("/stop").upstream_request.headers["x-end"] == "reached"

def test_raise(proxy):
    assert proxy.get("/raise").response.status == 200

def test_other(proxy):
    assert proxy.get("/").response.status == 200
"""
# What would tell of WebAssembly instead of the filter.
FOREIGN = re.compile(r"wasm function|wasm backtrace|_PyEval|pywasm_entry|<unknown>|PyObject_|site-packages")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for all tests here, so that the module is built once."""
    directory = tmp_path_factory.mktemp("debugged")
    (directory / "filter.py").write_text(FILTER)
    (directory / "test_it.py").write_text(TEST)
    return directory


@pytest.fixture
def project(plugin_pytester: pytest.Pytester, sources: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.chdir(sources)
    return plugin_pytester


def line_of(text: str) -> int:
    [number] = [number for number, line in enumerate(FILTER.splitlines(), 1) if text in line]
    return number


# --- in process ---


@pytest.fixture
def terminal(project: pytest.Pytester, request: pytest.FixtureRequest) -> Iterator[pexpect.spawn[str]]:
    """pytest at a terminal, with the options that the test is parametrized with."""
    command = ["-m", "pytest", "-p", "no:cacheprovider", "-k", "stop or other", *request.param]
    environment = {**os.environ, "TERM": "dumb", "PYTHON_COLORS": "0", "NO_COLOR": "1"}
    child = pexpect.spawn(sys.executable, command, env=environment, encoding="utf-8", timeout=60, echo=False)
    yield child
    child.close(force=True)


def ask(terminal: pexpect.spawn[str], command: str) -> str:
    """What the debugger answers."""
    terminal.sendline(command)
    terminal.expect_exact("(Pdb) ")
    return str(terminal.before)


@pytest.mark.parametrize("terminal", [[], ["-s"], ["-p", "pytest_cov", "--cov=filter"]], indirect=True, ids=" ".join)
def test_the_debugger_stops_in_the_filter(terminal: pexpect.spawn[str], sources: Path) -> None:
    terminal.expect_exact("(Pdb) ")
    # Before Python 3.13 the debugger stops in the line after the breakpoint.
    stops = [f"filter.py({line_of(text)})on_request_headers()" for text in ("breakpoint()", "printed after")]
    assert any(stop in str(terminal.before) for stop in stops)
    assert "sesame" in ask(terminal, "p secret")
    assert "'/stop'" in ask(terminal, "p self.request.path")
    assert "shown at the terminal" in ask(terminal, "print('shown at the terminal')")
    assert re.search(r"filter\.py\(\d+\)on_request_headers", ask(terminal, "where"))
    assert "x-new" not in ask(terminal, "self.request.headers['x-new'] = '1'")
    assert "'1'" in ask(terminal, "p self.request.headers['x-new']")
    terminal.sendline("continue")
    terminal.expect_exact("2 passed")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


@pytest.mark.parametrize("terminal", [[]], indirect=True)
def test_the_debugger_is_left(terminal: pexpect.spawn[str]) -> None:
    terminal.expect_exact("(Pdb) ")
    terminal.sendline("quit")
    terminal.expect("Quitting debugger|BdbQuit")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == pytest.ExitCode.INTERRUPTED


# --- in a module ---


@pytest.mark.parametrize("host", ["wasmtime", "envoy"])
def test_a_module_tells_what_to_do_and_what_went_wrong(project: pytest.Pytester, host: str) -> None:
    result = project.runpytest(f"--pywasm-host={host}", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*_ test_stop[[]*",
            "*- proxy log -*",
            "*printed before",
            "*exception in Debugged.on_request_headers*",
            f'*  File "filter.py", line {line_of("breakpoint()")}, in on_request_headers',
            "*RuntimeError: breakpoint() cannot stop inside a module, *: run the test in process *",
            "*_ test_raise[[]*",
            "*- proxy log -*",
            "*exception in Debugged.on_request_headers*",
            f'*  File "filter.py", line {line_of("self.fail(")}, in on_request_headers',
            "*    self.fail({})",
            f'*  File "filter.py", line {line_of("missing")}, in fail',
            '*    return table[[]"missing"[]]',
            "*KeyError: 'missing'",
        ]
    )
    assert not FOREIGN.findall(result.stdout.str())


def test_a_breakpoint_at_the_top_is_told_with_its_line(project: pytest.Pytester, tmp_path: Path) -> None:
    source = tmp_path / "stopping.py"
    source.write_text("from pywasm_filter import HttpContext\nbreakpoint()\nclass Stream(HttpContext): pass\n")
    result = project.runpytest("--pywasm-host=wasmtime", f"--pywasm-filter={source}", "-k", "other")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"{source}:2: raises RuntimeError while it is imported: breakpoint() cannot stop inside a module*"]
    )
    result.stdout.no_fnmatch_line("*guest.py*")
