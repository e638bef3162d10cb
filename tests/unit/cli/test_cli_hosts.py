"""Commands that are told the hosts that a filter is for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from pywasm_compiler import engine as engines
from pywasm_compiler.engine import Options, Program, Progress
from typer.testing import CliRunner, Result
from wasmtime import wat2wasm

from pywasm_filter.cli.app import app

FILTER = """\
from pywasm_filter import Action, HttpContext


class Measure(HttpContext):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        print(self.request.headers.byte_size)
        return Action.CONTINUE
"""

MESSAGE = (
    "filter.py:6: error: ngx_wasm_module loads no module that imports proxy_get_header_map_size; "
    "self.request.headers.byte_size needs it [host]"
)

EXPORTS = ("proxy_on_context_create", "proxy_on_vm_start", "proxy_on_configure")


def module(*exports: str) -> bytes:
    functions = [f'(func (export "{name}"))' for name in exports if name not in EXPORTS]
    functions += [
        f'(func (export "{name}") (param i32 i32) {"" if name == EXPORTS[0] else "(result i32) unreachable"})'
        for name in exports
        if name in EXPORTS
    ]
    allocate = '(func (export "malloc") (param i32) (result i32) i32.const 8)'
    return bytes(wat2wasm(f'(module (memory (export "memory") 1) {allocate} {"".join(functions)})'))


class FakeEngine:
    name = "fake"

    def __init__(self) -> None:
        self.programs: list[Program] = []
        self.module = module("proxy_abi_version_0_2_1", *EXPORTS)

    def compile(self, program: Program, options: Options, progress: Progress) -> bytes:
        self.programs.append(program)
        return self.module


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    made = FakeEngine()
    entry = ModuleType("fake_engine_for_hosts")
    vars(entry)["Fake"] = lambda: made
    monkeypatch.setitem(sys.modules, entry.__name__, entry)
    monkeypatch.setitem(engines._ENGINES, "fake", (entry.__name__, "Fake"))
    return made


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "filter.py").write_text(FILTER)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), prog_name="pywasm-filter")


def build(*arguments: str) -> Result:
    return run("build", "filter.py", "--engine", "fake", *arguments)


def test_build_refuses_what_the_host_lacks(project: Path, fake: FakeEngine) -> None:
    result = build("--host", "envoy", "--host", "ngx_wasm_module")
    assert result.exit_code == 1
    assert MESSAGE in result.stderr
    assert "  remedy: do without it; or handle Unimplemented, and pass --allow-missing proxy_get_" in result.stderr
    assert fake.programs == []
    assert not (project / "filter.wasm").exists()


def test_build_leaves_out_what_may_be_missing(project: Path, fake: FakeEngine) -> None:
    result = build("--host", "ngx_wasm_module", "--allow-missing", "proxy_get_header_map_*")
    assert result.exit_code == 0, result.output
    [program] = fake.programs
    assert program.unimplemented == ("proxy_get_header_map_size",)
    assert "proxy_get_header_map_size" not in program.hostcalls
    # Patterns leave out what the host lacks, and nothing else.
    assert "proxy_get_header_map_value" in program.hostcalls
    assert program.provenance["target"] == {
        "hosts": ["ngx_wasm_module"],
        "allow_missing": ["proxy_get_header_map_*"],
    }


def test_the_project_says_it_for_good(project: Path, fake: FakeEngine) -> None:
    (project / "pyproject.toml").write_text('[tool.pywasm-filter]\nhosts = ["ngx_wasm_module"]\n')
    assert MESSAGE in build().stderr
    assert MESSAGE in run("check", "filter.py", "--no-types").stderr
    assert build("--host", "envoy").exit_code == 0
    assert build("--allow-missing", "proxy_get_header_map_size").exit_code == 0
    (project / "pyproject.toml").write_text('[tool.pywasm-filter]\nhosts = ["nginx"]\n')
    result = build()
    assert result.exit_code == 1
    assert "pyproject.toml:2: error: there is no host 'nginx'" in result.stderr


def test_a_module_that_the_host_does_not_load_is_not_written(project: Path, fake: FakeEngine) -> None:
    (project / "filter.py").write_text(FILTER.replace(".byte_size", ""))
    fake.module = module("proxy_abi_version_0_2_1", *EXPORTS[:2])
    result = build("--host", "ngx_wasm_module", "--json")
    assert result.exit_code == 1
    error = json.loads(result.stderr[result.stderr.index("{") :])["error"]
    assert error["rule"] == "host"
    assert error["message"] == (
        "ngx_wasm_module does not load it: it does not export proxy_on_configure, which the host requires"
    )
    assert not (project / "filter.wasm").exists()


def test_check(project: Path) -> None:
    result = run("check", "filter.py", "--no-types", "--host", "ngx_wasm_module")
    assert result.exit_code == 1
    assert MESSAGE in result.stderr
    assert run("check", "filter.py", "--no-types", "--host", "envoy").exit_code == 0
    assert run("check", "filter.py", "--no-types", "--host", "ngx_wasm_module", "--ignore", "host").exit_code == 0


def test_bad_usage(project: Path) -> None:
    unknown = build("--host", "nginx")
    assert unknown.exit_code == 2
    assert "there is no host" in unknown.output
    vain = build("--allow-missing", "proxy_done")
    assert vain.exit_code == 2
    assert "needs --host" in vain.output
    both = build("--strip", "--debug")
    assert both.exit_code == 2
    assert "exclude each other" in both.output
