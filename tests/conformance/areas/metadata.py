"""HTTP/2 metadata, which the filter sees and cannot hold."""

from __future__ import annotations

from tests.conformance.metadata_scenario import MetadataScenario
from tests.conformance.program import (
    add,
    body,
    get,
    reply,
)

SCENARIOS = {
    "of a request": MetadataScenario(request=({"a": "1", "b": "2"}, b"body", {}, {"c": "3"})),
    "of a response": MetadataScenario(answer=({"early": "1"}, 200, {"a": "1", "b": "2"}, b"answer", {}, {"c": "3"})),
    "what it returns has no effect": MetadataScenario(
        {"M": 1, "m": 3}, {}, ({"a": "1"}, b"body"), (200, {"b": "2"}, b"answer")
    ),
    "maps and buffers": MetadataScenario(
        {},
        {"M": get(0, ":method") + get(1, "x") + body(0) + add(0, "x-m", "1"), "m": get(2, ":status") + body(1)},
        ({"a": "1"}, b"body"),
        (200, {"b": "2"}, b"answer"),
    ),
    "a local response": MetadataScenario({}, {"M": reply()}, ({"a": "1"}, b"body", {"b": "2"})),
}
