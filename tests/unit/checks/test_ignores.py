"""Comments and options that silence rules."""

from __future__ import annotations

from pathlib import Path

import pytest
from pywasm_compiler.errors import CompileError
from pywasm_compiler.source import read_source_tree

from pywasm_filter.checks.checker import check_source
from tests.unit.checks.marked import assert_marked, in_callback

SILENT = [
    "time.sleep(1)  # pywasm: ignore[blocking-wait]",
    "time.sleep(1)  # pywasm: ignore",
    "time.sleep(1)  #pywasm:ignore[file-access, blocking-wait]  # ?ignore-comment",
    "time.sleep(1)  # noqa: X  # pywasm: ignore[blocking-wait] it is patched",
    "# pywasm: ignore[blocking-wait]\n        time.sleep(1)",
    "# pywasm: ignore[blocking-wait]\n\n        # why\n        time.sleep(1)",
    "print('''\n''', time.sleep(1))  # pywasm: ignore[blocking-wait]",
    "time.sleep(1); open('x')  # pywasm: ignore[blocking-wait, file-access]",
]
NOT_SILENT = [
    "time.sleep(1)  # !blocking-wait  # pywasm: ignore[file-access]  # ?ignore-comment",
    "time.sleep(1)  # !blocking-wait  # pywasm: ignore[sleep]  # ?ignore-comment",
    "print()  # pywasm: ignore[blocking-wait]  # ?ignore-comment\n        time.sleep(1)  # !blocking-wait",
    "print()  # pywasm: ignore  # ?ignore-comment",
    "print('# pywasm: ignore[nothing]')",
    "print()  # pywasm is fine",
]


@pytest.mark.parametrize("line", SILENT + NOT_SILENT)
def test_comments(line: str, tmp_path: Path) -> None:
    # The first comment in a line is the one that counts.
    source = in_callback(line, before="import time")
    for number in range(source.count("\n")):
        lines = source.splitlines()
        if "  # !" in lines[number] and "pywasm:" in lines[number]:
            code, _, marks = lines[number].partition("  # !")
            mark, _, comment = marks.partition("  ")
            lines[number] = f"{code}  {comment}  # !{mark}"
            source = "\n".join(lines) + "\n"
    assert_marked(tmp_path, source)


def test_imports_can_be_silenced(tmp_path: Path) -> None:
    source = "import ssl  # pywasm: ignore[missing-module]\n" + in_callback(
        "import json  # pywasm: ignore[deferred-import]"
    )
    assert_marked(tmp_path, source)
    assert read_source_tree(tmp_path / "filter.py").modules


def test_rules_can_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "filter.py"
    path.write_text(in_callback("time.sleep(1)", "open('x')", before="import time"))
    [finding] = check_source(path, ["blocking-wait"]).findings
    assert finding.rule == "file-access"
    with pytest.raises(CompileError, match="there is no rule 'sleeping'"):
        check_source(path, ["sleeping"])
