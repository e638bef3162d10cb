"""Scenarios of HTTP/2 metadata, and their traces: step by step in the embedded proxy, over HTTP/2 in Envoy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pywasm_filter.testing import PluginSettings, Proxy, Stream
from pywasm_filter.testing.envoy import EnvoyProcess
from tests.conformance.guest.interpreter import HEADER
from tests.conformance.program import Operations, program
from tests.conformance.scenario import BASE, Trace
from tests.faces import http2
from tests.faces.http2 import Part

_ANSWERED_BY_FILTER = 403


@dataclass(frozen=True)
class MetadataScenario:
    """`returns` and `code` say what a callback, by its letter, returns and does. Messages consist of parts."""

    returns: Mapping[str, int] = field(default_factory=dict)
    code: Mapping[str, Operations] = field(default_factory=dict)
    request: Sequence[Part] = (b"body",)
    answer: Sequence[Part] = (200, b"answer")
    kills: bool = False

    @property
    def plugin_settings(self) -> PluginSettings:
        """How the interpreter is run."""
        return PluginSettings(**{**BASE, "buffer_limit_bytes": 1 << 20})

    def perform(self, proxy: Proxy, expected: Trace | None, *, vms: int) -> Trace:
        """Step by step, as the frames come."""
        assert proxy.get("/", headers=self._carrier()).response.status == 200
        before = len(proxy.logs)
        stream = proxy.open("POST", "/")
        for part in self.request:
            _send(stream, part)
        if not stream.ended:
            stream.send_body(b"", end_stream=True)
        proxy.clock.advance(0.2)
        if not stream.ended:
            for part in self.answer:
                _respond(stream, part)
            stream.respond_body(b"", end_stream=True)
        response = stream.response
        return self._trace(
            [line.message for line in proxy.logs[before:]], None if response is None else response.status
        )

    def perform_over_http2(self, envoy: EnvoyProcess, server: http2.Server) -> Trace:
        """The messages at once: Envoy takes their frames one after the other."""
        assert http2.exchange(envoy.address, "/", (), self._carrier()) == [200]
        before = len(envoy.log_lines())
        server.answer = self.answer
        response = http2.exchange(envoy.address, "/", self.request)
        [status] = [part for part in response if isinstance(part, int)]
        if status != _ANSWERED_BY_FILTER:
            assert _metadata(server.received) == _metadata(self.request)
            assert _metadata(response) == _metadata(self.answer)
        return self._trace([line.message for line in envoy.wasm_log_lines(before)], status)

    def _carrier(self) -> dict[str, str]:
        return {HEADER.decode(): program(self.code, self.returns)}

    def _trace(self, lines: list[str], status: int | None) -> Trace:
        # HTTP/2 has another number of headers, and when the end comes is a matter of frames.
        return {"status": status, "log": [line for line in lines if "_headers(" not in line]}


def _send(stream: Stream, part: Part) -> None:
    match part:
        case dict():
            stream.send_metadata(part)
        case bytes():
            stream.send_body(part)


def _respond(stream: Stream, part: Part) -> None:
    match part:
        case dict():
            stream.respond_metadata(part)
        case bytes():
            stream.respond_body(part)
        case int():
            stream.respond_headers(part)


def _metadata(parts: Sequence[Any]) -> list[Any]:
    return [part for part in parts if part and isinstance(part, dict)]
