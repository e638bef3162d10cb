from typing import Any

import pytest

from pywasm_filter.testing import (
    ClusterAnswer,
    Delay,
    MakeProxy,
    NoAnswer,
    Partial,
    PluginConfigurationError,
    Proxy,
    Refuse,
    Request,
    Reset,
    Response,
)

CONFIGURATION = {"cluster": "auth", "path": "/check", "timeout": "250ms", "to_upstream": ["x-user", "x-scope"]}

pytestmark = pytest.mark.pywasm(configuration=CONFIGURATION, clusters=["auth"])


def configured(**changes: Any) -> dict[str, Any]:
    return {**CONFIGURATION, **changes}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def knows_ada(request: Request) -> Response:
    if request.headers.getall("authorization") == ["Bearer ada"]:
        return Response(200, headers=[("x-user", "ada"), ("x-scope", "read"), ("x-scope", "write"), ("x-other", "1")])
    return Response(401, headers={"www-authenticate": "Bearer", "content-type": "text/html"}, body="<p>Who?</p>")


def test_a_request_passes_with_what_the_service_says_of_it(proxy: Proxy) -> None:
    proxy.clusters["auth"] = knows_ada
    exchange = proxy.post("/orders?x=1", headers={**bearer("ada"), "cookie": "a=b", "host": "shop"}, body="{}")
    assert exchange.upstream_request is not None
    headers = exchange.upstream_request.headers
    assert (headers["x-user"], headers.getall("x-scope"), "x-other" in headers) == ("ada", ["read", "write"], False)
    assert exchange.upstream_request.body == b"{}"
    [callout] = proxy.callouts
    asked = callout.request
    assert (asked.method, asked.path, asked.authority, asked.body) == ("GET", "/check", "auth", b"")
    assert asked.headers["authorization"] == "Bearer ada"
    assert "cookie" not in asked.headers
    assert asked.headers["x-forwarded-method"] == "POST"
    assert asked.headers["x-forwarded-host"] == "shop"
    assert asked.headers["x-forwarded-uri"] == "/orders?x=1"


def test_a_denial_goes_to_the_client(proxy: Proxy) -> None:
    proxy.clusters["auth"] = knows_ada
    exchange = proxy.get("/", headers=bearer("eve"))
    assert not exchange.reached_upstream
    assert (exchange.response.status, exchange.response.body) == (401, b"<p>Who?</p>")
    assert exchange.response.headers["www-authenticate"] == "Bearer"
    assert exchange.response.headers.getall("content-type") == ["text/html"]
    assert exchange.logs == []
    proxy.clusters["auth"] = Response(403)
    assert proxy.get("/", headers=bearer("ada")).response.status == 403


def test_what_the_client_forges_does_not_pass(proxy: Proxy) -> None:
    forged = {"x-user": "root", "x-forwarded-uri": "/public"}
    proxy.clusters["auth"] = Response(204)
    exchange = proxy.get("/secret", headers=forged)
    assert exchange.upstream_request is not None
    assert "x-user" not in exchange.upstream_request.headers
    assert proxy.callouts[0].request.headers.getall("x-forwarded-uri") == ["/secret"]


def test_the_service_sees_strange_headers_as_they_are(proxy: Proxy) -> None:
    proxy.clusters["auth"] = knows_ada
    exchange = proxy.get("/", headers=[("authorization", b"Bearer \xff\xfe"), ("authorization", "Bearer ada")])
    assert exchange.response.status == 401
    [callout] = proxy.callouts
    values = [value for name, value in callout.request.headers.raw if name == b"authorization"]
    assert b",".join(values) == b"Bearer \xff\xfe,Bearer ada"


