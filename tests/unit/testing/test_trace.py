"""The trace: what it shows of each value, call and callback, and how it is asked."""

from __future__ import annotations

import struct
from pathlib import Path

import proxy_wasm_abi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywasm_filter.sdk.abi import Action, FilterHeadersStatus, LogLevel, MapType, Status
from pywasm_filter.testing import EmbeddedProxy, Headers, PluginSettings, Proxy, TraceNotKept
from pywasm_filter.testing.embedded.pairs import write_pairs
from pywasm_filter.testing.guests import GuestTrap
from pywasm_filter.testing.guests.inprocess import InProcessGuest
from pywasm_filter.testing.recorder import (
    CALLBACK,
    HOSTCALL,
    INTERCEPTED,
    KEPT_BYTES,
    RETURN,
    Answer,
    Argument,
    Clipped,
    Entry,
    Raised,
    Recorder,
)
from pywasm_filter.testing.trace import Crossing, Trace
from pywasm_filter.testing.trace_text import value_text

FILTER = """
from pywasm_filter import Action, HttpContext, RootContext

class Greet(HttpContext["Root"]):
    def on_request_headers(self, num_headers, end_of_stream):
        self.request.headers["x-hello"] = "world"
        return Action.CONTINUE

class Root(RootContext):
    http_context = Greet

    def on_configure(self, configuration):
        self.set_tick_period(2.5)
        return True

    def on_tick(self):
        print("tick", flush=True)
"""

FUNCTIONS = [
    *(entry.name for entry in proxy_wasm_abi.load().hostcalls),
    *(entry.name for entry in proxy_wasm_abi.load().callbacks),
]

PORT = struct.pack("<Q", 80)


def made_proxy(path: Path, trace_length: int = 100) -> Proxy:
    (path / "filter.py").write_text(FILTER)
    settings = PluginSettings(trace_length=trace_length)
    return EmbeddedProxy(lambda host: InProcessGuest(path / "filter.py", host), settings)


@pytest.fixture
def proxy(tmp_path: Path) -> Proxy:
    return made_proxy(tmp_path)


def hostcall(name: str, args: tuple[Argument, ...], answer: Answer | Raised, kind: int = HOSTCALL) -> Entry:
    return Entry(0, kind, "the VM", 2, name, args, answer)


def shown(name: str, args: tuple[Argument, ...], answer: Answer | Raised) -> str:
    return Trace([hostcall(name, args, answer)]).text().removeprefix("  vm → host   ")


def test_a_trace_reads_as_what_happened(proxy: Proxy) -> None:
    exchange = proxy.get("/")
    assert str(exchange.trace).splitlines() == [
        "host → vm   proxy_on_context_create(context_id=2, parent_context_id=1)",
        "host → vm   proxy_on_request_headers(context_id=2, num_headers=5, end_of_stream=true)",
        '  vm → host   proxy_replace_header_map_value(HTTP_REQUEST_HEADERS, "x-hello", "world") → OK',
        "host ← vm   CONTINUE",
        "host → vm   proxy_on_delete(context_id=2)",
    ]


def test_vms_and_time_are_told_where_they_change(proxy: Proxy) -> None:
    proxy.clock.advance(2.5)
    lines = str(proxy.trace).splitlines()
    assert lines[0] == "── the canary VM ──"
    worker = lines.index("── the worker's VM ──")
    assert lines[worker + 1] == "host → vm   proxy_on_context_create(context_id=1, parent_context_id=0)"
    later = lines.index("── the main thread's VM, 2.5 s later ──")
    assert lines[later + 1] == "host → vm   proxy_on_tick(context_id=1)"
    assert '  vm → host   proxy_log(INFO, "tick") → OK' in lines[later:]


def test_crossings_can_be_asked(proxy: Proxy) -> None:
    trace = proxy.get("/").trace
    [call] = trace.calls("proxy_replace_header_map_value")
    assert call == Crossing(
        name="proxy_replace_header_map_value",
        direction="hostcall",
        vm="the worker's VM",
        context_id=2,
        arguments={"map_type": MapType.HTTP_REQUEST_HEADERS, "key": b"x-hello", "value": b"world"},
        status=Status.OK,
        results={},
        result=None,
        error=None,
        intercepted=False,
    )
    [callback] = trace.calls("proxy_on_request_headers")
    assert (callback.direction, callback.context_id, callback.result) == ("callback", 2, Action.CONTINUE)
    assert callback.arguments == {"context_id": 2, "num_headers": 5, "end_of_stream": True}
    assert trace.index(callback) == trace.index(call) - 1
    assert len(trace) == 4
    assert trace[-1].name == "proxy_on_delete"
    assert trace[-2:] == list(trace)[-2:]
    assert str(callback).endswith("end_of_stream=true) → CONTINUE")
    assert repr(trace) == "<Trace of 4 crossings>"
    with pytest.raises(ValueError, match="the ABI has no function 'proxy_http_cal'"):
        trace.calls("proxy_http_cal")


