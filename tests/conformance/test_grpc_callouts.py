"""gRPC callouts do in the embedded proxy what they do in a real Envoy with a real gRPC server behind it.

As in recorder.py the module is written in WAT. The callbacks of the callouts are logged with their arguments
(`x 5 7`: on_grpc_close of call 5 with status 7), hostcalls with their status.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import wasmtime

from pywasm_filter.testing import (
    EmbeddedProxy,
    GrpcCall,
    GrpcHandler,
    GrpcReply,
    GrpcRequest,
    Headers,
    PluginSettings,
    Proxy,
)
from pywasm_filter.testing.answers import Delay, NoAnswer, Refuse, Reset
from pywasm_filter.testing.envoy_proxy import EnvoyProxy
from pywasm_filter.testing.grpc import GrpcService
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
from tests.conformance.recorder import (
    HELPERS,
    IMPORTS,
    OUT,
    Pool,
    add,
    body,
    get,
    note,
    pairs_bytes,
    real_envoy,
)
from tests.conformance.recorder import pool as shared_pool

pool: Pool = shared_pool

# Name, number of parameters, whether there is a result.
CALLBACKS = {
    "K": ("proxy_on_configure", 2, True),
    "C": ("proxy_on_context_create", 2, False),
    "H": ("proxy_on_request_headers", 3, True),
    "i": ("proxy_on_grpc_receive_initial_metadata", 3, False),
    "r": ("proxy_on_grpc_receive", 3, False),
    "u": ("proxy_on_grpc_receive_trailing_metadata", 3, False),
    "x": ("proxy_on_grpc_close", 3, False),
}
GRPC_IMPORTS = {
    "proxy_grpc_call": 12,
    "proxy_grpc_stream": 9,
    "proxy_grpc_send": 4,
    "proxy_grpc_cancel": 1,
    "proxy_grpc_close": 1,
    "proxy_get_status": 3,
}
CALL, STREAM, CODE, SEEN = 540, 544, 548, 552  # addresses of what a module keeps
CONTINUE, PAUSE = 0, 1


def proto(cluster: str) -> bytes:
    """A GrpcService with envoy_grpc.cluster_name."""
    name = cluster.encode()
    inner = b"\x0a" + bytes([len(name)]) + name
    return b"\x0a" + bytes([len(inner)]) + inner


def call(
    upstream: str | bytes = proto("a"),
    method: str = "Get",
    metadata: bytes = b"",
    timeout: int = 5000,
    text: str = "hi",
) -> str:
    operands = f"{pool(upstream)} {pool('pkg.Svc')} {pool(method)} {pool(metadata)} {pool(text)}"
    status = f"(call $proxy_grpc_call {operands} (i32.const {timeout}) (i32.const {CALL}))"
    return f"(call $note (i32.const {ord('J')}) {status} (i32.load (i32.const {CALL})))"


def stream(upstream: str | bytes = proto("a"), metadata: bytes = b"") -> str:
    operands = f"{pool(upstream)} {pool('pkg.Svc')} {pool('Chat')} {pool(metadata)}"
    status = f"(call $proxy_grpc_stream {operands} (i32.const {STREAM}))"
    return f"(call $note (i32.const {ord('s')}) {status} (i32.load (i32.const {STREAM})))"


def send(text: str, *, end: bool = False, call_id: str = f"(i32.load (i32.const {STREAM}))") -> str:
    return note(">", f"(call $proxy_grpc_send {call_id} {pool(text)} (i32.const {int(end)}))")


def cancel(call_id: str = f"(i32.load (i32.const {STREAM}))") -> str:
    return note("!", f"(call $proxy_grpc_cancel {call_id})")


def close(call_id: str = f"(i32.load (i32.const {STREAM}))") -> str:
    return note("/", f"(call $proxy_grpc_close {call_id})")


def size(map_type: int) -> str:
    return note("S", f"(call $proxy_get_header_map_size (i32.const {map_type}) (i32.const 516))")


def const(number: int) -> str:
    return f"(i32.const {number})"


THE_CALL = f"(i32.load (i32.const {CALL}))"
STATUS = (
    f"(call $note (i32.const {ord('?')}) (call $proxy_get_status (i32.const {CODE}) {OUT})"
    f" (i32.load (i32.const {CODE})))"
    "(call $show (i32.load (i32.const 512)) (i32.load (i32.const 516)))"
    "(i64.store (i32.const 512) (i64.const 0))"
)
MESSAGE = body(5)
# The first stream of a VM has the context 2.
RESUME = "(drop (call $proxy_set_effective_context (i32.const 2))) (drop (call $proxy_continue_stream (i32.const 0)))"
TELL = {"r": MESSAGE, "x": STATUS}


def once_more(first: str, then: str) -> str:
    """Something else at the second time."""
    seen = f"(i32.load (i32.const {SEEN}))"
    return f"(if (i32.eqz {seen}) (then (i32.store (i32.const {SEEN}) (i32.const 1)) {first}) (else {then}))"


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


@dataclass(frozen=True)
class Scenario:
    """`code` says what a callback does, `trace` what must come of it; `until` is the callback that ends the request."""

    code: Mapping[str, str]
    trace: tuple[str, ...]
    service: GrpcService = answer
    until: str = ""
    requests: int = 1
    calls: tuple[tuple[object, ...], ...] = ()
    """What the server must get: method, metadata, messages, timeout."""

    def module(self) -> bytes:
        names = {**IMPORTS, **GRPC_IMPORTS}
        imports = "\n".join(
            f'(import "env" "{name}" (func ${name} (param {"i32 " * count}) (result i32)))'
            for name, count in names.items()
        )
        callbacks = "\n".join(self._callback(letter) for letter in CALLBACKS)
        return bytes(wasmtime.wat2wasm(f"(module {imports} {HELPERS} {callbacks} {pool.segments()})"))

    def _callback(self, letter: str) -> str:
        name, params, has_result = CALLBACKS[letter]
        code = TELL.get(letter, "") + self.code.get(letter, "") + (RESUME if letter == self.until else "")
        told = f"(call $note (i32.const {ord(letter)}) (local.get 1) (local.get 2))" if letter in "irux" else ""
        returned = PAUSE if letter == "H" and self.until else int(letter == "K")
        result = f"(i32.const {returned})" if has_result else ""
        return (
            f'(func (export "{name}") (param {"i32 " * params}) {"(result i32)" if has_result else ""}'
            f"{told} {code} {result})"
        )


METADATA = pairs_bytes(
    (b"x-md", b"v"), (b"X-MD", b"w"), (b"k-bin", b"\x00\x01\xff"), (b"x-empty", b""), (b"x-text", b"a b")
)
ARRIVED = Headers([("x-md", "v"), ("x-md", "w"), ("k-bin", "AAH/"), ("x-empty", ""), ("x-text", "a b")])
FROM_UPSTREAM = "{via_upstream}"
BEFORE_HEADERS = "upstream connect error or disconnect/reset before headers. reset reason: "
REFUSED = (
    f"{BEFORE_HEADERS}remote connection failure"
    "{upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}}"
)
TERMINATED = (
    f"{BEFORE_HEADERS}connection termination{{upstream_reset_before_response_started{{connection_termination}}}}"
)
RESET_LATE = "upstream_reset_after_response_started{connection_termination}"
UNAVAILABLE = "Cluster not available"


def got(call_id: int, text: str) -> tuple[str, ...]:
    """on_grpc_receive with the message, in the buffer as well."""
    size = len(text)
    return f"r {call_id} {size}", f"Z 0 {size}", f"F 0 {size}", text


def ended(call_id: int, status: int, text: str) -> tuple[str, ...]:
    """on_grpc_close with the status, from proxy_get_status as well."""
    return f"x {call_id} {status}", f"? 0 {status}", text


def arrived(
    method: str,
    *messages: bytes,
    timeout: float | None = None,
    cancelled: bool = False,
    metadata: Headers | None = None,
) -> tuple[object, ...]:
    return method, metadata or Headers(), list(messages), timeout, cancelled


GET = arrived("Get", b"hi", timeout=5.0)
ECHO_START = ("s 0 6", "> 0 0")
ECHO = ("i 6 6", *got(6, "re:a"))
ECHO_END = (*got(6, "bye"), "u 6 3", *ended(6, 0, "via_upstream"))

SCENARIOS = {
    # --- unary calls ---
    "a call": Scenario(
        {"H": call(metadata=METADATA), "r": get(4, "x-init") + get(5, "x-trail") + STATUS},
        ("J 0 5", *got(5, "re:hiGet"), "G 2 0", "G 2 0", "? 0 0", ""),
        until="r",
        calls=(arrived("Get", b"hi", timeout=5.0, metadata=ARRIVED),),
    ),
    "a call by the cluster's name": Scenario({"H": call("a")}, ("J 0 5", *got(5, "re:hiGet")), until="r", calls=(GET,)),
    "a cluster whose name reads as a message": Scenario(
        {"H": call(proto("email"))}, ("J 0 5", *got(5, "")), until="r", calls=(GET,)
    ),
    "two calls": Scenario(
        {"H": call(method="One"), "r": once_more(call(method="Two"), RESUME)},
        ("J 0 5", *got(5, "re:hiOne"), "J 0 9", *got(9, "re:hiTwo")),
        until="-",
        calls=(arrived("One", b"hi", timeout=5.0), arrived("Two", b"hi", timeout=5.0)),
    ),
    "an empty answer": Scenario({"H": call()}, ("J 0 5", *got(5, "")), GrpcReply(), until="r", calls=(GET,)),
    "a success without a message": Scenario(
        {"H": call()}, ("J 0 5", *ended(5, 13, "")), Empty(), until="x", calls=(GET,)
    ),
    "several messages to a call": Scenario(
        {"H": call()}, ("J 0 5", *got(5, "b")), GrpcReply(messages=[b"a", b"b"]), until="r", calls=(GET,)
    ),
    "an error": Scenario(
        {"H": call()},
        ("J 0 5", *ended(5, 7, "no, %C3%A9 100%25 way%0A!{via_upstream}")),
        GrpcReply(status=7, status_message="no, é 100% way\n!", trailing_metadata={"x-trail": "2"}),
        until="x",
        calls=(GET,),
    ),
    "an error without a word": Scenario(
        {"H": call()}, ("J 0 5", *ended(5, 16, "via_upstream")), GrpcReply(status=16), until="x", calls=(GET,)
    ),
    "an error after a message": Scenario(
        {"H": call()},
        ("J 0 5", *ended(5, 5, "gone{via_upstream}")),
        GrpcReply(b"some", status=5, status_message="gone"),
        until="x",
        calls=(GET,),
    ),
    "the status is a thing of the past": Scenario(
        {"H": once_more(call(), STATUS)},
        ("J 0 5", *ended(5, 7, "no{via_upstream}"), "? 0 7", ""),
        GrpcReply(status=7, status_message="no"),
        requests=2,
        calls=(GET,),
    ),
    "an answer in time": Scenario(
        {"H": call()}, ("J 0 5", *got(5, "late")), Delay(0.2, GrpcReply(b"late")), until="r", calls=(GET,)
    ),
    "a timeout": Scenario(
        {"H": call(timeout=200)},
        ("J 0 5", *ended(5, 14, "upstream request timeout{response_timeout}")),
        NoAnswer(),
        until="x",
        calls=(arrived("Get", b"hi", timeout=0.2, cancelled=True),),
    ),
    "an answer too late": Scenario(
        {"H": call(timeout=100)},
        ("J 0 5", *ended(5, 14, "upstream request timeout{response_timeout}")),
        Delay(0.2, GrpcReply(b"late")),
        until="x",
        calls=(arrived("Get", b"hi", timeout=0.1, cancelled=True),),
    ),
    "no time at all": Scenario(
        {"H": call(timeout=0)},
        ("J 0 5", *ended(5, 4, "Deadline Exceeded{via_upstream}")),
        NoAnswer(),
        until="x",
        calls=(arrived("Get", cancelled=True),),
    ),
    "refused": Scenario({"H": call()}, ("J 0 5", *ended(5, 14, REFUSED)), Refuse(), until="x"),
    "reset": Scenario({"H": call()}, ("J 0 5", *ended(5, 14, TERMINATED)), Reset(), until="x", calls=(GET,)),
    "reset in the answer": Scenario(
        {"H": call(text="break")},
        ("J 0 5", *ended(5, 14, TERMINATED)),
        Breaking(),
        until="x",
        calls=(arrived("Get", b"break", timeout=5.0),),
    ),
    "reset after a message": Scenario(
        {"H": call()}, ("J 0 5", *ended(5, 13, RESET_LATE)), SendThenReset, until="x", calls=(GET,)
    ),
    "unknown clusters": Scenario(
        {"H": call("nope") + stream("nope") + call(proto("nope")) + stream(proto("nope")) + call() + stream()},
        (
            *("J 4 0", "s 4 0", "J 10 0", "s 10 0", "J 0 9", "s 0 10"),
            *ended(5, 14, UNAVAILABLE),
            *ended(6, 14, UNAVAILABLE),
            *got(9, "re:hiGet"),
        ),
        until="r",
        calls=(arrived("Chat"), GET),
    ),
    "no cluster's name": Scenario({"H": call(proto(""))}, ("J 10 0", *ended(5, 14, UNAVAILABLE)), until="x"),
    "unreadable upstream": Scenario({"H": call(b"\x0a\x03\x0a\x01\xff")}, ("J 4 0",)),
    "a call cancelled at once": Scenario(
        {"H": call() + cancel(THE_CALL) + cancel(THE_CALL) + close(THE_CALL)}, ("J 0 5", "! 0 0", "! 1 0", "/ 1 0")
    ),
    "a call closed at once": Scenario({"H": call() + close(THE_CALL) + close(THE_CALL)}, ("J 0 5", "/ 0 0", "/ 1 0")),
    "a call cancelled later": Scenario(
        {"H": once_more(call(), cancel(THE_CALL) + cancel(THE_CALL))},
        ("J 0 5", "! 0 0", "! 1 0"),
        NoAnswer(),
        requests=2,
        calls=(arrived("Get", b"hi", timeout=5.0, cancelled=True),),
    ),
    "a call cancelled in its answer": Scenario(
        {"H": call(), "r": cancel(THE_CALL) + close(THE_CALL)},
        ("J 0 5", *got(5, "re:hiGet"), "! 0 0", "/ 1 0"),
        until="r",
        calls=(GET,),
    ),
    "a call cancelled in its end": Scenario(
        {"H": call(), "x": close(THE_CALL) + cancel(THE_CALL)},
        ("J 0 5", *ended(5, 7, "via_upstream"), "/ 0 0", "! 1 0"),
        GrpcReply(status=7),
        until="x",
        calls=(GET,),
    ),
    "a call in answer to a call": Scenario(
        {"H": call(), "x": once_more(call() + call(proto("nope")), "")},
        (
            "J 0 5",
            *ended(5, 7, "via_upstream"),
            "J 0 9",
            "J 10 9",
            *ended(13, 14, UNAVAILABLE),
            *ended(9, 7, "via_upstream"),
        ),
        GrpcReply(status=7),
        calls=(GET, GET),
    ),
    "ids of no call": Scenario(
        {
            "H": "".join(operation(const(number)) for number in (0, 1, 2, 3, 4, 5, 6) for operation in (cancel, close))
            + "".join(send("x", call_id=const(number)) for number in (0, 1, 2, 3, 4, 5, 6))
        },
        (
            *("! 2 0", "/ 2 0", "! 1 0", "/ 1 0", "! 1 0", "/ 1 0", "! 2 0", "/ 2 0", "! 2 0", "/ 2 0"),
            *("! 1 0", "/ 1 0", "! 1 0", "/ 1 0"),
            *("> 2 0", "> 2 0", "> 1 0", "> 2 0", "> 2 0", "> 2 0", "> 1 0"),
        ),
    ),
    "a stream that is gone before the answer": Scenario(
        {"H": call()}, ("J 0 5", *got(5, "late")), Delay(0.2, GrpcReply(b"late")), calls=(GET,)
    ),
    # --- streams ---
    "a stream": Scenario(
        {
            "H": stream(metadata=METADATA) + send("a") + send("") + send("bb", end=True) + send("late"),
            "i": get(4, ":status")
            + get(4, "content-type")
            + get(4, "x-init")
            + get(4, "x-raw-bin")
            + get(4, "nope")
            + size(4)
            + add(4, "x", "y"),
            "u": get(5, "grpc-status") + get(5, "grpc-message") + get(5, "x-trail") + get(4, "x-init") + STATUS,
            "x": get(5, "x-trail") + close() + close(),
        },
        (
            *("s 0 6", "> 0 0", "> 0 0", "> 0 0", "> 0 0"),
            *(
                "i 6 6",
                "G 0 3",
                "200",
                "G 0 16",
                "application/grpc",
                "G 0 1",
                "1",
                "G 0 3",
                "AP8",
                "G 1 0",
                "S 2 0",
                "A 2 0",
            ),
            *(*got(6, "re:a"), *got(6, "re:"), *got(6, "re:bb"), *got(6, "bye")),
            *("u 6 3", "G 0 1", "0", "G 0 0", "", "G 0 1", "2", "G 2 0", "? 0 0", ""),
            *(*ended(6, 0, "via_upstream"), "G 2 0", "/ 0 0", "/ 1 0"),
        ),
        Echo(),
        until="x",
        calls=(arrived("Chat", b"a", b"", b"bb", metadata=ARRIVED),),
    ),
    "closing is half-closing": Scenario(
        {
            "H": stream() + send("a") + close() + close() + send("late"),
            "x": send("late") + close() + cancel() + send("late"),
        },
        (*ECHO_START, "/ 0 0", "/ 0 0", "> 0 0", *ECHO, *ECHO_END, "> 0 0", "/ 0 0", "! 1 0", "> 1 0"),
        Echo,
        until="x",
        calls=(arrived("Chat", b"a"),),
    ),
    "half-closed, then closed": Scenario(
        {"H": stream() + send("a", end=True) + close() + send("late")},
        (*ECHO_START, "/ 0 0", "> 0 0", *ECHO, *ECHO_END),
        Echo,
        until="x",
        calls=(arrived("Chat", b"a"),),
    ),
    "an answer for each message": Scenario(
        {"H": stream() + send("a"), "r": once_more(send("b"), close())},
        (
            *ECHO_START,
            "i 6 5",
            *got(6, "re:a"),
            "> 0 0",
            *got(6, "re:b"),
            "/ 0 0",
            *got(6, "bye"),
            "/ 0 0",
            "u 6 3",
            *ended(6, 0, "via_upstream"),
        ),
        Echo,
        until="x",
        calls=(arrived("Chat", b"a", b"b"),),
    ),
    "a function answers a stream": Scenario(
        {"H": stream() + send("a")},
        (*ECHO_START, "i 6 4", *got(6, "re:aChat"), "u 6 3", *ended(6, 0, "via_upstream")),
        until="x",
        calls=(arrived("Chat", b"a"),),
    ),
    "many messages": Scenario(
        {"H": stream() + send("a")},
        (*ECHO_START, "i 6 3", *got(6, "x"), *got(6, "y"), "u 6 2", *ended(6, 0, "fine{via_upstream}")),
        GrpcReply(messages=[b"x", b"y"], status_message="fine"),
        until="x",
        calls=(arrived("Chat", b"a"),),
    ),
    "the server ends the stream": Scenario(
        {"H": stream() + send("a"), "x": send("late") + close() + close()},
        (
            *(*ECHO_START, "i 6 3", *got(6, "only"), "u 6 3", *ended(6, 15, "lost, %C3%A9%0A100%25{via_upstream}")),
            *("> 0 0", "/ 0 0", "/ 1 0"),
        ),
        Lost,
        until="x",
        calls=(arrived("Chat", b"a"),),
    ),
    "a stream stays until it is closed": Scenario(
        {"H": once_more(stream() + send("a"), send("late") + close() + close())},
        (*ECHO_START, "i 6 3", *got(6, "only"), "u 6 3", *ended(6, 0, "via_upstream"), "> 0 0", "/ 0 0", "/ 1 0"),
        Early,
        requests=2,
        calls=(arrived("Chat", b"a"),),
    ),
    "a stream stays until it is cancelled": Scenario(
        {"H": once_more(stream() + send("a"), cancel() + send("late"))},
        (*ECHO_START, "i 6 3", *got(6, "only"), "u 6 3", *ended(6, 0, "via_upstream"), "! 0 0", "> 1 0"),
        Early,
        requests=2,
        calls=(arrived("Chat", b"a"),),
    ),
    "an error and nothing else": Scenario(
        {"H": stream() + send("a"), "u": get(5, ":status") + get(5, "grpc-message")},
        (*ECHO_START, "i 6 0", "u 6 5", "G 0 3", "200", "G 0 2", "no", *ended(6, 7, "no{via_upstream}")),
        GrpcReply(status=7, status_message="no", trailing_metadata={"x-trail": "2"}),
        until="x",
        calls=(arrived("Chat", b"a"),),
    ),
    "a stream refused": Scenario(
        {"H": stream() + send("a"), "u": get(5, "grpc-status")},
        (*ECHO_START, "i 6 0", "u 6 4", "G 0 2", "14", *ended(6, 14, REFUSED)),
        Refuse(),
        until="x",
    ),
    "a stream reset": Scenario(
        {"H": stream() + send("a")},
        (*ECHO_START, "i 6 0", "u 6 4", *ended(6, 14, TERMINATED)),
        Reset(),
        until="x",
        calls=(arrived("Chat", b"a"),),
    ),
    "a stream reset in its middle": Scenario(
        {"H": stream() + send("a"), "r": send("break")},
        (*ECHO_START, "i 6 3", *got(6, "so far"), "> 0 0", "u 6 0", *ended(6, 13, RESET_LATE)),
        Breaking,
        until="x",
        calls=(arrived("Chat", b"a", b"break"),),
    ),
    "a stream cancelled at once": Scenario(
        {"H": stream() + send("a") + cancel() + cancel() + close() + send("b")},
        (*ECHO_START, "! 0 0", "! 1 0", "/ 1 0", "> 1 0"),
        Echo,
    ),
    "a stream cancelled at a message": Scenario(
        {"H": stream() + send("a"), "r": cancel() + send("b")},
        (*ECHO_START, "i 6 5", *got(6, "re:a"), "! 0 0", "> 1 0"),
        Echo,
        until="r",
        calls=(arrived("Chat", b"a", cancelled=True),),
    ),
    "a stream cancelled at its metadata": Scenario(
        {"H": stream() + send("a"), "i": cancel()},
        (*ECHO_START, "i 6 5", "! 0 0"),
        Echo,
        until="i",
        calls=(arrived("Chat", b"a", cancelled=True),),
    ),
    "a stream cancelled at its trailing metadata": Scenario(
        {"H": stream() + send("a"), "u": cancel() + send("b")},
        (*ECHO_START, "i 6 3", *got(6, "only"), "u 6 3", "! 0 0", "> 1 0"),
        Early,
        until="u",
        calls=(arrived("Chat", b"a"),),
    ),
    "a stream cancelled later": Scenario(
        {"H": once_more(stream() + send("a"), cancel())},
        (*ECHO_START, "! 0 0"),
        Never,
        requests=2,
        calls=(arrived("Chat", b"a", cancelled=True),),
    ),
    "a stream without a message": Scenario(
        {"H": stream() + close()},
        ("s 0 6", "/ 0 0", "i 6 0", "u 6 5", *ended(6, 13, "the client sent no message{via_upstream}")),
        until="x",
        calls=(arrived("Chat"),),
    ),
}


@dataclass
class Outcome:
    statuses: list[int]
    trace: list[str]
    calls: list[tuple[object, ...]]


def run(proxy: Proxy, scenario: Scenario, at_start: int) -> Outcome:
    proxy.grpc["a"] = scenario.service
    statuses = []
    for index in range(scenario.requests):
        if index:
            proxy.clock.advance(0.2)
        statuses.append(proxy.get().response.status)
    deadline = time.monotonic() + 2
    while len(trace(proxy, at_start)) < len(scenario.trace) and time.monotonic() < deadline:
        proxy.clock.advance(0.02)
    proxy.clock.advance(0.1)
    calls = [(call.method, call.metadata, call.messages, call.timeout, call.cancelled) for call in proxy.grpc_calls]
    return Outcome(statuses, trace(proxy, at_start), sorted(calls, key=lambda call: str(call[0])))


def trace(proxy: Proxy, at_start: int) -> list[str]:
    return [line.message for line in proxy.logs[at_start:]]


@pytest.mark.parametrize("name", SCENARIOS)
def test_grpc_callouts_do_what_they_do_in_envoy(name: str, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    settings = PluginSettings(grpc_clusters=["a", "email"])
    module = tmp_path / "recorder.wasm"
    module.write_bytes(scenario.module())
    with EmbeddedProxy(WasmtimeModule(module.read_bytes()).instantiate, settings) as embedded:
        mine = run(embedded, scenario, len(embedded.logs))
    with real_envoy(module, settings) as envoy:
        proxy = EnvoyProxy(envoy)
        theirs = run(proxy, scenario, len(proxy.logs))
        proxy.close()
    assert tuple(theirs.trace) == scenario.trace
    assert tuple(theirs.calls) == scenario.calls
    assert mine == theirs
