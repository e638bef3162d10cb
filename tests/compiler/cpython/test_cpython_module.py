"""The shape of a really built module, and what its hostcalls and memory do."""

import re
from dataclasses import replace

import pytest
import wasmtime
from proxy_wasm_abi import Hostcall, Value, load
from proxy_wasm_abi.generated.host_imports import HOST_IMPORTS, MODULE_EXPORTS
from pywasm_compiler.cpython import resolver
from pywasm_compiler.cpython.base import BaseImage
from pywasm_compiler.cpython.linker import GLUE_PREFIX
from pywasm_compiler.cpython.packing import unpacked
from pywasm_compiler.cpython.platform import Scratch
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


HOSTCALLS = {hostcall.name: hostcall for hostcall in load().hostcalls}
INTEGERS = {"u64": 2**64 - 3, "s64": -(2**63) + 3}


def some(values: tuple[Value, ...], what: str) -> list[int | str]:
    """Arguments or results, all different; integers with the highest bit set, and text with a zero byte."""
    return [
        f"{what} {number}\0" if value.is_buffer else INTEGERS.get(value.type, 2**32 - 3) - number
        for number, value in enumerate(values)
    ]


class Answering:
    """A host that takes note of the arguments of hostcalls, and answers with results of each type."""

    def __init__(self, host: ProxyHost) -> None:
        self.host = host
        self.seen: dict[str, list[int | str]] = {}

    def __call__(self, name: str, arguments: tuple[int, ...]) -> int | None:
        hostcall = HOSTCALLS[name]
        lifted, rest = self.lifted(hostcall, arguments)
        if lifted != some(hostcall.params, "argument"):
            return None  # the probe's own
        self.seen[name] = lifted
        for value, result in zip(hostcall.returns, some(hostcall.returns, "result"), strict=True):
            if isinstance(result, str):
                self.host.store_bytes(result.encode(), rest.pop(0), rest.pop(0))
            elif value.type == "u64":
                self.host.store_u64(result, rest.pop(0))
            else:
                self.host.store_u32(result, rest.pop(0))
        return UNIMPLEMENTED

    def lifted(self, hostcall: Hostcall, arguments: tuple[int, ...]) -> tuple[list[int | str], list[int]]:
        """The arguments, and the addresses for results behind them."""
        rest = list(arguments)
        lifted: list[int | str] = []
        for value in hostcall.params:
            first = rest.pop(0)
            if value.is_buffer:
                lifted.append(self.host.read(first, rest.pop(0)).decode())
            else:
                bits = {"u64": 64, "s64": 0}.get(value.type, 32)
                lifted.append(first % (1 << bits) if bits else first)
        return lifted, rest


def test_every_hostcall_can_be_made(host: ProxyHost, program: Program) -> None:
    host.answer = answer = Answering(host)
    calls = [[name, *some(hostcall.params, "argument")] for name, hostcall in HOSTCALLS.items()]
    results = host.probe("all_hostcalls", calls)["returned"]
    assert answer.seen.keys() == host.called == set(program.hostcalls)
    for hostcall, result in zip(HOSTCALLS.values(), results, strict=True):
        assert result == [UNIMPLEMENTED, *some(hostcall.returns, "result")], hostcall.name


def test_results_are_zero_or_empty_where_the_host_stores_none(host: ProxyHost) -> None:
    calls = [
        [name, *("text" if value.is_buffer else 3 for value in hostcall.params)] for name, hostcall in HOSTCALLS.items()
    ]
    results = host.probe("all_hostcalls", calls)["returned"]
    answered = {name[1:] for name in vars(ProxyHost) if name.startswith("_proxy_")}
    for hostcall, result in zip(HOSTCALLS.values(), results, strict=True):
        if hostcall.name not in answered:
            expected = [UNIMPLEMENTED, *("" if value.is_buffer else 0 for value in hostcall.returns)]
            assert result == expected, hostcall.name


def test_hostcalls_refuse_wrong_arguments(host: ProxyHost) -> None:
    calls = [
        [
            name,
            *(
                "bytes" if value.is_buffer else value.type if value.type in INTEGERS else "u32"
                for value in hostcall.params
            ),
        ]
        for name, hostcall in HOSTCALLS.items()
    ]
    host.answer = lambda name, arguments: None if name in ("proxy_log", "proxy_get_buffer_bytes") else 0
    outcomes = host.probe("refusals", calls)["returned"]
    assert len(outcomes) > 400
    for what, outcome in outcomes.items():
        error = "OverflowError" if re.search(r" int -?\d{10}| int -1$", what) else "TypeError"
        assert outcome.startswith(error), (what, outcome)
    assert outcomes["proxy_done with one more"] == "TypeError: proxy_done takes 0 arguments, not 1"
    assert outcomes["proxy_log 1 str"] == "TypeError: a hostcall takes bytes, not str"


def test_subclasses_and_large_bytes_are_as_good(host: ProxyHost) -> None:
    host.answer = lambda name, arguments: 0 if name == "proxy_increment_metric" else None
    assert host.probe("unusual_arguments") == {"returned": [0] * 5}
    assert host.properties == {b"subclass": b"", b"large": bytes(1_000_000)}
    assert host.logs == [(2, "enum"), (1, "bool")]


def test_a_hostcall_that_was_left_out_raises(program: Program) -> None:
    few = replace(program, hostcalls=("proxy_log", "proxy_get_buffer_bytes"))
    host = ProxyHost(CompiledModule(engine("cpython").compile(few, Options(), lambda step: None)))
    host.start()
    outcome = host.probe("left_out")
    assert outcome["raised"][0] == "RuntimeError"
    assert outcome["message"].startswith("this module was built without proxy_done: nothing that its source names")
    assert host.probe("alive") == {"returned": 45}


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


def test_the_glue_has_a_page_of_its_own(module: Module, compiled: CompiledModule) -> None:
    """What it keeps while it runs begins zeroed."""
    host = ProxyHost(compiled)
    assert host.memory_size() == module.memories[0].limits.minimum * PAGE
    glue = BaseImage(lambda step: None).loader(wasmtime.Engine()).glue
    assert host.read(glue, Scratch(0).slot(0)) == bytes(Scratch(0).slot(0))


def test_free_memory_is_not_in_the_snapshot(program: Program) -> None:
    steps: list[str] = []
    engine("cpython").compile(program, Options(), steps.append)
    assert steps
    assert not [step for step in steps if "free memory" in step]
