"""Callouts, ticks and shared queues: the embedded proxy does what a real Envoy does."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pywasm_filter.testing import Delay, NoAnswer, Partial, Refuse, Request, Reset, Response
from pywasm_filter.testing.clusters import ClusterAnswer
from tests.conformance.recorder import (
    ACT,
    ALLOW,
    ANSWER,
    CONTINUE_AT_END,
    PAUSE,
    POST_ONE,
    POST_TRAILERS,
    REMEMBER,
    TRAP,
    WITH_TRAILERS,
    Scenario,
    add,
    at_end,
    attribute,
    before_end,
    body,
    call,
    close,
    count,
    dequeue,
    dump,
    edit,
    enqueue,
    get,
    in_root,
    note,
    on_both,
    pairs_bytes,
    register,
    remove,
    replace,
    reply,
    resolve,
    resume,
    tick,
)

AUTH: dict[str, Any] = {"settings": {"clusters": ("auth", "slow")}}
AUTH_ALLOW: dict[str, Any] = {"settings": {"clusters": ("auth", "slow"), **ALLOW}}
OK = Response(200, headers={"X-Resp": "1"}, body="hello")
LATE = Delay(0.15, OK)
SHORT = 250
METHODS = (b":method", b":path", b":authority")


# A body in pieces may reach Envoy in one when the machine is busy.
scenario = partial(Scenario, response=Response(200, body="one piece"))


def headers(*pairs: tuple[bytes, bytes], **pseudo: bytes) -> tuple[tuple[bytes, bytes], ...]:
    named = {"method": b"GET", "path": b"/p", "authority": b"a", **pseudo}
    return (*((f":{name}".encode(), value) for name, value in named.items() if value != b"-"), *pairs)


def from_headers(answer: str, *, answered: ClusterAnswer = OK, timeout: int = 2000, **more: Any) -> Scenario:
    """A request that waits in on_request_headers for a callout to `auth`; then comes `answer`."""
    return scenario(
        {"H": PAUSE}, {"H": REMEMBER + call(timeout=timeout), "U": answer}, clusters={"auth": answered}, **AUTH, **more
    )


def from_body(answer: str, returned: int = PAUSE, **more: Any) -> Scenario:
    """A request that waits at the end of its body."""
    return scenario(
        {"B": returned},
        {"H": remove(0, "content-length"), "B": at_end(REMEMBER + call()), "U": answer},
        clusters={"auth": LATE},
        **{**AUTH, **more},
    )


def by_path(request: Request) -> Response | Delay[Response]:
    return Response(200, body=request.path) if request.path == "/fast" else Delay(0.1, Response(200, body=request.path))


CALLOUTS = {
    # --- what arrives ---
    "answer": from_headers(ANSWER + ACT + resume(0)),
    "answer with trailers": from_headers(
        ANSWER + ACT + resume(0), answered=Response(201, body=["a", "b"], trailers={"X-T": "1"})
    ),
    "answer without body": from_headers(ANSWER + ACT + resume(0), answered=Response(204)),
    "answer 503 of the service": from_headers(ANSWER + ACT + resume(0), answered=Response(503, body="busy")),
    "answer with a service time of its own": from_headers(
        ANSWER + ACT + resume(0),
        answered=Response(200, headers={"x-envoy-upstream-service-time": "99", "set-cookie": "a"}, body="x"),
    ),
    "answer to head": scenario(
        {"H": PAUSE},
        {"H": REMEMBER + call(headers=headers(method=b"HEAD")), "U": ANSWER + ACT + resume(0)},
        clusters={"auth": OK},
        **AUTH,
    ),
    "late answer": from_headers(ANSWER + ACT + resume(0), answered=LATE),
    "timeout": from_headers(ANSWER + ACT + resume(0), answered=NoAnswer(), timeout=SHORT),
    "timeout before a late answer": from_headers(ANSWER + ACT + resume(0), answered=Delay(0.5, OK), timeout=SHORT),
    "timeout within the answer": from_headers(
        ANSWER + ACT + resume(0), answered=Partial(OK, NoAnswer()), timeout=SHORT
    ),
    "refused": from_headers(ANSWER + ACT + resume(0), answered=Refuse()),
    "reset": from_headers(ANSWER + ACT + resume(0), answered=Reset()),
    "late reset": from_headers(ANSWER + ACT + resume(0), answered=Delay(0.1, Reset())),
    "reset within the answer": from_headers(ANSWER + ACT + resume(0), answered=Partial(OK)),
    "reset within a chunked answer": from_headers(
        ANSWER + ACT + resume(0), answered=Partial(Response(200, body=["a", "b"]))
    ),
    "timeout of a call to grpc": scenario(
        {"H": PAUSE},
        {
            "H": REMEMBER + call(headers=headers((b"content-type", b"application/grpc")), timeout=SHORT),
            "U": ANSWER + ACT + resume(0),
        },
        clusters={"auth": NoAnswer()},
        **AUTH,
    ),
    "refused head": scenario(
        {"H": PAUSE},
        {"H": REMEMBER + call(headers=headers(method=b"HEAD")), "U": ANSWER + ACT + resume(0)},
        clusters={"auth": Refuse()},
        **AUTH,
    ),
    "status after a failure": from_headers(
        count(call(), 1) + count(ANSWER + ACT + resume(0), 3), answered=Partial(OK), timeout=SHORT
    ),
    # --- what is sent ---
    "refused calls": scenario(
        {},
        {
            "H": call("nope")
            + call(timeout=-1)
            + call(headers=headers(method=b"-"))
            + call(headers=headers(path=b"-"))
            + call(headers=headers(authority=b"-"))
            + call(headers=())
            + call(headers=headers((b"Host", b"by-host"), authority=b"-"))
        },
        clusters={"auth": LATE},
        then=0.3,
        settings={"clusters": ("auth",)},
    ),
    "calls with bodies": scenario(
        {"H": PAUSE},
        {
            "H": REMEMBER + call(headers=headers(method=b"POST", path=b"/1")),
            "U": count(call(headers=headers((b"content-length", b"99"), method=b"POST"), body="body", timeout=0), 1)
            + count(call(headers=headers(method=b"POST"), body="body", trailers=pairs_bytes((b"x-t", b"1"))), 3)
            + count(call(headers=headers(), trailers=pairs_bytes((b"x-t", b"1"))), 6)
            + count(call(headers=headers(method=b"DELETE"), body="body"), 10)
            + count(
                call(
                    headers=headers(
                        (b"x-envoy-internal", b"false"),
                        (b"dup", b"1"),
                        (b"accept", b"1"),
                        (b"dup", b"2"),
                        (b"accept", b"2"),
                        (b"x-empty", b""),
                        (b"x-forwarded-for", b"9.9.9.9"),
                        (b"x-raw", b"\xff"),
                    )
                ),
                15,
            )
            + count(ACT + resume(0), 21),
        },
        **AUTH,
    ),
    "call that announces a body": scenario(
        {"H": PAUSE},
        {
            "H": REMEMBER + call(headers=headers((b"content-length", b"9"), method=b"POST"), timeout=SHORT),
            "U": ANSWER + ACT + resume(0),
        },
        **AUTH,
    ),
    # --- who makes them, and when ---
    "two at once": scenario(
        {"H": PAUSE},
        {
            "H": REMEMBER + call("slow", timeout=2000) + call(),
            "U": ANSWER + count(note("1", "(i32.const 1)"), 1) + count(ACT + resume(0), 3),
        },
        clusters={"auth": OK, "slow": LATE},
        **AUTH,
    ),
    "one after another": from_headers(ANSWER + count(call(), 1) + count(call(), 3) + count(ACT + resume(0), 6)),
    "from each callback of the stream": scenario(
        {},
        dict.fromkeys("LDX", call()),
        clusters={"auth": by_path},
        then=0.3,
        **AUTH,
    ),
    "in the root context's name": scenario(
        {"H": PAUSE},
        {
            "H": REMEMBER + note("e", "(call $proxy_set_effective_context (i32.const 1))") + call(),
            "U": ACT + resume(0),
        },
        **AUTH,
    ),
    "the stream ends first": scenario(
        {},
        {"H": REMEMBER + call(), "U": ANSWER + ACT + get(0, ":path") + reply() + resume(0)},
        clusters={"auth": LATE},
        then=0.3,
        **AUTH,
    ),
    "the stream is answered first": scenario(
        {"H": PAUSE},
        {"H": REMEMBER + call() + reply(), "U": ANSWER + ACT},
        clusters={"auth": LATE},
        then=0.3,
        **AUTH,
    ),
    # --- without the stream's context ---
    "reply, continue and close in the root": from_headers(reply() + resume(0) + close(0) + ACT + resume(0)),
    "request maps in the root": from_headers(get(0, ":path") + add(0, "x", "y") + dump(0) + body(0) + ACT + resume(0)),
    # --- in the stream's context ---
    "reply": from_headers(ACT + reply()),
    "reply and continue": from_headers(ACT + reply() + note("e", "(call $proxy_set_effective_context (i32.const 1))")),
    "close": from_headers(ACT + close(0)),
    "answer read in the stream's context": from_headers(
        ACT + get(6, "x-resp") + get(6, "nope") + dump(6) + body(4) + add(6, "x", "y") + edit(4, 0, 1) + resume(0)
    ),
    "absent answer read": from_headers(
        get(6, ":status") + get(7, "x") + body(4) + ACT + get(6, ":status") + body(4) + resume(0), answered=Partial(OK)
    ),
    "headers edited": from_headers(
        ACT
        + get(0, ":path")
        + add(0, "x-edit", "1")
        + replace(0, ":path", "/new")
        + body(0)
        + resume(0)
        + get(0, ":path"),
        request=POST_ONE,
    ),
    "headers edited, no body": from_headers(ACT + add(0, "x-edit", "1") + attribute("request", "path") + resume(0)),
    "all stopped": scenario(
        {"H": 4},
        {"H": REMEMBER + call(), "U": ACT + body(0) + add(0, "x-edit", "1") + resume(0)},
        POST_ONE,
        clusters={"auth": LATE},
        **AUTH,
    ),
    "all stopped, trailers": scenario(
        {"H": 4},
        {"H": REMEMBER + call(), "U": ACT + resume(0)},
        POST_TRAILERS,
        response=WITH_TRAILERS,
        clusters={"auth": LATE},
        **AUTH,
    ),
    "headers stopped alone, body passes": scenario(
        {"H": PAUSE, "B": PAUSE},
        {"H": REMEMBER + call(), "B": CONTINUE_AT_END, "U": ACT + get(0, ":path")},
        POST_ONE,
        clusters={"auth": LATE},
        then=0.3,
        **AUTH_ALLOW,
    ),
    "headers stopped, body held": scenario(
        {"H": PAUSE, "B": PAUSE},
        {
            "H": remove(0, "content-length") + REMEMBER + call(),
            "U": ACT + body(0) + edit(0, 0, 1) + body(0) + add(0, "x-edit", "1") + get(0, ":path") + resume(0),
        },
        POST_ONE,
        clusters={"auth": LATE},
        **AUTH_ALLOW,
    ),
    # --- bodies ---
    "held body edited": from_body(
        ACT + body(0) + edit(0, 0, 2) + edit(0, 99, 0) + body(0) + add(0, "x-edit", "1") + resume(0) + body(0),
        request=POST_ONE,
    ),
    "held body edited, one piece": from_body(ACT + body(0) + edit(0, 0, 2) + resume(0), request=POST_ONE),
    "held body replied to": from_body(ACT + body(0) + reply(), request=POST_ONE),
    "held body not touched": from_body(ACT + resume(0), request=POST_ONE),
    "held body made empty": from_body(ACT + edit(0, 0, 99, "") + resume(0), request=POST_ONE),
    "body held by watermark": from_body(ACT + resume(0) + body(0), 2, request=POST_ONE),
    "body dropped": from_body(ACT + resume(0) + body(0), 3, request=POST_ONE),
    "held body read later": scenario(
        {"B": PAUSE},
        {
            "B": at_end(REMEMBER + call()),
            "U": ACT + resume(0),
            **dict.fromkeys("hbL", body(0)),
        },
        POST_ONE,
        clusters={"auth": LATE},
        **AUTH,
    ),
    "body held from its first piece": scenario(
        {"B": PAUSE},
        {
            "H": remove(0, "content-length"),
            "B": before_end(count(REMEMBER + call(), 1)),
            "U": ACT + body(0) + edit(0, 0, 2) + resume(0),
        },
        POST_ONE,
        clusters={"auth": LATE},
        **AUTH,
    ),
    "trailers": scenario(
        {"T": PAUSE},
        {"T": REMEMBER + call(), "U": ACT + get(1, "x-t") + add(1, "x-u", "1") + body(0) + resume(0) + get(1, "x-t")},
        POST_TRAILERS,
        clusters={"auth": LATE},
        **AUTH,
    ),
    # --- responses ---
    "response headers": scenario(
        {"h": PAUSE},
        {"h": REMEMBER + call(), "U": ACT + get(2, ":status") + add(2, "x-e", "1") + resume(1) + get(2, ":status")},
        clusters={"auth": LATE},
        **AUTH,
    ),
    "response headers replied to": scenario(
        {"h": PAUSE}, {"h": REMEMBER + call(), "U": ACT + reply()}, clusters={"auth": LATE}, **AUTH
    ),
    "response body": scenario(
        {"b": PAUSE},
        {
            "h": remove(2, "content-length"),
            "b": at_end(REMEMBER + call()),
            "U": ACT + body(1) + edit(1, 0, 2) + body(1) + resume(1) + body(1),
        },
        clusters={"auth": LATE},
        **AUTH,
    ),
    **{
        f"response body returns {returned}": scenario(
            {"b": returned},
            {"h": remove(2, "content-length"), "b": at_end(REMEMBER + call()), "U": ACT + body(1) + resume(1)},
            clusters={"auth": LATE},
            **AUTH,
        )
        for returned in (2, 3)
    },
    "request body read behind a watermark": scenario({"B": 2}, {"T": body(0)}, POST_TRAILERS),
    "response trailers": scenario(
        {"t": PAUSE},
        {"t": REMEMBER + call(), "U": ACT + get(3, "x-r") + add(3, "x-s", "1") + resume(1)},
        response=WITH_TRAILERS,
        clusters={"auth": LATE},
        **AUTH,
    ),
    # --- traps ---
    "trap in the answer": from_headers(TRAP, repeat=2),
    "trap in the answer, then fail open": scenario(
        {"H": PAUSE}, {"H": call(), "U": TRAP}, repeat=2, settings={"clusters": ("auth",), "fail_open": True}
    ),
    "trap while a callout is under way": scenario(
        {},
        {"H": count(TRAP, 2) + call(), "U": ANSWER},
        clusters={"auth": Delay(0.3, OK)},
        repeat=2,
        then=0.5,
        **AUTH,
    ),
}

TICKS = {
    "tick from a stream": scenario({}, {"H": tick(100), "I": get(0, ":path") + count(tick(0), 3)}, then=0.7),
    "another period": scenario({}, {"H": tick(300) + tick(50), "I": count(tick(200), 2) + count(tick(0), 4)}, then=0.8),
    "reply in a tick": scenario({}, {"H": tick(50), "I": reply() + resume(0) + close(0) + tick(0)}, then=0.2),
    "paused until a tick": scenario({"H": PAUSE}, {"H": REMEMBER + tick(50), "I": tick(0) + ACT + resume(0)}),
    "replied to by a tick": scenario({"H": PAUSE}, {"H": REMEMBER + tick(50), "I": tick(0) + ACT + reply()}),
    "callout of a tick": scenario(
        {"H": PAUSE},
        {"H": REMEMBER + tick(50), "I": tick(0) + call(), "U": ANSWER + ACT + resume(0)},
        clusters={"auth": OK},
        **AUTH,
    ),
    "trap in a tick": scenario({}, {"H": tick(50), "I": TRAP}, then=0.3),
    "tick never": scenario({}, {"H": tick(0)}, then=0.1),
}

JOBS: dict[str, Any] = {"settings": {"vm_id": "vm1", "root_id": "http", "background_roots": {"bg": b"cfg"}}}
ROOT_ID = attribute("plugin_root_id")

QUEUES = {
    "one root": scenario(
        {},
        {
            "K": register("jobs"),
            "H": resolve("other", "jobs")
            + resolve("", "none")
            + resolve("vm1", "jobs")
            + resolve("", "jobs")
            + dequeue("(i32.const 99)")
            + enqueue("x", "(i32.const 99)")
            + dequeue()
            + enqueue("one")
            + enqueue("")
            + enqueue("two"),
            "J": dequeue() + get(0, ":path"),
        },
        settings={"vm_id": "vm1"},
        then=0.1,
    ),
    "emptied before it is told": scenario(
        {}, {"K": register("jobs"), "H": enqueue("one") + dequeue(), "J": dequeue()}, then=0.1
    ),
    "registered by a stream": scenario(
        {}, {"H": register("a") + register("b") + register("a") + enqueue("x"), "J": dequeue() + ROOT_ID}, then=0.1
    ),
    "filled while it is emptied": scenario(
        {}, {"K": register("jobs"), "H": enqueue("one"), "J": dequeue() + count(enqueue("two"), 1)}, then=0.1
    ),
    "paused until the queue": scenario(
        {"H": PAUSE}, {"K": register("jobs"), "H": REMEMBER + enqueue("one"), "J": dequeue() + ACT + resume(0)}
    ),
    "two roots": scenario(
        {},
        {
            "K": in_root("bg", register("jobs") + ROOT_ID + body(7)),
            "H": ROOT_ID + resolve("", "jobs") + enqueue("one"),
            "J": dequeue() + ROOT_ID,
        },
        then=0.1,
        **JOBS,
    ),
    "the last to register is told": scenario(
        {},
        {
            "K": in_root("bg", register("jobs")),
            "H": register("jobs") + enqueue("one"),
            "J": dequeue() + ROOT_ID,
        },
        then=0.1,
        **JOBS,
    ),
    "callouts of two roots": scenario(
        {"H": PAUSE},
        {
            "K": in_root("bg", register("jobs")),
            "H": REMEMBER + resolve("", "jobs") + enqueue("one"),
            "J": dequeue() + call() + tick(40),
            "I": tick(0) + ROOT_ID,
            "U": ROOT_ID + ANSWER + ACT + call() + reply(),
        },
        then=0.2,
        clusters={"auth": LATE},
        settings={**JOBS["settings"], "clusters": ("auth",)},
    ),
}

SCENARIOS = {
    **{f"callout: {name}": each for name, each in CALLOUTS.items()},
    **{f"tick: {name}": each for name, each in TICKS.items()},
    **{f"queue: {name}": each for name, each in QUEUES.items()},
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_embedded_proxy_does_what_envoy_does(name: str, tmp_path: Path) -> None:
    mine, theirs = on_both(SCENARIOS[name], tmp_path)
    assert mine == theirs
