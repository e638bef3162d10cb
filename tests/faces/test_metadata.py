"""HTTP/2 metadata on each host.

What was seen in Envoy 1.40, with `allow_metadata` on both sides and no runtime flag:

- A callback comes for each block of metadata, with the number of its names: of several elements of one name the first
  counts. It comes in the order of the frames. Its result has no effect, and the metadata goes on to the other side,
  where it may overtake the body.
- A block without elements is dropped (`http2.metadata_empty_frames` counts it), and so is what comes after the end.
- While everything is stopped, metadata waits; then all of it comes before the body that waited as well.
- Metadata may precede the response's headers: the filter sees it right after these, and the client right before.
- A local response from the callback is sent as from any other, and no further metadata comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pywasm_filter.build import cached_build
from pywasm_filter.testing import Proxy
from pywasm_filter.testing.envoy import EnvoyProcess, EnvoySettings
from tests.faces import http2
from tests.faces.http2 import Part
from tests.faces.test_http import logged

FILTER = "faces_filter.py"
pytestmark = pytest.mark.pywasm(filter=FILTER, root_id="metadata")

Converse = Callable[[str, Sequence[Part], Sequence[Part]], list[str]]
"""Sends the parts of a request to a path and those of its answer; returns what the plugin has logged of it."""


@pytest.fixture(scope="module")
def server() -> Iterator[http2.Server]:
    with http2.Server() as running:
        yield running


@pytest.fixture(scope="module")
def envoy(server: http2.Server) -> Iterator[EnvoyProcess]:
    module = cached_build(Path(__file__).with_name(FILTER))
    with EnvoyProcess(EnvoySettings(module, server.port, root_id="metadata", http2=True)) as process:
        yield process


@pytest.fixture
def converse(pywasm_host: str, request: pytest.FixtureRequest) -> Converse:
    if pywasm_host == "envoy":
        return _through_envoy(request.getfixturevalue("envoy"), request.getfixturevalue("server"))
    return _step_by_step(request.getfixturevalue("proxy"))


def metadata(parts: Sequence[Part]) -> list[Part]:
    return [part for part in parts if part and isinstance(part, dict)]


def _through_envoy(envoy: EnvoyProcess, server: http2.Server) -> Converse:
    def converse(path: str, request: Sequence[Part], answer: Sequence[Part]) -> list[str]:
        first_line = len(envoy.log_lines())
        server.answer = answer
        response = http2.exchange(envoy.address, path, request)
        if 418 not in response:
            assert metadata(server.received) == metadata(request)
            assert metadata(response) == metadata(answer)
        return [line.message for line in envoy.wasm_log_lines(first_line)]

    return converse


def _step_by_step(proxy: Proxy) -> Converse:
    def converse(path: str, request: Sequence[Part], answer: Sequence[Part]) -> list[str]:
        stream = proxy.open("POST", path)
        for part in request:
            if isinstance(part, dict):
                stream.send_metadata(part)
            elif isinstance(part, bytes):
                stream.send_body(part)
        stream.send_body(b"", end_stream=True)
        proxy.clock.advance(0.2)
        if stream.ended:
            return logged(proxy)
        for part in answer:
            if isinstance(part, dict):
                stream.respond_metadata(part)
            elif isinstance(part, bytes):
                stream.respond_body(part)
            else:
                stream.respond_headers(part)
        stream.respond_body(b"", end_stream=True)
        assert stream.ended
        return logged(proxy)

    return converse


def test_metadata_of_a_request(converse: Converse) -> None:
    lines = converse("/", [{"a": "1", "b": "2"}, b"body", {}, {"c": "3"}], [200, b"answer"])
    assert lines == [
        "request headers",
        "request metadata 2",
        "request body 4 False",
        "request metadata 1",
        "request body 0 True",
        "response headers",
        "response body 6 False",
        "response body 0 True",
    ]


def test_metadata_of_a_response(converse: Converse) -> None:
    lines = converse("/", [b"body"], [{"early": "1"}, 200, {"a": "1", "b": "2"}, b"answer", {}, {"c": "3"}])
    assert lines[-6:] == [
        "response headers",
        "response metadata 1",
        "response metadata 2",
        "response body 6 False",
        "response metadata 1",
        "response body 0 True",
    ]


def test_metadata_waits_while_everything_is_stopped(converse: Converse) -> None:
    lines = converse("/hold", [{"a": "1"}, b"body", {"b": "2", "c": "3"}], [200])
    assert lines[:4] == ["request headers", "request metadata 1", "request metadata 2", "request body 4 True"]


def test_a_local_response_to_metadata(converse: Converse) -> None:
    lines = converse("/answer", [{"a": "1"}, b"body", {"b": "2"}], [200])
    assert lines == ["request headers", "request metadata 1", "response headers", "response body 5 True"]
