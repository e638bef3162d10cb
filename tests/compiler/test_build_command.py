"""A filter of several modules, built once by the command line, then inspected and tried."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from pywasm_compiler.cpython.packing import unpacked
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module
from typer.testing import CliRunner

from pywasm_filter.cli.app import app

FILTER = """
from greetings.words import greeting

from pywasm_filter import Action, HttpContext


class Greet(HttpContext):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.request.headers["x-greeting"] = greeting(self.request.path)
        print("greeted", self.request.path)
        return Action.CONTINUE
"""

WORDS = """
import json
from pathlib import Path

TABLE = json.loads(Path(__file__).with_name("words.json").read_text())


def greeting(path: str) -> str:
    return str(TABLE.get(path, "hello"))
"""


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("project")
    (directory / "greetings").mkdir()
    (directory / "filter.py").write_text(FILTER)
    (directory / "greetings" / "words.py").write_text(WORDS)
    (directory / "greetings" / "words.json").write_text('{"/german": "hallo"}')
    return directory


@pytest.fixture(scope="module")
def built(project: Path) -> tuple[Path, dict[str, object]]:
    """The module, and what the build says of it."""
    output = project / "out.wasm"
    summary: dict[str, object] = json.loads(run("build", str(project / "filter.py"), "-o", str(output), "--json"))
    return output, summary


def test_summary_is_true_of_the_file(built: tuple[Path, dict[str, object]]) -> None:
    output, summary = built
    assert summary["path"] == str(output)
    assert summary["size"] == output.stat().st_size
    assert "envoy" in json.dumps(summary["hosts"])


def test_nothing_but_the_module_is_written(project: Path, built: tuple[Path, dict[str, object]]) -> None:
    names = {path.name for path in project.rglob("*") if path.is_file()}
    assert names == {"filter.py", "words.py", "words.json", "out.wasm"}


def test_the_same_project_elsewhere_makes_the_same_module(
    project: Path, built: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    elsewhere = shutil.copytree(project, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("*.wasm"))
    run("build", str(elsewhere / "filter.py"), "-o", str(tmp_path / "out.wasm"))
    assert (tmp_path / "out.wasm").read_bytes() == built[0].read_bytes()


def test_debug_keeps_the_docstrings(project: Path, built: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    run("build", str(project / "filter.py"), "-o", str(tmp_path / "out.wasm"), "--debug")
    modules = [write_module(unpacked(read_module(path.read_bytes()))) for path in (built[0], tmp_path / "out.wasm")]
    for docstring in (
        b"Write a message to the proxy's log.",
        b"Deserialize ``s`` (a ``str``, ``bytes`` or ``bytearray``",
    ):
        assert [docstring in module for module in modules] == [False, True]
    found = json.loads(run("inspect", str(tmp_path / "out.wasm"), "--json"))
    assert found["provenance"]["options"]["debug_info"] == "full"


def test_inspection(built: tuple[Path, dict[str, object]]) -> None:
    found = json.loads(run("inspect", str(built[0]), "--json"))
    assert found["abi_version"] == "0.2.1"
    assert found["imports"] == built[1]["imports"]
    assert {"proxy_log", "proxy_get_header_map_value"} <= set(found["imports"]["env"])
    assert "proxy_on_request_headers" in found["callbacks"]
    assert found["hosts"]["envoy"]["loads"] is True
    assert found["function_names"] is True


def test_how_it_was_made(built: tuple[Path, dict[str, object]]) -> None:
    record = json.loads(run("inspect", str(built[0]), "--json"))["provenance"]
    assert record["build"]["tools"].keys() == {"componentize-py", "pywasm-filter", "wasmtime"}
    assert record["filter"]["module"] == "filter"
    assert record["filter"]["files"] == 2
    assert record["data"]["files"] == 1
    assert [package["name"] for package in record["packages"]] == ["pywasm-filter"]
    assert str(built[0].parent) not in json.dumps(record)


def test_where_its_bytes_are(built: tuple[Path, dict[str, object]]) -> None:
    chart = built[0].with_name("bytes.svg")
    found = json.loads(run("inspect", str(built[0]), "--deep", "--chart", str(chart), "--json"))
    assert chart.read_text().startswith("<svg")
    chart.unlink()
    assert found["bytes"]["size"] == found["unpacked_size"] > 1.4 * found["size"]
    assert size_of(found["bytes"], "code", "_io (C module)") > 10_000
    assert size_of(found["bytes"], "data", "interpreted functions", "CPython, compiler") > 100_000
    assert size_of(found["bytes"], "data", "static data of the interpreter", "libpython3.14.so") > 1_000_000
    for path, least in {
        ("filter", "filter"): 1000,
        ("filter", "greetings"): 500,
        ("SDK", "pywasm_filter", "pywasm_filter.sdk.vm"): 10_000,
        ("standard library", "json"): 10_000,
    }.items():
        assert least < size_of(found["bytes"], "data", "snapshot", *path) < 200_000


def size_of(share: dict[str, Any], *path: str) -> int:
    """The size of a part; that parts make up the whole is tested on the way."""
    size = share["size"]
    assert isinstance(size, int)
    if "children" in share:
        assert sum(child["size"] for child in share["children"]) == size
    if not path:
        return size
    [part] = [child for child in share["children"] if child["name"] == path[0]]
    return size_of(part, *path[1:])


def test_the_module_does_what_the_source_does(project: Path, built: tuple[Path, dict[str, object]]) -> None:
    outcomes = []
    for filter_path in (project / "filter.py", built[0]):
        outcome = json.loads(run("try", str(filter_path), "/german", "-H", "x-greeting: none", "--json"))
        changed = [field for field in outcome["request"]["headers"] if field["kind"] == "changed"]
        assert changed == [{"kind": "changed", "name": "x-greeting", "before": ["none"], "after": ["hallo"]}]
        outcomes.append((outcome["request"], outcome["logs"]))
    assert outcomes[0] == outcomes[1]
