"""HTTP scenarios, and the traces that they leave: all that can be seen of a host's behaviour, as JSON.

A trace has what the clients and the upstreams got, the plugin's log with the raw results of its hostcalls, the callouts
as they arrived, and the metrics. What differs from run to run is left out: dates, ports, how long something took.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pywasm_filter import LogLevel
from pywasm_filter.testing import (
    ClusterAnswer,
    GrpcService,
    Headers,
    PluginSettings,
    Proxy,
    Request,
    Response,
    StreamReset,
    StreamStalled,
)
from tests.conformance.guest.interpreter import HEADER
from tests.conformance.program import Operations, program

K = TypeVar("K")
Trace = dict[str, Any]

LATEST = 3.0
"""How long a line of the log is waited for, in seconds."""
_QUIET = 0.25
_VARIES = ("date", "x-envoy-upstream-service-time")
_numbers = itertools.count()

BASE: dict[str, Any] = {
    "plugin_name": "conformance",
    "root_id": "rid",
    "vm_id": "vid",
    "clusters": ("auth", "slow"),
    "grpc_clusters": ("grpc", "email"),
    "buffer_limit_bytes": 1000,
}
"""Settings of all scenarios that do not say otherwise. The fewer there are, the fewer Envoys have to be started."""


class AnyScenario(Protocol):
    """A scenario of HTTP or of TCP."""

    @property
    def kills(self) -> bool:
        """Whether it kills the VM: then it is the last for its Envoy."""

    @property
    def plugin_settings(self) -> PluginSettings:
        """How the interpreter is run."""

    def perform(self, proxy: Proxy, expected: Trace | None, *, vms: int) -> Trace:
        """Carry it out. `expected` is the record, which says how much there is to wait for; `vms` how many start."""


@dataclass(frozen=True)
class Scenario:
    """`returns` and `code` say what a callback, by its letter, returns and does; see `program.py`.

    `request` is sent `repeat` times; `clusters` and `grpc` answer callouts; `then` is how much time passes after each
    exchange, in seconds; `shows_start` has what was logged at the start in the trace, `kills` says
    that the VM traps.
    Callbacks in `quiet` are not logged, only what they do; `left_out` are parts of the trace that
    chance decides, and how.
    """

    returns: Mapping[str, int] = field(default_factory=dict)
    code: Mapping[str, Operations] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    response: Response = field(default_factory=lambda: Response(200, body="answer"))
    settings: Mapping[str, Any] = field(default_factory=dict)
    repeat: int = 1
    clusters: Mapping[str, ClusterAnswer] = field(default_factory=dict)
    grpc: Mapping[str, GrpcService] = field(default_factory=dict)
    then: float = 0.0
    shows_start: bool = False
    kills: bool = False
    quiet: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def plugin_settings(self) -> PluginSettings:
        """How the interpreter is run."""
        return PluginSettings(**{**BASE, **self.settings})

    def perform(self, proxy: Proxy, expected: Trace | None, *, vms: int) -> Trace:
        """Carry it out."""
        prefix = f"{next(_numbers)}!"
        started = _start(proxy, vms) if self.shows_start else []
        loaded = program(self.code, self.returns, quiet=self.quiet, prefix=prefix)
        assert proxy.get("/", headers={HEADER.decode(): loaded}).response.status == 200
        before = len(proxy.logs)
        proxy.upstream = self.response
        proxy.clusters.update(self.clusters)
        proxy.grpc.update(self.grpc)
        exchanges = []
        for _ in range(self.repeat):
            exchanges.append(_exchange(proxy, dict(self.request)))
            if self.then:
                proxy.clock.advance(self.then)
        settle(proxy, before, expected, self.kills)
        trace: Trace = {"start": started} if started else {}
        trace["exchanges"] = exchanges
        trace["log"] = own_lines(proxy, before, self.kills)
        trace |= {
            name: seen
            for name, seen in (
                ("callouts", _callouts(proxy)),
                ("grpc", _grpc(proxy)),
                ("metrics", _metrics(proxy, prefix)),
            )
            if seen
        }
        return {part: seen for part, seen in trace.items() if part not in self.left_out}


def own_lines(proxy: Proxy, before: int, kills: bool) -> list[str]:
    """The interpreter's lines. Where the VM is to trap, Python in a module has something to say, too: as errors."""
    return [line.message for line in proxy.logs[before:] if not kills or line.level == LogLevel.INFO]


