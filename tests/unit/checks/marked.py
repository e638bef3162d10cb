"""Sources whose comments say what is to be found: `# !rule` for an error in that line, `# ?rule` for a warning."""

from __future__ import annotations

import re
from pathlib import Path

from pywasm_filter.checks.checker import check_source

_MARK = re.compile(r"# ([!?])([a-z-]+)")
_LETTERS = {"error": "!", "warning": "?"}

HEADER = "from pywasm_filter import *\nfrom pywasm_filter import Action, HttpContext, RootContext, StreamContext\n"


def expected(directory: Path) -> set[tuple[str, int, str]]:
    """What the comments say: file, line, and the mark."""
    return {
        (file.name, number, "".join(mark))
        for file in directory.rglob("*.py")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        for mark in _MARK.findall(line)
    }


def found(directory: Path) -> set[tuple[str, int, str]]:
    """What is found in `filter.py` and the modules that it imports. Each finding has a remedy."""
    findings = check_source(directory / "filter.py").findings
    assert all(finding.message and finding.remedy for finding in findings)
    marks = [(finding.file, finding.line, _LETTERS[finding.severity] + finding.rule) for finding in findings]
    assert len(set(marks)) == len(marks)
    return {(file.name, line or 0, mark) for file, line, mark in marks if file is not None}


def assert_marked(directory: Path, source: str, **modules: str) -> None:
    """Check a filter, and compare with its comments. Dots in names of modules are written `__in__`."""
    for name, content in {"filter": source, **modules}.items():
        path = directory / (name.replace("__in__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    assert found(directory) == expected(directory)


def in_callback(*lines: str, before: str = "") -> str:
    """A filter with these lines in `on_configure`, and `before` at its top."""
    body = "".join(f"        {line}\n" for line in lines)
    return (
        f"from pywasm_filter import *\n{before}\n\nclass Root(RootContext):\n"
        f"    def on_configure(self, configuration: bytes) -> bool:\n{body}        return True\n"
    )
