"""A filter of several modules, built once by the command line, then inspected and tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
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


def test_inspection(built: tuple[Path, dict[str, object]]) -> None:
    found = json.loads(run("inspect", str(built[0]), "--json"))
    assert found["abi_version"] == "0.2.1"
    assert found["imports"] == built[1]["imports"]
    assert {"proxy_log", "proxy_get_header_map_value"} <= set(found["imports"]["env"])
    assert "proxy_on_request_headers" in found["callbacks"]
    assert found["hosts"]["envoy"]["loads"] is True
    assert found["function_names"] is True


def test_the_module_does_what_the_source_does(project: Path, built: tuple[Path, dict[str, object]]) -> None:
    outcomes = []
    for filter_path in (project / "filter.py", built[0]):
        outcome = json.loads(run("try", str(filter_path), "/german", "-H", "x-greeting: none", "--json"))
        changed = [field for field in outcome["request"]["headers"] if field["kind"] == "changed"]
        assert changed == [{"kind": "changed", "name": "x-greeting", "before": ["none"], "after": ["hallo"]}]
        outcomes.append((outcome["request"], outcome["logs"]))
    assert outcomes[0] == outcomes[1]
