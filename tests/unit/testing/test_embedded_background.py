"""Callouts, ticks and queues of the embedded proxy, driven by a guest of a few lines. What is Envoy's is shown in
tests/conformance; here is what a test's author sees, and what happens at the ends of contexts and VMs."""

from __future__ import annotations

from typing import Any

import pytest

from pywasm_filter.sdk.abi import BufferType, MapType, Status, StreamType
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing import (
    Delay,
    EmbeddedProxy,
    HostMisuse,
    NoAnswer,
    PluginConfigurationError,
    PluginSettings,
    ProxyTestError,
    Refuse,
    Request,
    Response,
    StreamStalled,
)
from pywasm_filter.testing.embedded.pairs import write_pairs
from tests.unit.testing.test_embedded_streams import CONTINUE, PAUSE, Script, pause, trap

SECOND = 1_000_000_000
GET = write_pairs([(b":method", b"GET"), (b":path", b"/p"), (b":authority", b"a")])


def call(host: Hostcalls, timeout: int = 1000, cluster: bytes = b"auth") -> int:
    status, token = host.proxy_http_call(cluster, GET, b"", b"", timeout)
    assert status == Status.OK
    return token


class Waiting:
    """Callbacks of a filter whose requests wait for a callout."""

    def __init__(self, timeout: int = 1000) -> None:
        self.stream = 0
        self.timeout = timeout

    def request_headers(self, host: Hostcalls, context_id: int, *_: int) -> int:
        self.stream = context_id
        call(host, self.timeout)
        return PAUSE

    def http_call_response(self, host: Hostcalls, *_: int) -> None:
        assert host.proxy_set_effective_context(self.stream) == Status.OK
        assert host.proxy_continue_stream(StreamType.HTTP_REQUEST) == Status.OK

    def script(self) -> Script:
        return Script(request_headers=self.request_headers, http_call_response=self.http_call_response)


# --- callouts ---


def test_an_answer_that_is_there_at_once_comes_within_the_step() -> None:
    proxy = Waiting().script().proxy(clusters=("auth",))
    before = proxy.clock.now_ns()
    stream = proxy.open("GET", "/", end_stream=True)
    assert not stream.request_paused
    assert proxy.clock.now_ns() == before


def test_a_request_waits_for_late_answers_and_timeouts_in_virtual_time() -> None:
    proxy = Waiting(timeout=500).script().proxy(clusters=("auth",))
    for answer, seconds in ((Delay(0.25, Response(200)), 0.25), (NoAnswer(), 0.5), (Refuse(), 0)):
        proxy.clusters["auth"] = answer
        before = proxy.clock.now_ns()
        assert proxy.get().response.status == 200
        assert proxy.clock.now_ns() - before == int(seconds * SECOND)


def test_without_a_timeout_and_an_answer_the_stream_stalls_at_once() -> None:
    proxy = Waiting(timeout=0).script().proxy(clusters=("auth",))
    proxy.clusters["auth"] = NoAnswer()
    before = proxy.clock.now_ns()
    with pytest.raises(StreamStalled, match="on_request_headers returned PAUSE"):
        proxy.get()
    assert proxy.clock.now_ns() == before


def test_an_exchange_may_take_twenty_seconds_of_virtual_time() -> None:
    proxy = Waiting(timeout=60_000).script().proxy(clusters=("auth",))
    proxy.clusters["auth"] = Delay(19.9, Response(200))
    assert proxy.get().response.status == 200
    proxy.clusters["auth"] = Delay(20.1, Response(200))
    with pytest.raises(StreamStalled):
        proxy.get()
    patient = EmbeddedProxy(Waiting(60_000).script().instantiate, PluginSettings(clusters=("auth",)), timeout=21)
    patient.clusters["auth"] = Delay(20.1, Response(200))
    assert patient.get().response.status == 200