def test_the_trace_of_the_proxy_holds_that_of_each_exchange(proxy: Proxy) -> None:
    first, second = proxy.get("/1"), proxy.get("/2")
    assert [*first.trace, *second.trace] == proxy.trace[-8:]
    assert {crossing.context_id for crossing in second.trace} == {3}


def test_what_is_not_kept_is_told(tmp_path: Path) -> None:
    proxy = made_proxy(tmp_path, trace_length=10)
    exchange = proxy.get("/")
    assert len(exchange.trace) == 4
    proxy.get("/")
    with pytest.raises(TraceNotKept, match="trace_length"):
        _ = exchange.trace
    assert str(proxy.trace).startswith("… 3")
    assert " crossings before these are not kept\n" in str(proxy.trace)
    assert proxy.trace.text(last=3).splitlines()[1].endswith(" lines before these are left out")
    assert len(proxy.trace.text(last=3).splitlines()) == 5
    with pytest.raises(ValueError, match="trace_length is at least 1"):
        PluginSettings(trace_length=0)


@pytest.mark.parametrize(
    ("name", "args", "answer", "line"),
    [
        ("proxy_log", (LogLevel.WARN, b'a "b"\n'), 0, r'proxy_log(WARN, "a \"b\"\n") → OK'),
        ("proxy_log", (77, b"\xff\x00"), 2, r'proxy_log(level=77, message=b"\xff\0") → BAD_ARGUMENT'),
        (
            "proxy_get_property",
            (b"source\0port",),
            (0, struct.pack("<Q", 80)),
            'proxy_get_property("source.port") → OK 80',
        ),
        ("proxy_get_property", (b"connection\0mtls",), (0, b"\1"), 'proxy_get_property("connection.mtls") → OK true'),
        ("proxy_get_property", (b"a\0\xff",), (1, b""), r'proxy_get_property("a.\xff") → NOT_FOUND'),
        ("proxy_set_property", (b"a", b"1"), 0, 'proxy_set_property("a", "1") → OK'),
        ("proxy_get_shared_data", (b"k",), (0, "ü".encode(), 7), 'proxy_get_shared_data("k") → OK "ü", 7'),
        ("proxy_set_shared_data", (b"k", b"v", 7), 8, 'proxy_set_shared_data("k", "v", cas=7) → CAS_MISMATCH'),
        ("proxy_done", (), 99, "proxy_done() → status 99"),
        (
            "proxy_http_call",
            (b"auth", write_pairs([(b":path", b"/"), (b"x", b"\xff\n")]), b"x" * 500, b"", 250),
            (0, 4),
            r'proxy_http_call(upstream="auth", headers={":path": "/", "x": "\xff\n"}, body="'
            + "x" * 160
            + '"… 500 bytes, trailers={}, timeout_milliseconds=250) → OK 4',
        ),
        (
            "proxy_send_local_response",
            (403, b"", b"", b"no map", 0xFFFFFFFF),
            0,
            'proxy_send_local_response(status_code=403, details="", body="", headers="no map", grpc_status=-1) → OK',
        ),
        (
            "proxy_get_buffer_bytes",
            (0, 0, 9),
            (0, Clipped(b"\x00" * 50_000)),
            'proxy_get_buffer_bytes(HTTP_REQUEST_BODY, start=0, max_size=9) → OK b"' + "\\0" * 160 + '"… 50000 bytes',
        ),
    ],
)
def test_hostcalls_read_well(name: str, args: tuple[Argument, ...], answer: Answer, line: str) -> None:
    assert shown(name, args, answer) == line


def test_an_answer_that_is_not_the_hosts_is_marked() -> None:
    entry = hostcall("proxy_done", (), Status.NOT_FOUND, INTERCEPTED)
    assert str(Trace([entry])) == "  vm → host   proxy_done() → NOT_FOUND (not the host)"
    assert Trace([entry])[0].intercepted


