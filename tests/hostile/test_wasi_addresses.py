"""Addresses and sizes that a module gives to functions of WASI."""

from __future__ import annotations

from pathlib import Path

import pytest
from proxy_wasm_abi.generated.host_imports import MODULE_EXPORTS

from pywasm_filter.testing import EmbeddedProxy, Exchange, PluginSettings
from pywasm_filter.testing.envoy_proxy import EnvoyProxy
from pywasm_filter.testing.guests.wasi import EFAULT, EINVAL, SIGNATURES, SUCCESS
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
from pywasm_filter.testing.running_envoy import RunningEnvoy
from tests.hostile.addresses import BAD_BUFFERS, PLACES
from tests.hostile.wat import BASE, LOG, binary, exported, i32, quoted, signature

ENVIRONMENT = {"NAME": "value"}
_GOOD = 1024
_VECTORS = 2048
_OUTSIDE = 1 << 16


def calls() -> list[tuple[str, tuple[int, ...]]]:
    """Function and arguments, each address hostile in turn."""
    found: list[tuple[str, tuple[int, ...]]] = []
    for place in PLACES:
        found += [
            ("args_sizes_get", (place, _GOOD)),
            ("args_sizes_get", (_GOOD, place)),
            ("clock_time_get", (0, 0, place)),
            ("environ_get", (place, _GOOD)),
            ("environ_get", (_GOOD, place)),
            ("environ_sizes_get", (place, _GOOD)),
            ("environ_sizes_get", (_GOOD, place)),
            ("fd_fdstat_get", (1, place)),
            ("fd_write", (1, place, 1, _GOOD)),
            ("fd_write", (1, _VECTORS, 0, place)),
        ]
    for index, (address, size) in enumerate(BAD_BUFFERS):
        found.append(("random_get", (address, size)))
        found.append(("fd_write", (1, _VECTORS + 8 * index, 1, _GOOD)))
    return found


CALLS = calls()


def module() -> bytes:
    """One that makes the calls, and logs the errors as letters, "a" for none."""
    imports = "".join(
        f'(import "wasi_snapshot_preview1" "{name}" (func ${name}{signature(SIGNATURES[name])}))'
        for name in dict.fromkeys(name for name, _ in CALLS)
    )
    made = []
    for number, (name, args) in enumerate(CALLS):
        operands = " ".join(
            f"({kind}.const {value})" for kind, value in zip(SIGNATURES[name].params, args, strict=True)
        )

        made.append(f"(i32.store8 {i32(8192 + number)} (i32.add (i32.const 97) (call ${name} {operands})))")
    told = f"(drop (call $proxy_log (i32.const 2) {i32(8192)} {i32(len(CALLS))}))"
    vectors = b"".join(number.to_bytes(4, "little") for buffer in BAD_BUFFERS for number in buffer)
    code = "".join(made) + told + i32(0)
    handler = exported("proxy_on_request_headers", MODULE_EXPORTS["proxy_on_request_headers"], code)
    return binary(LOG + imports + BASE + f"(data {i32(_VECTORS)} {quoted(vectors)})" + handler)


def errors(exchange: Exchange) -> list[int]:
    assert exchange.response.status == 200
    [line] = [line.message for line in exchange.logs if len(line.message) == len(CALLS)]
    return [ord(letter) - ord("a") for letter in line]


@pytest.fixture(scope="module")
def embedded() -> list[int]:
    guests = WasmtimeModule(module(), environment=ENVIRONMENT)
    with EmbeddedProxy(guests.instantiate, PluginSettings(environment=ENVIRONMENT)) as proxy:
        return errors(proxy.get("/"))


def test_what_is_outside_of_the_memory_is_an_error(embedded: list[int]) -> None:
    for (name, args), error in zip(CALLS, embedded, strict=True):
        outside = any(number >= _OUTSIDE for number in args)
        if name == "fd_fdstat_get" or (name == "random_get" and args[1] == 0):
            assert error == SUCCESS, (name, args)  # nothing is stored, and nothing said
        else:
            assert error in ((EFAULT, EINVAL) if outside else (SUCCESS, EFAULT, EINVAL)), (name, args)


def test_envoy_answers_the_same(embedded: list[int], tmp_path: Path) -> None:
    file = tmp_path / "hostile.wasm"
    file.write_bytes(module())
    envoy = RunningEnvoy([file], PluginSettings(environment=ENVIRONMENT))
    envoy.start()
    try:
        theirs = errors(EnvoyProxy(envoy).get("/"))
    finally:
        envoy.close()
    different = [
        (call, mine, their) for call, mine, their in zip(CALLS, embedded, theirs, strict=True) if mine != their
    ]
    assert different == []
