"""Scripted clusters, the clock, further roots and metrics, as a test sees them on each host."""

from __future__ import annotations

import time

import pytest

from pywasm_filter.testing import (
    Callout,
    ClusterAnswer,
    ConditionNotMet,
    Delay,
    Exchange,
    NoAnswer,
    Partial,
    Proxy,
    Refuse,
    Request,
    Reset,
    Response,
)

pytestmark = pytest.mark.pywasm(
    filter="callout_filter.py",
    root_id="asking",
    clusters=["auth", "other"],
    background_roots={"worker": "got"},
)


def ask(proxy: Proxy, what: str = "ask") -> Exchange:
    return proxy.get("/", headers={"x-do": what})


def test_a_callout_is_answered_and_recorded(proxy: Proxy) -> None:
    proxy.clusters["auth"] = Response(200, body="alice")
    exchange = ask(proxy)
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.headers["x-answer"] == "alice"
    [callout] = proxy.callouts
    assert callout == Callout(
        "auth",
        Request(
            "POST",
            "/check",
            authority="auth.example",
            headers={
                "x-token": "t",
                "content-length": "4",
                "x-envoy-internal": "true",
                "x-envoy-expected-rq-timeout-ms": "250",
            },
            body=b"who?",
        ),
    )


def test_a_cluster_answers_an_empty_200_unless_it_is_told_otherwise(proxy: Proxy) -> None:
    assert proxy.clusters["auth"] == Response(200)
    assert ask(proxy).reached_upstream
    proxy.clusters["auth"] = Response(401, body="no")
    assert ask(proxy).response.body == b"no"
    del proxy.clusters["auth"]
    assert ask(proxy).reached_upstream
    assert [callout.cluster for callout in proxy.callouts] == ["auth"] * 3


def test_a_cluster_may_decide_by_the_request(proxy: Proxy) -> None:
    def answer(request: Request) -> Response | Delay[Response]:
        return Delay(0.05, Response(200, body=f"{request.method} {request.path} {request.text}"))

    proxy.clusters["auth"] = answer
    upstream_request = ask(proxy).upstream_request
    assert upstream_request is not None
    assert upstream_request.headers["x-answer"] == "POST /check who?"


@pytest.mark.parametrize(
    ("answer", "status", "arrives"),
    [
        pytest.param(NoAnswer(), 504, True, id="no-answer"),
        pytest.param(Delay(0.6, Response(200)), 504, True, id="too-late"),
        pytest.param(Delay(0.05, NoAnswer()), 504, True, id="delayed-no-answer"),
        pytest.param(Reset(), 503, True, id="reset"),
        pytest.param(Delay(0.05, Reset()), 503, True, id="late-reset"),
        pytest.param(Refuse(), 503, False, id="refuse"),
        pytest.param(Partial(Response(200, body="abc")), 503, True, id="partial"),
        pytest.param(Partial(Response(200, body="abc"), NoAnswer()), 503, True, id="partial-no-answer"),
    ],
)
def test_callouts_that_fail(proxy: Proxy, answer: ClusterAnswer, status: int, arrives: bool) -> None:
    proxy.clusters["auth"] = answer
    exchange = ask(proxy)
    assert (exchange.response.status, exchange.reached_upstream) == (status, False)
    assert len(proxy.callouts) == arrives
    proxy.clusters["auth"] = Response(200, body="again")
    assert ask(proxy).reached_upstream


def test_a_cluster_that_is_not_declared_cannot_be_set(proxy: Proxy) -> None:
    with pytest.raises(KeyError, match=r"'nope' is not declared \(declared are auth, other\)"):
        proxy.clusters["nope"] = Response(200)
    with pytest.raises(TypeError, match=r"cluster 'auth' is to answer a Response.*, not int"):
        proxy.clusters["auth"] = 3  # type: ignore[assignment]
    assert proxy.clusters["auth"] == Response(200)


@pytest.mark.pywasm(clusters=[])
def test_a_callout_to_a_cluster_that_is_not_declared_fails(proxy: Proxy) -> None:
    assert ask(proxy).response.status == 503


def test_what_a_clusters_function_raises_is_told(proxy: Proxy) -> None:
    def answer(request: Request) -> Response:
        raise ZeroDivisionError(request.path)

    proxy.clusters["auth"] = answer
    with pytest.raises(ZeroDivisionError, match="/check"):
        ask(proxy)


