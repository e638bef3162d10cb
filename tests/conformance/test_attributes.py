"""Each typed attribute is there when its table says so, and has the type that it says, on all hosts."""

import json
import re

import pytest
from proxy_wasm_abi.attributes import PYTHON_TYPES, Attribute, load_attributes

from pywasm_filter.testing import Proxy, Response

ROOT = ["configure"]
REQUEST = ["request_headers", "request_body"]
RESPONSE = ["response_headers", "response_body", "response_trailers"]
END = ["log", "done", "delete"]
PHASES = [*ROOT, *REQUEST, *RESPONSE, *END]

EXPECTED: dict[str, list[str]] = {
    "always": PHASES,
    "stream": [*REQUEST, *RESPONSE, *END],
    "route": [*REQUEST, *RESPONSE, *END],
    "request": ["request_headers", "log"],
    "request_header": ["request_headers", "log"],
    "response": [*RESPONSE, *END],
    "end": END,
    "answered": ["response_trailers", *END],
    "upstream_host": ["request_body", *RESPONSE, *END],
    "upstream_connection": [*RESPONSE, *END],
    "tls": [],
    "upstream_tls": [],
    "failure": [],
}
"""Availability in the table -> the phases of the exchange below."""

UNCERTAIN = {("upstream_connection", "request_body")}
"""Whether the connection stands when the body comes is a matter of time."""

NAMES: dict[str, Attribute] = {
    f"{group.name}.{attribute.name}".removeprefix("."): attribute
    for group in load_attributes().groups
    for attribute in group.attributes
    if not attribute.is_group
}
# Views of maps are there at any time: what is in them is looked up later.
VALUES = {name: entry for name, entry in NAMES.items() if entry.type not in ("headers", "state")}

pytestmark = pytest.mark.pywasm(
    filter="attribute_reader.py",
    configuration=json.dumps(list(VALUES)),
    node={"id": "n", "metadata": {"A": {"B": ["c", 1]}}, "locality": {"zone": "z"}},
    metadata={owner: {"f": {"k": owner}} for owner in ("listener", "virtual_host", "route", "cluster", "host")},
)


def lines_of(proxy: Proxy) -> dict[tuple[str, str], tuple[str, str]]:
    """By phase and name: type and value, or `absent` and the text that says when it is there."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for line in proxy.logs:
        phase, name, kind, value = f"{line.message} ".split(" ", 3)
        found[phase, name] = (kind, value.removesuffix(" "))
    return found


@pytest.fixture
def reports(proxy: Proxy) -> dict[tuple[str, str], tuple[str, str]]:
    proxy.upstream = Response(201, body=[b"hello", b"world"], trailers={"x-r": "1"})
    headers = {"referer": "r", "user-agent": "u", "x-request-id": "i"}
    proxy.post("/a?b=c", headers=headers, body=[b"abc", b"de"])
    proxy.wait_for_log(f"^delete {list(VALUES)[-1]} ")
    return lines_of(proxy)


def test_attributes_are_there_when_the_table_says_so(reports: dict[tuple[str, str], tuple[str, str]]) -> None:
    wrong = []
    for name, attribute in VALUES.items():
        for phase in PHASES:
            if (attribute.availability, phase) in UNCERTAIN:
                continue
            kind, value = reports[phase, name]
            if (kind != "absent") != (phase in EXPECTED[attribute.availability]):
                wrong.append(f"{name} in {phase}: {kind} {value}")
            if kind == "absent":
                assert value == load_attributes().availability[attribute.availability]
            else:
                assert kind == PYTHON_TYPES[attribute.type].partition("[")[0]
    assert wrong == []


def test_values(reports: dict[tuple[str, str], tuple[str, str]]) -> None:
    values = {
        "request.path": "/a?b=c",
        "request.url_path": "/a",
        "request.query": "b=c",
        "request.method": "POST",
        "request.referer": "r",
        "request.useragent": "u",
        "request.id": "i",
        "request.protocol": "HTTP/1.1",
        "request.size": "5",
        "response.code": "201",
        "response.code_details": "via_upstream",
        "response.size": "10",
        "connection.mtls": "False",
        "node.id": "n",
        "node.metadata": "{'A': {'B': ['c', 1.0]}}",
        "node.locality.zone": "z",
        "cluster_name": "upstream",
        "cluster_metadata": "{'f': {'k': 'cluster'}}",
        "route_metadata": "{'f': {'k': 'route'}}",
        "virtual_host_metadata": "{'f': {'k': 'virtual_host'}}",
        "listener_metadata": "{'f': {'k': 'listener'}}",
        "upstream_host_metadata": "{'f': {'k': 'host'}}",
        "upstream_host_locality_metadata": "{}",
        "metadata": "{}",
        "plugin_name": "plugin",
    }
    assert {name: reports["log", name][1] for name in values} == values
    assert reports["configure", "node.metadata"] == ("dict", values["node.metadata"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00:00", reports["log", "request.time"][1])
    assert re.fullmatch(r"0:00:0\d(\.\d+)?", reports["log", "request.duration"][1])


@pytest.mark.pywasm(filter="module_teller.py", configuration=b"", hosts=["wasmtime", "envoy"])
def test_filters_without_attributes_do_not_carry_what_these_need(proxy: Proxy) -> None:
    assert proxy.get().response.text == "[]"
