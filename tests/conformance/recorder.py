"""Raw modules that trap, and the comparison of the embedded proxy with a real Envoy.

A trap takes a whole Envoy with it. One with a module written in WAT starts ten times as fast as one with Python in it.
Each module logs its callbacks with their arguments (`H 5 1`: on_request_headers with 5 headers and the end of the
stream), and the status of the hostcalls that a scenario makes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wasmtime

from pywasm_filter.testing import EmbeddedProxy, PluginSettings, Proxy, Request, Response, StreamReset, StreamStalled
from pywasm_filter.testing.clusters import ClusterAnswer
from pywasm_filter.testing.envoy_proxy import EnvoyProxy
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
from pywasm_filter.testing.running_envoy import RunningEnvoy

# Callbacks by the letter under which they are logged: name, number of parameters, whether there is a result.
CALLBACKS = {
    "K": ("proxy_on_configure", 2, True),
    "C": ("proxy_on_context_create", 2, False),
    "H": ("proxy_on_request_headers", 3, True),
    "B": ("proxy_on_request_body", 3, True),
    "T": ("proxy_on_request_trailers", 2, True),
    "h": ("proxy_on_response_headers", 3, True),
    "b": ("proxy_on_response_body", 3, True),
    "t": ("proxy_on_response_trailers", 2, True),
    "L": ("proxy_on_log", 1, False),
    "D": ("proxy_on_done", 1, True),
    "X": ("proxy_on_delete", 1, False),
    "U": ("proxy_on_http_call_response", 5, False),
    "I": ("proxy_on_tick", 1, False),
    "J": ("proxy_on_queue_ready", 2, False),
}

# The parameters that are logged; the first two behind the context's id where nothing else is said.
TOLD = {"C": (), "K": (), "U": (2, 3)}

IMPORTS = {
    "proxy_log": 3,
    "proxy_send_local_response": 8,
    "proxy_http_call": 10,
    "proxy_set_tick_period_milliseconds": 1,
}

HELPERS = """
 (memory (export "memory") 8)
 (global $heap (mut i32) (i32.const 200000))
 (global $end (mut i32) (i32.const 1024))
 (func (export "proxy_abi_version_0_2_1"))
 (func (export "malloc") (param $n i32) (result i32) (local $at i32)
  (local.set $at (global.get $heap))
  (global.set $heap (i32.add (global.get $heap) (local.get $n)))
  (local.get $at))
 (func $char (param $c i32)
  (i32.store8 (global.get $end) (local.get $c))
  (global.set $end (i32.add (global.get $end) (i32.const 1))))
 (func $number (param $n i32)
  (if (i32.ge_u (local.get $n) (i32.const 10)) (then (call $number (i32.div_u (local.get $n) (i32.const 10)))))
  (call $char (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10)))))
 (func $show (param $at i32) (param $n i32)
  (drop (call $proxy_log (i32.const 2) (local.get $at) (local.get $n))))
 (func $note (param $letter i32) (param $a i32) (param $b i32)
  (global.set $heap (i32.const 200000))
  (global.set $end (i32.const 1024))
  (call $char (local.get $letter)) (call $char (i32.const 32)) (call $number (local.get $a))
  (call $char (i32.const 32)) (call $number (local.get $b))
  (call $show (i32.const 1024) (i32.sub (global.get $end) (i32.const 1024))))
"""


class Pool:
    """Strings in the module's memory."""

    def __init__(self) -> None:
        self._end = 4096
        self._addresses: dict[bytes, int] = {}

    def __call__(self, text: str | bytes) -> str:
        """Address and size of a string, as two operands."""
        data = text.encode() if isinstance(text, str) else text
        if data not in self._addresses:
            self._addresses[data] = self._end
            self._end += len(data)
        return f"(i32.const {self._addresses[data]}) (i32.const {len(data)})"

    def segments(self) -> str:
        return "\n".join(
            f'(data (i32.const {address}) "{"".join(f"{chr(92)}{byte:02x}" for byte in data)}")'
            for data, address in self._addresses.items()
        )


pool = Pool()


