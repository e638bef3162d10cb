"""A trap kills the VM of a network filter in the embedded proxy as in a real Envoy: the same raw module on both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pywasm_filter.testing import Connection, EmbeddedProxy, PluginSettings, Proxy
from pywasm_filter.testing.envoy_proxy import EnvoyProxy
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
from tests.conformance.recorder import TRAP, real_envoy, recording_module
from tests.conformance.tcp_scenario import EXCHANGE, Step

# Callbacks by the letter under which they are logged: name, number of parameters, whether there is a result.
CALLBACKS = {
    "K": ("proxy_on_configure", 2, True),
    "C": ("proxy_on_context_create", 2, False),
    "N": ("proxy_on_new_connection", 1, True),
    "d": ("proxy_on_downstream_data", 3, True),
    "u": ("proxy_on_upstream_data", 3, True),
    "x": ("proxy_on_downstream_connection_close", 2, False),
    "y": ("proxy_on_upstream_connection_close", 2, False),
    "D": ("proxy_on_done", 1, True),
    "L": ("proxy_on_log", 1, False),
    "X": ("proxy_on_delete", 1, False),
}


@dataclass(frozen=True)
class Scenario:
    """`returns` and `code` say what a callback, by its letter, returns and does."""

    returns: Mapping[str, int] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    steps: Sequence[Step] = EXCHANGE
    settings: Mapping[str, Any] = field(default_factory=dict)
    connections: int = 1

    def module(self) -> bytes:
        return recording_module(CALLBACKS, self.returns, self.code)


SCENARIOS = {
    **{f"trap in {CALLBACKS[letter][0]}": Scenario({}, {letter: TRAP}, connections=2) for letter in "NduyxDLX"},
    **{
        f"trap in {CALLBACKS[letter][0]}, then fail open": Scenario(
            {}, {letter: TRAP}, settings={"failure_policy": "fail_open"}, connections=2
        )
        for letter in "Ndu"
    },
}


@dataclass(frozen=True)
class Moment:
    """What has come of a scenario so far."""

    logs: list[str]
    received: bytes
    received_end: bool
    upstream_connected: bool
    upstream_received: bytes
    upstream_received_end: bool
    closed: bool


def run(proxy: Proxy, scenario: Scenario) -> list[Moment]:
    """All connections at once, step by step."""
    before = len(proxy.logs)
    moments = []
    connections = []
    for _ in range(scenario.connections):
        connections.append(proxy.connect())
        moments.append(_moment(proxy, connections[-1], before))
    for step in scenario.steps:
        for connection in connections:
            step(connection)
            moments += [_moment(proxy, each, before) for each in connections]
    return moments


def _moment(proxy: Proxy, connection: Connection, before: int) -> Moment:
    return Moment(
        [line.message for line in proxy.logs[before:]],
        connection.received,
        connection.received_end,
        connection.upstream_connected,
        connection.upstream_received,
        connection.upstream_received_end,
        connection.closed,
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_embedded_proxy_does_with_connections_what_envoy_does(name: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    settings = PluginSettings(protocol="tcp", **scenario.settings)
    module = tmp_path / "recorder.wasm"
    module.write_bytes(scenario.module())
    with EmbeddedProxy(WasmtimeModule(module.read_bytes()).instantiate, settings) as embedded:
        mine = run(embedded, scenario)
    with real_envoy(module, settings) as envoy:
        theirs = run(EnvoyProxy(envoy), scenario)
    assert mine == theirs
