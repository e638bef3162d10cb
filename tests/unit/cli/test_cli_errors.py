"""Each mistake of a user ends in one clear message, exit status 1 or 2, and no file left behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest
from typer.testing import CliRunner, Result
from wasmtime import wat2wasm

from pywasm_filter.cli.app import app

FILTER = "from pywasm_filter import HttpContext\nclass Mine(HttpContext):\n    pass\n"


@pytest.fixture(autouse=True)
def no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `main` has it, which `run` passes by."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), prog_name="pywasm-filter")


def with_own_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def start(
    arguments: Sequence[str], *, stdout: IO[str] | int, stderr: int, **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pywasm_filter.cli", *arguments]
    return subprocess.run(
        command, env={**with_own_path(), **environment}, stdout=stdout, stderr=stderr, text=True, check=False
    )


def run_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return start(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **environment)


def files_below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def assert_one_message(result: Result, status: int, *parts: str) -> None:
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    assert len(re.findall(r"^(?:\S+: )?error: ", result.stderr, re.MULTILINE)) == 1
    assert "remedy: " in result.stderr
    assert "site-packages" not in result.stderr
    for part in parts:
        assert part in result.stderr


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


BROKEN_FILTERS = {
    "syntax error": ("x = (\n", ["filter.py:1: error: syntax error: ", "| x = ("]),
    "raises on import": (
        "import json\n\njson.loads('{')\n",
        ["filter.py:3: error: raises JSONDecodeError", "Traceback"],
    ),
    "no context class": ("x = 1\n", ["filter.py: error: ", "no subclass of HttpContext"]),
    "two without registering": (FILTER + "class Two(HttpContext):\n    pass\n", ["filter.py: error: ", "Mine and Two"]),
    "imports ssl": (FILTER + "import ssl\n", ["filter.py:4: error: ", "no module 'ssl'", "leave TLS to the proxy"]),
    "not text": ("\0", ["filter.py:1: error: contains a NUL byte"]),
}


@pytest.mark.parametrize("command", ["build", "check", "try"])
@pytest.mark.parametrize("mistake", BROKEN_FILTERS)
def test_broken_filters(project: Path, command: str, mistake: str) -> None:
    content, parts = BROKEN_FILTERS[mistake]
    (project / "filter.py").write_text(content)
    result = run(command, "filter.py")
    if command == "build":
        assert "Compiling" not in result.stderr
    assert_one_message(result, 1, *parts)
    assert files_below(project) == ["filter.py"]


@pytest.mark.parametrize("command", ["build", "check", "try"])
def test_filter_that_does_not_exist(project: Path, command: str) -> None:
    assert_one_message(run(command, "filter.py"), 1, "filter.py: error: no such file")
    assert files_below(project) == []


@pytest.mark.parametrize("command", ["build", "check", "try"])
def test_filter_that_is_a_directory(project: Path, command: str) -> None:
    (project / "filter.py").mkdir()
    assert_one_message(run(command, "filter.py"), 1, "filter.py: error: is a directory")
    assert files_below(project) == ["filter.py"]


@pytest.mark.parametrize("command", ["inspect", "try"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes(wat2wasm("(module (func))"))[:-3], "is truncated"),
        (bytes(wat2wasm("(component)")), "this is a component, not a core module"),
        (bytes(wat2wasm("(module)")), "not a Proxy-Wasm one"),
        (b"", "is empty"),
        (b"GIF89a", "is not WebAssembly"),
    ],
)
def test_modules_that_are_none(project: Path, command: str, data: bytes, message: str) -> None:
    (project / "some.wasm").write_bytes(data)
    assert_one_message(run(command, "some.wasm"), 1, "some.wasm: error: ", message)
    assert files_below(project) == ["some.wasm"]


@pytest.mark.parametrize("command", ["inspect", "try"])
def test_module_that_is_missing_or_a_directory(project: Path, command: str) -> None:
    assert_one_message(run(command, "some.wasm"), 1, "some.wasm: error: no such file")
    (project / "some.wasm").mkdir()
    assert_one_message(run(command, "some.wasm"), 1, "some.wasm: error: is a directory")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("directory", "is a directory"),
        ("file/out.wasm", "cannot be written"),
        ("none/out.wasm", "its directory does not exist"),
        ("/proc/out.wasm", "cannot be written"),
    ],
)
def test_outputs_that_cannot_be_written(project: Path, output: str, message: str) -> None:
    (project / "filter.py").write_text(FILTER)
    (project / "directory").mkdir()
    (project / "file").touch()
    result = run("build", "filter.py", "-o", output)
    assert_one_message(result, 1, message)
    assert "Checking" not in result.stderr  # nobody waits for a build whose result has no place
    assert files_below(project) == ["directory", "file", "filter.py"]


def test_unknown_engine(project: Path) -> None:
    (project / "filter.py").write_text(FILTER)
    assert_one_message(run("build", "filter.py", "--engine", "jvm"), 1, "no engine named 'jvm'", "cpython")
    assert files_below(project) == ["filter.py"]


def test_new_into_a_directory_that_is_not_empty(project: Path) -> None:
    (project / "notes").touch()
    assert_one_message(run("new", "."), 1, "error: is not empty")
    assert files_below(project) == ["notes"]


def test_errors_for_machines(project: Path) -> None:
    (project / "filter.py").write_text("import ssl\n")
    for arguments in (["build", "filter.py", "--json"], ["try", "--json", "filter.py"]):
        result = run(*arguments)
        assert result.exit_code == 1
        assert result.stdout == ""
        error = json.loads(result.stderr[result.stderr.index("{") :])["error"]
        assert error.keys() == {"rule", "severity", "message", "file", "line", "remedy", "detail"}
        assert (error["file"], error["line"]) == ("filter.py", 1)


def test_control_characters_in_names_are_not_sent_to_the_terminal(project: Path) -> None:
    result = run("check", "\x1b[2Jfilter.py")
    assert "\x1b" not in result.stderr
    assert "\\x1b[2Jfilter.py" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["build"],
        ["build", "filter.py", "--no-such-option"],
        ["try", "filter.py", "no-slash"],
        ["try", "filter.py", "-H", "no colon"],
        ["try", "filter.py", "-H", "a: b\nc: d"],
        ["try", "filter.py", "-X", "G T"],
        ["try", "filter.py", "-c", "@no-such-file"],
        ["try", "filter.py", "--upstream-status", "20"],
        ["try", "filter.py", "--upstream-header", "content-length: 3", "--upstream-body", "four"],
    ],
)
def test_bad_usage(project: Path, arguments: Sequence[str]) -> None:
    (project / "filter.py").write_text(FILTER)
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr or result.stdout.startswith("\n Usage") or "Usage" in result.stdout
    assert "Traceback" not in result.output


# --- the process as a user starts it ---


def test_process_shows_no_traceback_and_no_control_codes(project: Path) -> None:
    (project / "filter.py").write_text("import ssl\n")
    done = run_process("build", "filter.py")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "Checking the source",
        "filter.py:1: error: the Python 3.14.0 that runs in the proxy has no module 'ssl' [missing-module]",
        "  remedy: leave TLS to the proxy: it belongs to the configuration of its listeners and clusters",
    ]


@pytest.mark.parametrize("arguments", [("new", "x"), ("check", "filter.py"), ("try", "filter.py", "--json"), ("-h",)])
def test_a_result_that_cannot_be_written_is_told(project: Path, arguments: Sequence[str]) -> None:
    (project / "filter.py").write_text(FILTER)
    with Path("/dev/full").open("w") as full:
        run = start(arguments, stdout=full, stderr=subprocess.PIPE)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == "error: No space left on device"
    assert "Traceback" not in run.stderr


def test_closed_streams_do_no_harm(project: Path) -> None:
    (project / "filter.py").write_text(FILTER)
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-m", "pywasm_filter.cli", "try", "filter.py"],
        env=with_own_path(),
        check=False,
    )
    assert closed.returncode == 0


def test_no_color_is_respected_on_a_terminal(project: Path) -> None:
    """With a pseudo-terminal as stderr there are colours, and none with NO_COLOR."""
    (project / "filter.py").write_text("import ssl\n")
    assert "\x1b[1;31m" in _stderr_on_a_terminal({})
    assert "\x1b[1;31m" not in _stderr_on_a_terminal({"NO_COLOR": "1"})


def _stderr_on_a_terminal(environment: dict[str, str]) -> str:
    ours, theirs = os.openpty()
    with open(ours, "rb", buffering=0) as reader:  # noqa: PTH123 - a descriptor
        plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        path = os.pathsep.join(entry for entry in sys.path if entry)
        subprocess.run(
            [sys.executable, "-m", "pywasm_filter.cli", "check", "filter.py"],
            env={**plain, "PYTHONPATH": path, "TERM": "xterm-256color", **environment},
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            check=False,
        )
        os.close(theirs)
        chunks = []
        while chunk := _read(reader.fileno()):
            chunks.append(chunk)
    return b"".join(chunks).decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # what Linux says at the end of a terminal
        return b""
