"""The embedded proxy does what a real Envoy does: the same raw module, the same exchange, on both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pywasm_filter.testing import Response, Route
from tests.conformance.recorder import (
    ALLOW,
    CALLBACKS,
    CONTINUE_AT_END,
    LARGE,
    PAUSE,
    POST,
    POST_ONE,
    POST_TRAILERS,
    SHARED,
    SMALL,
    TRAP,
    WITH_TRAILERS,
    Scenario,
    add,
    assign,
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
    on_both,
    pairs_bytes,
    remove,
    replace,
    reply,
    result,
    resume,
    set_attribute,
    set_shared,
)

ROUTE = attribute("xds", "route_name") + attribute("xds", "cluster_name")
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
    "routes": [Route("upstream", "/a", name="route-a")],
    "plugin_name": "pn",
    "root_id": "rid",
    "vm_id": "vid",
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
    # --- the order of callbacks ---
    "get": Scenario(),
    "get, empty response": Scenario(response=Response(200)),
    "get, response in one piece": Scenario(response=Response(200, body=b"hello")),
    "post": Scenario(request=POST),
    "post in one piece": Scenario(request=POST_ONE),
    "post, trailers": Scenario(request=POST_TRAILERS, response=WITH_TRAILERS),
    "delete": Scenario(request={"method": "DELETE"}),
    "options": Scenario(request={"method": "OPTIONS"}),
    "post without body": Scenario(request={"method": "POST"}),
    "post with content-length 0": Scenario(request={"method": "POST", "headers": {"content-length": "0"}}),
    "head": Scenario(request={"method": "HEAD"}, response=Response(200, body=b"hello")),
    "204": Scenario(response=Response(204)),
    "304": Scenario(response=Response(304, headers={"etag": "x"})),
    "500 of the upstream": Scenario(response=Response(500, body=b"oops")),
    # --- pausing ---
    "body held until its end": Scenario({"B": PAUSE, "b": PAUSE}, {"B": CONTINUE_AT_END, "b": CONTINUE_AT_END}, POST),
    "body held until the trailers": Scenario({"B": PAUSE, "b": PAUSE}, {}, POST_TRAILERS, WITH_TRAILERS),
    "body held for good": Scenario({"B": PAUSE}, {}, POST),
    "response body held for good": Scenario({"b": PAUSE}),
    "headers paused, body": Scenario({"H": PAUSE}, {}, POST),
    "headers paused, no body": Scenario({"H": PAUSE}),
    "response headers paused": Scenario({"h": PAUSE}),
    "headers paused and allowed, body passes": Scenario({"H": PAUSE, "h": PAUSE}, {}, POST, settings=ALLOW),
    "headers paused and allowed, body held": Scenario(
        {"H": PAUSE, "B": PAUSE, "h": PAUSE, "b": PAUSE},
        {"B": CONTINUE_AT_END, "b": CONTINUE_AT_END},
        POST,
        settings=ALLOW,
    ),
    "headers paused and allowed, trailers pass": Scenario(
        {"H": PAUSE, "B": PAUSE, "h": PAUSE, "b": PAUSE}, {}, POST_TRAILERS, WITH_TRAILERS, ALLOW
    ),
    "headers paused and allowed, no body": Scenario({"H": PAUSE}, settings=ALLOW),
    "trailers paused": Scenario({"T": PAUSE}, {}, POST_TRAILERS),
    "response trailers paused": Scenario({"t": PAUSE}, {}, {}, WITH_TRAILERS),
    "body dropped": Scenario({"B": 3, "b": 3}, {"B": CONTINUE_AT_END, "b": CONTINUE_AT_END}, POST),
    "body held by watermark": Scenario({"B": 2, "b": 2}, {"B": CONTINUE_AT_END, "b": CONTINUE_AT_END}, POST),
    "headers return 2": Scenario({"H": 2, "h": 2}, {}, POST),
    "headers return 3": Scenario({"H": 3}, {}, POST),
    "headers return 5": Scenario({"H": 5}, {}, POST),
    "body returns 4": Scenario({"B": 4}, {}, POST),
    # --- continuing ---
    "continue within paused headers, no body": Scenario({"H": PAUSE}, {"H": resume(0)}),
    "continue within paused headers, body": Scenario({"H": PAUSE}, {"H": resume(0)}, POST),
    "continue within each paused body": Scenario({"B": PAUSE}, {"B": resume(0)}, POST),
    "continue within the last paused body": Scenario({"B": PAUSE}, {"B": at_end(resume(0))}, POST),
    "continue within a body that continues": Scenario({}, {"B": resume(0), "b": resume(1)}, POST),
    "continue within paused trailers": Scenario({"T": PAUSE}, {"T": resume(0)}, POST_TRAILERS),
    "continue the request from the response": Scenario({}, {"h": resume(0)}, POST),
    "continue within paused response headers": Scenario({"h": PAUSE}, {"h": resume(1)}, response=Response(200)),
    "continue the other types": Scenario({}, {"H": resume(2) + resume(3) + resume(4)}),
    # --- limits ---
    "request too large": Scenario(
        {"B": PAUSE},
        {"B": CONTINUE_AT_END},
        {"method": "POST", "body": [b"x" * 600, b"y" * 600, b"z" * 600]},
        settings=SMALL,
    ),
    "request too large in one piece": Scenario(
        {"B": PAUSE}, {}, {"method": "POST", "body": b"x" * 1001}, settings=SMALL
    ),
    "request just small enough": Scenario(
        {"B": PAUSE}, {"B": CONTINUE_AT_END}, {"method": "POST", "body": b"x" * 1000}, settings=SMALL
    ),
    "request too large behind paused headers": Scenario(
        {"H": 3}, {}, {"method": "POST", "body": [b"x" * 600, b"y" * 600]}, settings=SMALL
    ),
    "request blocked behind paused headers": Scenario(
        {"H": 4}, {}, {"method": "POST", "body": [b"x" * 600, b"y" * 600, b"z" * 600]}, settings=SMALL
    ),
    "request blocked by watermark": Scenario(
        {"B": 2}, {}, {"method": "POST", "body": [b"x" * 600, b"y" * 600, b"z" * 600]}, settings=SMALL
    ),
    "large request not held": Scenario({}, {}, {"method": "POST", "body": [b"x" * 600, b"y" * 600]}, settings=SMALL),
    "response too large": Scenario({"b": PAUSE}, {}, {}, LARGE, SMALL),
    "response too large, headers held": Scenario({"h": PAUSE, "b": PAUSE}, {}, {}, LARGE, {**SMALL, **ALLOW}),
    "response blocked behind paused headers": Scenario({"h": PAUSE}, {}, {}, LARGE, SMALL),
    # --- local replies ---
    "reply to headers": Scenario({"H": PAUSE}, {"H": reply()}, POST),
    "reply to headers and continue": Scenario({}, {"H": reply()}, POST),
    "two replies": Scenario({"H": PAUSE}, {"H": reply(401, "first") + reply(402, "second")}),
    "reply without body": Scenario({"H": PAUSE}, {"H": reply(body="")}),
    "reply to head": Scenario({"H": PAUSE}, {"H": reply()}, {"method": "HEAD"}),
    "reply to grpc": Scenario(
        {"H": PAUSE},
        {"H": reply(body="100% bad\n"), "h": dump(2)},
        {**POST, "headers": {"content-type": "application/grpc"}},
    ),
    "reply to grpc with status": Scenario(
        {"H": PAUSE}, {"H": reply(grpc_status=5)}, {**POST, "headers": {"content-type": "application/grpc+proto"}}
    ),
    "reply with headers": Scenario(
        {"H": PAUSE},
        {
            "H": reply(
                headers=pairs_bytes(
                    (b"Content-Type", b"text/html"), (b"x-d", b"1"), (b"x-d", b"2"), (b"content-length", b"99")
                )
            ),
            "h": dump(2),
        },
    ),
    "reply with headers, without body": Scenario(
        {"H": PAUSE},
        {"H": reply(body="", headers=pairs_bytes((b"content-type", b"text/html"), (b"x-d", b"1"))), "h": dump(2)},
    ),
    "reply with malformed headers": Scenario({"H": PAUSE}, {"H": reply(headers=b"\2\0\0\0garbage"), "h": dump(2)}),
    "reply 204 with a body": Scenario({"H": PAUSE}, {"H": reply(204)}),
    "reply with status 999": Scenario({"H": PAUSE}, {"H": reply(999)}),
    "reply to the body": Scenario({"B": PAUSE}, {"B": reply()}, POST),
    "reply at the end of a body that has left": Scenario({}, {"B": at_end(reply())}, POST),
    "reply to trailers": Scenario({}, {"T": reply()}, POST_TRAILERS),
    "reply in place of response headers": Scenario({}, {"h": reply()}),
    "reply in place of paused response headers": Scenario({"h": PAUSE}, {"h": reply()}),
    "reply in a response body that has begun": Scenario({}, {"b": reply()}),
    "reply in place of a held response": Scenario({"h": PAUSE, "b": PAUSE}, {"b": at_end(reply())}, settings=ALLOW),
    "reply in response trailers": Scenario({}, {"t": reply()}, {}, WITH_TRAILERS),
    "reply to a reply": Scenario({"H": PAUSE}, {"H": reply(), "h": reply(500, "again")}),
    "reply edited in the response callbacks": Scenario(
        {"H": PAUSE}, {"H": reply(), "h": add(2, "x-a", "1") + remove(2, "content-length"), "b": edit(1, 999, 0)}
    ),
    "reply in the root context": Scenario({}, {"K": reply()}),
    # --- resets ---
    "close the request": Scenario({}, {"H": close(0)}, POST),
    "close the response in the request": Scenario({}, {"H": close(1)}, POST),
    "close in the request body": Scenario({}, {"B": close(0)}, POST),
    "close in the response": Scenario({}, {"h": close(1)}, POST),
    "close in the response body": Scenario({}, {"b": close(1)}, POST),
    "close the other types": Scenario({}, {"H": close(2) + close(3) + close(4)}),
    # --- traps ---
    **{
        f"trap in {CALLBACKS[letter][0]}": Scenario({}, {letter: TRAP}, POST_TRAILERS, WITH_TRAILERS, repeat=2)
        for letter in "HBThbtLDX"
    },
    "trap, then fail open": Scenario(
        {}, {"H": TRAP}, POST_TRAILERS, WITH_TRAILERS, settings={"fail_open": True}, repeat=2
    ),
    "trap in the response, then fail open": Scenario(
        {}, {"b": TRAP}, POST_TRAILERS, WITH_TRAILERS, settings={"fail_open": True}, repeat=2
    ),
    "reply, then trap": Scenario({}, {"H": reply() + TRAP}, POST),
    # --- header maps ---
    "request headers read": Scenario(
        {},
        {"H": dump(0)},
        {
            **POST_ONE,
            "path": "/p?q=1",
            "headers": [
                ("x-a", "0"),
                ("accept", "*/*"),
                ("User-Agent", "me"),
                ("x-a", "9"),
                ("accept", "a/b"),
                ("cookie", "a=b"),
                ("cookie", "c=d"),
                ("x-forwarded-proto", "https"),
                ("x-envoy-retry-on", "5xx"),
                ("x-raw", b"\xff\xe9"),
            ],
        },
    ),
    "response headers read": Scenario(
        {},
        {"h": dump(2)},
        {},
        Response(
            201,
            headers=[
                ("X-B", "1"),
                ("set-cookie", "a"),
                ("x-b", "2"),
                ("set-cookie", "b"),
                ("vary", "1"),
                ("vary", "2"),
            ],
            body=b"x",
        ),
    ),
    "headers added": Scenario(
        {},
        {
            "H": add(0, "X-A", "1")
            + add(0, "x-a", "2")
            + add(0, "x-forwarded-for", "1")
            + add(0, "x-forwarded-for", "2")
            + dump(0)
        },
    ),
    "headers replaced": Scenario(
        {},
        {
            "H": replace(0, "x-a", "new")
            + replace(0, ":path", "/new")
            + replace(0, "x-n", "n")
            + replace(0, "Host", "other")
            + dump(0),
            "h": replace(2, ":status", "202") + dump(2),
        },
        {"headers": [("x-a", "1"), ("x-b", "2"), ("x-a", "3")]},
    ),
    "headers removed": Scenario(
        {},
        {"H": remove(0, "X-A") + remove(0, "absent") + dump(0)},
        {"headers": [("x-a", "1"), ("x-a", "3"), ("x-b", "")]},
    ),
    "headers assigned": Scenario(
        {},
        {
            "H": assign(
                0,
                pairs_bytes(
                    (b":path", b"/n"),
                    (b"X-N", b"1"),
                    (b":method", b"PUT"),
                    (b":authority", b"a"),
                    (b":scheme", b"http"),
                    (b"x-n", b"2"),
                ),
            )
            + dump(0)
        },
    ),
    "header values read": Scenario(
        {},
        {
            "H": get(0, "x-a")
            + get(0, "X-A")
            + get(0, "host")
            + get(0, "absent")
            + get(0, "accept")
            + get(1, "x")
            + get(2, "x")
            + get(4, "x")
            + get(6, "x")
            + get(8, "x")
        },
        {"headers": [("x-a", "1"), ("x-a", "2"), ("accept", "a"), ("accept", "b"), ("host", "h")]},
    ),
    "maps outside of their callbacks": Scenario(
        {},
        {
            "B": get(0, ":path") + add(0, "x", "y") + dump(0) + get(2, ":status"),
            "h": get(0, ":path") + add(0, "x", "y") + dump(0),
            "b": get(2, ":status") + add(2, "x", "y"),
            "L": get(0, ":path")
            + add(0, "x", "y")
            + get(1, "x-t")
            + get(2, ":status")
            + get(3, "x-r")
            + get(3, "no")
            + body(0)
            + body(1),
            "D": get(0, ":path") + add(2, "x", "y"),
            "X": get(0, ":path"),
        },
        POST_TRAILERS,
        WITH_TRAILERS,
    ),
    "maps stay while paused": Scenario(
        {"H": PAUSE},
        {"B": get(0, ":path") + add(0, "x-late", "1"), "h": get(0, ":path") + add(0, "x-too-late", "1")},
        POST,
        settings=ALLOW,
    ),
    "maps go with continue": Scenario({"H": PAUSE}, {"H": get(0, ":path") + resume(0) + get(0, ":path") + dump(0)}),
    "trailers read and edited": Scenario(
        {},
        {"T": dump(1) + add(1, "x-n", "1") + remove(1, "x-t"), "t": dump(3) + replace(3, "x-r", "2")},
        POST_TRAILERS,
        WITH_TRAILERS,
    ),
    "trailers created": Scenario(
        {}, {"B": at_end(add(1, "x-n", "1")), "b": at_end(add(3, "x-n", "1") + dump(3))}, POST
    ),
    "trailers created before the end": Scenario({}, {"B": before_end(add(1, "x-n", "1")), "H": add(1, "x", "1")}, POST),
    "trailers created behind a held body": Scenario(
        {"B": PAUSE, "b": PAUSE},
        {"B": at_end(add(1, "x-n", "1")) + CONTINUE_AT_END, "b": at_end(add(3, "x-n", "1")) + CONTINUE_AT_END},
        POST,
    ),
    "x-forwarded-proto removed": Scenario({}, {"H": remove(0, "x-forwarded-proto")}),
    "path removed": Scenario({}, {"H": remove(0, ":path")}),
    "authority removed": Scenario({}, {"H": remove(0, ":authority"), "L": attribute("response", "code_details")}),
    "method removed": Scenario({}, {"H": remove(0, ":method")}),
    "status removed": Scenario({}, {"h": remove(2, ":status")}),
    "status made a word": Scenario({}, {"h": replace(2, ":status", "abc")}),
    # --- buffers ---
    "bodies read": Scenario(
        {},
        {
            "H": body(0) + body(9),
            "B": body(0)
            + body(0, 1, 1)
            + body(0, 2, 99)
            + body(0, 99, 1)
            + body(0, -1, 99)
            + body(0, 1, -1)
            + body(0, 0, -1),
            "h": body(1) + body(4) + body(5) + body(6) + body(7) + body(2),
            "b": body(0) + body(1),
            "K": body(6) + body(7),
        },
        POST,
        settings={"configuration": b"plugin's", "vm_configuration": b"vm's"},
    ),
    "bodies edited in one frame": Scenario(
        {},
        {
            "H": remove(0, "content-length") + edit(0, 0, 0),
            "B": before_end(edit(0, 0, 0) + edit(0, 99, 0) + edit(0, 0, 2) + edit(0, 1, 0) + edit(0, 5, 2) + body(0)),
            "h": remove(2, "content-length"),
            "b": before_end(edit(1, 0, 99, "") + edit(1, 0, 99) + edit(0, 0, 0)),
        },
        POST_ONE,
        Response(200, body=b"hello"),
    ),
    "held bodies edited": Scenario(
        {"B": PAUSE, "b": PAUSE},
        {
            "B": at_end(edit(0, 0, 3) + body(0)) + CONTINUE_AT_END,
            "b": at_end(edit(1, 0, 99)) + CONTINUE_AT_END,
        },
        POST,
    ),
    "configurations cannot be edited": Scenario({}, {"K": edit(6, 0, 0) + edit(7, 0, 0) + edit(4, 0, 0)}),
    # --- attributes ---
    "attributes of the request": Scenario(
        {},
        dict.fromkeys(
            "HBL",
            "".join(
                attribute("request", name)
                for name in (
                    "path",
                    "url_path",
                    "host",
                    "scheme",
                    "method",
                    "referer",
                    "useragent",
                    "id",
                    "protocol",
                    "query",
                    "size",
                    "nope",
                )
            )
            + attribute("request", "headers", "x-a")
            + attribute("request", "headers", "nope")
            + attribute("request", "path", "deeper")
            + attribute("request")
            + attribute_size("request", "time")
            + attribute_size("request", "duration")
            + attribute("request", "total_size")
            + attribute_size("request", "headers"),
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
            "".join(attribute("response", name) for name in ("code", "code_details", "flags", "size", "grpc_status"))
            + attribute("response", "headers", "x-b")
            + attribute("response", "trailers", "x-r")
            + attribute("response"),
        ),
        {},
        Response(200, headers={"x-b": "1"}, body=[b"hello", b"world"], trailers={"x-r": "1"}),
    ),
    "attributes of a local reply": Scenario(
        {"H": PAUSE},
        {"H": reply(), **dict.fromkeys("hL", attribute("response", "code") + attribute("response", "code_details"))},
    ),
    "attributes of connections": Scenario(
        {},
        dict.fromkeys(
            "HhL",
            "".join(
                attribute_size(*path.split("."))
                for path in (
                    *("source.address", "source.port", "destination.address", "destination.port", "connection.id"),
                    *("connection.mtls", "connection.requested_server_name", "connection.tls_version", "connection_id"),
                    *("connection.termination_details", "upstream.local_address", "upstream.nope", "node", "nope"),
                )
            )
            + "".join(
                attribute("xds", name)
                for name in (
                    "cluster_name",
                    "route_name",
                    "virtual_host_name",
                    "filter_chain_name",
                    "listener_direction",
                )
            )
            + attribute("upstream", "request_attempt_count")
            + attribute("plugin_name")
            + attribute("plugin_root_id")
            + attribute("plugin_vm_id")
            + attribute("metadata")
            + attribute("cluster_name"),
        ),
        settings={"plugin_name": "pn", "root_id": "rid", "vm_id": "vid"},
    ),
    **{
        f"attributes: {group}": Scenario(
            {},
            dict.fromkeys("KHBhbtLDX", "".join(attribute(*path.split(".")) for path in paths)),
            {"method": "POST", "body": b"abc", "path": "/a?b", "headers": {"referer": "r", "user-agent": "u"}},
            WITH_TRAILERS,
            DESCRIBED,
        )
        for group, paths in ATTRIBUTES.items()
    },
    "attributes without metadata": Scenario(
        {}, dict.fromkeys("HL", "".join(attribute(*path.split(".")) for path in ATTRIBUTES["metadata"]))
    ),
    "attributes that differ": Scenario(
        {},
        {
            **dict.fromkeys("KHhtLDX", "".join(attribute_size(*path.split(".")) for path in DIFFERENT)),
            "L": "".join(attribute_size(*path.split(".")) for path in (*DIFFERENT, *AT_THE_END)),
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
        settings={"routes": [Route("other", headers={"x-variant": "b"}, name="variant b")]},
    ),
    "route by path": Scenario(
        {},
        {"H": replace(0, ":path", "/b/x?/a"), "L": ROUTE},
        settings={"routes": [Route("a", "/a"), Route("b", "/b", name="b"), Route("c", "/b/x")]},
    ),
    "route lost": Scenario({}, {"H": remove(0, ":path") + ROUTE, "L": ROUTE}, settings={"routes": [Route("a", "/a")]}),
    "attributes in the root context": Scenario(
        {},
        {
            "K": attribute("plugin_root_id")
            + attribute("request", "path")
            + attribute("connection_id")
            + set_attribute("m", "v")
        },
        settings={"root_id": "rid"},
    ),
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
    # --- contexts ---
    "effective context": Scenario(
        {},
        {
            "H": note("E", "(call $proxy_set_effective_context (i32.const 99))")
            + note("E", "(call $proxy_set_effective_context (i32.const 1))")
            + get(0, ":path")
            + reply()
            + note("E", "(call $proxy_set_effective_context (local.get 0))")
            + get(0, ":path"),
            "h": get(2, ":status"),
        },
    ),
    "done": Scenario({}, {"H": note("d", "(call $proxy_done)"), "K": note("d", "(call $proxy_done)")}),
    "done refused": Scenario({"D": 0}),
    "shared data": Scenario(
        {},
        {
            "H": note("g", SHARED)
            + set_shared("v", "(i32.const 0)")
            + result("g", SHARED)
            + set_shared("w", "(i32.add (i32.load (i32.const 520)) (i32.const 1))")
            + set_shared("w", "(i32.load (i32.const 520))")
            + result("g", SHARED)
        },
    ),
    "shared data, absent and empty": Scenario(
        {},
        {
            "H": set_shared("", "(i32.const -1)")
            + result("g", SHARED)
            + set_shared("w", "(i32.const -1)")
            + result("g", SHARED)
            + set_shared("", "(i32.const 0)")
            + result("g", SHARED)
        },
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_embedded_proxy_does_what_envoy_does(name: str, tmp_path: Path) -> None:
    mine, theirs = on_both(SCENARIOS[name], tmp_path)
    assert mine == theirs
