"""What type checkers find in filters: nothing in the right ones, and the mistake in each of the wrong ones.

A line of a case that is wrong ends with `# mypy: CODE, … pyright: RULE, …`: each checker finds exactly that there. All
other lines are right.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = sorted((Path(__file__).parent / "cases").glob("*.py"))
EXPECTATION = re.compile(r"# mypy: (?P<mypy>[a-z, -]+) pyright: (?P<pyright>[A-Za-z, ]+)$")
CONSEQUENCES = re.compile(r"reportUnknown")
"""Rules of pyright's that only follow from another error on the line."""

Findings = dict[tuple[str, int], set[str]]
Checker = Callable[[Path, list[Path]], Findings]


def expected(checker: str) -> Findings:
    found: Findings = {}
    for case in CASES:
        for number, line in enumerate(case.read_text(encoding="utf-8").splitlines(), 1):
            expectation = EXPECTATION.search(line)
            if expectation is not None:
                found[case.name, number] = set(expectation[checker].split(", "))
            else:
                assert "# mypy" not in line, f"{case.name}:{number}: {line}"
    return found


def run(*command: str | Path, directory: Path) -> str:
    # The package comes from this checkout, even if another one is installed; nothing is downloaded.
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    finished = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode in (0, 1), finished.stdout + finished.stderr
    return finished.stdout


def mypy(directory: Path, files: list[Path]) -> Findings:
    options = ["--config-file=", "--strict", "--output=json", "--cache-dir", str(directory)]
    lines = run(sys.executable, "-m", "mypy", *options, *files, directory=directory).splitlines()
    found: Findings = defaultdict(set)
    for message in map(json.loads, lines):
        if message["severity"] == "error":
            found[Path(message["file"]).name, message["line"]].add(message["code"])
    return dict(found)


def pyright(directory: Path, files: list[Path]) -> Findings:
    project = directory / "pyrightconfig.json"
    settings = {
        "include": [str(file) for file in files],
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
    }
    project.write_text(json.dumps(settings), encoding="utf-8")
    output = run(sys.executable, "-m", "basedpyright", "-p", project, "--outputjson", directory=directory)
    report = json.loads(output)
    assert report["summary"]["filesAnalyzed"] == len(files)
    found: Findings = defaultdict(set)
    for message in report["generalDiagnostics"]:
        if message["severity"] == "error" and not CONSEQUENCES.match(message["rule"]):
            found[Path(message["file"]).name, message["range"]["start"]["line"] + 1].add(message["rule"])
    return dict(found)


@pytest.mark.parametrize("checker", [mypy, pyright], ids=lambda checker: checker.__name__)
def test_checkers_find_the_mistakes_and_nothing_else(checker: Checker, tmp_path: Path) -> None:
    wanted = expected(checker.__name__)
    assert len(wanted) > 35
    assert checker(tmp_path, CASES) == wanted


@pytest.mark.parametrize("checker", [mypy, pyright], ids=lambda checker: checker.__name__)
def test_the_types_are_those_of_this_checkout(checker: Checker, tmp_path: Path) -> None:
    case = tmp_path / "case.py"
    case.write_text("import pywasm_filter\n\nname: int = pywasm_filter.Counter\nx = pywasm_filter.NotThere\n")
    assert set(checker(tmp_path, [case])) == {("case.py", 3), ("case.py", 4)}
