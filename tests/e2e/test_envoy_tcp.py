"""TCP connections through a real Envoy around tiny filters written in the text format."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from pywasm_filter.testing import HostMisuse, PluginSettings
from pywasm_filter.testing.envoy import EnvoyProcess, EnvoySettings
from pywasm_filter.testing.envoy.tcp import TcpBench
from pywasm_filter.testing.envoy_connection import EnvoyConnection
from pywasm_filter.testing.envoy_proxy import EnvoyProxy
from pywasm_filter.testing.running_envoy import RunningEnvoy

ENDLESS = """(module (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32) (loop (br 0)) unreachable))"""


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    path = tmp_path / "filter.wasm"
    path.write_bytes(wasmtime.wat2wasm(ENDLESS))
    return path


def test_an_envoy_without_a_plugin() -> None:
    with TcpBench() as bench, EnvoyProcess(EnvoySettings(None, bench.upstream_port, protocol="tcp")) as envoy:
        bench.attach(envoy.address, envoy.echo_address)
        connection = EnvoyConnection(bench, lambda data: data[::-1])
        connection.send(b"abc", end_stream=True)
        assert (connection.upstream_received, connection.received) == (b"abc", b"cba")
        assert connection.closed


def test_an_envoy_without_an_upstream_echoes() -> None:
    with TcpBench() as bench, EnvoyProcess(EnvoySettings(None, None, protocol="tcp")) as envoy:
        bench.attach(envoy.address, envoy.echo_address)
        connection = EnvoyConnection(bench, None)
        connection.send(b"abc", end_stream=True)
        assert connection.received == b"abc"
        assert connection.closed
        assert not connection.upstream_connected


def test_a_filter_in_an_endless_loop(endless: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pywasm_filter.testing.envoy.process._STOP_TIMEOUT", 0.2)
    envoy = RunningEnvoy([endless], PluginSettings(protocol="tcp"))
    envoy.start()
    try:
        envoy.bench._echo.settimeout(0.5)
        assert envoy.usable
        proxy = EnvoyProxy(envoy)
        connection = proxy.connect()
        with pytest.raises(HostMisuse, match="the filter runs in an endless loop, or did what crashes it"):
            connection.send(b"x")
        proxy.close()
        assert not envoy.usable
    finally:
        envoy.close()
