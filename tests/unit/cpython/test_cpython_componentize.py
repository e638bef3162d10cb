"""componentize-py as the maker of the base image; the tool itself is not run."""

import io
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pywasm_compiler.cpython import componentize as module
from pywasm_compiler.cpython.componentize import componentize
from pywasm_compiler.errors import CompileError

Outcome = Callable[[Path], tuple[int, str]]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Callable[[Outcome], list[Path]]:
    """Put a function in the place of the tool: it gets the directory of the entry module and says what came out."""

    def install(outcome: Outcome) -> list[Path]:
        workspaces = []

        def run(workspace: Path, wit: Path, search_path: list[str], output: Path) -> subprocess.CompletedProcess[str]:
            workspaces.append(workspace)
            assert "world guest" in wit.read_text()
            entry = Path(search_path[0])
            assert {"pywasm_entry.py", "pywasm_loader.py", "pywasm_app.py"} <= {path.name for path in entry.iterdir()}
            status, text = outcome(entry)
            if status == 0:
                output.write_bytes(b"component")
            return subprocess.CompletedProcess([], status, "", text)

        monkeypatch.setattr(module, "_run", run)
        return workspaces

    return install


def with_library(entry: Path) -> tuple[int, str]:
    (entry / "stdlib" / "json").mkdir(parents=True)
    (entry / "stdlib" / "json" / "__init__.py").write_text("x = 1\n")
    (entry / "stdlib" / "abc.py").write_text("")
    return 0, ""


def failure() -> CompileError:
    with pytest.raises(CompileError) as caught:
        componentize()
    return caught.value


def test_the_component_is_returned_with_its_library(tool: Callable[[Outcome], list[Path]]) -> None:
    workspaces = tool(with_library)
    made = componentize()
    assert made.component == b"component"
    with zipfile.ZipFile(io.BytesIO(made.standard_library)) as library:
        assert library.namelist() == ["abc.py", "json/__init__.py"]
        assert library.read("json/__init__.py") == b"x = 1\n"
    assert not workspaces[0].exists()
    assert componentize() == made


@pytest.mark.parametrize(("text", "detail"), [("it broke", "it broke"), ("", "exit status 1")])
def test_the_tools_own_failure(tool: Callable[[Outcome], list[Path]], text: str, detail: str) -> None:
    workspaces = tool(lambda entry: (1, text))
    error = failure()
    assert error.message == "componentize-py failed"
    assert error.detail == detail
    assert not workspaces[0].exists()


def test_the_tool_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert "not installed" in failure().message
