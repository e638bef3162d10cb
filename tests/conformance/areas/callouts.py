"""HTTP callouts: what is sent, what comes back, and what can be done with the answer."""

from __future__ import annotations

from functools import partial
from typing import Any

from pywasm_filter.testing import ClusterAnswer, Delay, NoAnswer, Partial, Refuse, Request, Reset, Response
from tests.conformance.areas.common import (
    ALLOW,
    POST_ONE,
    POST_TRAILERS,
    WITH_TRAILERS,
)
from tests.conformance.program import (
    ACT,
    ANSWER,
    CONTINUE_AT_END,
    PAUSE,
    REMEMBER,
    ROOT,
    STATUS,
    TRAP,
    Operations,
    act_for,
    add,
    at_end,
    attribute,
    before_end,
    body,
    call,
    close,
    dump,
    edit,
    get,
    http_call,
    nth,
    pairs_bytes,
    remove,
    replace,
    reply,
    resume,
)
from tests.conformance.scenario import Scenario

OK = Response(200, headers={"X-Resp": "1"}, body="hello")
LATE = Delay(0.15, OK)
SHORT = 250
METHODS = (b":method", b":path", b":authority")


# A body in pieces may reach Envoy in one when the machine is busy.
scenario = partial(Scenario, response=Response(200, body="one piece"))


def headers(*pairs: tuple[bytes, bytes], **pseudo: bytes) -> tuple[tuple[bytes, bytes], ...]:
    named = {"method": b"GET", "path": b"/p", "authority": b"a", **pseudo}
    return (*((f":{name}".encode(), value) for name, value in named.items() if value != b"-"), *pairs)


def from_headers(answer: Operations, *, answered: ClusterAnswer = OK, timeout: int = 2000, **more: Any) -> Scenario:
    """A request that waits in on_request_headers for a callout to `auth`; then comes `answer`."""
    return scenario(
        {"H": PAUSE}, {"H": REMEMBER + http_call(timeout=timeout), "U": answer}, clusters={"auth": answered}, **more
    )


def from_body(answer: Operations, returned: int = PAUSE, **more: Any) -> Scenario:
    """A request that waits at the end of its body."""
    return scenario(
        {"B": returned},
        {"H": remove(0, "content-length"), "B": at_end(REMEMBER + http_call()), "U": answer},
        clusters={"auth": LATE},
        **more,
    )


def by_path(request: Request) -> Delay[Response]:
    """Answers one after another."""
    return Delay(0.05 * " LDX".index(request.path), Response(200, body=request.path))


