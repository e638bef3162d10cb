"""Filters that work: nothing is found in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pywasm_filter.checks.checker import check_source
from pywasm_filter.cli.scaffold import KINDS, render_project

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OURS = [*ROOT.glob("examples/*/filter.py"), *ROOT.glob("tests/**/*filter.py"), *ROOT.glob("benchmarks/**/*filter.py")]
FILTERS = sorted(path.relative_to(ROOT).as_posix() for path in OURS if not path.name.startswith("test_"))
DELIBERATE = {"tests/compiler/cpython/guest/probe_filter.py"}
"""It does what cannot work, to see how it fails."""


@pytest.mark.parametrize("path", sorted(set(FILTERS) - DELIBERATE))
def test_filters_of_the_repository(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert check_source(Path(path)).findings == ()


def test_the_interpreter_of_scenarios(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has scenarios for what cannot work, in functions of which nobody knows when they run."""
    monkeypatch.chdir(ROOT / "tests" / "conformance")
    findings = check_source(Path("scenarios.py")).findings
    assert findings
    assert not [finding for finding in findings if finding.is_error]


@pytest.mark.parametrize("page", ["README.md", *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/*.md"))])
def test_filters_of_the_manual(page: str, tmp_path: Path) -> None:
    path = tmp_path / "filter.py"
    for block in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
        if "Context" in block and "import pytest" not in block and "pywasm_filter.testing" not in block:
            path.write_text(block, encoding="utf-8")
            assert check_source(path).findings == (), block


@pytest.mark.parametrize("kind", KINDS)
def test_filters_of_new_projects(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "filter.py"
    path.write_text(render_project("my-filter", kind)[Path("filter.py")], encoding="utf-8")
    assert check_source(path).findings == ()
