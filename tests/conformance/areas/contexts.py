"""Contexts, shared data and metrics."""

from __future__ import annotations

from tests.conformance.program import (
    ROOT,
    SELF,
    act_for,
    call,
    get,
    get_shared,
    kept,
    reply,
    set_shared,
)
from tests.conformance.scenario import Scenario

SCENARIOS = {
    # --- contexts ---
    "effective context": Scenario(
        {},
        {
            "H": act_for(["context", 99]) + act_for(ROOT) + get(0, ":path") + reply() + act_for(SELF) + get(0, ":path"),
            "h": get(2, ":status"),
        },
    ),
    "done": Scenario({}, {"H": call("proxy_done")}),
    "done refused": Scenario({"D": 0}),
    "shared data": Scenario(
        {},
        {
            "H": get_shared()
            + set_shared("v", 0)
            + get_shared()
            + set_shared("w", kept("cas", 1))
            + set_shared("w", kept("cas"))
            + get_shared()
        },
    ),
    "shared data, absent and empty": Scenario(
        {},
        {
            "H": set_shared("", 0xFFFF_FFFF)
            + get_shared()
            + set_shared("w", 0xFFFF_FFFF)
            + get_shared()
            + set_shared("", 0)
            + get_shared()
        },
    ),
}