def test_what_a_function_raises_after_the_last_step_is_told(proxy: Proxy) -> None:
    def broken(request: Request) -> Response:
        raise ZeroDivisionError("in the service")

    proxy.clusters["auth"] = broken

    def go() -> None:
        ask(proxy, "forget")
        proxy.wait_until(lambda: proxy.callouts)
        proxy.close()

    with pytest.raises(ZeroDivisionError, match="in the service"):
        go()


def test_what_is_no_answer_is_told(proxy: Proxy) -> None:
    proxy.clusters["auth"] = lambda request: "yes"  # type: ignore[assignment, return-value]
    with pytest.raises(TypeError, match=r"the function of cluster 'auth' is to answer a Response.*, not str"):
        ask(proxy)
    proxy.clusters["auth"] = lambda request: Refuse()  # type: ignore[assignment, return-value]
    with pytest.raises(TypeError, match="cannot refuse a connection that is made"):
        ask(proxy)


def test_ticks_come_as_time_passes(proxy: Proxy) -> None:
    exchange = ask(proxy, "tick")
    assert exchange.response.status == 200
    proxy.clock.advance(0.4)
    ticks = [line.message for line in proxy.logs if line.message.startswith("tick ")]
    assert [int(line.removeprefix("tick ")) for line in ticks[-3:]] == [1, 2, 3]


def test_a_test_waits_for_a_condition(proxy: Proxy) -> None:
    start = proxy.clock.now_ns()
    ask(proxy, "enqueue")
    assert proxy.wait_for_log("^got .ne$").root_id == "worker"
    with pytest.raises(ConditionNotMet, match=r"no line of the log had '\^ne' within 0\.1 s"):
        proxy.wait_for_log("^ne", timeout=0.1)
    assert proxy.wait_until(lambda: "at once", timeout=0) == "at once"
    with pytest.raises(ConditionNotMet, match=r"<lambda> \(test_callouts\.py:\d+\) did not hold within 0\.2 s"):
        proxy.wait_until(lambda: False, timeout=0.2)
    assert proxy.clock.now_ns() - start >= 200_000_000
    with pytest.raises(ValueError, match="a duration is a number of seconds from 0 on"):
        proxy.wait_until(lambda: False, timeout=-1)


def test_an_exchange_waits_for_what_is_due_later(proxy: Proxy) -> None:
    before = proxy.clock.now_ns()
    assert ask(proxy, "sleep").reached_upstream
    assert proxy.clock.now_ns() - before >= 100_000_000


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_time_is_virtual_in_the_embedded_proxy(proxy: Proxy) -> None:
    started, before = time.monotonic(), proxy.clock.now_ns()
    proxy.clock.advance(3600)
    assert proxy.clock.now_ns() - before == 3600 * 1_000_000_000
    assert time.monotonic() - started < 60


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_a_callout_step_by_step(proxy: Proxy) -> None:
    proxy.clusters["auth"] = Delay(0.2, Response(200, body="x"))
    stream = proxy.open("GET", "/", headers={"x-do": "ask"}, end_stream=True)
    assert stream.request_paused
    proxy.clock.advance(0.1)
    assert stream.request_paused
    proxy.clock.advance(0.1)
    assert not stream.request_paused
    assert stream.upstream_request is not None
    stream.respond(Response(200))
    assert stream.ended


def test_another_root_takes_from_the_queue(proxy: Proxy) -> None:
    ask(proxy, "enqueue")
    proxy.clock.advance(0.1)
    assert [str(line) for line in proxy.logs if line.root_id == "worker"] == ["[info] got one"]


def test_metrics(proxy: Proxy) -> None:
    ask(proxy, "count")
    ask(proxy, "count")
    metrics = proxy.metrics
    assert metrics.counters["callout_filter.done"] == 4
    assert metrics.gauges["callout_filter.depth"] == 7
    assert metrics.histograms["callout_filter.sizes"] == 6


def test_metrics_of_another_test_do_not_count(proxy: Proxy) -> None:
    ask(proxy, "count")
    assert proxy.metrics.counters["callout_filter.done"] == 2
    assert proxy.metrics.histograms["callout_filter.sizes"] == 3
