"""Contexts, the log, clocks, shared data and metrics."""

from __future__ import annotations

from tests.conformance.areas.common import (
    POST_ONE,
)
from tests.conformance.program import (
    COUNTER,
    GAUGE,
    HISTOGRAM,
    PAUSE,
    REMEMBER,
    ROOT,
    SELF,
    act_for,
    call,
    define,
    get,
    get_shared,
    increment,
    joined,
    kept,
    metric,
    nth,
    own,
    record,
    reply,
    resume,
    set_shared,
    tick,
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
    "contexts of others": Scenario(
        {"H": PAUSE},
        {
            "H": nth(1, REMEMBER + tick(50)) + act_for(["context", 1]) + get(0, ":path") + act_for(["context", 7]),
            "I": nth(1, tick(0) + get(0, ":path") + act_for(kept("stream")) + get(0, ":path") + resume(0)),
            "L": act_for(["context", 1]),
            "X": act_for(["context", 1]) + get(0, ":path"),
        },
    ),
    "done of the stream deferred": Scenario({"D": 0}, {"X": call("proxy_done"), "L": call("proxy_done")}, repeat=2),
    "log": Scenario(
        {},
        {
            "H": joined(call("proxy_log", level, f"level {level}") for level in (1, 2, 3, 4, 5))
            + call("proxy_log", 2, "")
            + call("proxy_log", 2, "two\nlines")
            + call("proxy_log", 2, "gr\u00fcn")
            + call("proxy_log", 6, "no such level")
            + call("proxy_get_log_level")
        },
    ),
    "time": Scenario(
        {},
        {letter: call("proxy_get_current_time_nanoseconds", shown="none") for letter in "HhL"},
    ),
}


METRICS = {
    "counter": Scenario(
        {},
        {
            "H": define(COUNTER, "hits")
            + metric()
            + increment(2)
            + increment(40)
            + metric()
            + increment(0)
            + increment(-1)
            + record(7)
            + metric()
        },
    ),
    "gauge": Scenario(
        {},
        {
            "H": define(GAUGE, "level")
            + metric()
            + increment(5)
            + increment(-2)
            + metric()
            + increment(0)
            + record(9)
            + metric()
            + increment(-10)
            + metric()
            + record(0)
            + metric()
        },
    ),
    "histogram": Scenario(
        {}, {"H": define(HISTOGRAM, "size") + record(1) + record(200) + increment(1) + increment(-1) + metric()}
    ),
    "ids tell the type": Scenario(
        {},
        {
            "H": joined(define(kind, f"first {kind}") for kind in (COUNTER, GAUGE, HISTOGRAM))
            + joined(define(kind, f"second {kind}") for kind in (COUNTER, GAUGE, HISTOGRAM))
            + define(COUNTER, "first 0")
            + increment(1)
            + call("proxy_define_metric", 3, "no such type")
            + call("proxy_define_metric", COUNTER, own(""))
        },
    ),
    "defined twice": Scenario(
        {},
        {
            "H": define(COUNTER, "hits")
            + increment(3)
            + define(COUNTER, "hits")
            + metric()
            + increment(4)
            + metric()
            + define(GAUGE, "hits")
            + metric()
        },
        repeat=2,
    ),
    "unknown ids": Scenario(
        {},
        {
            "H": joined(
                increment(1, number) + record(1, number) + metric(number)
                for number in (0, 1, 2, 3, 4000, 4001, 4002, 4003)
            )
        },
    ),
    "from every callback": Scenario(
        {}, {letter: define(COUNTER, f"in {letter}") + increment(1) for letter in "CHBhbLDX"}, POST_ONE
    ),
}
SHARED = {
    "keys": Scenario(
        {},
        {
            "H": set_shared("1", 0, "a")
            + set_shared("2", 0, "b")
            + get_shared("a")
            + set_shared("3", kept("cas"), "a")
            + get_shared("b")
            + set_shared("4", kept("cas", 1), "b")
            + get_shared("b")
            + get_shared("A")
            + get_shared("")
            + set_shared("\xff\x00", 0, "")
            + get_shared("")
        },
    ),
    "compare and swap on an absent key": Scenario({}, {"H": set_shared("1", 1, "new") + get_shared("new")}),
    "across requests": Scenario(
        {}, {"H": get_shared() + set_shared("first", 0), "L": get_shared() + set_shared("last", kept("cas"))}, repeat=3
    ),
    "from the root": Scenario({}, {"H": act_for(ROOT) + set_shared("of the root", 0) + act_for(SELF) + get_shared()}),
}
SCENARIOS |= {f"metrics: {name}": scenario for name, scenario in METRICS.items()}
SCENARIOS |= {f"shared data: {name}": scenario for name, scenario in SHARED.items()}
