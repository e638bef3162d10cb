import json
from typing import Any

import pytest

from pywasm_filter.testing import (
    Callout,
    ClusterAnswer,
    MakeProxy,
    NoAnswer,
    PluginConfigurationError,
    Proxy,
    Refuse,
    Response,
)

SHIPPER: dict[str, Any] = {
    "cluster": "collector",
    "path": "/events",
    "batch": 3,
    "keep": 5,
    "flush_every": "200ms",
    "retry_after": "100ms",
    "timeout": "300ms",
}

pytestmark = pytest.mark.pywasm(
    root_id="audit", vm_id="audit", clusters=["collector"], background_roots={"audit_shipper": SHIPPER}
)


def events(callouts: list[Callout]) -> list[dict[str, Any]]:
    return [json.loads(line) for callout in callouts for line in callout.request.body.splitlines()]


def paths(callouts: list[Callout]) -> list[str]:
    return [event["path"] for event in events(callouts)]


def test_what_changes_something_is_reported(proxy: Proxy) -> None:
    proxy.upstream = Response(201)
    started = proxy.clock.now_ns() // 1_000_000
    proxy.get("/read")
    proxy.post("/orders?x=1", headers=[("x-user", b'\xff"ada'), ("host", "shop")], body="{}")
    proxy.wait_until(lambda: bool(proxy.callouts))
    [callout] = proxy.callouts
    request = callout.request
    assert (request.method, request.path, request.authority) == ("POST", "/events", "collector")
    assert request.headers["content-type"] == "application/x-ndjson"
    [event] = events([callout])
    assert started <= event.pop("time") <= proxy.clock.now_ns() // 1_000_000
    assert event.pop("client").startswith("127.0.0.1:")
    assert event == {
        "user": '\udcff"ada',
        "method": "POST",
        "host": "shop",
        "path": "/orders?x=1",
        "status": 201,
    }


def test_events_go_out_in_batches(proxy: Proxy) -> None:
    for number in range(7):
        proxy.delete(f"/{number}")
    proxy.wait_until(lambda: len(events(proxy.callouts)) == 7)
    assert paths(proxy.callouts) == [f"/{number}" for number in range(7)]
    assert max(len(events([callout])) for callout in proxy.callouts) <= 3
    assert len({callout.request.headers["idempotency-key"] for callout in proxy.callouts}) == len(proxy.callouts)
    proxy.wait_until(lambda: proxy.metrics.counters.get("audit.shipped", 0) >= 7)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Response(503), "the collector answers 503"),
        (Response(429), "the collector answers 429"),
        (NoAnswer(), "no answer from the cluster 'collector' within 0.3 s"),
        (Refuse(), "no answer from the cluster 'collector'"),
    ],
    ids=["503", "429", "silent", "down"],
)
def test_a_batch_is_sent_until_it_is_taken(proxy: Proxy, answer: ClusterAnswer, reason: str) -> None:
    proxy.clusters["collector"] = answer
    proxy.put("/retried")
    proxy.wait_for_log(f"events have to wait: {reason}")
    before = len(proxy.callouts)
    proxy.clusters["collector"] = Response(202)
    proxy.wait_until(lambda: len(proxy.callouts) > before)
    assert set(paths(proxy.callouts)) == {"/retried"}
    assert len({callout.request.headers["idempotency-key"] for callout in proxy.callouts}) == 1


def test_a_batch_that_is_refused_does_not_hold_up_others(proxy: Proxy) -> None:
    proxy.clusters["collector"] = Response(413)
    proxy.post("/refused")
    proxy.wait_for_log("1 events are lost: the collector refuses them with 413")
    proxy.clusters["collector"] = Response(200)
    proxy.post("/next")
    proxy.wait_until(lambda: "/next" in paths(proxy.callouts))
    assert paths(proxy.callouts) == ["/refused", "/next"]


def test_what_waits_has_a_bound(proxy: Proxy) -> None:
    proxy.clusters["collector"] = Response(500)
    for number in range(12):
        proxy.post(f"/{number}", headers={"x-user": "u" * 9000})
    proxy.wait_for_log("events are lost: more than 5 wait for the collector")
    proxy.clusters["collector"] = Response(200)
    proxy.wait_until(lambda: "/11" in paths(proxy.callouts))
    delivered = paths(proxy.callouts)
    assert delivered[-5:] == ["/7", "/8", "/9", "/10", "/11"]
    assert "/6" not in delivered
    assert {len(event["user"]) for event in events(proxy.callouts)} == {2000}


@pytest.mark.pywasm(background_roots=[], vm_id="alone")
def test_without_a_shipper_requests_pass_all_the_same(proxy: Proxy) -> None:
    exchange = proxy.post("/")
    assert exchange.response.status == 200
    proxy.wait_for_log("an event is lost: no audit_shipper runs")


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"path": ""}, "the path begins with a slash"),
        ({"batch": 0}, "a batch has at least one event"),
        ({"keep": 2}, "a batch has at least one event"),
        ({"flush_every": 0}, "all times are over 0"),
    ],
)
def test_a_bad_configuration_is_refused(make_proxy: MakeProxy, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginConfigurationError) as caught:
        make_proxy(background_roots={"audit_shipper": {**SHIPPER, **changes}})
    assert f"configuration: {problem}" in str(caught.value)
