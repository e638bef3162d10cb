"""No address and no size that a module gives leads out of its memory."""

from __future__ import annotations

from pathlib import Path

import proxy_wasm_abi
import pytest
from proxy_wasm_abi.generated.host_imports import MODULE_EXPORTS

from pywasm_filter.sdk.abi import Status
from pywasm_filter.testing import EmbeddedProxy, Exchange, HostMisuse, PluginSettings
from pywasm_filter.testing.envoy_proxy import EnvoyProxy
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
from pywasm_filter.testing.running_envoy import RunningEnvoy
from tests.hostile.addresses import END, VM_CONFIGURATION, Call, Texts, calls, module, places_of_addresses
from tests.hostile.wat import MARKER, MEMORY, binary, exported, i32, imported

SETTINGS = PluginSettings(vm_configuration=VM_CONFIGURATION)
_TEXTS = Texts()
CALLS = list(calls(_TEXTS))
MODULE = binary(module(_TEXTS, CALLS))


def told(lines: list[str]) -> dict[str, str]:
    return {name: statuses for name, colon, statuses in (line.partition(": ") for line in lines) if colon}


@pytest.fixture(scope="module")
def embedded() -> dict[str, str]:
    with EmbeddedProxy(WasmtimeModule(MODULE).instantiate, SETTINGS) as proxy:
        exchange = proxy.get("/")
        assert exchange.response.status == 200
        assert proxy.traps == []
        return told([line.message for line in exchange.logs])


def outcomes(statuses: dict[str, str]) -> list[tuple[Call, Status]]:
    found: list[tuple[Call, Status]] = []
    for name, letters in statuses.items():
        mine = [call for call in CALLS if call.hostcall.name == name]
        found += [(call, Status(ord(letter) - ord("a"))) for call, letter in zip(mine, letters, strict=True)]
    assert len(found) == len(CALLS)
    return found


def test_every_address_of_the_abi_is_tried() -> None:
    table = proxy_wasm_abi.load().hostcalls
    assert {call.hostcall.name for call in CALLS} == {
        entry.name for entry in table if entry.returns or any(value.is_buffer for value in entry.params)
    }
    for entry in table:
        tried = [call.args for call in CALLS if call.hostcall is entry]
        for position in places_of_addresses(entry):
            assert any(args[position] > END for args in tried), (entry.name, position)


def test_bytes_outside_of_the_memory_are_not_read(embedded: dict[str, str]) -> None:
    for call, status in outcomes(embedded):
        if call.reads_outside:
            assert status in (Status.INVALID_MEMORY_ACCESS, *call.also), call


def test_each_status_is_one_of_the_table(embedded: dict[str, str]) -> None:
    for call, status in outcomes(embedded):
        assert status.name in ("OK", *call.hostcall.statuses), call


def in_envoy(code: bytes, directory: Path) -> Exchange:
    file = directory / "hostile.wasm"
    file.write_bytes(code)
    envoy = RunningEnvoy([file], SETTINGS)
    envoy.start()
    try:
        return EnvoyProxy(envoy).get("/")
    finally:
        envoy.close()


def test_envoy_answers_the_same(embedded: dict[str, str], tmp_path: Path) -> None:
    exchange = in_envoy(MODULE, tmp_path)
    assert exchange.response.status == 200
    assert told([line.message for line in exchange.logs]) == embedded


def test_a_foreign_function_without_memory_for_its_result_crashes_envoy(tmp_path: Path) -> None:
    foreign = next(entry for entry in proxy_wasm_abi.load().hostcalls if entry.name == "proxy_call_foreign_function")
    malloc = f'(func (export "malloc") (param i32) (result i32) {i32(0)})'
    call = f"(drop (call ${foreign.name} {i32(100)} {i32(8)} {i32(100)} {i32(8)} {i32(512)} {i32(516)}))"
    handler = exported("proxy_on_request_headers", MODULE_EXPORTS["proxy_on_request_headers"], call + i32(0))
    data = f'(data {i32(100)} "compress")'
    code = binary(imported(foreign) + MARKER + MEMORY + malloc + handler + data)
    with (
        EmbeddedProxy(WasmtimeModule(code).instantiate) as proxy,
        pytest.raises(HostMisuse, match="no memory for the 1"),
    ):
        proxy.get("/")
    assert in_envoy(code, tmp_path).reset
