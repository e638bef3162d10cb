"""Requirements that are stated, and what is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pywasm_compiler.distributions import _by_top_level
from pywasm_compiler.errors import CompileError
from pywasm_compiler.findings import Finding, Severity
from pywasm_compiler.requirements import _logical_lines, outdated, read_requirements, unmet
from typer.testing import CliRunner

from pywasm_filter.checks.checker import check_source
from pywasm_filter.cli.app import app

FILTER = "import shiny\nfrom pywasm_filter import RootContext\n\n\nclass Root(RootContext):\n    pass\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A filter that imports `shiny`, which the distribution Shiny-Things 2.1 has brought."""
    site = tmp_path / "site"
    record = site / "shiny_things-2.1.dist-info"
    record.mkdir(parents=True)
    (site / "shiny.py").write_text("VALUE = 1\n")
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: Shiny-Things\nVersion: 2.1\n")
    (record / "RECORD").write_text("shiny.py,,\nshiny_things-2.1.dist-info/METADATA,,\n")
    monkeypatch.syspath_prepend(str(site))
    _by_top_level.cache_clear()
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "filter.py").write_text(FILTER)
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture(autouse=True)
def _forget_the_environment() -> Iterator[None]:
    yield
    _by_top_level.cache_clear()


def write(text: str) -> Path:
    path = Path("requirements.txt")
    path.write_text(text)
    return path


MET = """\
# what the filter needs
--index-url https://index.test/
shiny-things==2.1 \\
    --hash=sha256:0123 \\
    --hash=sha256:4567
Shiny_Things >= 2, < 3   # a comment
shiny.things
not-there-1; python_version < "3"
-e .
./local_package
https://files.test/not_there.tar.gz
not_there-1.0-py3-none-any.whl
pytest[extra]>=1
"""


@pytest.mark.usefixtures("project")
def test_what_is_met() -> None:
    assert unmet(write(MET)) == []
    assert [str(each.requirement.name) for each in read_requirements(write(MET))][:2] == [
        "shiny-things",
        "Shiny_Things",
    ]
    assert [each.line for each in read_requirements(write(MET))] == [3, 6, 7, 8, 13]


@pytest.mark.usefixtures("project")
def test_what_is_not_installed_and_what_is_in_another_version() -> None:
    path = write('shiny-things>=3\nnot-there ~= 1.0 ; python_version > "3"\n')
    assert unmet(path) == [
        Finding(
            "requirement",
            "the package shiny-things is installed in version 2.1, not >=3",
            path,
            1,
            f"install it: {sys.executable} -m pip install 'shiny-things>=3'",
        ),
        Finding(
            "requirement",
            f"the package not-there is not installed in {sys.prefix}",
            path,
            2,
            f"install it: {sys.executable} -m pip install 'not-there~=1.0'",
        ),
    ]


@pytest.mark.usefixtures("project")
def test_files_that_name_others() -> None:
    Path("more").mkdir()
    Path("more/base.txt").write_text("-r last.txt\nnot-there\n")
    Path("more/last.txt").write_text("\nshiny-things<1\n")
    findings = unmet(write("--requirement=more/base.txt\n"))
    assert [(finding.file, finding.line) for finding in findings] == [
        (Path("more/last.txt"), 2),
        (Path("more/base.txt"), 2),
    ]
    Path("more/last.txt").write_text("-r ../requirements.txt\n")
    with pytest.raises(CompileError, match="includes itself"):
        unmet(Path("requirements.txt"))
    with pytest.raises(CompileError, match=r"nowhere\.txt: cannot be read: No such file"):
        unmet(write("-r nowhere.txt"))


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("line", ["shiny things", "==2", "shiny >", "shiny[", "{{ cookiecutter }}"])
def test_what_is_no_requirement(line: str) -> None:
    with pytest.raises(CompileError) as caught:
        unmet(write(f"\n{line}\n"))
    assert caught.value.message.startswith(f"is no requirement: {line!r}: ")
    assert (caught.value.line, caught.value.rule) == (2, "requirement")


@given(st.text(alphabet=st.sampled_from("ab #\\\n-r\t;")))
def test_lines(text: str) -> None:
    lines = list(_logical_lines(text))
    assert all(line.strip() == line and line for _, line in lines)
    assert [number for number, _ in lines] == sorted({number for number, _ in lines})
    assert all(1 <= number <= len(text.splitlines()) for number, _ in lines)


# --- without being asked ---


def test_requirements_beside_the_filter_count_for_what_it_imports(project: Path) -> None:
    write("shiny-things==2.0\nnot-there\npytest==0.1\n")
    [finding] = check_source(project / "filter.py").findings
    assert finding.severity is Severity.WARNING
    assert (finding.rule, finding.line) == ("requirement", 1)
    (project / "filter.py").write_text(FILTER.replace("import shiny\n", ""))
    assert check_source(project / "filter.py").findings == ()


def test_dependencies_of_the_project(project: Path) -> None:
    Path("pyproject.toml").write_text(
        '[project]\nname = "x"\ndependencies = [\n    "pytest>0",\n    "shiny-things>=9",\n]\n'
    )
    [finding] = check_source(project / "filter.py").findings
    assert finding.file == project / "pyproject.toml"
    assert finding.line == 5
    assert "installed in version 2.1, not >=9" in finding.message


@pytest.mark.parametrize(
    "text", ["x = [", "project = 1", "[project]\ndependencies = 5", "[project]\ndependencies = [5]"]
)
def test_projects_that_say_nothing(project: Path, text: str) -> None:
    Path("pyproject.toml").write_text(text)
    write("this is for something else\n")
    assert outdated(project / "filter.py", ["shiny"]) == []


# --- on the command line ---


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("command", [["check", "--no-types"], ["build"]])
def test_the_option(command: list[str]) -> None:
    write("shiny-things==1\nnot-there\n")
    result = CliRunner().invoke(app, [*command, "filter.py", "--requirements", "requirements.txt"])
    assert result.exit_code == 1
    assert "requirements.txt:1: error: the package shiny-things is installed in version 2.1, not ==1" in result.stderr
    assert "-m pip install shiny-things==1\n" in result.stderr
    assert "requirements.txt:2: error: the package not-there is not installed" in result.stderr
    result = CliRunner().invoke(app, [*command, "filter.py", "--requirements", "none.txt"])
    assert result.exit_code == 1
    assert "none.txt: error: cannot be read: No such file or directory" in result.stderr