FAILURES: dict[str, tuple[ClusterAnswer, str]] = {
    "timeout": (NoAnswer(), "no answer from the cluster 'auth' within 0.25 s"),
    "refused": (Refuse(), "no answer from the cluster 'auth'"),
    "reset": (Reset(), "no answer from the cluster 'auth'"),
    "broken-off": (Partial(Response(200, body="ok")), "the answer of the cluster 'auth' was broken off"),
    "error": (Response(500), "it answered 500"),
    "redirect": (Response(302, headers={"location": "/login"}), "it answered 302"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_without_a_decision_nothing_passes(proxy: Proxy, failure: str) -> None:
    proxy.clusters["auth"], reason = FAILURES[failure]
    exchange = proxy.get("/", headers=bearer("ada"))
    assert (exchange.response.status, exchange.reached_upstream) == (503, False)
    [line] = exchange.logs
    assert line.message.startswith(f"not authorised by the service: {reason}")
    proxy.clusters["auth"] = knows_ada
    assert proxy.get("/", headers=bearer("ada")).response.status == 200


@pytest.mark.pywasm(configuration=configured(on_failure="allow"))
@pytest.mark.parametrize("failure", ["timeout", "refused"])
def test_requests_may_pass_without_a_decision(proxy: Proxy, failure: str) -> None:
    proxy.clusters["auth"], _ = FAILURES[failure]
    exchange = proxy.get("/", headers={**bearer("ada"), "x-user": "root"})
    assert exchange.upstream_request is not None
    assert "x-user" not in exchange.upstream_request.headers
    assert len(exchange.logs) == 1
    proxy.clusters["auth"] = knows_ada
    assert proxy.get("/", headers=bearer("eve")).response.status == 401


@pytest.mark.pywasm(clusters=[], hosts=["inprocess", "wasmtime"])
def test_a_cluster_that_the_proxy_does_not_have(proxy: Proxy) -> None:
    exchange = proxy.get("/", headers=bearer("ada"))
    assert exchange.response.status == 503
    assert exchange.logs[0].message.endswith("is it in its configuration?")


# --- the cache ---

cached = pytest.mark.pywasm(configuration=configured(cache={"ttl": "60s"}))


def asked_about(proxy: Proxy) -> list[str]:
    return [callout.request.headers.get("x-forwarded-uri", "") or "" for callout in proxy.callouts]


@cached
def test_the_same_question_is_asked_once(proxy: Proxy) -> None:
    proxy.clusters["auth"] = knows_ada
    for path in ("/once", "/once", "/twice", "/once"):
        exchange = proxy.get(path, headers=bearer("ada"))
        assert exchange.upstream_request is not None
        assert exchange.upstream_request.headers["x-user"] == "ada"
    assert asked_about(proxy) == ["/once", "/twice"]
    assert proxy.get("/once", headers=bearer("eve")).response.status == 401
    assert proxy.post("/once", headers=bearer("ada")).reached_upstream
    assert len(proxy.callouts) == 4
    assert proxy.metrics.counters["async_auth.decisions;outcome=cached"] >= 2


by_token = pytest.mark.pywasm(configuration=configured(cache={"ttl": "60s", "size": 2}, tell_request=False))


@by_token
def test_a_decision_may_be_the_tokens_alone(proxy: Proxy) -> None:
    proxy.clusters["auth"] = knows_ada
    assert proxy.get("/a", headers=bearer("ada")).reached_upstream
    assert proxy.post("/b", headers=bearer("ada")).reached_upstream
    assert asked_about(proxy) == [""]


@by_token
def test_the_cache_has_a_bound(proxy: Proxy) -> None:
    for token in ("1", "2", "3", "2", "1", "1"):
        assert proxy.get("/", headers=bearer(token)).reached_upstream
    assert [callout.request.headers["authorization"][-1] for callout in proxy.callouts] == ["1", "2", "3", "1"]


@cached
def test_neither_denials_nor_failures_are_kept(proxy: Proxy) -> None:
    statuses = []
    for answer in (knows_ada, Response(500), Response(200)):
        proxy.clusters["auth"] = answer
        statuses.append(proxy.get("/late", headers=bearer("bob")).response.status)
    assert statuses == [401, 503, 200]


@pytest.mark.pywasm(configuration=configured(cache={"ttl": "300ms"}))
def test_an_allowance_ends(proxy: Proxy) -> None:
    proxy.clusters["auth"] = knows_ada
    assert proxy.get("/", headers=bearer("ada")).reached_upstream
    proxy.clock.advance(0.3)
    proxy.clusters["auth"] = Response(403)
    assert proxy.get("/", headers=bearer("ada")).response.status == 403


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_requests_wait_together_for_one_answer(proxy: Proxy) -> None:
    proxy.clusters["auth"] = Delay(0.1, Response(200, headers={"x-user": "ada"}))
    streams = [proxy.open("GET", "/", headers=bearer("ada"), end_stream=True) for _ in range(3)]
    other = proxy.open("GET", "/other", headers=bearer("ada"), end_stream=True)
    assert all(stream.request_paused for stream in streams)
    streams[0].abort()  # the one that has asked
    proxy.clock.advance(0.1)
    for stream in (*streams[1:], other):
        assert stream.upstream_request is not None
        assert stream.upstream_request.headers["x-user"] == "ada"
    assert streams[0].upstream_request is None
    assert asked_about(proxy) == ["/", "/other"]


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"path": "check"}, "the path begins with a slash, not 'check'"),
        ({"timeout": 0}, "the timeout is over 0"),
        ({"on_failure": "open"}, 'on_failure: expected "deny" or "allow", got "open"'),
        ({"forward": [":path"]}, "':path' is no header that can be copied"),
        ({"to_upstream": ["Host"]}, "'Host' is no header that can be copied"),
        ({"forward": ["content-length"]}, "'content-length' is no header that can be copied"),
        ({"cache": {"ttl": "0s"}}, "cache: ttl and size are over 0"),
    ],
)
def test_a_bad_configuration_is_refused(make_proxy: MakeProxy, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginConfigurationError) as caught:
        make_proxy(configuration=configured(**changes))
    assert f"configuration: {problem}" in str(caught.value)
