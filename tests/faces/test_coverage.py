"""Every function of the ABI has a face in the SDK, and a test that exercises it on each host."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from proxy_wasm_abi import Callback, Hostcall, load

FACES = Path(__file__).parent
ENTRIES: tuple[Hostcall | Callback, ...] = (*load().hostcalls, *load().callbacks)

NOT_IN_ENVOY = {"proxy_on_foreign_function"}
"""No foreign function of Envoy's calls back."""


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_it_is_exercised(entry: Hostcall | Callback) -> None:
    assert entry.names.python
    assert entry.test is not None
    file = FACES / Path(entry.test.file).name
    assert entry.test.file == f"tests/faces/{file.name}"  # where conftest.py holds the tests to it
    assert entry.test.function in _tests(file)
    hosts = {"inprocess", "wasmtime"} if entry.name in NOT_IN_ENVOY else {"inprocess", "wasmtime", "envoy"}
    assert set(entry.test.hosts) == hosts


def test_no_row_of_the_page_is_empty() -> None:
    page = (FACES.parents[1] / "docs/reference/coverage.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| [`proxy_")]
    assert len(rows) == len(ENTRIES)
    assert [row[1] for row in rows if not all(cell.strip(" \N{EN DASH}") for cell in row[1:5])] == []


def _tests(file: Path) -> set[str]:
    return {node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)}