def settle(proxy: Proxy, before: int, expected: Trace | None, kills: bool) -> None:
    """Wait for the lines of the log that are still to come: after a stall it takes Envoy a moment to see it."""
    deadline = time.monotonic() + LATEST
    if expected is not None:
        while len(own_lines(proxy, before, kills)) < len(expected["log"]) and time.monotonic() < deadline:
            proxy.clock.advance(0.02)
        return
    count = -1
    while count != len(proxy.logs) and time.monotonic() < deadline:
        count = len(proxy.logs)
        proxy.clock.advance(_QUIET)


def _start(proxy: Proxy, vms: int) -> list[str]:
    """What each VM has logged at its start. In which order a thread starts several roots is Envoy's affair."""
    lines = sorted(line.message for line in proxy.logs) if proxy.settings.background_roots else None
    if lines is None:
        messages = [line.message for line in proxy.logs]
        assert messages == messages[: len(messages) // vms] * vms, "the VMs have not started alike"
        return messages[: len(messages) // vms]
    assert lines == sorted(lines[::vms] * vms), "the VMs have not started alike"
    return lines[::vms]


def _exchange(proxy: Proxy, request: dict[str, Any]) -> Trace | str:
    method, path = request.pop("method", "GET"), request.pop("path", "/")
    try:
        exchange = proxy.request(method, path, **request)
    except StreamStalled:
        return "stalled"
    seen: Trace = {
        "upstream": exchange.upstream_request and {"cluster": exchange.cluster, **_request(exchange.upstream_request)}
    }
    try:
        response = exchange.response
    except StreamReset:
        return {"response": "reset", **seen}
    if exchange.reset:
        # How much had left by then is a matter of buffers.
        return {"response": "reset", "status": response.status, **seen}
    told = {"status": response.status, "headers": _headers(response.headers), **_content(response)}
    return {"response": {"date": "date" in response.headers, **told}, **seen}


def _request(request: Request) -> Trace:
    # Envoy's codec hands a server no pseudo-header but these three.
    line = f"{request.method} {request.path} {request.authority}"
    return {"request": line, "headers": _headers(request.headers), **_content(request)}


def _content(message: Request | Response) -> Trace:
    told: Trace = {"body": message.body.decode("latin-1")} if message.body else {}
    if message.trailers:
        told["trailers"] = _headers(message.trailers)
    return told


def _headers(headers: Headers) -> list[str]:
    return [f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in headers.without(*_VARIES).raw]


def _callouts(proxy: Proxy) -> list[Trace]:
    # Those that are under way at the same time arrive as they please.
    return [
        {"cluster": callout.cluster, **_request(callout.request)}
        for callout in sorted(proxy.callouts, key=lambda callout: (callout.cluster, callout.request.path))
    ]


def _grpc(proxy: Proxy) -> list[Trace]:
    return [
        {
            "call": f"{call.cluster} {call.service}/{call.method}",
            "metadata": sorted(_headers(call.metadata)),  # their order is the server library's affair
            "messages": [message.decode("latin-1") for message in call.messages],
            "timeout": call.timeout,
            "cancelled": call.cancelled,
        }
        for call in sorted(proxy.grpc_calls, key=lambda call: call.method)
    ]


def _metrics(proxy: Proxy, prefix: str) -> dict[str, int]:
    metrics = proxy.metrics
    kinds: Sequence[tuple[str, Mapping[str, int]]] = (
        ("counter", metrics.counters),
        ("gauge", metrics.gauges),
        ("histogram", metrics.histograms),
    )
    return {
        f"{kind} {name.removeprefix(prefix)}": value
        for kind, values in kinds
        for name, value in sorted(values.items())
        if name.startswith(prefix)
    }


def by_settings(scenarios: Mapping[K, AnyScenario]) -> list[tuple[K, AnyScenario]]:
    """Names and scenarios in an order in which few Envoys have to be started."""
    return sorted(scenarios.items(), key=lambda item: (str(item[1].plugin_settings), item[1].kills))
