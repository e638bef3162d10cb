"""gRPC callouts, with a real gRPC server behind the real Envoy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pywasm_filter.testing import GrpcCall, GrpcHandler, GrpcReply, GrpcRequest
from pywasm_filter.testing.answers import Delay, NoAnswer, Refuse, Reset
from pywasm_filter.testing.grpc import GrpcService
from tests.conformance.program import (
    ACT,
    LETTERS,
    PAUSE,
    REMEMBER,
    STATUS,
    TRAP,
    Operations,
    Text,
    add,
    body,
    call,
    get,
    joined,
    kept,
    nth,
    pairs_bytes,
    resume,
)
from tests.conformance.scenario import Scenario

THE_CALL = kept("grpc call")
THE_STREAM = kept("grpc stream")
RESUME = ACT + resume(0)
MESSAGE = body(5)
TELL = {"2": MESSAGE, "4": STATUS}
"""What each message and each end is asked for."""
SENT_OR_NOT = {"grpc": "it has left by then if there was a connection to the server already"}
READ_OR_NOT = {"grpc": "the server may not have read the message when the call is cancelled"}
NUMBERS = (0, 1, 2, 3, 4001, 4002, 4003, 4004)
"""Of no callout: the low bits tell which kind it would be."""


def proto(cluster: str) -> bytes:
    """A GrpcService with envoy_grpc.cluster_name."""
    name = cluster.encode()
    inner = b"\x0a" + bytes([len(name)]) + name
    return b"\x0a" + bytes([len(inner)]) + inner


CLUSTER = proto("grpc")


def grpc_call(
    upstream: Text = CLUSTER, method: str = "Get", metadata: bytes = b"", timeout: int = 5000, text: str = "hi"
) -> Operations:
    return call("proxy_grpc_call", upstream, "pkg.Svc", method, metadata, text, timeout, kept="grpc call")


def grpc_stream(upstream: Text = CLUSTER, metadata: bytes = b"") -> Operations:
    return call("proxy_grpc_stream", upstream, "pkg.Svc", "Chat", metadata, kept="grpc stream")


def grpc_send(text: str, *, end: bool = False, call_id: Any = THE_STREAM) -> Operations:
    return call("proxy_grpc_send", call_id, text, int(end))


def grpc_cancel(call_id: Any = THE_STREAM) -> Operations:
    return call("proxy_grpc_cancel", call_id)


def grpc_close(call_id: Any = THE_STREAM) -> Operations:
    return call("proxy_grpc_close", call_id)


def size(map_type: int) -> Operations:
    return call("proxy_get_header_map_size", map_type)


def once_more(first: Operations, then: Operations) -> Operations:
    """Something else at the second time."""
    return nth(1, first) + nth(2, then)


class Echo(GrpcHandler):
    """Answers each message, and says good bye."""

    def opened(self, call: GrpcCall) -> None:
        call.send_initial_metadata({"x-init": "1", "x-raw-bin": "AP8"})

    def received(self, call: GrpcCall, message: bytes) -> None:
        call.send(b"re:" + message)

    def half_closed(self, call: GrpcCall) -> None:
        call.send(b"bye")
        call.finish(0, "", {"x-trail": "2"})


class Early(GrpcHandler):
    """Ends the call at the first message."""

    status, text = 0, ""

    def received(self, call: GrpcCall, message: bytes) -> None:
        call.send(b"only")
        call.finish(self.status, self.text, {"x-trail": "2"})


class Lost(Early):
    status, text = 15, "lost, é\n100%"


class Empty(GrpcHandler):
    def received(self, call: GrpcCall, message: bytes) -> None:
        call.finish()


class Never(GrpcHandler):
    def half_closed(self, call: GrpcCall) -> None:
        """Nothing."""


class Breaking(GrpcHandler):
    """Breaks the connection in the middle of its answer."""

    def received(self, call: GrpcCall, message: bytes) -> None:
        if message == b"break":
            call.reset()
        else:
            call.send(b"so far")


class SendThenReset(GrpcHandler):
    def received(self, call: GrpcCall, message: bytes) -> None:
        call.send(b"so far")
        time.sleep(0.1)  # until it has left
        call.reset()


def answer(request: GrpcRequest) -> GrpcReply:
    return GrpcReply(
        b"re:" + request.message + request.method.encode(),
        initial_metadata={"x-init": "1"},
        trailing_metadata={"x-trail": "2"},
    )


def scenario(
    code: Mapping[str, Operations],
    service: GrpcService = answer,
    *,
    until: str = "",
    requests: int = 1,
    left_out: Mapping[str, str] | None = None,
) -> Scenario:
    """A request that waits for the callback `until`, if that is said, or two of them."""
    told = {letter: TELL.get(letter, []) + code.get(letter, []) for letter in {**TELL, **code}}
    if until:
        told["H"] = REMEMBER + told.get("H", [])
    if until in LETTERS:
        told[until] = told.get(until, []) + RESUME
    return Scenario(
        {"H": PAUSE} if until else {},
        told,
        repeat=requests,
        grpc={"grpc": service, "email": service},
        then=0.2,
        quiet="ChbLDX",  # what comes first, the end of the request or that of the callout, is chance
        left_out=left_out or {},
    )


METADATA = pairs_bytes(
    (b"x-md", b"v"), (b"X-MD", b"w"), (b"k-bin", b"\x00\x01\xff"), (b"x-empty", b""), (b"x-text", b"a b")
)


SCENARIOS = {
    "a call": scenario({"H": grpc_call(metadata=METADATA), "2": get(4, "x-init") + get(5, "x-trail")}, until="2"),
    "a call by the cluster's name": scenario({"H": grpc_call("a")}, until="2"),
    "a cluster whose name reads as a message": scenario({"H": grpc_call(proto("email"))}, until="2"),
    "two calls": scenario({"H": grpc_call(method="One"), "2": once_more(grpc_call(method="Two"), RESUME)}, until="-"),
    "an empty answer": scenario({"H": grpc_call()}, GrpcReply(), until="2"),
    "a success without a message": scenario({"H": grpc_call()}, Empty(), until="4"),
    "several messages to a call": scenario({"H": grpc_call()}, GrpcReply(messages=[b"a", b"b"]), until="2"),
    "an error": scenario(
        {"H": grpc_call()},
        GrpcReply(status=7, status_message="no, é 100% way\n!", trailing_metadata={"x-trail": "2"}),
        until="4",
    ),
    "an error without a word": scenario({"H": grpc_call()}, GrpcReply(status=16), until="4"),
    "an error after a message": scenario(
        {"H": grpc_call()}, GrpcReply(b"some", status=5, status_message="gone"), until="4"
    ),
    "the status is a thing of the past": scenario(
        {"H": once_more(grpc_call(), STATUS)}, GrpcReply(status=7, status_message="no"), requests=2
    ),
    "an answer in time": scenario({"H": grpc_call()}, Delay(0.2, GrpcReply(b"late")), until="2"),
    "a timeout": scenario({"H": grpc_call(timeout=200)}, NoAnswer(), until="4"),
    "an answer too late": scenario({"H": grpc_call(timeout=100)}, Delay(0.2, GrpcReply(b"late")), until="4"),
    "no time at all": scenario({"H": grpc_call(timeout=0)}, NoAnswer(), until="4"),
    "refused": scenario({"H": grpc_call()}, Refuse(), until="4"),
    "reset": scenario({"H": grpc_call()}, Reset(), until="4"),
    "reset in the answer": scenario({"H": grpc_call(text="break")}, Breaking(), until="4"),
    "reset after a message": scenario({"H": grpc_call()}, SendThenReset, until="4"),
    "unknown clusters": scenario(
        {
            "H": grpc_call("nope")
            + grpc_stream("nope")
            + grpc_call(proto("nope"))
            + grpc_stream(proto("nope"))
            + grpc_call()
            + grpc_stream()
        },
        until="2",
    ),
    "no cluster's name": scenario({"H": grpc_call(proto(""))}, until="4"),
    "unreadable upstream": scenario({"H": grpc_call(b"\x0a\x03\x0a\x01\xff")}),
    "a call cancelled at once": scenario(
        {"H": grpc_call() + grpc_cancel(THE_CALL) + grpc_cancel(THE_CALL) + grpc_close(THE_CALL)}, left_out=SENT_OR_NOT
    ),
    "a call closed at once": scenario(
        {"H": grpc_call() + grpc_close(THE_CALL) + grpc_close(THE_CALL)}, left_out=SENT_OR_NOT
    ),
    "a call cancelled later": scenario(
        {"H": once_more(grpc_call(), grpc_cancel(THE_CALL) + grpc_cancel(THE_CALL))}, NoAnswer(), requests=2
    ),
    "a call cancelled in its answer": scenario(
        {"H": grpc_call(), "2": grpc_cancel(THE_CALL) + grpc_close(THE_CALL)}, until="2"
    ),
    "a call cancelled in its end": scenario(
        {"H": grpc_call(), "4": grpc_close(THE_CALL) + grpc_cancel(THE_CALL)}, GrpcReply(status=7), until="4"
    ),
    "a call in answer to a call": scenario(
        {"H": grpc_call(), "4": once_more(grpc_call() + grpc_call(proto("nope")), [])}, GrpcReply(status=7)
    ),
    "ids of no call": scenario(
        {
            "H": joined(operation(number) for number in NUMBERS for operation in (grpc_cancel, grpc_close))
            + joined(grpc_send("x", call_id=number) for number in NUMBERS)
        }
    ),
    "a stream that is gone before the answer": scenario({"H": grpc_call()}, Delay(0.2, GrpcReply(b"late"))),
    "a stream": scenario(
        {
            "H": grpc_stream(metadata=METADATA)
            + grpc_send("a")
            + grpc_send("")
            + grpc_send("bb", end=True)
            + grpc_send("late"),
            "1": get(4, ":status")
            + get(4, "content-type")
            + get(4, "x-init")
            + get(4, "x-raw-bin")
            + get(4, "nope")
            + size(4)
            + add(4, "x", "y"),
            "3": get(5, "grpc-status") + get(5, "grpc-message") + get(5, "x-trail") + get(4, "x-init"),
            "4": get(5, "x-trail") + grpc_close() + grpc_close(),
        },
        Echo(),
        until="4",
    ),
    "closing is half-closing": scenario(
        {
            "H": grpc_stream() + grpc_send("a") + grpc_close() + grpc_close() + grpc_send("late"),
            "4": grpc_send("late") + grpc_close() + grpc_cancel() + grpc_send("late"),
        },
        Echo,
        until="4",
    ),
    "half-closed, then closed": scenario(
        {"H": grpc_stream() + grpc_send("a", end=True) + grpc_close() + grpc_send("late")}, Echo, until="4"
    ),
    "an answer for each message": scenario(
        {"H": grpc_stream() + grpc_send("a"), "2": once_more(grpc_send("b"), grpc_close())}, Echo, until="4"
    ),
    "a function answers a stream": scenario({"H": grpc_stream() + grpc_send("a")}, until="4"),
    "many messages": scenario(
        {"H": grpc_stream() + grpc_send("a")}, GrpcReply(messages=[b"x", b"y"], status_message="fine"), until="4"
    ),
    "the server ends the stream": scenario(
        {"H": grpc_stream() + grpc_send("a"), "4": grpc_send("late") + grpc_close() + grpc_close()}, Lost, until="4"
    ),
    "a stream stays until it is closed": scenario(
        {"H": once_more(grpc_stream() + grpc_send("a"), grpc_send("late") + grpc_close() + grpc_close())},
        Early,
        requests=2,
    ),
    "a stream stays until it is cancelled": scenario(
        {"H": once_more(grpc_stream() + grpc_send("a"), grpc_cancel() + grpc_send("late"))}, Early, requests=2
    ),
    "an error and nothing else": scenario(
        {"H": grpc_stream() + grpc_send("a"), "3": get(5, ":status") + get(5, "grpc-message")},
        GrpcReply(status=7, status_message="no", trailing_metadata={"x-trail": "2"}),
        until="4",
    ),
    "a stream refused": scenario(
        {"H": grpc_stream() + grpc_send("a"), "3": get(5, "grpc-status")}, Refuse(), until="4"
    ),
    "a stream reset": scenario({"H": grpc_stream() + grpc_send("a")}, Reset(), until="4"),
    "a stream reset in its middle": scenario(
        {"H": grpc_stream() + grpc_send("a"), "2": grpc_send("break")}, Breaking, until="4"
    ),
    "a stream cancelled at once": scenario(
        {"H": grpc_stream() + grpc_send("a") + grpc_cancel() + grpc_cancel() + grpc_close() + grpc_send("b")},
        Echo,
        left_out=SENT_OR_NOT,
    ),
    "a stream cancelled at a message": scenario(
        {"H": grpc_stream() + grpc_send("a"), "2": grpc_cancel() + grpc_send("b")}, Echo, until="2"
    ),
    "a stream cancelled at its metadata": scenario(
        {"H": grpc_stream() + grpc_send("a"), "1": grpc_cancel()}, Echo, until="1", left_out=READ_OR_NOT
    ),
    "a stream cancelled at its trailing metadata": scenario(
        {"H": grpc_stream() + grpc_send("a"), "3": grpc_cancel() + grpc_send("b")}, Early, until="3"
    ),
    "a stream cancelled later": scenario(
        {"H": once_more(grpc_stream() + grpc_send("a"), grpc_cancel())}, Never, requests=2
    ),
    "a stream without a message": scenario({"H": grpc_stream() + grpc_close()}, until="4"),
    # --- traps: one for each Envoy, which it takes with it ---
    "trap in the answer": Scenario(
        {"H": PAUSE}, {"H": grpc_call(), "2": TRAP}, grpc={"grpc": answer}, repeat=2, kills=True
    ),
}
