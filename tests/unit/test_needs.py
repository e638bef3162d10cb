"""What a module imports and exports, found in the source of its filter."""

from pathlib import Path

import pytest
from proxy_wasm_abi import load

from pywasm_filter.needs import needs, needs_of_names

BEGINNING = ("proxy_on_context_create", "proxy_on_vm_start", "proxy_on_configure")
END = ("proxy_on_done", "proxy_on_log", "proxy_on_delete")

ALWAYS = {
    "proxy_log",
    "proxy_get_buffer_bytes",
    "proxy_set_buffer_bytes",
    "proxy_get_header_map_pairs",
    "proxy_set_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_add_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_remove_header_map_value",
    "proxy_send_local_response",
    "proxy_get_property",
}
"""What any HTTP filter may come to, if only to log its configuration's mistakes or to fail closed."""


def needs_of(tmp_path: Path, source: str) -> tuple[set[str], tuple[str, ...]]:
    """Hostcalls beside those of any filter, and callbacks."""
    module = tmp_path / "filter.py"
    module.write_text(source)
    found = needs([module])
    assert set(found.hostcalls) >= ALWAYS - {"proxy_send_local_response"}
    return set(found.hostcalls) - ALWAYS, found.callbacks


def test_a_small_filter_needs_little(tmp_path: Path) -> None:
    source = Path("examples/add_header/filter.py").read_text()
    callbacks = (*BEGINNING, "proxy_on_request_headers", "proxy_on_response_headers", "proxy_on_delete")
    assert needs_of(tmp_path, source) == (set(), callbacks)


@pytest.mark.parametrize(
    ("source", "hostcalls", "callbacks"),
    [
        ("class F(HttpContext): pass", set(), ("proxy_on_request_headers",)),
        ("class F(HttpContext):\n def on_log(self): pass", set(), ("proxy_on_request_headers", "proxy_on_log")),
        ("getattr(HttpContext, 'on_done')", set(), ("proxy_on_request_headers", "proxy_on_done")),
        ("HttpContext.done", {"proxy_done"}, ("proxy_on_request_headers",)),
        ("HttpContext.reset", {"proxy_close_stream"}, ("proxy_on_request_headers",)),
        ("HttpContext.continue_request", {"proxy_continue_stream"}, ("proxy_on_request_headers",)),
        ("HttpContext.set_raw", {"proxy_set_property"}, ("proxy_on_request_headers",)),
        ("log_level()", {"proxy_get_log_level"}, ()),
        ("x.byte_size", {"proxy_get_header_map_size"}, ()),
        ("x.body.read(); x.body.append(y)", set(), ()),
        ("len(x.body)", {"proxy_get_buffer_status"}, ()),
        ("def on(answer: HttpResponse): return len(answer.body)", set(), ()),
        ("def on(answer: HttpResponse, other): return len(other.body)", {"proxy_get_buffer_status"}, ()),
        ("def on(answer: HttpResponse):\n answer = x\n return answer.body", {"proxy_get_buffer_status"}, ()),
        ("if x.body: pass", {"proxy_get_buffer_status"}, ()),
        ("b = x.downstream_data", {"proxy_get_buffer_status"}, ()),
        ("getattr(x, 'body')", {"proxy_get_buffer_status"}, ()),
        ("getattr(host, 'proxy_get_buffer_status')", {"proxy_get_buffer_status"}, ()),
        ("Counter", {"proxy_define_metric"}, ()),
        ("shared_data.update", {"proxy_get_shared_data", "proxy_set_shared_data"}, ()),
        ("SharedQueue.register", {"proxy_register_shared_queue", "proxy_dequeue_shared_queue"}, ()),
        ("q.on_queue_ready", {"proxy_dequeue_shared_queue"}, ("proxy_on_queue_ready",)),
        (
            "x.set_tick_period",
            {"proxy_get_current_time_nanoseconds", "proxy_set_tick_period_milliseconds"},
            ("proxy_on_tick",),
        ),
        (
            "class F(StreamContext):\n def on_downstream_close(self): pass",
            {"proxy_close_stream"},
            ("proxy_on_new_connection", "proxy_on_downstream_connection_close"),
        ),
    ],
)
def test_each_use_brings_its_own(tmp_path: Path, source: str, hostcalls: set[str], callbacks: tuple[str, ...]) -> None:
    found, exported = needs_of(tmp_path, source)
    assert hostcalls <= found
    assert found <= hostcalls | {"proxy_increment_metric", "proxy_get_metric", "proxy_record_metric"}
    assert set(exported) == {*BEGINNING, *callbacks, "proxy_on_delete"}


