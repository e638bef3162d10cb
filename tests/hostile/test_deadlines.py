"""A module that does not come to an end is ended, wherever it loops."""

from __future__ import annotations

import os
import threading
import time
from types import SimpleNamespace
from typing import Any, cast

import proxy_wasm_abi
import pytest
from proxy_wasm_abi.generated.host_imports import MODULE_EXPORTS

from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing import CallbackTimeout, EmbeddedProxy, PluginSettings
from pywasm_filter.testing.guests.limits import Limits
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
from tests.hostile.corpus import ENDLESS, on_request_headers
from tests.hostile.wat import BASE, MARKER, MEMORY, binary, exported

SHORT = Limits(callback_seconds=0.01)
NO_HOST = cast("Hostcalls", SimpleNamespace(**dict.fromkeys(entry.name for entry in proxy_wasm_abi.load().hostcalls)))


def endless(name: str) -> WasmtimeModule:
    return WasmtimeModule(binary(BASE + exported(name, MODULE_EXPORTS[name], ENDLESS)))


@pytest.mark.parametrize("name", [name for name in MODULE_EXPORTS if name.startswith("proxy_on_")])
def test_every_callback_is_ended(name: str) -> None:
    guest = endless(name).instantiate(NO_HOST, SHORT)
    begun = time.monotonic()
    with pytest.raises(CallbackTimeout) as error:
        guest.call(name, *[0] * len(MODULE_EXPORTS[name].params))
    assert 0.01 <= time.monotonic() - begun < 2
    assert error.value.callback == name
    assert str(error.value).startswith(f"{name} was still running after 0.01 s and was ended; a real Envoy would hang.")


def test_the_limit_is_for_each_call_anew() -> None:
    # A tenth of a second in each call.
    busy = """(local $n i32) (loop
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if 0 (i32.lt_u (local.get $n) (i32.const 100000000))))"""
    guest = WasmtimeModule(binary(BASE + on_request_headers(busy))).instantiate(NO_HOST, Limits(callback_seconds=1.0))
    begun = time.monotonic()
    while time.monotonic() - begun < 1.5:
        guest.call("proxy_on_request_headers", 1, 0, 1)


def test_a_filter_that_may_fail_does_not_hide_it() -> None:
    module = endless("proxy_on_request_headers")
    settings = PluginSettings(failure_policy="fail_open")
    with EmbeddedProxy(lambda host: module.instantiate(host, SHORT), settings) as proxy:
        with pytest.raises(CallbackTimeout, match="proxy_on_request_headers was still running"):
            proxy.get("/")
        assert proxy.get("/").response.status == 200  # the VM is dead, and streams pass it


def test_a_loop_in_the_allocator_is_its_callbacks() -> None:
    get = '(import "env" "proxy_get_property" (func $get (param i32 i32 i32 i32) (result i32)))'
    malloc = f'(func $malloc (export "malloc") (param i32) (result i32) {ENDLESS})'
    call = "(drop (call $get (i32.const 8) (i32.const 11) (i32.const 0) (i32.const 4)))"
    code = get + MARKER + MEMORY + malloc + '(data (i32.const 8) "plugin_name")' + on_request_headers(call)
    module = WasmtimeModule(binary(code))
    with EmbeddedProxy(lambda host: module.instantiate(host, SHORT)) as proxy, pytest.raises(CallbackTimeout) as error:
        proxy.get("/")
    assert error.value.callback == "proxy_on_request_headers"
    assert error.value.backtrace[0] == "malloc"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork is for Unix; elsewhere no process is made so")
def test_a_forked_process_has_deadlines_too() -> None:
    module = endless("proxy_on_tick")
    module.instantiate(NO_HOST, SHORT)
    assert any(thread.name == "pywasm-filter epoch" for thread in threading.enumerate())
    child = os.fork()
    if child == 0:
        status = 1
        try:
            module.instantiate(NO_HOST, SHORT).call("proxy_on_tick", 1)
        except CallbackTimeout:
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("callback_timeout", 0),
        ("callback_timeout", -1.0),
        ("callback_timeout", float("nan")),
        ("memory_limit_bytes", 0),
    ],
)
def test_limits_that_are_none(setting: str, value: float) -> None:
    wrong: dict[str, Any] = {setting: value}
    with pytest.raises(ValueError, match=setting):
        PluginSettings(**wrong)
