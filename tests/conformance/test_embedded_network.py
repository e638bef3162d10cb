"""The embedded proxy does with TCP connections what a real Envoy does: the same raw module, the same steps, on both.

Each callback is logged with its arguments: `d 5 0` is on_downstream_data with five bytes and no end. A scenario goes
step by step; after each one the callbacks so far, and what both peers have got, are the same on both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pywasm_filter.testing import Connection, EmbeddedProxy, PluginSettings, Proxy
from pywasm_filter.testing.envoy_proxy import EnvoyProxy
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
from tests.conformance.recorder import (
    OUT,
    PAUSE,
    TRAP,
    at_end,
    attribute,
    attribute_size,
    before_end,
    body,
    close,
    dump,
    edit,
    get,
    note,
    pool,
    real_envoy,
    recording_module,
    reply,
    resume,
    set_attribute,
)

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

DOWNSTREAM, UPSTREAM = 2, 3
"""Of the buffers, and of the streams."""

Step = Callable[[Connection], None]


def send(data: bytes) -> Step:
    return lambda connection: connection.send(data)


def end(data: bytes = b"") -> Step:
    return lambda connection: connection.send(data, end_stream=True)


def answer(data: bytes) -> Step:
    return _of_the_upstream(lambda connection: connection.upstream_send(data))


def answer_end(data: bytes = b"") -> Step:
    return _of_the_upstream(lambda connection: connection.upstream_send(data, end_stream=True))


def _of_the_upstream(step: Step) -> Step:
    """A step that is left out while there is no upstream."""

    def take(connection: Connection) -> None:
        if connection.upstream_connected:
            step(connection)

    return take


def close_client(connection: Connection) -> None:
    connection.close()


def reset_client(connection: Connection) -> None:
    connection.close(reset=True)


def close_upstream(connection: Connection) -> None:
    connection.upstream_close()


def reset_upstream(connection: Connection) -> None:
    connection.upstream_close(reset=True)


EXCHANGE = (send(b"hello"), answer(b"world"), end(b"more"), answer_end(b"last"))
UPSTREAM_ENDS_FIRST = (send(b"hello"), answer_end(b"world"), end(b"more"))
GATHER_4 = "(if (i32.ge_u (local.get 1) (i32.const 4)) (then (return (i32.const 0))))"
OBJECT = b"\x0a\x17envoy.tcp_proxy.cluster\x12\x05other"
"""Arguments of set_envoy_filter_state: a name and a value."""
SET_OBJECT = f"(call $proxy_call_foreign_function {pool('set_envoy_filter_state')} {pool(OBJECT)} {OUT})"
BUFFERS = body(DOWNSTREAM) + body(UPSTREAM)


@dataclass(frozen=True)
class Scenario:
    """`returns` and `code` say what a callback, by its letter, returns and does."""

    returns: dict[str, int] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = EXCHANGE
    settings: dict[str, Any] = field(default_factory=dict)
    connections: int = 1

    def module(self) -> bytes:
        return recording_module(CALLBACKS, self.returns, self.code)


SCENARIOS = {
    # --- the order of callbacks, and who closes ---
    "client ends first": Scenario(),
    "upstream ends first": Scenario(steps=UPSTREAM_ENDS_FIRST),
    "upstream speaks first": Scenario(steps=(answer(b"hello"), send(b"x"), end(), answer_end())),
    "client closes": Scenario(steps=(send(b"hello"), close_client, answer(b"one"), answer(b"two"))),
    "client closes, upstream ends": Scenario(steps=(send(b"hello"), close_client, answer_end(b"one"))),
    "client resets": Scenario(steps=(send(b"hello"), reset_client)),
    "upstream closes": Scenario(steps=(send(b"hello"), close_upstream, send(b"one"), send(b"two"))),
    "upstream closes, client ends": Scenario(steps=(close_upstream, end())),
    "upstream resets": Scenario(steps=(send(b"hello"), reset_upstream)),
    "nothing is sent": Scenario(steps=(end(), answer_end())),
    "two connections": Scenario(connections=2),
    # --- holding data back ---
    "client's data held for good": Scenario({"d": PAUSE}, {"d": BUFFERS}),
    "client's data held for good, upstream ends first": Scenario({"d": PAUSE}, {}, UPSTREAM_ENDS_FIRST),
    "client's data held until there is enough": Scenario(
        {"d": PAUSE}, {"d": GATHER_4}, (send(b"ab"), send(b"cd"), send(b"e"), end(), answer_end())
    ),
    "client's data held until the end": Scenario({"d": PAUSE}, {"d": at_end("(return (i32.const 0))")}),
    "client's data held with another number": Scenario({"d": 2}),
    "upstream's data held for good": Scenario({"u": PAUSE}, {"u": BUFFERS}),
    "upstream's data held for good, upstream ends first": Scenario({"u": PAUSE}, {}, UPSTREAM_ENDS_FIRST),
    "upstream's data held until there is enough": Scenario(
        {"u": PAUSE}, {"u": GATHER_4}, (answer(b"ab"), answer(b"cd"), answer(b"e"), end(), answer_end())
    ),
    "upstream's data held until the end": Scenario(
        {"u": PAUSE}, {"u": at_end("(return (i32.const 0))")}, UPSTREAM_ENDS_FIRST
    ),
    "upstream's data held with another number": Scenario({"u": 99}),
    "held data seen from the other side": Scenario({"d": PAUSE, "u": PAUSE}, {"d": BUFFERS, "u": BUFFERS}),
    "new connection held for good": Scenario({"N": PAUSE}, {}, (send(b"ab"), end())),
    "new connection held, client resets": Scenario({"N": PAUSE}, {}, (send(b"ab"), reset_client)),
    "client's data over the limit": Scenario(
        {"d": PAUSE}, {}, (send(b"x" * 600),) * 4, settings={"buffer_limit_bytes": 1000}
    ),
    "upstream's data over the client's limit": Scenario(
        {"u": PAUSE}, {}, (answer(b"x" * 600),) * 3, settings={"buffer_limit_bytes": 1000}
    ),
    # --- continuing ---
    "continue within a new connection that is held": Scenario({"N": PAUSE}, {"N": resume(DOWNSTREAM)}),
    "continue within a new connection that passes": Scenario({}, {"N": resume(DOWNSTREAM)}),
    "continue within held data": Scenario({"d": PAUSE}, {"d": resume(DOWNSTREAM) + BUFFERS}),
    "continue within data that passes": Scenario({}, {"d": resume(DOWNSTREAM)}),
    "continue from the other side": Scenario(
        {"d": PAUSE},
        {"u": BUFFERS + resume(DOWNSTREAM) + BUFFERS},
        (send(b"ab"), answer(b"c"), send(b"d"), answer(b"e"), end(), answer_end()),
    ),
    "continue held data and its end": Scenario(
        {"d": PAUSE}, {"u": resume(DOWNSTREAM)}, (send(b"ab"), end(), answer(b"c"), answer_end())
    ),
    "continue makes room": Scenario(
        {"d": PAUSE},
        {"u": resume(DOWNSTREAM)},
        (*(send(b"x" * 600),) * 4, answer(b"y"), send(b"z"), answer(b"y")),
        settings={"buffer_limit_bytes": 1000},
    ),
    "continue the other types": Scenario(
        {"u": PAUSE}, {"u": resume(UPSTREAM) + resume(0) + resume(1) + resume(4)}, (answer(b"ab"), answer(b"c"))
    ),
    "continue at the end": Scenario({}, dict.fromkeys("yxDLX", resume(DOWNSTREAM))),
    # --- closing ---
    **{
        f"close {stream_type} in a new connection": Scenario({}, {"N": close(stream_type)}, (send(b"ab"),))
        for stream_type in range(5)
    },
    "close in client's data": Scenario({}, {"d": close(DOWNSTREAM)}, (send(b"ab"), send(b"c"))),
    "close in client's data that is held": Scenario({"d": PAUSE}, {"d": close(DOWNSTREAM)}, (send(b"ab"),)),
    "close the upstream in client's data": Scenario({}, {"d": close(UPSTREAM)}, (send(b"ab"),)),
    "close in upstream's data": Scenario({}, {"u": close(DOWNSTREAM)}, (answer(b"ab"),)),
    "close in upstream's data that is held": Scenario({"u": PAUSE}, {"u": close(DOWNSTREAM)}, (answer(b"ab"),)),
    "close at the end of upstream's data": Scenario({}, {"u": at_end(close(DOWNSTREAM))}, (answer_end(b"ab"),)),
    "close at the end of client's data": Scenario({}, {"d": at_end(close(DOWNSTREAM))}, (end(b"ab"),)),
    "close in on_upstream_close": Scenario({}, {"y": close(DOWNSTREAM)}, UPSTREAM_ENDS_FIRST[:2]),
    "close in the last callbacks": Scenario({}, dict.fromkeys("xDLX", close(DOWNSTREAM))),
    "close, then continue": Scenario({"d": PAUSE}, {"d": close(DOWNSTREAM) + resume(DOWNSTREAM)}, (send(b"ab"),)),
    "continue, then close": Scenario({"d": PAUSE}, {"d": resume(DOWNSTREAM) + close(DOWNSTREAM)}, (send(b"ab"),)),
    "done refused": Scenario({"D": 0}),
    # --- buffers ---
    "buffers in all callbacks": Scenario({}, dict.fromkeys("CNduyxDLX", BUFFERS)),
    "parts of a buffer": Scenario(
        {}, {"d": body(DOWNSTREAM, 1, 2) + body(DOWNSTREAM, 4, 9) + body(DOWNSTREAM, 9, 9)}, (send(b"hello"),)
    ),
    **{
        f"edit {start} {size} of {buffer}": Scenario(
            {}, dict.fromkeys("du", before_end(edit(buffer, start, size))), (send(b"hello"), answer(b"world"))
        )
        for buffer in (DOWNSTREAM, UPSTREAM)
        for start, size in ((0, 0), (0, 2), (0, 99), (1, 1), (5, 0), (6, 0), (99, 0))
    },
    "edit what is held": Scenario(
        {"d": PAUSE, "u": PAUSE}, {"d": edit(DOWNSTREAM, 0, 99) + BUFFERS, "u": edit(UPSTREAM, 0, 99) + BUFFERS}
    ),
    "edit what is held, then continue": Scenario(
        {"d": PAUSE}, {"u": edit(DOWNSTREAM, 0, 99) + resume(DOWNSTREAM)}, (send(b"hello"), answer(b"c"))
    ),
    "add to the end": Scenario({}, {"d": at_end(edit(DOWNSTREAM, 0, 0)), "u": at_end(edit(UPSTREAM, 0, 0, "BYE"))}),
    "swallow": Scenario({}, {"d": edit(DOWNSTREAM, 0, 99, ""), "u": edit(UPSTREAM, 0, 99, "")}),
    "write where nothing is lent": Scenario(
        {}, dict.fromkeys("CNyxDLX", edit(DOWNSTREAM, 0, 0) + edit(UPSTREAM, 0, 0))
    ),
    # --- what belongs to HTTP ---
    "hostcalls of HTTP": Scenario(
        {}, dict.fromkeys("NdL", get(0, ":path") + dump(0) + "".join(body(n) for n in (0, 1, 4, 5, 6, 7)) + reply())
    ),
    # --- properties ---
    "attributes": Scenario(
        {},
        dict.fromkeys(
            "CNduyxDLX",
            "".join(
                attribute_size(*path.split("."))
                for path in (
                    *("source.address", "source.port", "destination.address", "destination.port", "connection.id"),
                    *("connection_id", "connection.mtls", "connection.requested_server_name", "request.time"),
                    *("connection.termination_details", "upstream.address", "upstream.port", "upstream.local_address"),
                    *(
                        "upstream.cx_pool_ready_duration",
                        "upstream.num_endpoints",
                        "request.headers",
                        "request.duration",
                    ),
                    *("request.path", "request.protocol", "response.code", "response.code_details", "response.headers"),
                    *("upstream.locality", "response.grpc_status", "response.backend_latency"),
                )
            )
            + "".join(
                attribute(*path.split("."))
                for path in (
                    *("request.size", "request.total_size", "response.size", "response.total_size", "response.flags"),
                    *("upstream.transport_failure_reason", "upstream.request_attempt_count"),
                    *("xds.cluster_name", "xds.cluster_metadata", "xds.route_name", "xds.virtual_host_name"),
                    *("xds.filter_chain_name", "xds.listener_direction", "xds.route_metadata", "xds.listener_metadata"),
                    *("xds.upstream_host_metadata", "plugin_name", "plugin_root_id", "metadata", "cluster_name"),
                    *("connection", "nope"),
                )
            ),
        ),
        settings={"plugin_name": "pn", "root_id": "rid"},
    ),
    "attributes set": Scenario(
        {},
        {
            "N": attribute("mine") + set_attribute("mine", b"some\xffvalue"),
            **dict.fromkeys("duyxL", attribute("mine") + attribute("filter_state", "wasm.mine")),
        },
    ),
    "an object of Envoy's own set": Scenario(
        {},
        {
            "d": note(
                "v", f"(call $proxy_call_foreign_function {pool('set_envoy_filter_state')} {pool(OBJECT)} {OUT})"
            ),
            **dict.fromkeys("uL", attribute("filter_state", "envoy.tcp_proxy.cluster")),
        },
    ),
    # --- traps ---
    **{f"trap in {CALLBACKS[letter][0]}": Scenario({}, {letter: TRAP}, connections=2) for letter in "NduyxDLX"},
    **{
        f"trap in {CALLBACKS[letter][0]}, then fail open": Scenario(
            {}, {letter: TRAP}, settings={"failure_policy": "fail_open"}, connections=2
        )
        for letter in "Ndu"
    },
    # --- contexts ---
    "effective context": Scenario(
        {},
        {
            "d": note("E", "(call $proxy_set_effective_context (i32.const 1))")
            + body(DOWNSTREAM)
            + resume(DOWNSTREAM)
            + note("E", "(call $proxy_set_effective_context (local.get 0))")
            + body(DOWNSTREAM)
        },
    ),
    "continue another connection": Scenario(
        {"d": PAUSE},
        {"u": note("E", "(call $proxy_set_effective_context (i32.const 2))") + resume(DOWNSTREAM)},
        connections=2,
    ),
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