SCENARIOS = {
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
        {"H": REMEMBER + http_call(headers=headers(method=b"HEAD")), "U": ANSWER + ACT + resume(0)},
        clusters={"auth": OK},
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
    "reset within the answer": from_headers(ANSWER + STATUS + ACT + resume(0), answered=Partial(OK)),
    "reset within a chunked answer": from_headers(
        ANSWER + STATUS + ACT + resume(0), answered=Partial(Response(200, body=["a", "b"]))
    ),
    "timeout of a call to grpc": scenario(
        {"H": PAUSE},
        {
            "H": REMEMBER + http_call(headers=headers((b"content-type", b"application/grpc")), timeout=SHORT),
            "U": ANSWER + ACT + resume(0),
        },
        clusters={"auth": NoAnswer()},
    ),
    "refused head": scenario(
        {"H": PAUSE},
        {"H": REMEMBER + http_call(headers=headers(method=b"HEAD")), "U": ANSWER + ACT + resume(0)},
        clusters={"auth": Refuse()},
    ),
    "status after a failure": from_headers(
        nth(1, http_call()) + nth(2, ANSWER + STATUS + ACT + resume(0)), answered=Partial(OK), timeout=SHORT
    ),
    # --- what is sent ---
    "refused calls": scenario(
        {},
        {
            "H": http_call("nope")
            + http_call(timeout=-1)
            + http_call(headers=headers(method=b"-"))
            + http_call(headers=headers(path=b"-"))
            + http_call(headers=headers(authority=b"-"))
            + http_call(headers=())
            + http_call(headers=headers((b"Host", b"by-host"), authority=b"-"))
        },
        clusters={"auth": LATE},
        then=0.3,
    ),
    "calls with bodies": scenario(
        {"H": PAUSE},
        {
            "H": REMEMBER + http_call(headers=headers(method=b"POST", path=b"/1")),
            "U": nth(1, http_call(headers=headers((b"content-length", b"99"), method=b"POST"), body="body", timeout=0))
            + nth(2, http_call(headers=headers(method=b"POST"), body="body", trailers=pairs_bytes((b"x-t", b"1"))))
            + nth(3, http_call(headers=headers(), trailers=pairs_bytes((b"x-t", b"1"))))
            + nth(4, http_call(headers=headers(method=b"DELETE"), body="body"))
            + nth(
                5,
                http_call(
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
            )
            + nth(6, ACT + resume(0)),
        },
    ),
    "call that announces a body": scenario(
        {"H": PAUSE},
        {
            "H": REMEMBER + http_call(headers=headers((b"content-length", b"9"), method=b"POST"), timeout=SHORT),
            "U": ANSWER + ACT + resume(0),
        },
    ),
    # --- who makes them, and when ---
    "two at once": scenario(
        {"H": PAUSE},
        {
            "H": REMEMBER + http_call("slow", timeout=2000) + http_call(),
            "U": ANSWER + nth(2, ACT + resume(0)),
        },
        clusters={"auth": OK, "slow": LATE},
    ),
    "one after another": from_headers(ANSWER + nth(1, http_call()) + nth(2, http_call()) + nth(3, ACT + resume(0))),
    "from each callback of the stream": scenario(
        {},
        {letter: http_call(headers=headers(path=letter.encode())) for letter in "LDX"},
        clusters={"auth": by_path},
        then=0.3,
    ),
    "in the root context's name": scenario(
        {"H": PAUSE},
        {
            "H": REMEMBER + act_for(ROOT) + http_call(),
            "U": ACT + resume(0),
        },
    ),
    "the stream ends first": scenario(
        {},
        {"H": REMEMBER + http_call(), "U": ANSWER + ACT + get(0, ":path") + reply() + resume(0)},
        clusters={"auth": LATE},
        then=0.3,
    ),
    "the stream is answered first": scenario(
        {"H": PAUSE},
        {"H": REMEMBER + http_call() + reply(), "U": ANSWER + ACT},
        clusters={"auth": LATE},
        then=0.3,
    ),
    # --- without the stream's context ---
    "reply, continue and close in the root": from_headers(reply() + resume(0) + close(0) + ACT + resume(0)),
    "request maps in the root": from_headers(get(0, ":path") + add(0, "x", "y") + dump(0) + body(0) + ACT + resume(0)),
    # --- in the stream's context ---
    "reply": from_headers(ACT + reply()),
    "reply and continue": from_headers(ACT + reply() + act_for(ROOT)),
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
        {"H": REMEMBER + http_call(), "U": ACT + body(0) + add(0, "x-edit", "1") + resume(0)},
        POST_ONE,
        clusters={"auth": LATE},
    ),
    "all stopped, trailers": scenario(
        {"H": 4},
        {"H": REMEMBER + http_call(), "U": ACT + resume(0)},
        POST_TRAILERS,
        response=WITH_TRAILERS,
        clusters={"auth": LATE},
    ),
    "headers stopped alone, body passes": scenario(
        {"H": PAUSE, "B": PAUSE},
        {"H": REMEMBER + http_call(), "B": CONTINUE_AT_END, "U": ACT + get(0, ":path")},
        POST_ONE,
        clusters={"auth": LATE},
        then=0.3,
        settings=ALLOW,
    ),
    "headers stopped, body held": scenario(
        {"H": PAUSE, "B": PAUSE},
        {
            "H": remove(0, "content-length") + REMEMBER + http_call(),
            "U": ACT + body(0) + edit(0, 0, 1) + body(0) + add(0, "x-edit", "1") + get(0, ":path") + resume(0),
        },
        POST_ONE,
        clusters={"auth": LATE},
        settings=ALLOW,
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
            "B": at_end(REMEMBER + http_call()),
            "U": ACT + resume(0),
            **dict.fromkeys("hbL", body(0)),
        },
        POST_ONE,
        clusters={"auth": LATE},
    ),
    "body held from its first piece": scenario(
        {"B": PAUSE},
        {
            "H": remove(0, "content-length"),
            "B": before_end(nth(1, REMEMBER + http_call())),
            "U": ACT + body(0) + edit(0, 0, 2) + resume(0),
        },
        POST_ONE,
        clusters={"auth": LATE},
    ),
    "trailers": scenario(
        {"T": PAUSE},
        {
            "T": REMEMBER + http_call(),
            "U": ACT + get(1, "x-t") + add(1, "x-u", "1") + body(0) + resume(0) + get(1, "x-t"),
        },
        POST_TRAILERS,
        clusters={"auth": LATE},
    ),
    # --- responses ---
    "response headers": scenario(
        {"h": PAUSE},
        {
            "h": REMEMBER + http_call(),
            "U": ACT + get(2, ":status") + add(2, "x-e", "1") + resume(1) + get(2, ":status"),
        },
        clusters={"auth": LATE},
    ),
    "response headers replied to": scenario(
        {"h": PAUSE}, {"h": REMEMBER + http_call(), "U": ACT + reply()}, clusters={"auth": LATE}
    ),
    "response body": scenario(
        {"b": PAUSE},
        {
            "h": remove(2, "content-length"),
            "b": at_end(REMEMBER + http_call()),
            "U": ACT + body(1) + edit(1, 0, 2) + body(1) + resume(1) + body(1),
        },
        clusters={"auth": LATE},
    ),
    **{
        f"response body returns {returned}": scenario(
            {"b": returned},
            {"h": remove(2, "content-length"), "b": at_end(REMEMBER + http_call()), "U": ACT + body(1) + resume(1)},
            clusters={"auth": LATE},
        )
        for returned in (2, 3)
    },
    "request body read behind a watermark": scenario({"B": 2}, {"T": body(0)}, POST_TRAILERS),
    "response trailers": scenario(
        {"t": PAUSE},
        {"t": REMEMBER + http_call(), "U": ACT + get(3, "x-r") + add(3, "x-s", "1") + resume(1)},
        response=WITH_TRAILERS,
        clusters={"auth": LATE},
    ),
    # --- traps: one for each Envoy, which it takes with it ---
    "trap in the answer": from_headers(TRAP, repeat=2, kills=True),
    "trap while a callout is under way": scenario(
        {"H": PAUSE},
        {"H": nth(1, http_call()) + nth(2, TRAP), "U": ANSWER},
        clusters={"auth": LATE},
        repeat=2,
        settings=ALLOW,
        kills=True,
    ),
    "headers that are garbage": scenario({}, {"H": call("proxy_http_call", "auth", b"\2\0\0\0garbage", "", b"", 100)}),
    "two cancelled with the stream": scenario(
        {}, {"H": http_call() + http_call("slow"), "U": ANSWER}, clusters={"auth": OK, "slow": LATE}, then=0.3
    ),
}
