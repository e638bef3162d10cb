"""Restricted capabilities: what is not allowed fails or is not called, and the module loads all the same."""

from __future__ import annotations

import pytest

from pywasm_filter.testing import Exchange, Proxy

pytestmark = pytest.mark.pywasm(filter="told_filter.py")

ENOUGH = [
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_request_headers",
    "proxy_on_log",
    "proxy_log",
    "proxy_get_property",
    "proxy_get_buffer_bytes",
    "proxy_get_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_remove_header_map_value",
]


def attempt(proxy: Proxy) -> Exchange:
    return proxy.get("/", headers={"x-do": "attempt"})


def reported(exchange: Exchange) -> dict[str, str]:
    assert exchange.upstream_request is not None
    headers = exchange.upstream_request.headers
    return {name: str(headers[f"x-{name}"]) for name in ("shared", "time", "random") if f"x-{name}" in headers}


@pytest.mark.pywasm(capabilities=ENOUGH)
def test_hostcalls_fail_and_callbacks_are_not_called(proxy: Proxy, pywasm_host: str) -> None:
    exchange = attempt(proxy)
    random = "fine" if pywasm_host == "inprocess" else "PermissionError"  # in process there is no WASI
    assert reported(exchange) == {"shared": "InternalFailure", "time": "InternalFailure", "random": random}
    assert "x-seen" not in exchange.response.headers
    assert [line.message for line in exchange.logs] == ["log 0x0 via_upstream"]
    attempts = [note for note in proxy.notes if "restricted proxy-wasm capability" in note]
    assert attempts[-2:] == [
        "Attempted call to restricted proxy-wasm capability: proxy_set_shared_data",
        "Attempted call to restricted proxy-wasm capability: proxy_get_current_time_nanoseconds",
    ]


# Each of these would take one more Envoy, to show what the test above shows.
@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_without_restriction_all_is_there(proxy: Proxy) -> None:
    exchange = attempt(proxy)
    assert reported(exchange) == {"shared": "fine", "time": "fine", "random": "fine"}
    assert exchange.response.headers["x-seen"] == "200"


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"], capabilities=[name for name in ENOUGH if name != "proxy_log"])
def test_the_log_is_a_capability(proxy: Proxy) -> None:
    assert attempt(proxy).logs == []


@pytest.mark.pywasm(
    hosts=["inprocess", "wasmtime"], capabilities=[name for name in ENOUGH if name != "proxy_on_configure"]
)
def test_a_filter_that_is_not_configured(proxy: Proxy) -> None:
    assert reported(attempt(proxy))["shared"] == "InternalFailure"