def note(letter: str, expression: str) -> str:
    return f"(call $note (i32.const {ord(letter)}) {expression} (i32.const 0))"


def reply(status: int = 403, body: str = "local body", headers: bytes = b"", grpc_status: int = -1) -> str:
    operands = f"(i32.const {status}) {pool('de tails')} {pool(body)} {pool(headers)} (i32.const {grpc_status})"
    return note("R", f"(call $proxy_send_local_response {operands})")


def pairs_bytes(*pairs: tuple[bytes, bytes]) -> bytes:
    words = [len(pairs), *(len(text) for pair in pairs for text in pair)]
    return b"".join(word.to_bytes(4, "little") for word in words) + b"".join(
        text + b"\0" for pair in pairs for text in pair
    )


TRAP = "unreachable"
PAUSE = 1
_LATEST = 3.0

POST: dict[str, Any] = {"method": "POST", "body": [b"abc", b"defg"]}
POST_TRAILERS: dict[str, Any] = {**POST, "trailers": {"x-t": "1"}}
CHUNKED = Response(200, body=[b"hello", b"world"])
WITH_TRAILERS = Response(200, body=[b"hello", b"world"], trailers={"x-r": "1"})


def recording_module(
    callbacks: Mapping[str, tuple[str, int, bool]], returns: Mapping[str, int], code: Mapping[str, str]
) -> bytes:
    """A module with these callbacks; `returns` and `code` say what a callback, by its letter, returns and does."""
    imports = "\n".join(
        f'(import "env" "{name}" (func ${name} (param {"i32 " * count}) (result i32)))'
        for name, count in IMPORTS.items()
    )
    functions = "\n".join(_callback(callbacks[letter], letter, returns, code) for letter in callbacks)
    return bytes(wasmtime.wat2wasm(f"(module {imports} {HELPERS} {functions} {pool.segments()})"))


def _callback(
    signature: tuple[str, int, bool], letter: str, returns: Mapping[str, int], code: Mapping[str, str]
) -> str:
    name, params, has_result = signature
    returned = returns.get(letter, 1 if letter in "DK" else 0)
    # Context ids and the size of the configuration differ; headers and bodies are told.
    told = [f"(local.get {index})" for index in TOLD.get(letter, (1, 2)) if index < params]
    told += ["(i32.const 0)"] * (2 - len(told))
    return (
        f'(func (export "{name}") (param {"i32 " * params}) {"(result i32)" if has_result else ""}'
        f"(call $note (i32.const {ord(letter)}) {' '.join(told)})"
        f"{code.get(letter, '')} {f'(i32.const {returned})' if has_result else ''})"
    )


@dataclass(frozen=True)
class Scenario:
    """`returns` and `code` say what a callback, by its letter, returns and does.

    `clusters` answer callouts; `then` is how much time passes after the exchanges, in seconds.
    """

    returns: dict[str, int] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    response: Response = CHUNKED
    settings: dict[str, Any] = field(default_factory=dict)
    repeat: int = 1
    clusters: dict[str, ClusterAnswer] = field(default_factory=dict)
    then: float = 0.0

    def module(self) -> bytes:
        return recording_module(CALLBACKS, self.returns, self.code)


CALL_HEADERS = ((b":method", b"GET"), (b":path", b"/auth"), (b":authority", b"a.example"), (b"X-Mine", b"1"))


def call(
    cluster: str = "auth",
    headers: tuple[tuple[bytes, bytes], ...] = CALL_HEADERS,
    body: str = "",
    trailers: bytes = b"",
    timeout: int = 2000,
) -> str:
    """Make an HTTP callout; its status and token are logged."""
    operands = f"{pool(cluster)} {pool(pairs_bytes(*headers))} {pool(body)} {pool(trailers)} (i32.const {timeout})"
    status = f"(call $proxy_http_call {operands} (i32.const 600))"
    return (
        f"(call $note (i32.const {ord('E')}) {status} (i32.load (i32.const 600)))"
        "(i32.store (i32.const 600) (i32.const 0))"
    )


