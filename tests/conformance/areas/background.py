"""What happens without a stream: ticks, and shared queues."""

from __future__ import annotations

from functools import partial

from pywasm_filter.testing import Delay, Response
from tests.conformance.program import (
    ACT,
    ANSWER,
    PAUSE,
    REMEMBER,
    ROOT,
    SELF,
    TRAP,
    act_for,
    attributes,
    body,
    close,
    dequeue,
    enqueue,
    get,
    http_call,
    nth,
    program,
    register,
    reply,
    resolve,
    resume,
    tick,
)
from tests.conformance.scenario import Scenario

scenario = partial(Scenario, response=Response(200, body="one piece"))
OK = Response(200, headers={"X-Resp": "1"}, body="hello")
LATE = Delay(0.15, OK)
REGISTER = act_for(ROOT) + register("jobs") + act_for(SELF)
REGISTER_BACKGROUND = act_for(["context", "'bg'"]) + register("jobs") + act_for(SELF)
JOBS = {"background_roots": {"bg": program({"K": body(7)}).encode()}}
ROOT_ID = attributes("plugin_root_id")

TICKS = {
    "tick from a stream": scenario({}, {"H": tick(100), "I": get(0, ":path") + nth(3, tick(0))}, then=0.7),
    "another period": scenario({}, {"H": tick(300) + tick(50), "I": nth(2, tick(200)) + nth(4, tick(0))}, then=0.8),
    "reply in a tick": scenario({}, {"H": tick(50), "I": reply() + resume(0) + close(0) + tick(0)}, then=0.2),
    "paused until a tick": scenario({"H": PAUSE}, {"H": REMEMBER + tick(50), "I": tick(0) + ACT + resume(0)}),
    "replied to by a tick": scenario({"H": PAUSE}, {"H": REMEMBER + tick(50), "I": tick(0) + ACT + reply()}),
    "callout of a tick": scenario(
        {"H": PAUSE},
        {"H": REMEMBER + tick(50), "I": tick(0) + http_call(), "U": ANSWER + ACT + resume(0)},
        clusters={"auth": OK},
    ),
    "tick never": scenario({}, {"H": tick(0)}, then=0.1),
}

QUEUES = {
    "one root": scenario(
        {},
        {
            "H": REGISTER
            + resolve("other", "jobs")
            + resolve("", "none")
            + resolve("vid", "jobs")
            + resolve("", "jobs")
            + dequeue(9999)
            + enqueue("x", 9999)
            + dequeue()
            + enqueue("one")
            + enqueue("")
            + enqueue("two"),
            "J": dequeue() + get(0, ":path"),
        },
        then=0.1,
    ),
    "emptied before it is told": scenario({}, {"H": REGISTER + enqueue("one") + dequeue(), "J": dequeue()}, then=0.1),
    "registered by a stream": scenario(
        {}, {"H": register("a") + register("b") + register("a") + enqueue("x"), "J": dequeue() + ROOT_ID}, then=0.1
    ),
    "filled while it is emptied": scenario(
        {}, {"H": REGISTER + enqueue("one"), "J": dequeue() + nth(1, enqueue("two"))}, then=0.1
    ),
    "paused until the queue": scenario(
        {"H": PAUSE}, {"H": REMEMBER + REGISTER + enqueue("one"), "J": dequeue() + ACT + resume(0)}
    ),
    "two roots": scenario(
        {},
        {
            "H": REGISTER_BACKGROUND + ROOT_ID + resolve("", "jobs") + enqueue("one"),
            "J": dequeue() + ROOT_ID,
        },
        then=0.1,
        settings=JOBS,
        shows_start=True,
    ),
    "the last to register is told": scenario(
        {},
        {
            "H": REGISTER_BACKGROUND + register("jobs") + enqueue("one"),
            "J": dequeue() + ROOT_ID,
        },
        then=0.1,
        settings=JOBS,
    ),
    "callouts of two roots": scenario(
        {"H": PAUSE},
        {
            "H": REMEMBER + REGISTER_BACKGROUND + resolve("", "jobs") + enqueue("one"),
            "J": dequeue() + http_call() + tick(40),
            "I": tick(0) + ROOT_ID,
            "U": ROOT_ID + ANSWER + ACT + nth(1, http_call()) + reply(),
        },
        then=0.2,
        clusters={"auth": LATE},
        settings=JOBS,
    ),
    "trap in on_queue_ready": scenario(
        {}, {"H": REGISTER_BACKGROUND + enqueue("one"), "J": TRAP}, then=0.1, settings=JOBS, repeat=2, kills=True
    ),
}

SCENARIOS = {
    **{f"tick: {name}": each for name, each in TICKS.items()},
    **{f"queue: {name}": each for name, each in QUEUES.items()},
}
