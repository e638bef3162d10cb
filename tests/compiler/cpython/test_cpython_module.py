"""The shape of a really built module, and what its hostcalls and memory do."""

import pytest
import wasmtime
from proxy_wasm_abi import load
from proxy_wasm_abi.generated.host_imports import HOST_IMPORTS, MODULE_EXPORTS
from pywasm_compiler.cpython import resolver, trampolines
from pywasm_compiler.cpython.base import BaseImage
from pywasm_compiler.cpython.linker import GLUE_PREFIX
from pywasm_compiler.cpython.packing import unpacked
from pywasm_compiler.engine import DebugInfo, Options, Program, engine
from pywasm_compiler.wasm.model import ExternKind, Limits, Module, SegmentMode
from pywasm_compiler.wasm.names import module_names, module_producers
from pywasm_compiler.wasm.reader import read_module

from tests.compiler.cpython.proxy_host import UNIMPLEMENTED, CompiledModule, ProxyHost

pytestmark = pytest.mark.xdist_group("cpython_module")

PAGE = 0x1_0000


@pytest.fixture(scope="module")
def module(module_bytes: bytes) -> Module:
    return read_module(module_bytes)


def test_it_is_valid(module_bytes: bytes) -> None:
    config = wasmtime.Config()
    # What every host has: the first version of WebAssembly, bulk memory, sign extension and mutable globals.
    config.wasm_simd = False
    config.wasm_relaxed_simd = False
    config.wasm_multi_value = False
    config.wasm_multi_memory = False
    config.wasm_memory64 = False
    config.wasm_tail_call = False
    wasmtime.Module.validate(wasmtime.Engine(config), module_bytes)


def test_imports_are_the_hostcalls_and_random_numbers(module: Module, program: Program) -> None:
    imports = {(entry.module, entry.name): module.types[int(str(entry.type))] for entry in module.imports}
    assert set(imports) == {("env", name) for name in program.hostcalls} | {("wasi_snapshot_preview1", "random_get")}
    for (space, name), signature in imports.items():
        if space == "env":
            assert tuple(value.name.lower() for value in signature.params) == HOST_IMPORTS[name].params
            assert tuple(value.name.lower() for value in signature.results) == HOST_IMPORTS[name].results


def test_exports_are_what_hosts_look_for(module: Module, program: Program) -> None:
    markers = {"memory", "proxy_abi_version_0_2_1", "_initialize", "proxy_on_memory_allocate", "malloc"}
    assert {entry.name for entry in module.exports} == markers | set(program.callbacks)
    for entry in module.exports:
        if entry.name in MODULE_EXPORTS:
            signature = module.function_type(entry.index)
            assert tuple(value.name.lower() for value in signature.params) == MODULE_EXPORTS[entry.name].params
            assert tuple(value.name.lower() for value in signature.results) == MODULE_EXPORTS[entry.name].results


def test_one_memory_table_and_global(module: Module) -> None:
    assert len(module.memories) == len(module.tables) == len(module.globals) == 1
    assert module.memories[0].limits == Limits(module.memories[0].limits.minimum)
    table = module.tables[0].limits
    assert table.minimum == table.maximum
    assert module.imported(ExternKind.GLOBAL) == []


def test_data_are_compressed(module: Module) -> None:
    assert module.start is not None
    assert {segment.mode for segment in module.data} == {SegmentMode.PASSIVE}
    assert unpacked(module).start is None
    held = [sum(len(segment.content) for segment in found.data) for found in (module, unpacked(module))]
    assert held[0] < 0.6 * held[1]


def test_unused_functions_are_left_out(module: Module) -> None:
    names = set(module_names(module).functions.values())
    assert "PyErr_SetString" in names
    assert "__wasm_apply_data_relocs" not in names


