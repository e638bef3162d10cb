"""`check`, and the checks that `build` does: what is shown, in which form, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pywasm_filter.cli.app import app

SOURCE = """\
import time

from pywasm_filter import Action, HttpContext


class Mine(HttpContext):
    def on_request_header(self, num_headers: int, end_of_stream: bool) -> Action:
        return Action.CONTINUE

    def on_log(self) -> None:
        time.sleep(1)
        self.request.headers["x"] = 5


def unused() -> str:
    return open("x").read()
"""
WARNING_ONLY = SOURCE.replace("on_request_header(", "on_request_headers(").replace(
    "time.sleep(1)", "print(time.time())"
)
WARNING_ONLY = WARNING_ONLY.replace('"] = 5', '"] = "5"')


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("filter.py")
    path.write_text(SOURCE)
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), prog_name="pywasm-filter")


def found(*arguments: str) -> list[tuple[int, str, str]]:
    result = run("check", "filter.py", "--json", *arguments)
    return [(each["line"], each["severity"], each["rule"]) for each in json.loads(result.stdout)["findings"]]


@pytest.mark.usefixtures("path")
def test_all_is_shown_at_once_in_order() -> None:
    assert found() == [
        (7, "error", "callback-name"),
        (11, "error", "blocking-wait"),
        (12, "error", "types"),
        (16, "warning", "file-access"),
    ]


@pytest.mark.usefixtures("path")
def test_for_people() -> None:
    result = run("check", "filter.py", "--no-types")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[2:] == [
        "filter.py:7: error: on_request_header is no callback: it is never called [callback-name]",
        "  remedy: name it on_request_headers(self, num_headers, end_of_stream)",
        "filter.py:11: error: time.sleep raises OSError: nothing may hold up the proxy [blocking-wait]",
        "  remedy: `await self.sleep(seconds)` in an async callback, or set_tick_period and on_tick",
        (
            "filter.py:16: warning: open finds no file: a proxy offers none to a filter, if a callback gets here "
            "[file-access]"
        ),
        (
            "  remedy: read it at the top of the module, which is executed at build time, or take it from the "
            "configuration"
        ),
        "2 errors and 1 warning found",
    ]


@pytest.mark.usefixtures("path")
def test_for_github() -> None:
    result = run("check", "filter.py", "--no-types", "--format", "github")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "::error file=filter.py,line=7,title=callback-name::on_request_header is no callback: it is never called"
        "%0Aname it on_request_headers(self, num_headers, end_of_stream)"
    )
    assert [line.partition(" ")[0] for line in lines] == ["::error", "::error", "::warning"]


def test_annotations_are_escaped(path: Path) -> None:
    path.rename("a,b%c.py")
    result = run("check", "a,b%c.py", "--format", "github")
    assert result.stdout.startswith("::error file=a%2Cb%25c.py,title=source::is not a name that Python can import%0A")


@pytest.mark.usefixtures("path")
def test_rules_are_left_out() -> None:
    assert found("--ignore", "types", "--ignore", "callback-name") == [
        (11, "error", "blocking-wait"),
        (16, "warning", "file-access"),
    ]


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("command", ["check", "build"])
def test_a_rule_that_does_not_exist(command: str) -> None:
    result = run(command, "filter.py", "--ignore", "sleep")
    assert result.exit_code == 1
    assert "error: there is no rule 'sleep'\n  remedy: choose among: file-access, network," in result.stderr


@pytest.mark.usefixtures("path")
def test_a_format_that_does_not_exist() -> None:
    assert run("check", "filter.py", "--format", "xml").exit_code == 2


def test_warnings_do_not_fail_unless_they_shall(path: Path) -> None:
    path.write_text(WARNING_ONLY)
    result = run("check", "filter.py")
    assert result.exit_code == 0
    assert "1 warning found" in result.stderr
    assert json.loads(run("check", "filter.py", "--format", "json").stdout)["ok"] is True
    assert run("check", "filter.py", "--strict").exit_code == 1


def test_an_error_of_the_types_in_a_line_with_a_warning_is_shown(path: Path) -> None:
    path.write_text(WARNING_ONLY.replace('return open("x").read()', 'return open("x").read(5.5)'))
    assert found() == [(16, "warning", "file-access"), (16, "error", "types")]


def test_a_comment_silences(path: Path) -> None:
    path.write_text(WARNING_ONLY.replace(".read()", ".read()  # pywasm: ignore[file-access]"))
    assert run("check", "filter.py").stdout == "filter.py: no problem found\n"


@pytest.mark.usefixtures("path")
def test_build_refuses_with_all_errors() -> None:
    result = run("build", "filter.py")
    assert result.exit_code == 1
    assert [line.split(":")[1] for line in result.stderr.splitlines() if "error:" in line] == ["7", "11"]
    assert not Path("filter.wasm").exists()
    error = json.loads(run("build", "filter.py", "--json").stderr.partition("\n")[2])["error"]
    assert [error["line"], *(other["line"] for other in error["others"])] == [7, 11]


@pytest.mark.usefixtures("path")
def test_build_leaves_rules_out_and_checks_types_on_request() -> None:
    result = run("build", "filter.py", "--types", "--ignore", "callback-name", "--ignore", "blocking-wait")
    assert result.exit_code == 1
    assert "filter.py:12: error: Incompatible types" in result.stderr
    assert "[index]" not in result.stderr


@pytest.mark.usefixtures("path")
def test_try_refuses_what_cannot_work() -> None:
    result = run("try", "filter.py")
    assert result.exit_code == 1
    assert [line.split(":")[1] for line in result.stderr.splitlines() if "error:" in line] == ["7", "11"]