def tick(milliseconds: int) -> str:
    return note("i", f"(call $proxy_set_tick_period_milliseconds (i32.const {milliseconds}))")


def count(code: str, at: int) -> str:
    """Run code when this is reached for the nth time."""
    counter = "(i32.const 704)"
    more = f"(i32.store {counter} (i32.add (i32.load {counter}) (i32.const 1)))"
    return f"{more}(if (i32.eq (i32.load {counter}) (i32.const {at})) (then {code}))"


@dataclass
class Outcome:
    """What came of a scenario, in a form that compares."""

    start: list[str]
    ends: list[object]
    logs: list[str]
    callouts: list[tuple[str, Request]]


def run(proxy: Proxy, scenario: Scenario, *, vms: int, least: int = 0) -> Outcome:
    """Carry out a scenario. `vms` is how many VMs are started, `least` how many log lines are waited for."""
    start = [line.message for line in proxy.logs]
    proxy.upstream = scenario.response
    proxy.clusters.update(scenario.clusters)
    ends = [_exchange(proxy, dict(scenario.request)) for _ in range(scenario.repeat)]
    if scenario.then:
        proxy.clock.advance(scenario.then)
    deadline = time.monotonic() + _LATEST
    while len(logs := [line.message for line in proxy.logs[len(start) :]]) < least and time.monotonic() < deadline:
        # After a stall it takes Envoy a moment to see that the client has gone.
        time.sleep(0.02)
    # Those that are under way at the same time arrive as they please.
    callouts = sorted(((callout.cluster, callout.request) for callout in proxy.callouts), key=lambda each: each[0])
    return Outcome(_started_alike(start, vms), ends, logs, callouts)


def _started_alike(messages: list[str], vms: int) -> list[str]:
    """What each VM has logged at its start."""
    assert len(messages) % vms == 0
    assert messages == messages[: len(messages) // vms] * vms
    return messages[: len(messages) // vms]


def _exchange(proxy: Proxy, request: dict[str, Any]) -> object:
    method, path = request.pop("method", "GET"), request.pop("path", "/")
    try:
        exchange = proxy.request(method, path, **request)
    except StreamStalled:
        return "stalled"
    upstream = exchange.upstream_request
    # Envoy's codec hands the upstream no pseudo-header but these three.
    seen = upstream and (
        upstream.method,
        upstream.path,
        upstream.authority,
        upstream.headers,
        upstream.body,
        upstream.trailers,
        exchange.cluster,
    )
    try:
        response = exchange.response
    except StreamReset:
        return "reset", seen
    if exchange.reset:
        # How much had left by then is a matter of buffers.
        return "reset", response.status, seen
    headers = response.headers.without("date")
    return response.status, headers, "date" in response.headers, response.body, response.trailers, seen


@contextmanager
def real_envoy(module: Path, settings: PluginSettings) -> Iterator[RunningEnvoy]:
    envoy = RunningEnvoy([module], settings)
    envoy.start()
    try:
        yield envoy
    finally:
        envoy.close()


_ATTEMPTS = 3


def on_both(scenario: Scenario, directory: Path) -> tuple[Outcome, Outcome]:
    """What comes of a scenario in the embedded proxy and in Envoy. `directory` is for the module.

    Envoy is asked again, twice at most, when it differs: on a busy machine it may read two chunks of a body, which were
    sent one after the other, as one.
    """
    settings = PluginSettings(**scenario.settings)
    module = directory / "recorder.wasm"
    module.write_bytes(scenario.module())
    with EmbeddedProxy(WasmtimeModule(module.read_bytes()).instantiate, settings) as embedded:
        # Three VMs are started: the canary, the main thread's and the worker's.
        mine = run(embedded, scenario, vms=3)
    for _ in range(_ATTEMPTS):
        with real_envoy(module, settings) as envoy:
            # Where the embedded proxy sees that nothing more can come, waiting long for Envoy shows no more.
            proxy = EnvoyProxy(envoy, timeout=0.7 if "stalled" in mine.ends else 10.0)
            theirs = run(proxy, scenario, vms=3, least=len(mine.logs))
        if mine == theirs:
            break
    return mine, theirs