def test_callouts_made_at_the_start_leave_with_the_first_step() -> None:
    def configure(host: Hostcalls, *_: int) -> int:
        call(host)
        return 1

    script = Script(configure=configure)
    proxy = script.proxy(clusters=("auth",))
    assert proxy.callouts == []
    proxy.clusters["auth"] = Response(404)
    proxy.clock.advance(0)
    # The canary's went with it; those of the main thread and the worker are there.
    assert len(proxy.callouts) == 2
    assert script.trace == ["http_call_response(4, 3, 0, 0)"] * 2


def test_a_refusal_counts_when_the_callout_leaves() -> None:
    script = Script(configure=lambda host, *_: int(call(host) > 0))
    proxy = script.proxy(clusters=("auth",))
    proxy.clusters["auth"] = Refuse()
    proxy.clock.advance(0)
    assert proxy.callouts == []
    assert script.trace == ["http_call_response(4, 3, 98, 0)"] * 2


def test_an_answer_after_the_end_of_the_root_context_does_not_come() -> None:
    def configure(host: Hostcalls, *_: int) -> int:
        call(host)
        host.proxy_set_tick_period_milliseconds(100)
        return 1 - host.proxy_register_shared_queue(b"q")[0]

    script = Script(configure=configure, done=lambda host, *_: 1 - host.proxy_enqueue_shared_queue(1, b"x"))
    proxy = script.proxy(clusters=("auth",))
    proxy.clusters["auth"] = Delay(0.1, Response(200))
    proxy.clock.advance(0)
    proxy.close()
    assert script.trace == ["done()", "delete()"] * 2
    proxy.clock.advance(10)
    assert script.trace == ["done()", "delete()"] * 2


def test_nothing_comes_to_a_dead_vm() -> None:
    def request_headers(host: Hostcalls, *_: int) -> int:
        call(host)
        host.proxy_set_tick_period_milliseconds(200)
        return CONTINUE

    script = Script(request_headers=request_headers, log=trap)
    proxy = script.proxy(clusters=("auth",))
    proxy.clusters["auth"] = Delay(0.1, Response(200))
    assert proxy.get().response.status == 200
    assert script.trace[-1] == "log()"
    proxy.clock.advance(10)
    assert script.trace[-1] == "log()"


def test_an_endless_chain_of_callouts_is_told() -> None:
    script = Script(
        request_headers=Waiting().request_headers, http_call_response=lambda host, *_: call(host) and CONTINUE
    )
    with pytest.raises(ProxyTestError, match="no end in sight"):
        script.proxy(clusters=("auth",)).get()


def test_what_a_callouts_callback_misuses_is_told_where_time_passes() -> None:
    def response(host: Hostcalls, *_: int) -> None:
        host.proxy_set_effective_context(2)
        host.proxy_get_buffer_bytes(BufferType.HTTP_REQUEST_BODY, 0, 1)

    def body(host: Hostcalls, _context: int, _size: int, end_of_stream: int) -> int:
        if end_of_stream:
            call(host)
        return 3

    proxy = Script(request_body=body, http_call_response=response).proxy(clusters=("auth",))
    with pytest.raises(HostMisuse, match=r"accessed in proxy_on_http_call_response.*had returned 3: Envoy crashes"):
        proxy.post(body=b"abc")


def test_maps_and_body_of_an_answer_are_lent_to_its_callback_alone() -> None:
    seen: list[Any] = []

    def look(host: Hostcalls, *_: int) -> int:
        seen.append(
            (
                host.proxy_get_header_map_value(MapType.HTTP_CALL_RESPONSE_HEADERS, b":status"),
                host.proxy_get_buffer_bytes(BufferType.HTTP_CALL_RESPONSE_BODY, 0, 9),
            )
        )
        return CONTINUE

    def request_headers(host: Hostcalls, *_: int) -> int:
        call(host)
        return look(host)

    proxy = Script(request_headers=request_headers, http_call_response=look, response_headers=look).proxy(
        clusters=("auth",)
    )
    proxy.clusters["auth"] = Response(404, body="none")
    proxy.get()
    absent = ((Status.BAD_ARGUMENT, b""), (Status.NOT_FOUND, b""))
    assert seen == [absent, ((Status.OK, b"404"), (Status.OK, b"none")), absent]


