"""Attributes: what proxy_get_property knows of requests, responses, connections and the proxy itself, and when."""

from __future__ import annotations

from typing import Any

from pywasm_filter.testing import Response, Route
from tests.conformance.areas.common import POST_ONE, WITH_TRAILERS
from tests.conformance.program import PAUSE, TRAP, add, attribute, attributes, remove, replace, reply, set_attribute
from tests.conformance.scenario import Scenario

ROUTE = attributes("xds.route_name", "xds.cluster_name")
DESCRIBED: dict[str, Any] = {
    "node": {
        "id": "node-1",
        "cluster": "service",
        "metadata": {
            "TEXT": "x",
            "NUMBER": 1.5,
            "FLAG": True,
            "NOTHING": None,
            "IN": {"DEEP": {"ER": "y"}},
            "LIST": [1, "b"],
        },
        "locality": {"region": "r", "zone": "z"},
    },
    "metadata": {
        owner: {"filter": {"key": f"of the {owner}"}}
        for owner in ("listener", "virtual_host", "route", "cluster", "host")
    },
    "routes": [
        Route("other", headers={"x-variant": "b"}, name="variant b"),
        Route("by-state", filter_state={"envoy.string": "b"}),
        Route("upstream", "/a", name="route-a"),
        Route("b", "/b", name="b"),
        Route("c", "/b/x"),
    ],
}
"""Settings that attributes show."""
ATTRIBUTES = {
    "request": [
        *("request.path", "request.url_path", "request.host", "request.scheme", "request.method", "request.query"),
        *("request.referer", "request.useragent", "request.id", "request.protocol", "request.size"),
        *("request.headers.referer", "request.headers.Referer", "request.headers_bytes", "request.total_size"),
    ],
    "response": [
        *("response.code", "response.code_details", "response.flags", "response.grpc_status"),
        *("response.trailers", "response.trailers.x-r", "response.nope"),
    ],
    "connection": [
        *("connection.mtls", "connection.requested_server_name", "connection.tls_version", "connection.nope"),
        *("connection.subject_peer_certificate", "connection.transport_failure_reason", "connection"),
        *("connection.termination_details", "source.nope", "source", "destination", "plugin_name", "plugin_root_id"),
        *("plugin_vm_id", "plugin_name.deeper", "upstream", "upstream.num_endpoints", "metadata", "metadata.nope"),
        *("metadata.filter_metadata", "metadata.filter_metadata.nope", "filter_state", "filter_state.nope", "nope"),
    ],
    "node": [
        *("xds.node.id", "xds.node.cluster", "xds.node.metadata", "xds.node.metadata.TEXT", "xds.node.metadata.NUMBER"),
        *("xds.node.metadata.FLAG", "xds.node.metadata.NOTHING", "xds.node.metadata.IN", "xds.node.metadata.IN.DEEP"),
        *("xds.node.metadata.IN.DEEP.ER", "xds.node.metadata.LIST", "xds.node.metadata.LIST.1", "xds.node.nope"),
        *("xds.node.metadata.LIST.2", "xds.node.metadata.LIST.x", "xds.node.metadata.nope", "xds.node.locality"),
        *("xds.node.locality.region", "xds.node.locality.sub_zone", "xds.node.user_agent_name", "xds", "xds.nope"),
        *("node", "node.id", "xds.node.id.deeper", "xds.node.metadata.TEXT.deeper"),
    ],
    "metadata": [
        *("xds.cluster_name", "xds.route_name", "xds.virtual_host_name", "xds.filter_chain_name"),
        *("xds.listener_direction", "xds.listener_metadata", "xds.route_metadata", "xds.cluster_metadata"),
        *(
            "xds.virtual_host_metadata",
            "xds.route_metadata.filter_metadata",
            "xds.route_metadata.filter_metadata.filter",
        ),
        *("xds.route_metadata.filter_metadata.filter.key", "xds.route_metadata.typed_filter_metadata"),
        *("xds.listener_metadata.filter_metadata.filter.key", "xds.cluster_metadata.filter_metadata.filter.key"),
        *(
            "xds.virtual_host_metadata.filter_metadata.filter.key",
            "xds.route_metadata.nope",
            "route_name",
            "cluster_name",
        ),
    ],
}
"""What is the same on both hosts, in all callbacks."""
DIFFERENT = [
    "request.time",
    "source.address",
    "source.port",
    "destination.address",
    "destination.port",
    "connection.id",
]
AT_THE_END = [
    *("request.duration", "response.headers_bytes", "response.backend_latency", "response.size", "response.total_size"),
    *("upstream.address", "upstream.port", "upstream.local_address", "upstream.cx_pool_ready_duration"),
    *("upstream.locality", "upstream.locality.region", "upstream.transport_failure_reason", "upstream.tls_version"),
    *("upstream.request_attempt_count", "xds.upstream_host_metadata", "xds.upstream_host_locality_metadata"),
    *("upstream_filter_state", "upstream_filter_state.nope"),
]


