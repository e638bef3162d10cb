"""The iteration of an HTTP stream: order of callbacks, pausing, continuing, limits, resets."""

from __future__ import annotations

from pywasm_filter.testing import Response
from tests.conformance.areas.common import (
    ALLOW,
    CHUNKED,
    LARGE,
    POST,
    POST_ONE,
    POST_TRAILERS,
    WITH_TRAILERS,
)
from tests.conformance.program import (
    CONTINUE_AT_END,
    PAUSE,
    TRAP,
    at_end,
    close,
    resume,
)
from tests.conformance.scenario import Scenario

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
    "body dropped": Scenario({"B": 3, "b": 3}, {"B": CONTINUE_AT_END, "b": CONTINUE_AT_END}, POST, CHUNKED),
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
    ),
    "request too large in one piece": Scenario({"B": PAUSE}, {}, {"method": "POST", "body": b"x" * 1001}),
    "request just small enough": Scenario(
        {"B": PAUSE}, {"B": CONTINUE_AT_END}, {"method": "POST", "body": b"x" * 1000}
    ),
    "request too large behind paused headers": Scenario(
        {"H": 3}, {}, {"method": "POST", "body": [b"x" * 600, b"y" * 600]}
    ),
    "request blocked behind paused headers": Scenario(
        {"H": 4}, {}, {"method": "POST", "body": [b"x" * 600, b"y" * 600, b"z" * 600]}
    ),
    "request blocked by watermark": Scenario(
        {"B": 2}, {}, {"method": "POST", "body": [b"x" * 600, b"y" * 600, b"z" * 600]}
    ),
    "large request not held": Scenario({}, {}, {"method": "POST", "body": [b"x" * 600, b"y" * 600]}),
    "response too large": Scenario({"b": PAUSE}, {}, {}, LARGE),
    "response too large, headers held": Scenario({"h": PAUSE, "b": PAUSE}, {}, {}, LARGE, ALLOW),
    "response blocked behind paused headers": Scenario({"h": PAUSE}, {}, {}, LARGE),
    # --- resets ---
    "close the request": Scenario({}, {"H": close(0)}, POST),
    "close the response in the request": Scenario({}, {"H": close(1)}, POST),
    "close in the request body": Scenario({}, {"B": close(0)}, POST),
    "close in the response": Scenario({}, {"h": close(1)}, POST),
    "close in the response body": Scenario({}, {"b": close(1)}, POST),
    "close the other types": Scenario({}, {"H": close(2) + close(3) + close(4)}),
    # --- traps: one for each Envoy, which it takes with it ---
    "trap in on_request_headers": Scenario({}, {"H": TRAP}, POST_TRAILERS, WITH_TRAILERS, repeat=2, kills=True),
    "trap in on_response_body": Scenario({}, {"b": TRAP}, POST_ONE, settings=ALLOW, repeat=2, kills=True),
    "trap in on_request_body, then fail open": Scenario(
        {}, {"B": TRAP}, POST_ONE, settings={"failure_policy": "fail_open"}, repeat=2, kills=True
    ),
    # --- more than once ---
    "closed twice": Scenario({}, {"H": close(0) + close(0)}, POST_ONE),
    "closed and continued": Scenario({"H": PAUSE}, {"H": close(0) + resume(0)}, POST_ONE),
    "continued twice": Scenario({"H": PAUSE}, {"H": resume(0) + resume(0)}, POST_ONE),
    "both directions continued": Scenario({"H": PAUSE, "h": PAUSE}, {"H": resume(0), "h": resume(0) + resume(1)}),
}
