"""What scenarios are written in: operations of the interpreter's, and the programs that they make up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

Operation = list[Any]
Operations = list[Operation]
Text = str | bytes

LETTERS = {
    "S": "proxy_on_vm_start",
    "K": "proxy_on_configure",
    "C": "proxy_on_context_create",
    "I": "proxy_on_tick",
    "J": "proxy_on_queue_ready",
    "U": "proxy_on_http_call_response",
    "H": "proxy_on_request_headers",
    "B": "proxy_on_request_body",
    "T": "proxy_on_request_trailers",
    "M": "proxy_on_request_metadata",
    "h": "proxy_on_response_headers",
    "b": "proxy_on_response_body",
    "t": "proxy_on_response_trailers",
    "m": "proxy_on_response_metadata",
    "N": "proxy_on_new_connection",
    "d": "proxy_on_downstream_data",
    "u": "proxy_on_upstream_data",
    "x": "proxy_on_downstream_connection_close",
    "y": "proxy_on_upstream_connection_close",
    "1": "proxy_on_grpc_receive_initial_metadata",
    "2": "proxy_on_grpc_receive",
    "3": "proxy_on_grpc_receive_trailing_metadata",
    "4": "proxy_on_grpc_close",
    "L": "proxy_on_log",
    "D": "proxy_on_done",
    "X": "proxy_on_delete",
}
"""Callbacks by the letter that scenarios name them by: small letters are the way back."""

_U32 = 0xFFFF_FFFF
_NONE = -1 & _U32


def call(name: str, *arguments: Any, shown: str = "", kept: str = "") -> Operations:
    """Make a hostcall. `shown` is "size" or "none" for results that differ from host to host, `kept` a name for one."""
    return [["call", name, [_argument(value) for value in arguments], shown, kept]]


def _argument(value: Any) -> Any:
    return (
        value.decode("latin-1") if isinstance(value, bytes) else _as_bytes(value) if isinstance(value, str) else value
    )


def _as_bytes(text: str) -> str:
    """Text as the interpreter has its bytes: one character each."""
    return text.encode().decode("latin-1")


def kept(name: str, more: int | None = None) -> list[Any]:
    """What an earlier hostcall returned, or more than that."""
    return ["kept", name] if more is None else ["kept", name, more]


def own(name: str) -> list[Any]:
    """A name that no other scenario has."""
    return ["own", name]


def reply(status: int = 403, body: Text = "local body", headers: bytes = b"", grpc_status: int = -1) -> Operations:
    return call("proxy_send_local_response", status, "de tails", body, headers, grpc_status & _U32)


def resume(stream_type: int) -> Operations:
    return call("proxy_continue_stream", stream_type)


def close(stream_type: int) -> Operations:
    return call("proxy_close_stream", stream_type)


# --- header maps ---


def get(map_type: int, name: str) -> Operations:
    return call("proxy_get_header_map_value", map_type, name)


def add(map_type: int, name: str, value: Text) -> Operations:
    return call("proxy_add_header_map_value", map_type, name, value)


def replace(map_type: int, name: str, value: Text) -> Operations:
    return call("proxy_replace_header_map_value", map_type, name, value)


def remove(map_type: int, name: str) -> Operations:
    return call("proxy_remove_header_map_value", map_type, name)


def dump(map_type: int) -> Operations:
    """Size and pairs of a map."""
    return [["dump", map_type]]


def assign(map_type: int, pairs: bytes) -> Operations:
    return call("proxy_set_header_map_pairs", map_type, pairs)


def pairs_bytes(*pairs: tuple[bytes, bytes]) -> bytes:
    """A serialised map."""
    words = [len(pairs), *(len(text) for pair in pairs for text in pair)]
    strings = b"".join(text + b"\0" for pair in pairs for text in pair)
    return b"".join(word.to_bytes(4, "little") for word in words) + strings


# --- buffers ---


def body(buffer: int, start: int = 0, size: int = 99) -> Operations:
    """Size and content of a buffer."""
    return [
        *call("proxy_get_buffer_status", buffer),
        *call("proxy_get_buffer_bytes", buffer, start & _U32, size & _U32),
    ]


def edit(buffer: int, start: int, size: int, data: str = "NEW") -> Operations:
    return call("proxy_set_buffer_bytes", buffer, start, size, data)


# --- properties ---


def attribute(*path: str, shown: str = "") -> Operations:
    return call("proxy_get_property", "\0".join(path), shown=shown)


def attributes(*paths: str, shown: str = "") -> Operations:
    """Several, their parts separated by dots."""
    return [operation for path in paths for operation in attribute(*path.split("."), shown=shown)]


def set_attribute(path: str, value: Text) -> Operations:
    return call("proxy_set_property", path, value)


def foreign(name: Text, arguments: Any = b"", *, shown: str = "", kept: str = "") -> Operations:
    return call("proxy_call_foreign_function", name, arguments, shown=shown, kept=kept)


# --- contexts ---

ROOT = ["context", "root"]
SELF = ["context", "self"]

REMEMBER: Operations = [["keep", "stream", SELF]]
"""Remember the stream."""


def act_for(context: Any) -> Operations:
    return call("proxy_set_effective_context", context)


ACT = act_for(kept("stream"))
"""Act for the stream that was remembered."""


# --- shared data and queues ---


def get_shared(key: str = "k") -> Operations:
    return call("proxy_get_shared_data", own(key), kept="cas")


def set_shared(value: str, cas: Any, key: str = "k") -> Operations:
    return call("proxy_set_shared_data", own(key), value, cas)


def register(name: str) -> Operations:
    return call("proxy_register_shared_queue", own(name), kept="queue")


def resolve(vm_id: str, name: str) -> Operations:
    return call("proxy_resolve_shared_queue", vm_id, own(name), kept="queue")


def enqueue(item: str, token: Any = None) -> Operations:
    return call("proxy_enqueue_shared_queue", kept("queue") if token is None else token, item)


def dequeue(token: Any = None) -> Operations:
    return call("proxy_dequeue_shared_queue", kept("queue") if token is None else token)


# --- metrics ---

COUNTER, GAUGE, HISTOGRAM = 0, 1, 2


def define(kind: int, name: str) -> Operations:
    return call("proxy_define_metric", kind, own(name), kept="metric")


def increment(offset: int, metric: Any = None) -> Operations:
    return call("proxy_increment_metric", kept("metric") if metric is None else metric, offset)


def record(value: int, metric: Any = None) -> Operations:
    return call("proxy_record_metric", kept("metric") if metric is None else metric, value)


def metric(metric: Any = None) -> Operations:
    return call("proxy_get_metric", kept("metric") if metric is None else metric)


# --- callouts and ticks ---

CALL_HEADERS = ((b":method", b"GET"), (b":path", b"/auth"), (b":authority", b"a.example"), (b"X-Mine", b"1"))


def http_call(
    cluster: str = "auth",
    headers: tuple[tuple[bytes, bytes], ...] = CALL_HEADERS,
    body: str = "",
    trailers: bytes = b"",
    timeout: int = 2000,
) -> Operations:
    return call("proxy_http_call", cluster, pairs_bytes(*headers), body, trailers, timeout & _U32, kept="call")


def tick(milliseconds: int) -> Operations:
    return call("proxy_set_tick_period_milliseconds", milliseconds)


STATUS = call("proxy_get_status")
"""Of the callout that failed last: it stays in the root context."""
ANSWER = dump(6) + dump(7) + body(4)
"""What has come of an HTTP callout."""


# --- conditions ---


def at_end(then: Operations) -> Operations:
    """With the end of the stream."""
    return [["if", ["end"], then]]


def before_end(then: Operations) -> Operations:
    return [["if", ["before end"], then]]


def nth(time: int, then: Operations) -> Operations:
    """When the callback comes for the nth time."""
    return [["if", ["nth", time], then]]


def at_least(size: int, then: Operations) -> Operations:
    """When the callback tells of so many bytes."""
    return [["if", ["at least", size], then]]


def in_root(root_id: str, then: Operations) -> Operations:
    """When it is the callback of that root context."""
    return [["if", ["root", root_id], then]]


def returns(status: int) -> Operations:
    """Leave the callback."""
    return [["return", status]]


CONTINUE_AT_END = at_end(returns(0))
TRAP: Operations = [["trap"]]
PAUSE = 1


def program(
    code: Mapping[str, Operations],
    returned: Mapping[str, int] | None = None,
    *,
    quiet: str = "",
    prefix: str = "",
    connections: int = 0,
) -> str:
    """The program as the interpreter reads it: JSON in ASCII. What callbacks do, and return, is by their letters."""
    lists: list[Operations] = []
    do = {}
    for letter, operations in code.items():
        if operations not in lists:
            lists.append(operations)
        do[LETTERS[letter]] = lists.index(operations)
    numbers = {LETTERS[letter]: number for letter, number in (returned or {}).items()}
    return json.dumps(
        {
            "operations": lists,
            "do": do,
            "returns": numbers,
            "quiet": [LETTERS[letter] for letter in quiet],
            "prefix": prefix,
            "connections": connections,
        },
        separators=(",", ":"),
    )


def joined(parts: Iterable[Operations]) -> Operations:
    """Several operations as one list."""
    return [operation for part in parts for operation in part]
