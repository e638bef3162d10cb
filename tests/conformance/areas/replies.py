"""Local replies."""

from __future__ import annotations

from tests.conformance.areas.common import (
    ALLOW,
    POST,
    POST_ONE,
    POST_TRAILERS,
    WITH_TRAILERS,
)
from tests.conformance.program import (
    PAUSE,
    add,
    at_end,
    attributes,
    call,
    close,
    dump,
    edit,
    pairs_bytes,
    remove,
    reply,
    resume,
)
from tests.conformance.scenario import Scenario

SCENARIOS = {
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
    "reply and continue the stream": Scenario({"H": PAUSE}, {"H": reply() + resume(0)}, POST_ONE),
    "reply and close the stream": Scenario({"H": PAUSE}, {"H": reply() + close(0)}, POST_ONE),
    "reply with details of several lines": Scenario(
        {"H": PAUSE},
        {
            "H": call("proxy_send_local_response", 418, "two\nlines and more", "tea", b"", 0xFFFF_FFFF),
            "L": attributes("response.code_details", "response.code", "response.flags"),
        },
    ),
    "reply with a number that gRPC does not know": Scenario(
        {"H": PAUSE}, {"H": reply(grpc_status=99)}, {**POST_ONE, "headers": {"content-type": "application/grpc"}}
    ),
}