SCENARIOS = {
    # --- attributes ---
    "attributes of the request": Scenario(
        {},
        dict.fromkeys(
            "HBL",
            attributes(
                *("request.path", "request.url_path", "request.host", "request.scheme", "request.method"),
                *("request.referer", "request.useragent", "request.id", "request.protocol", "request.query"),
                *("request.size", "request.nope", "request.headers.x-a", "request.headers.nope"),
                *("request.path.deeper", "request", "request.total_size"),
            )
            + attributes("request.time", "request.duration", "request.headers", shown="size"),
        ),
        {
            **POST_ONE,
            "path": "/a/b?c=d",
            "headers": [("x-a", "1"), ("x-a", "2"), ("referer", "r"), ("user-agent", "u"), ("x-request-id", "i")],
        },
    ),
    "attributes of the response": Scenario(
        {},
        dict.fromkeys(
            "HhbL",
            attributes(
                *("response.code", "response.code_details", "response.flags", "response.size", "response.grpc_status"),
                *("response.headers.x-b", "response.trailers.x-r", "response"),
            ),
        ),
        {},
        Response(200, headers={"x-b": "1"}, body=[b"hello", b"world"], trailers={"x-r": "1"}),
    ),
    "attributes of a local reply": Scenario(
        {"H": PAUSE},
        {"H": reply(), **dict.fromkeys("hL", attributes("response.code", "response.code_details"))},
    ),
    "attributes of connections": Scenario(
        {},
        dict.fromkeys(
            "HhL",
            attributes(
                *("connection.mtls", "connection.requested_server_name", "connection.tls_version"),
                *("connection.termination_details", "upstream.nope", "node", "nope", "xds.cluster_name"),
                *("xds.route_name", "xds.virtual_host_name", "xds.filter_chain_name", "xds.listener_direction"),
                *("upstream.request_attempt_count", "plugin_name", "plugin_root_id", "plugin_vm_id", "metadata"),
                "cluster_name",
            )
            + attributes("connection_id", "upstream.local_address", *DIFFERENT, shown="size"),
        ),
    ),
    **{
        f"attributes: {group}": Scenario(
            {},
            dict.fromkeys("HBhbtLDX", attributes(*paths)),
            {"method": "POST", "body": b"abc", "path": "/a?b", "headers": {"referer": "r", "user-agent": "u"}},
            WITH_TRAILERS,
            DESCRIBED,
        )
        for group, paths in ATTRIBUTES.items()
    },
    "attributes without metadata": Scenario({}, dict.fromkeys("HL", attributes(*ATTRIBUTES["metadata"]))),
    "attributes that differ": Scenario(
        {},
        {
            **dict.fromkeys("HhtLDX", attributes(*DIFFERENT, shown="size")),
            "L": attributes(*DIFFERENT, *AT_THE_END, shown="size"),
        },
        POST_ONE,
        WITH_TRAILERS,
    ),
    "routes": Scenario(
        {},
        {
            "H": ROUTE + add(0, "x-variant", "b") + ROUTE,
            **dict.fromkeys("hL", ROUTE),
        },
        settings=DESCRIBED,
    ),
    "route by path": Scenario(
        {},
        {"H": replace(0, ":path", "/b/x?/a"), "L": ROUTE},
        settings=DESCRIBED,
    ),
    "route lost": Scenario({}, {"H": remove(0, ":path") + ROUTE, "L": ROUTE}, {"path": "/a"}, settings=DESCRIBED),
    "attributes set": Scenario(
        {},
        {
            "H": attribute("mine")
            + set_attribute("mine", b"some\xffvalue")
            + set_attribute("mine\0sub", "x")
            + set_attribute("request", "r"),
            **dict.fromkeys(
                "hL",
                attribute("mine")
                + attribute("mine", "sub")
                + attribute("filter_state", "wasm.mine")
                + attribute("wasm.mine")
                + attribute("filter_state"),
            ),
        },
    ),
    # --- traps: one for each Envoy, which it takes with it ---
    "trap in on_log": Scenario({}, {"L": TRAP}, settings=DESCRIBED, repeat=2, kills=True),
    "paths that are none": Scenario(
        {},
        {
            "H": attribute("")
            + attribute("", "")
            + attribute("request", "")
            + attribute("request", "path", "")
            + attribute("\xff")
            + set_attribute("", "v")
            + attribute("")
            + set_attribute("a\0", "v")
            + attribute("a", "")
            + attribute("a")
        },
    ),
}
