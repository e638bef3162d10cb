"""What the settings make of attributes and routes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pywasm_filter.sdk.metadata import decode_metadata, decode_struct_field
from pywasm_filter.testing import (
    AttributesNotSupported,
    EmbeddedProxy,
    PluginSettings,
    Route,
)
from pywasm_filter.testing.embedded.attribute_values import NODE, Message, from_json, metadata
from pywasm_filter.testing.guests.inprocess import InProcessGuest
from pywasm_filter.testing.running_envoy import RunningEnvoy


def read(tmp_path: Path, expression: str, **settings: Any) -> str:
    """What an expression over `p` is in on_request_headers, as `repr` shows it."""
    path = tmp_path / "filter.py"
    path.write_text(
        "import datetime\n"
        "from pywasm_filter import Action, HttpContext, Properties\n"
        "def read(p: Properties) -> object:\n"
        f"    return {expression}\n"
        "class Reader(HttpContext):\n"
        "    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:\n"
        "        return self.send_local_response(200, body=repr(read(self.properties)))\n"
    )
    with EmbeddedProxy(lambda hostcalls: InProcessGuest(path, hostcalls), PluginSettings(**settings)) as proxy:
        return proxy.get("/a").response.text


ATTRIBUTES: list[tuple[str, Any, str]] = [
    ("connection.mtls", True, "True"),
    ("connection.subject_peer_certificate", "CN=x", "'CN=x'"),
    ("connection.id", (1 << 64) - 1, str((1 << 64) - 1)),
    ("source.port", -1, "-1"),
    ("request.time", datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), "'2026-01-02T03:04:05.678901+00:00'"),
    ("request.duration", timedelta(seconds=1.5), "1.5"),
    ("metadata", {"jwt": {"sub": "me", "n": 1}}, "{'jwt': {'n': 1.0, 'sub': 'me'}}"),
]


@pytest.mark.parametrize(("name", "value", "expected"), ATTRIBUTES, ids=[name for name, _, _ in ATTRIBUTES])
def test_attributes_may_be_set(tmp_path: Path, name: str, value: object, expected: str) -> None:
    shown = {"request.time": ".isoformat()", "request.duration": ".total_seconds()"}.get(name, "")
    assert read(tmp_path, f"p.{name}{shown}", attributes={name: value}) == expected


def test_other_attributes_of_the_group_stay(tmp_path: Path) -> None:
    expression = "(p.connection.mtls, p.connection.requested_server_name, p.source.port)"
    assert read(tmp_path, expression, attributes={"connection.mtls": True}) == "(True, '', 50000)"


def test_attributes_of_an_attribute_may_be_set(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"attributes": {"upstream.locality.zone": "z", "mine.deep.er": b"\xff"}}
    expression = "(p.upstream.locality.zone, p.raw('mine', 'deep', 'er'), p.raw('mine', 'deep', 'no'), p.raw('no'))"
    assert read(tmp_path, expression, **settings) == "('z', b'\\xff', None, None)"


def test_attributes_are_not_for_envoy(tmp_path: Path) -> None:
    with pytest.raises(AttributesNotSupported, match="for the embedded proxy"):
        RunningEnvoy([tmp_path / "x.wasm"], PluginSettings(attributes={"connection.mtls": True}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"node": {"name": "x"}}, "node has id, cluster, metadata, locality, not 'name'"),
        ({"routes": [Route("auth")], "clusters": ["auth"]}, "callouts or gets the routed requests, not both: auth"),
        ({"metadata": {"filter": {}}}, "metadata has listener, virtual_host, route, cluster, host, not 'filter'"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PluginSettings(**settings)


def test_metadata_is_read_as_it_was_written() -> None:
    filters = {"a": {"t": "x", "n": -0.5, "b": [True, None, {"c": []}], "empty": ""}, "b": {}}
    assert decode_metadata(metadata(filters).encode()) == filters


def test_a_node_is_read_as_it_was_written() -> None:
    node = Message(NODE, {"id": "i", "metadata": {"a": {"b": "c"}}, "locality": {"zone": "z"}})
    assert decode_struct_field(node.encode(), 3) == {"a": {"b": "c"}}
    assert node.encode().endswith(b'"\x03\x12\x01z')


def test_json_has_its_types_only() -> None:
    with pytest.raises(TypeError, match="JSON has no bytes"):
        from_json({"a": [b"x"]})


# --- routes ---


def cluster(tmp_path: Path, routes: list[Route], path: str = "/a/b?c", headers: dict[str, str] | None = None) -> Any:
    filter_path = tmp_path / "filter.py"
    filter_path.write_text("from pywasm_filter import HttpContext\nclass Nothing(HttpContext): ...\n")
    settings = PluginSettings(routes=routes)
    with EmbeddedProxy(lambda hostcalls: InProcessGuest(filter_path, hostcalls), settings) as proxy:
        return proxy.get(path, headers=headers).cluster


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([], "upstream"),
        ([Route("a", "/a/b")], "a"),
        ([Route("a", "/a/b?c")], "upstream"),
        ([Route("a", "/b")], "upstream"),
        ([Route("a", headers={"x-a": "1,2"})], "a"),
        ([Route("a", headers={"x-a": "1"})], "upstream"),
        ([Route("a", headers={"x-a": "1,2", "x-b": "3"})], "upstream"),
        ([Route("a", filter_state={"envoy.string": "x"})], "upstream"),
        ([Route("a", "/b"), Route("b", "/a"), Route("c")], "b"),
    ],
)
def test_the_first_route_that_fits_is_taken(tmp_path: Path, routes: list[Route], expected: str) -> None:
    assert cluster(tmp_path, routes, headers={"x-a": "1,2"}) == expected