def test_long_maps_are_clipped() -> None:
    headers = write_pairs([(b"x-%d" % index, b"y" * 100) for index in range(200)])
    assert len(headers) > KEPT_BYTES
    line = shown("proxy_set_header_map_pairs", (0, Clipped(headers)), 0)
    assert line.startswith('proxy_set_header_map_pairs(HTTP_REQUEST_HEADERS, {"x-0": "yyy')
    assert len(line) < 1500
    assert "… " in line
    [crossing] = Trace([hostcall("proxy_set_header_map_pairs", (0, Clipped(headers)), 0)])
    kept = crossing.arguments["pairs"]
    assert isinstance(kept, Headers)
    assert 100 < len(kept) < 200
    assert kept["x-99"] == "y" * 100


def test_a_long_text_is_cut_between_characters() -> None:
    assert value_text(("a" + "ü" * 300).encode()) == f'"a{"ü" * 79}"… 601 bytes'


@pytest.mark.parametrize(
    ("name", "number", "result"),
    [
        ("proxy_on_request_headers", 1, "PAUSE"),
        ("proxy_on_request_headers", 4, "STOP_ALL_ITERATION_AND_WATERMARK"),
        ("proxy_on_response_body", 3, "STOP_ITERATION_NO_BUFFER"),
        ("proxy_on_request_trailers", 1, "PAUSE"),
        ("proxy_on_request_body", 4711, "4711"),
        ("proxy_on_done", 0, "false"),
    ],
)
def test_results_of_callbacks_have_names(name: str, number: int, result: str) -> None:
    trace = Trace(
        [Entry(0, CALLBACK, "the VM", 5, name, (2, 0, 0), None), Entry(1, RETURN, "the VM", 0, name, (), number)]
    )
    assert str(trace).splitlines()[1] == f"host ← vm   {result}"
    [crossing] = trace
    if number == 4:
        assert crossing.result is FilterHeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK


def test_traps_are_marked() -> None:
    name = "proxy_on_tick"
    trap = Raised(GuestTrap("unreachable", ("inner", "outer")))
    trace = Trace(
        [
            Entry(0, CALLBACK, "the VM", 5, name, (1,), None),
            hostcall("proxy_done", (), Raised(ValueError("no"))),
            Entry(2, RETURN, "the VM", 0, name, (), trap),
        ]
    )
    assert str(trace).splitlines() == [
        "host → vm   proxy_on_tick(context_id=1)",
        "  vm → host   proxy_done() ✗ ValueError: no",
        "host ✗ vm   GuestTrap: unreachable",
        "  0: inner",
        "  1: outer",
    ]
    tick, done = trace
    assert tick.error == "GuestTrap: unreachable\n  0: inner\n  1: outer"
    assert (done.status, done.error) == (None, "ValueError: no")


def test_a_callback_that_is_not_over_and_the_end_of_one_that_is_not_kept() -> None:
    begun = Trace([Entry(0, CALLBACK, "the VM", 5, "proxy_on_tick", (1,), None)])
    assert (begun[0].result, begun[0].error) == (None, None)
    ended = Trace([Entry(7, RETURN, "the VM", 0, "proxy_on_done", (), 1)])
    assert len(ended) == 0
    assert str(ended) == "… 7 crossings before these are not kept\nhost ← vm   true"


numbers = st.one_of(st.integers(-(1 << 63), 1 << 64), st.integers(-1, 20))
buffers = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=3).map(write_pairs),
    st.binary(min_size=1, max_size=9).map(lambda data: Clipped(data * (KEPT_BYTES + 1))),
)
values = st.one_of(numbers, buffers)
answers = st.one_of(
    st.none(), numbers, st.lists(values, max_size=4).map(tuple), st.text().map(lambda text: Raised(ValueError(text)))
)


@given(st.data())
def test_whatever_crosses_can_be_shown(data: st.DataObject) -> None:
    recorder = Recorder(lambda: data.draw(st.integers(0, 1 << 63)))
    for _ in range(data.draw(st.integers(1, 4))):
        name = data.draw(st.sampled_from(FUNCTIONS))
        args = tuple(data.draw(st.lists(values, max_size=7)))
        if proxy_wasm_abi.load().hostcall(name):
            recorder.hostcall(HOSTCALL, "the VM", 3, name, args, data.draw(answers) or 0)
        else:
            integers = tuple(data.draw(st.lists(numbers, min_size=1, max_size=4)))
            recorder.callback(data.draw(st.sampled_from(["the VM", "another"])), name, integers)
            recorder.returned("the VM", name, data.draw(st.one_of(st.none(), numbers)))
    trace = Trace(recorder.entries())
    text = str(trace)
    assert text.isprintable() or "\n" in text
    text.encode()  # what a terminal or a report can take
    for crossing in trace:
        assert str(crossing)
        assert repr(crossing)
