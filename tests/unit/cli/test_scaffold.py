"""New projects: what is written, that it holds up to the tools, and that nothing is left when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from pywasm_compiler.errors import CompileError

from pywasm_filter.build import probe
from pywasm_filter.cli import scaffold
from pywasm_filter.cli.scaffold import KINDS, TEMPLATES, create_project
from pywasm_filter.cli.typecheck import type_errors

FILES = [".github/workflows/test.yml", ".gitignore", "README.md", "filter.py", "pyproject.toml", "test_filter.py"]
LONG_NAME = "a-name.as_long-as-names_are.allowed-to-be"[:40]


def files_below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def refused(directory: Path, template: str = "http") -> CompileError:
    with pytest.raises(CompileError) as caught:
        create_project(directory, template)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("template", KINDS)
def test_every_template_makes_a_whole_project(tmp_path: Path, template: str) -> None:
    project = tmp_path / "my-filter"
    written = create_project(project, template)
    assert files_below(tmp_path) == [f"my-filter/{name}" for name in FILES]
    assert sorted(written) == sorted(project / name for name in FILES)
    text = (project / "filter.py").read_text() + (project / "README.md").read_text()
    assert "class MyFilter(" in text
    assert "my_filter.wasm" in text
    assert not any(mark in path.read_text() for path in written for mark in ("<<", ">>", "<%", "%>"))


def test_templates_are_those_on_disk() -> None:
    assert {path.name for path in TEMPLATES.iterdir()} == {*KINDS, "_common"}


@pytest.mark.parametrize("template", KINDS)
@pytest.mark.parametrize("name", ["x", LONG_NAME, "HTTP.context", "action"])
def test_sources_hold_up_to_ruff_and_the_probe(tmp_path: Path, template: str, name: str) -> None:
    project = tmp_path / name
    create_project(project, template)
    for arguments in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."]
        run = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
    assert len(probe(project / "filter.py")) == 1


@pytest.mark.parametrize("template", KINDS)
def test_the_projects_own_tests_pass(tmp_path: Path, template: str) -> None:
    project = tmp_path / "my_filter"
    create_project(project, template)
    installed = entry_points(group="pytest11", name="pywasm_filter")
    plugin = [] if installed else ["-p", "pywasm_filter.testing.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", "-q"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    run = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout


@pytest.mark.parametrize("template", KINDS)
def test_sources_are_fully_typed(tmp_path: Path, template: str) -> None:
    project = tmp_path / "my_filter"
    create_project(project, template)
    assert type_errors(project / "filter.py") == []
    assert type_errors(project / "test_filter.py") == []


def test_empty_directory_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    create_project(Path(), "http")
    assert files_below(Path()) == FILES
    assert 'name = "project"' in Path("pyproject.toml").read_text()
    assert files_below(tmp_path) == [f"project/{name}" for name in FILES]


def test_directory_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "notes.txt").write_text("mine")
    assert refused(tmp_path / "project").message == "is not empty"
    assert files_below(tmp_path) == ["project/notes.txt"]


def test_other_targets_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file").message == "is a file"
    assert "parent directory does not exist" in refused(tmp_path / "none" / "project").message
    assert "cannot be made" in refused(Path("/proc/project")).message
    assert "cannot be made" in refused(Path("nul\0byte")).message
    assert files_below(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["2fast", "my filter", "-x", "filter-", "naïve", LONG_NAME + "x", "a/../b$"])
def test_names_that_make_no_project(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    assert "is no name for a project" in refused(tmp_path / name).message
    assert files_below(tmp_path) == []


def test_unknown_template(tmp_path: Path) -> None:
    error = refused(tmp_path / "project", "tcp")
    assert error.message == "there is no template named 'tcp'"
    assert error.remedy == "choose one of: http, minimal"


@pytest.mark.parametrize("existing", [False, True])
def test_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool) -> None:
    project = tmp_path / "project"
    if existing:
        project.mkdir()
    rename = Path.rename

    def full(path: Path, target: Path) -> Path:
        if not existing or target.name == "pyproject.toml":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    assert "No space left on device" in refused(project).message
    assert list(tmp_path.iterdir()) == ([project] if existing else [])
    assert files_below(tmp_path) == []


def test_a_template_with_a_mistake_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "templates" / "http").mkdir(parents=True)
    (tmp_path / "templates" / "http" / "filter.py.j2").write_text("<< no_such_variable >>")
    monkeypatch.setattr(scaffold, "TEMPLATES", tmp_path / "templates")
    with pytest.raises(Exception, match="no_such_variable"):
        create_project(tmp_path / "project", "http")
    assert not (tmp_path / "project").exists()