def test_names_and_producers(module: Module) -> None:
    names = module_names(module)
    assert names.module == "probe_filter"
    assert names.functions[0] == "proxy_log"
    assert f"{GLUE_PREFIX}callback proxy_on_configure" in names.functions.values()
    producers = module_producers(module)
    assert producers["language"]["Python"] == "3.14"
    assert producers["processed-by"]["componentize-py"] == "0.25.1"
    assert "pywasm-filter" in producers["processed-by"]


def test_strip_leaves_out_the_names(program: Program, module_bytes: bytes) -> None:
    stripped = engine("cpython").compile(program, Options(DebugInfo.NONE), lambda step: None)
    assert len(stripped) < len(module_bytes) - 100_000
    assert module_names(read_module(stripped)).functions == {}
    assert module_producers(read_module(stripped)) != {}


def test_progress_is_told(program: Program) -> None:
    steps: list[str] = []
    engine("cpython").compile(program, Options(), steps.append)
    assert steps[-2:] == ["importing the filter in CPython and taking a snapshot", "writing the module"]


def test_only_the_hostcalls_that_are_needed() -> None:
    assert [hostcall.name for hostcall in resolver.needed_hostcalls(["proxy_done"])] == [
        "proxy_log",
        "proxy_get_current_time_nanoseconds",
        "proxy_done",
    ]


# --- hostcalls --------------------------------------------------------------------------------------------------------


def test_every_hostcall_can_be_made(host: ProxyHost, program: Program) -> None:
    """Most answer UNIMPLEMENTED and store nothing: integers come back as 0, buffers as empty."""
    calls = [
        [hostcall.name, *("text" if value.is_buffer else 3 for value in hostcall.params)]
        for hostcall in load().hostcalls
    ]
    results = host.probe("all_hostcalls", calls)["returned"]
    answered = {name[1:] for name in vars(ProxyHost) if name.startswith("_proxy_")}
    for hostcall, result in zip(load().hostcalls, results, strict=True):
        if hostcall.name not in answered:
            expected = [UNIMPLEMENTED, *("" if value.is_buffer else 0 for value in hostcall.returns)]
            assert result == expected, hostcall.name
    assert host.called == set(program.hostcalls)


# --- memory -----------------------------------------------------------------------------------------------------------

CALLBACKS = 100_000


def growth(host: ProxyHost, callbacks: int) -> int:
    """Bytes by which memory grows. Each callback makes hostcalls with seven lists as arguments and three as results.

    Before counting, all free memory is used up: whatever leaks then has to grow the memory.
    """
    for _ in range(1_000):
        host.call("proxy_on_request_headers", 1, 1, 0)
    for size in (0x1_0000, 0x1000, 0x100, 0x40):
        before = host.memory_size()
        while host.memory_size() == before:
            host.call("malloc", size)
    for _ in range(1_000):
        host.call("proxy_on_request_headers", 1, 1, 0)
    before = host.memory_size()
    for _ in range(callbacks):
        host.call("proxy_on_request_headers", 1, 1, 0)
    return host.memory_size() - before


def test_memory_does_not_grow(host: ProxyHost) -> None:
    assert growth(host, CALLBACKS) == 0
    assert host.properties == {b"pathpath": b"texttext"}


def test_componentize_py_still_leaks(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should it begin to free list arguments itself, then the trampolines must not: that would be the second time."""
    monkeypatch.setattr(trampolines, "buffer_params", lambda hostcall: ())
    monkeypatch.setattr(
        BaseImage, "shell", lambda base, *wanted, compile_all: read_module(base._make_shell(*wanted, base._cold))
    )
    host = ProxyHost(CompiledModule(engine("cpython").compile(program, Options(), lambda step: None)))
    host.start()
    assert growth(host, 5_000) >= 5_000 * 7 * 16


def test_the_glue_has_a_page_of_its_own(module: Module, compiled: CompiledModule) -> None:
    host = ProxyHost(compiled)
    assert host.memory_size() == module.memories[0].limits.minimum * PAGE
    glue = BaseImage(lambda step: None).loader(wasmtime.Engine()).glue
    assert host.read(glue, PAGE) == bytes(PAGE)
