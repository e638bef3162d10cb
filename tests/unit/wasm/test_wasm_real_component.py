"""The package against what componentize-py really emits: CPython as a component of 14 core modules and more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pywasm_compiler.wasm.code import remap_body
from pywasm_compiler.wasm.component import Component, CoreDefinition, CoreInstantiation, LoweredImport, read_component
from pywasm_compiler.wasm.model import Module
from pywasm_compiler.wasm.names import module_names
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

from tests.unit.wasm.wasm_reference import Shifted, reference_remap

WIT = """
package test:real;
interface host { get: func(key: list<u8>) -> list<u8>; }
interface api { answer: func() -> u32; }
world small { import host; export run: func(n: u32) -> u32; export api; }
"""

APP = """
import wit_world
from wit_world import exports

class WitWorld(wit_world.WitWorld):
    def run(self, n: int) -> int:
        return n + 1

class Api(exports.Api):
    def answer(self) -> int:
        return 42
"""

COMPONENTIZE = "import sys; from componentize_py import script; sys.argv[0] = 'componentize-py'; sys.exit(script())"


@pytest.fixture(scope="module")
def component(tmp_path_factory: pytest.TempPathFactory) -> Component:
    workspace: Path = tmp_path_factory.mktemp("component")
    (workspace / "world.wit").write_text(WIT, encoding="utf-8")
    (workspace / "app.py").write_text(APP, encoding="utf-8")
    arguments = ["-d", "world.wit", "-w", "small", "componentize", "app", "-o", "app.wasm"]
    # The tool leaves an unpacked standard library in the directory for temporary files.
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(workspace))}
    command = [sys.executable, "-c", COMPONENTIZE, *arguments]
    subprocess.run(command, cwd=workspace, env=environment, check=True, capture_output=True)
    return read_component((workspace / "app.wasm").read_bytes())


@pytest.fixture(scope="module")
def libpython(component: Component) -> Module:
    return max((core.module for core in component.core_modules), key=lambda module: len(module.functions))


def test_core_modules_are_written_as_they_were_read(component: Component) -> None:
    assert len(component.core_modules) >= 14
    for core in component.core_modules:
        written = write_module(core.module)
        assert written == core.content
        assert read_module(written) == core.module


def test_every_import_of_every_core_module_is_resolved(component: Component) -> None:
    resolved = [
        (entry, component.resolve_import(index, entry.module, entry.name))
        for index, instance in enumerate(component.core_instances)
        if isinstance(instance, CoreInstantiation)
        for entry in component.core_modules[instance.module].module.imports
    ]
    for entry, definition in resolved:
        if isinstance(definition, CoreDefinition):
            assert definition.kind is entry.kind
            assert definition.index >= len(core_module(component, definition).imported(definition.kind))
    hostcalls = {
        definition.function
        for _, definition in resolved
        if isinstance(definition, LoweredImport) and definition.interface == "test:real/host"
    }
    assert hostcalls == {"get"}


def core_module(component: Component, definition: CoreDefinition) -> Module:
    instance = component.core_instances[definition.instance]
    assert isinstance(instance, CoreInstantiation)
    return component.core_modules[instance.module].module


def test_exports_are_lifted_from_core_functions_of_the_same_signature(component: Component) -> None:
    exported = component.exported_functions()
    signatures = {}
    for name in ("run", "test:real/api#answer"):
        function, post_return = exported[name].function, exported[name].post_return
        assert post_return is not None
        signatures[name] = [str(core_module(component, f).function_type(f.index)) for f in (function, post_return)]
    assert signatures == {
        "run": ["(i32) -> (i32)", "(i32) -> ()"],
        "test:real/api#answer": ["() -> (i32)", "(i32) -> ()"],
    }


def test_libpython_is_known_by_its_names(libpython: Module) -> None:
    names = module_names(libpython)
    assert names.module is not None
    assert names.module.startswith("libpython3")
    export = libpython.export("PyErr_SetString")
    assert export is not None
    assert names.functions[export.index] == "PyErr_SetString"


def test_fast_and_slow_reading_of_code_agree(libpython: Module) -> None:
    assert len(libpython.functions) > 10_000
    # Every seventh function: more than a thousand of them, and the slow way takes a second.
    for function in libpython.functions[::7]:
        assert remap_body(function.body, Shifted(1), Shifted(2), Shifted(3)) == reference_remap(function.body)
