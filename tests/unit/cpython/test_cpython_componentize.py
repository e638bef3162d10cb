"""componentize-py's failures as errors for the author; the tool itself is not run."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pywasm_compiler.cpython import componentize as module
from pywasm_compiler.cpython.componentize import componentize
from pywasm_compiler.engine import Program
from pywasm_compiler.errors import CompileError

Outcome = Callable[[Path], tuple[int, str]]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    for name in ("author", "library"):
        (tmp_path / name).mkdir()
    (tmp_path / "author" / "my_filter.py").write_text("")
    search_path = (tmp_path / "author", tmp_path / "library")
    return Program("my_filter", "my_runtime", search_path, ("proxy_log",), ("proxy_on_vm_start",))


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Callable[[Outcome], list[Path]]:
    """Put a function in the place of the tool: it gets the directory of the entry module and says what came out."""

    def install(outcome: Outcome) -> list[Path]:
        workspaces = []

        def run(workspace: Path, wit: Path, search_path: list[str], output: Path) -> subprocess.CompletedProcess[str]:
            workspaces.append(workspace)
            assert wit.is_file()
            entry = Path(search_path[0])
            assert {"pywasm_entry.py", "pywasm_app.py", "pywasm_hostcalls.py"} <= {
                path.name for path in entry.iterdir()
            }
            status, text = outcome(entry)
            if status == 0:
                output.write_bytes(b"component")
            return subprocess.CompletedProcess([], status, "", text)

        monkeypatch.setattr(module, "_run", run)
        return workspaces

    return install


def failing(entry: Path, **report: object) -> tuple[int, str]:
    report = {"type": "ValueError", "message": "no", "frames": [], "traceback": "", **report}
    (entry / "failure.json").write_text(json.dumps(report))
    return 1, "the tool's own text"


def failure(program: Program) -> CompileError:
    with pytest.raises(CompileError) as caught:
        componentize(program)
    return caught.value


def test_the_component_is_returned(program: Program, tool: Callable[[Outcome], list[Path]]) -> None:
    workspaces = tool(lambda entry: (0, ""))
    assert componentize(program) == b"component"
    assert not workspaces[0].exists()


def test_the_generated_module_names_filter_runtime_and_callbacks(
    program: Program, tool: Callable[[Outcome], list[Path]]
) -> None:
    sources: list[str] = []

    def keep(entry: Path) -> tuple[int, str]:
        sources.append((entry / "pywasm_app.py").read_text())
        return 0, ""

    tool(keep)
    componentize(program)
    calls: list[tuple[object, ...]] = []
    source = sources[0].replace("from pywasm_entry import load", "")
    exec(source, {"load": lambda *arguments: calls.append(arguments)})
    assert calls == [("my_filter", "my_runtime", ("proxy_on_vm_start",))]


def test_the_innermost_line_of_the_author(program: Program, tool: Callable[[Outcome], list[Path]]) -> None:
    frames = [["/2/my_runtime.py", 3], ["/1/my_filter.py", 7], ["/1/sub/deep.py", 9], ["/python/json/x.py", 1]]
    traceback = 'File "/1/my_filter.py", line 7\nFile "/2/my_runtime.py", line 3\nFile "/python/json/x.py", line 1'
    tool(lambda entry: failing(entry, frames=frames, traceback=traceback))
    error = failure(program)
    author, library = program.search_path
    assert (error.file, error.line) == (author / "sub" / "deep.py", 9)
    assert "ValueError: no" in error.message
    assert error.detail == (
        f'File "{author / "my_filter.py"}", line 7\nFile "{library / "my_runtime.py"}", line 3\n'
        'File "/python/json/x.py", line 1'
    )


def test_a_failure_elsewhere_has_no_line(program: Program, tool: Callable[[Outcome], list[Path]]) -> None:
    tool(lambda entry: failing(entry, frames=[["/2/my_runtime.py", 3], ["/9/x.py", 1], ["<string>", None]]))
    error = failure(program)
    assert (error.file, error.line) == (None, None)


def test_too_much_output(program: Program, tool: Callable[[Outcome], list[Path]]) -> None:
    tool(lambda entry: failing(entry, type="BrokenPipeError"))
    assert "print less" in failure(program).remedy


@pytest.mark.parametrize(("text", "detail"), [("it broke", "it broke"), ("", "exit status 1")])
def test_the_tools_own_failure(program: Program, tool: Callable[[Outcome], list[Path]], text: str, detail: str) -> None:
    workspaces = tool(lambda entry: (1, text))
    error = failure(program)
    assert error.message == "componentize-py failed"
    assert error.detail == detail
    assert not workspaces[0].exists()


def test_the_tool_is_not_installed(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert "not installed" in failure(program).message
