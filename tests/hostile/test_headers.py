"""Headers that are none: Envoy takes them from the plugin, and what it sends is refused or misread."""

from __future__ import annotations

from pathlib import Path

import proxy_wasm_abi
import pytest
from proxy_wasm_abi.generated.host_imports import MODULE_EXPORTS

from pywasm_filter.sdk.abi import MapType
from pywasm_filter.testing import EmbeddedProxy, HostMisuse, PluginSettings
from pywasm_filter.testing.envoy_proxy import EnvoyProxy
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
from pywasm_filter.testing.running_envoy import RunningEnvoy
from tests.hostile.wat import BASE, binary, exported, i32, imported, quoted

ADD = next(entry for entry in proxy_wasm_abi.load().hostcalls if entry.name == "proxy_add_header_map_value")
NOT_HEADERS = [(b"", b"v"), (b"x y", b"v"), (b"x\xff", b"v"), (b"x\0y", b"v"), (b"x\r\ny", b"v"), (b"x", b"v\0")]


def adding(direction: str, name: bytes, value: bytes) -> bytes:
    """A module that adds a header to the request or the response."""
    callback = f"proxy_on_{direction}_headers"
    kind = MapType.HTTP_REQUEST_HEADERS if direction == "request" else MapType.HTTP_RESPONSE_HEADERS
    call = f"(call ${ADD.name} {i32(kind)} {i32(100)} {i32(len(name))} {i32(200)} {i32(len(value))})"
    data = f"(data {i32(100)} {quoted(name)}) (data {i32(200)} {quoted(value)})"
    # A status but OK ends it.
    code = f"(if {call} (then unreachable)) {i32(0)}"
    return binary(imported(ADD) + BASE + data + exported(callback, MODULE_EXPORTS[callback], code))


@pytest.mark.parametrize("direction", ["request", "response"])
@pytest.mark.parametrize(("name", "value"), [*NOT_HEADERS, (b"x", b"a\r\ny: b"), (b"x:y", b"v")])
def test_the_embedded_proxy_says_so(direction: str, name: bytes, value: bytes) -> None:
    with EmbeddedProxy(WasmtimeModule(adding(direction, name, value)).instantiate) as proxy:
        with pytest.raises(HostMisuse, match=f"the {direction} has .*Envoy fails such a request with 503"):
            proxy.get("/")
        assert proxy.traps == []


@pytest.mark.parametrize("direction", ["request", "response"])
@pytest.mark.parametrize(("name", "value"), NOT_HEADERS)
def test_envoy_sends_them(direction: str, name: bytes, value: bytes, tmp_path: Path) -> None:
    file = tmp_path / "filter.wasm"
    file.write_bytes(adding(direction, name, value))
    envoy = RunningEnvoy([file], PluginSettings())
    envoy.start()
    try:
        proxy = EnvoyProxy(envoy)
        if direction == "request":
            assert proxy.get("/").response.status == 503
        else:
            with pytest.raises(HostMisuse, match="the proxy's response is malformed"):
                proxy.get("/")
    finally:
        envoy.close()


@pytest.mark.parametrize("direction", ["request", "response"])
def test_bytes_that_are_no_text_pass(direction: str) -> None:
    with EmbeddedProxy(WasmtimeModule(adding(direction, b"x", b"\xff\xfe")).instantiate) as proxy:
        exchange = proxy.get("/")
        message = exchange.upstream_request if direction == "request" else exchange.response
        assert message is not None
        assert (b"x", b"\xff\xfe") in message.headers.raw