def test_a_clusters_function_may_use_the_proxy() -> None:
    def request_headers(host: Hostcalls, *_: int) -> int:
        if host.proxy_get_header_map_value(MapType.HTTP_REQUEST_HEADERS, b"x-inner")[0] == Status.NOT_FOUND:
            call(host)
        return CONTINUE

    proxy = Script(request_headers=request_headers).proxy(clusters=("auth",))

    def answer(request: Request) -> Response:
        assert proxy.get("/", headers={"x-inner": "1"}).response.status == 200
        return Response(200)

    proxy.clusters["auth"] = answer
    assert proxy.get().response.status == 200
    assert len(proxy.callouts) == 1


# --- ticks ---


def test_ticks_come_at_their_times_and_not_for_the_canary() -> None:
    times: list[int] = []

    def configure(host: Hostcalls, *_: int) -> int:
        return 1 - host.proxy_set_tick_period_milliseconds(100)

    def tick(host: Hostcalls, *_: int) -> None:
        times.append(host.proxy_get_current_time_nanoseconds()[1] // 1_000_000)

    proxy = EmbeddedProxy(Script(configure=configure, tick=tick).instantiate, start_ns=0)
    proxy.clock.advance(0.35)
    assert times == [100, 100, 200, 200, 300, 300]  # in the main thread and in the worker
    assert proxy.clock.now_ns() == 350_000_000


def test_a_stream_that_only_ticks_go_on_beside_stalls() -> None:
    def configure(host: Hostcalls, *_: int) -> int:
        return 1 - host.proxy_set_tick_period_milliseconds(1000)

    script = Script(configure=configure, request_headers=pause)
    with pytest.raises(StreamStalled):
        script.proxy().get()
    assert script.trace.count("tick()") == 2 * 20  # in the main thread and in the worker


# --- roots ---


def test_further_roots_share_the_vm_and_have_their_own_configuration() -> None:
    def configure(host: Hostcalls, context_id: int, size: int) -> int:
        seen.append(
            (
                context_id,
                host.proxy_get_property(b"plugin_root_id")[1],
                host.proxy_get_buffer_bytes(BufferType.PLUGIN_CONFIGURATION, 0, size)[1],
            )
        )
        return 1 - host.proxy_log(2, b"configured")

    seen: list[tuple[int, bytes, bytes]] = []
    script = Script(configure=configure)
    proxy = EmbeddedProxy(
        script.instantiate,
        PluginSettings(root_id="main", configuration=b"m", background_roots={"one": b"1", "two": b"22"}),
    )
    # Each canary, and with it the main thread; then the worker.
    assert seen == [
        *((1, b"one", b"1"), (1, b"one", b"1")),
        *((1, b"two", b"22"), (2, b"two", b"22")),
        *((1, b"main", b"m"), (3, b"main", b"m")),
        *((1, b"one", b"1"), (2, b"two", b"22"), (3, b"main", b"m")),
    ]
    assert script.vms == 3 + 1 + 1
    assert [line.root_id for line in proxy.logs] == ["one", "one", "two", "two", "main", "main", "one", "two", "main"]
    script.trace.clear()
    proxy.close()
    assert script.trace == ["done()", "delete()"] * 6


def test_a_further_root_that_refuses_its_configuration_fails_the_start() -> None:
    def configure(_host: Hostcalls, _context: int, size: int) -> int:
        return int(size == 0)

    with pytest.raises(PluginConfigurationError, match="on_configure refused"):
        Script(configure=configure).proxy(background_roots={"one": b"1"})


# --- metrics ---


def test_metrics_show_what_all_vms_have_counted() -> None:
    def configure(host: Hostcalls, *_: int) -> int:
        for kind, name in enumerate((b"c", b"g", b"h")):
            metric = host.proxy_define_metric(kind, name)[1]
            host.proxy_record_metric(metric, 5)
        return 1

    proxy = Script(configure=configure).proxy()
    assert (proxy.metrics.counters, proxy.metrics.gauges, proxy.metrics.histograms) == ({"c": 15}, {"g": 5}, {"h": 3})
