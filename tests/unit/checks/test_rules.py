"""The table of rules: its own examples, and that everything in it is used."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pywasm_compiler.errors import CompileError
from pywasm_compiler.findings import Finding
from pywasm_compiler.rules import Rule, failing_calls, rules
from typer.testing import CliRunner

from pywasm_filter.checks.checker import check_source
from pywasm_filter.cli.app import app

ROOT = Path(__file__).parents[3]
ONLY_WHEN_IMPORTED = {"no-context", "import-failure", "types"}
"""Rules that `check` finds by running something."""

FROM_SOURCE = [rule for rule in rules().values() if rule.id not in ONLY_WHEN_IMPORTED]


def line_of(rule: Rule) -> int:
    """The line in the bad example that ends with the rule's name."""
    [line] = [n for n, text in enumerate(rule.bad.splitlines(), 1) if re.search(rf"# {rule.id}$", text)]
    return line


def findings(path: Path) -> list[Finding]:
    try:
        return list(check_source(path).findings)
    except CompileError as error:
        return [Finding.of(error)]


@pytest.mark.parametrize("rule", [rule for rule in FROM_SOURCE if rule.bad], ids=lambda rule: rule.id)
def test_bad_example(rule: Rule, tmp_path: Path) -> None:
    path = tmp_path / "filter.py"
    path.write_text(rule.bad, encoding="utf-8")
    [finding] = findings(path)
    assert (finding.rule, finding.file, finding.line) == (rule.id, path, line_of(rule))
    assert rule.severity in ("both", finding.severity)
    assert finding.message
    assert finding.remedy


@pytest.mark.parametrize("rule", [rule for rule in rules().values() if rule.good], ids=lambda rule: rule.id)
def test_good_example(rule: Rule, tmp_path: Path) -> None:
    path = tmp_path / "filter.py"
    path.write_text(rule.good, encoding="utf-8")
    assert findings(path) == []


@pytest.mark.parametrize("name", sorted(ONLY_WHEN_IMPORTED))
def test_bad_example_of_what_check_finds_by_running(name: str, tmp_path: Path) -> None:
    rule = rules()[name]
    path = tmp_path / "filter.py"
    path.write_text(rule.bad, encoding="utf-8")
    types = [] if name == "types" else ["--no-types"]
    result = CliRunner().invoke(app, ["check", str(path), "--format", "json", *types])
    assert result.exit_code == 1
    [finding] = json.loads(result.stdout)["findings"]
    assert (finding["rule"], finding["severity"], finding["file"]) == (name, "error", str(path))
    if name != "no-context":  # which has no line
        assert finding["line"] == line_of(rule)


def test_every_rule_that_the_code_names_is_in_the_table() -> None:
    named: dict[str, Path] = {}
    for file in [*ROOT.glob("pywasm_filter/**/*.py"), *ROOT.glob("compiler/pywasm_compiler/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.keyword(arg="rule", value=ast.Constant(value=str(rule))):
                    named[rule] = file
                case ast.Call(
                    func=ast.Attribute(attr="error") | ast.Name(id="Finding") | ast.Name(id="_finding"),
                    args=[ast.Constant(value=str(rule)), _, *_] | [ast.Name(), ast.Constant(value=str(rule)), *_],
                ) if "-" in rule or rule in rules():
                    named[rule] = file
    by_calls = {rule.id for rule, _ in failing_calls().values()}
    assert named.keys() | by_calls == rules().keys()


def test_no_call_is_in_the_table_twice() -> None:
    assert len(failing_calls()) == sum(len(calls.names) for rule in rules().values() for calls in rule.calls)


def test_the_page_is_current(tmp_path: Path) -> None:
    tool = [sys.executable, str(ROOT / "tools" / "rules_reference.py"), "--check"]
    assert subprocess.run(tool, check=False).returncode == 0
    (tmp_path / "tools").mkdir()
    stale = shutil.copy(ROOT / "tools" / "rules_reference.py", tmp_path / "tools")
    done = subprocess.run([sys.executable, stale, "--check"], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "stale; run `make generate`" in done.stderr
