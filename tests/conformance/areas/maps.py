"""Header maps and buffers, and when they are valid."""

from __future__ import annotations

from pywasm_filter.testing import Response
from tests.conformance.areas.common import (
    ALLOW,
    CHUNKED,
    POST,
    POST_ONE,
    POST_TRAILERS,
    WITH_TRAILERS,
)
from tests.conformance.program import (
    CONTINUE_AT_END,
    PAUSE,
    add,
    assign,
    at_end,
    attributes,
    before_end,
    body,
    dump,
    edit,
    get,
    pairs_bytes,
    remove,
    replace,
    resume,
)
from tests.conformance.scenario import Scenario

SCENARIOS = {
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
    "authority removed": Scenario({}, {"H": remove(0, ":authority"), "L": attributes("response.code_details")}),
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
        },
        POST,
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
        CHUNKED,
    ),
    # --- what is malformed or empty ---
    "headers assigned from garbage": Scenario({}, {"H": assign(0, b"\2\0\0\0garbage") + dump(0)}),
    "headers assigned from nothing": Scenario({}, {"H": assign(0, b"") + dump(0)}),
    "trailers assigned": Scenario(
        {}, {"T": assign(1, pairs_bytes((b"X-N", b"1"), (b"x-n", b"2"))) + dump(1)}, POST_TRAILERS
    ),
    "response headers assigned": Scenario(
        {}, {"h": assign(2, pairs_bytes((b":status", b"201"), (b"x-n", b"1"))) + dump(2)}, response=CHUNKED
    ),
    "headers of an answer assigned": Scenario({}, {"H": assign(6, pairs_bytes((b"a", b"b"))) + assign(9, b"")}),
    "empty names and values": Scenario(
        {},
        {
            "H": get(0, "")
            + add(0, "x-empty", "")
            + get(0, "x-empty")
            + replace(0, "x-empty", "")
            + remove(0, "")
            + dump(0)
        },
    ),
}