ASYNC = "class F(HttpContext):\n async def on_request_headers(self, n, e):\n  await self."


@pytest.mark.parametrize(
    ("call", "hostcalls", "callbacks"),
    [
        ("http_call", {"proxy_http_call"}, {"proxy_on_http_call_response"}),
        (
            "grpc_call",
            {"proxy_grpc_call", "proxy_grpc_cancel", "proxy_get_status"},
            {"proxy_on_grpc_receive", "proxy_on_grpc_close"},
        ),
        (
            "grpc_stream",
            {"proxy_grpc_stream", "proxy_grpc_cancel", "proxy_grpc_close", "proxy_get_status", "proxy_grpc_send"},
            {
                "proxy_on_grpc_receive",
                "proxy_on_grpc_close",
                "proxy_on_grpc_receive_initial_metadata",
                "proxy_on_grpc_receive_trailing_metadata",
            },
        ),
        (
            "sleep",
            {"proxy_get_current_time_nanoseconds", "proxy_set_tick_period_milliseconds"},
            {"proxy_on_tick"},
        ),
    ],
)
def test_async_code_needs_what_wakes_it(tmp_path: Path, call: str, hostcalls: set[str], callbacks: set[str]) -> None:
    found, exported = needs_of(tmp_path, ASYNC + call)
    assert found - {"proxy_grpc_send"} == (hostcalls | {"proxy_set_effective_context", "proxy_continue_stream"}) - {
        "proxy_grpc_send"
    }
    assert set(exported) == {*BEGINNING, *END, "proxy_on_request_headers", *callbacks}


@pytest.mark.parametrize("call", ["create_task(self.http_call('a', 'GET', '/'))", "grpc_stream('a', 's', 'm')"])
def test_what_is_begun_without_async_needs_what_ends_it(tmp_path: Path, call: str) -> None:
    source = f"class F(HttpContext):\n def on_request_headers(self, n, e):\n  self.{call}"
    found, exported = needs_of(tmp_path, source)
    assert {"proxy_set_effective_context", "proxy_continue_stream"} <= found
    assert ("proxy_grpc_cancel" in found) == ("grpc" in call)
    assert set(END) <= set(exported)


@pytest.mark.parametrize("direction", ["request", "response"])
def test_a_body_that_waits_or_is_collected_is_not_passed_by_its_trailers(tmp_path: Path, direction: str) -> None:
    trailers = f"proxy_on_{direction}_trailers"
    waits = f"class F(HttpContext):\n async def on_{direction}_body(self, n, e):\n  await self.sleep(1)"
    assert trailers in needs_of(tmp_path, waits)[1]
    assert trailers not in needs_of(tmp_path, ASYNC + "sleep")[1]
    assert trailers in needs_of(tmp_path, f"class F(HttpContext):\n def on_{direction}_body(self, n, e): pass")[1]


@pytest.mark.parametrize("source", ["match x:\n case HeaderMap(byte_size=n): pass", "attrgetter('headers.byte_size')"])
def test_names_of_attributes_may_stand_in_patterns_and_paths(tmp_path: Path, source: str) -> None:
    assert needs_of(tmp_path, source)[0] == {"proxy_get_header_map_size"}


def test_a_filter_that_names_everything_gets_everything() -> None:
    abi = load()
    from pywasm_filter import __all__ as names  # what an author may import
    from pywasm_filter.sdk import contexts, grpc, headers, http_context, shared_queue, stream_context

    methods = {
        name
        for module in (contexts, grpc, headers, http_context, shared_queue, stream_context)
        for cls in vars(module).values()
        if isinstance(cls, type)
        for name in dir(cls)
    }
    found = needs_of_names(frozenset({*names, *methods, "async", "update", "set_raw", "on_queue_ready", "labels"}))
    assert set(found.callbacks) == {callback.name for callback in abi.callbacks}
    assert {call.name for call in abi.hostcalls} - set(found.hostcalls) == set()


@pytest.mark.parametrize(("binding", "needed"), [("", False), ("\n    answer = self.request", True)])
def test_the_body_of_an_answer_is_none_of_the_host_s(tmp_path: Path, binding: str, needed: bool) -> None:
    source = (
        "class F(HttpContext):\n  async def on_request_headers(self, count, end):\n"
        f"    answer = await self.http_call('c', 'GET', '/'){binding}\n    return len(answer.body)\n"
    )
    assert ("proxy_get_buffer_status" in needs_of(tmp_path, source)[0]) is needed
