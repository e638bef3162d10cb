"""Scenarios of TCP connections, which go step by step, and their traces."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pywasm_filter.testing import Connection, PluginSettings, Proxy
from tests.conformance.program import Operations, program
from tests.conformance.scenario import BASE, Trace, own_lines

Step = Callable[[Connection], None]
TCP: dict[str, Any] = {**BASE, "protocol": "tcp", "root_id": "tcp", "buffer_limit_bytes": 1 << 20}
_numbers = itertools.count()


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


@dataclass(frozen=True)
class TcpScenario:
    """`returns` and `code` say what a callback, by its letter, returns and does; see `program.py`."""

    returns: Mapping[str, int] = field(default_factory=dict)
    code: Mapping[str, Operations] = field(default_factory=dict)
    steps: Sequence[Step] = EXCHANGE
    settings: Mapping[str, Any] = field(default_factory=dict)
    connections: int = 1
    kills: bool = False

    @property
    def plugin_settings(self) -> PluginSettings:
        """How the interpreter is run."""
        return PluginSettings(**{**TCP, **self.settings})

    def perform(self, proxy: Proxy, expected: Trace | None, *, vms: int) -> Trace:
        """All connections at once, step by step: after each the log since the last, and what the peers have."""
        prefix = f"{next(_numbers)}!"
        carrier = proxy.connect()
        loaded = program(self.code, self.returns, prefix=prefix, connections=self.connections)
        carrier.send(loaded.encode() + b"\n")
        assert carrier.closed
        seen = len(proxy.logs)
        moments: list[Trace] = []
        connections: list[Connection] = []

        def look() -> None:
            nonlocal seen
            states = [_state(connection) for connection in connections]
            lines, seen = own_lines(proxy, seen, self.kills), len(proxy.logs)
            moments.append({"log": lines, "connections": states})

        for _ in range(self.connections):
            connections.append(proxy.connect())
            look()
        for step in self.steps:
            for connection in connections:
                step(connection)
                look()
        return {"moments": moments}


def _state(connection: Connection) -> Trace:
    return {
        "received": connection.received.decode("latin-1") + "." * connection.received_end,
        "upstream": connection.upstream_received.decode("latin-1") + "." * connection.upstream_received_end
        if connection.upstream_connected
        else None,
        "closed": connection.closed,
    }
