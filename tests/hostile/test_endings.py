"""A VM gives its memory back as soon as it is over, and not while its code is still running."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing import EmbeddedProxy, ProxyTestError
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeGuest, WasmtimeModule
from tests.hostile.corpus import on_request_headers
from tests.hostile.wat import BASE, LOG, binary


def test_memory_goes_with_the_proxy() -> None:
    module = WasmtimeModule(binary(BASE + on_request_headers("")))
    guests: list[WasmtimeGuest] = []

    def instantiate(host: Hostcalls) -> WasmtimeGuest:
        guests.append(module.instantiate(host))
        return guests[-1]

    proxy = EmbeddedProxy(instantiate)
    assert proxy.get("/").response.status == 200
    proxy.close()
    assert len(guests) >= 2
    for guest in guests:
        with pytest.raises(ValueError, match="already closed"):
            guest.memory.read(0, 1)
    with pytest.raises(ProxyTestError, match="the proxy has been closed"):
        guests[-1].call("proxy_on_request_headers", 1, 0, 1)


def test_a_vm_that_is_discarded_in_a_hostcall_runs_to_the_end_of_its_callback() -> None:
    said: list[bytes] = []

    def proxy_log(level: int, message: bytes) -> int:
        guest.discard()
        said.append(message)
        return 0

    code = """
      (drop (call $proxy_log (i32.const 2) (i32.const 8) (i32.const 1)))
      (i32.store8 (i32.const 8) (i32.const 98))
      (drop (call $proxy_log (i32.const 2) (i32.const 8) (i32.const 1)))"""
    text = LOG + BASE + '(data (i32.const 8) "a")' + on_request_headers(code)
    names = dict.fromkeys(name for name in dir(Hostcalls) if name.startswith("proxy_"))
    host = cast("Hostcalls", SimpleNamespace(**{**names, "proxy_log": proxy_log}))
    guest = WasmtimeModule(binary(text)).instantiate(host)
    assert guest.call("proxy_on_request_headers", 1, 0, 1) == 0
    assert said == [b"a", b"b"]
    with pytest.raises(ProxyTestError, match="the proxy has been closed"):
        guest.call("proxy_on_request_headers", 1, 0, 1)
