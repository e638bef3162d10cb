import base64
import json
from typing import Any

import pytest

from pywasm_filter.testing import MakeProxy, PluginConfigurationError, Proxy

RULES: list[dict[str, Any]] = [
    {"name": "no-bots", "effect": "deny", "status": 404, "when": [{"header": "user-agent", "matches": "(?i).*bot.*"}]},
    {"name": "health", "effect": "allow", "methods": ["GET", "HEAD"], "path": "/health"},
    {
        "name": "own-orders",
        "effect": "allow",
        "path": "/users/(?P<user>[^/]+)/orders(/.*)?",
        "when": [{"claim": ["sub"], "equals_group": "user"}],
        "obligations": [
            {"do": "set_header", "on": "request", "name": "x-policy", "value": "own-orders"},
            {"do": "remove_header", "on": "request", "name": "x-debug"},
            {"do": "set_header", "on": "response", "name": "cache-control", "value": "private"},
            {"do": "remove_header", "on": "response", "name": "x-powered-by"},
        ],
    },
    {
        "name": "admins",
        "effect": "allow",
        "path": "/admin(/.*)?",
        "when": [
            {"claim": ["realm_access", "roles"], "one_of": ["admin", "owner"]},
            {"claim": ["mfa"], "equals": True},
            {"header": "x-network", "equals": "internal"},
            {"header": "x-forwarded-user", "present": False},
        ],
    },
]
CONFIGURATION = {"claims_header": "x-jwt-payload", "explain": "header", "rules": RULES}

pytestmark = pytest.mark.pywasm(configuration=CONFIGURATION)


def claims(**members: Any) -> dict[str, str]:
    return {"x-jwt-payload": base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()}


def decision(proxy: Proxy, path: str, headers: Any = (), method: str = "GET") -> tuple[int, str]:
    exchange = proxy.request(method, path, headers=headers)
    assert (exchange.response.status == 200) == exchange.reached_upstream
    return exchange.response.status, exchange.response.headers["x-policy-decision"]


def test_the_first_rule_that_fits_decides(proxy: Proxy) -> None:
    assert decision(proxy, "/health?x=/admin") == (200, "allow; rule=health")
    assert decision(proxy, "/health", method="POST") == (403, "deny; rule=default")
    assert decision(proxy, "/health", {"user-agent": "GoogleBot/2"}) == (404, "deny; rule=no-bots")
    assert decision(proxy, "/healthy") == (403, "deny; rule=default")


def test_a_denial_says_nothing_but_that(proxy: Proxy) -> None:
    response = proxy.get("/secret").response
    assert (response.status, response.body) == (403, b"denied by policy\n")


def test_obligations_are_fulfilled(proxy: Proxy) -> None:
    exchange = proxy.get("/users/ada/orders/1", headers={**claims(sub="ada"), "x-debug": "1", "x-policy": "forged"})
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.headers.getall("x-policy") == ["own-orders"]
    assert "x-debug" not in exchange.upstream_request.headers
    assert exchange.response.headers["cache-control"] == "private"


def test_a_part_of_the_path_can_be_a_claim(proxy: Proxy) -> None:
    assert decision(proxy, "/users/ada/orders", claims(sub="ada")) == (200, "allow; rule=own-orders")
    assert decision(proxy, "/users/gr%C3%BCn/orders", claims(sub="grün")) == (200, "allow; rule=own-orders")
    for others in (claims(sub="bob"), claims(sub=["bob"]), claims(sub=None), claims(), {}):
        assert decision(proxy, "/users/ada/orders", others) == (403, "deny; rule=default")


def test_all_conditions_have_to_hold(proxy: Proxy) -> None:
    good = claims(realm_access={"roles": ["user", "admin"]}, mfa=True)
    internal = {"x-network": "internal"}
    assert decision(proxy, "/admin/users", {**good, **internal}) == (200, "allow; rule=admins")
    for headers in (
        good,
        {**good, "x-network": "external"},
        {**good, **internal, "x-forwarded-user": "eve"},
        {**claims(realm_access={"roles": ["user"]}, mfa=True), **internal},
        {**claims(realm_access="admin", mfa=True), **internal},
        {**claims(realm_access={"roles": "administrator"}, mfa=True), **internal},
        {**claims(realm_access={"roles": ["admin"]}, mfa=1), **internal},
        {**claims(realm_access={"roles": ["admin"]}), **internal},
    ):
        assert decision(proxy, "/admin/users", headers) == (403, "deny; rule=default")


def test_a_second_value_of_a_header_does_not_allow_and_does_deny(proxy: Proxy) -> None:
    good = list(claims(realm_access={"roles": ["admin"]}, mfa=True).items())
    twice = [("x-network", "external"), ("x-network", "internal")]
    assert decision(proxy, "/admin", [*good, *twice]) == (403, "deny; rule=default")
    assert decision(proxy, "/health", [("user-agent", "x"), ("user-agent", "a bot")])[0] == 404


@pytest.mark.parametrize(
    "path",
    ["/users/ada/orders/../../bob", "//health", "/a%2fb", "/a%2Fb", "/%2e%2e/x", "/a/.", "/a%5cb", "/a;b", "/a%2561",
     "/a%00", "/%ff", "/a%"],
)  # fmt: skip
def test_paths_of_more_than_one_reading_are_denied(proxy: Proxy, path: str) -> None:
    assert decision(proxy, path, claims(sub="ada")) == (400, "deny; rule=ambiguous-path")


def test_another_spelling_is_the_same_path(proxy: Proxy) -> None:
    assert decision(proxy, "/%68ealth") == (200, "allow; rule=health")


@pytest.mark.parametrize("payload", ["", "!", "W10", "bm90IGpzb24", '{"sub":', "[" * 5000, b"\xff"])
def test_malformed_claims_are_denied(proxy: Proxy, payload: str | bytes) -> None:
    assert decision(proxy, "/health", {"x-jwt-payload": payload}) == (403, "deny; rule=malformed-claims")


def test_claims_may_come_as_plain_json(proxy: Proxy) -> None:
    assert decision(proxy, "/users/ada/orders", {"x-jwt-payload": '{"sub": "ada"}'})[0] == 200
    twice = [("x-jwt-payload", '{"sub": "ada"}'), ("x-jwt-payload", '{"sub": "bob"}')]
    assert decision(proxy, "/users/ada/orders", twice)[0] == 403


@pytest.mark.pywasm(configuration={**CONFIGURATION, "explain": "log"})
def test_the_log_explains(proxy: Proxy) -> None:
    exchange = proxy.get("/admin", headers=claims(realm_access={"roles": ["admin"]}))
    assert [line.message for line in exchange.logs] == [
        "deny; rule=default (no-bots: header user-agent, health: path, own-orders: path, admins: claim mfa)"
    ]
    assert "x-policy-decision" not in exchange.response.headers


@pytest.mark.pywasm(configuration={"mode": "audit", "rules": [{"name": "all", "effect": "deny"}]})
def test_audit_lets_pass_what_it_would_deny(proxy: Proxy) -> None:
    exchange = proxy.get("/")
    assert exchange.reached_upstream
    assert [line.message for line in exchange.logs] == ["deny; rule=all (first rule)"]


@pytest.mark.pywasm(configuration={"rules": []})
def test_without_rules_nothing_passes(proxy: Proxy) -> None:
    exchange = proxy.get("/")
    assert (exchange.response.status, exchange.reached_upstream, exchange.logs) == (403, False, [])


def rule(**changes: Any) -> dict[str, Any]:
    return {"rules": [RULES[1], {"name": "x", "effect": "allow", **changes}]}


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
@pytest.mark.parametrize(
    ("configuration", "problem"),
    [
        ({}, "rules: is missing"),
        (rule(effect="permit"), 'rules[1].effect: expected "allow" or "deny", got "permit"'),
        (rule(path="/("), 'rules[1].path: "/(" is no regular expression'),
        (rule(method=["GET"]), 'rules[1].method: is not known; did you mean "methods"?'),
        (rule(status=200), "rules[1]: the status of a denial is 400 to 599, not 200"),
        (rule(name="a b"), "rules[1]: a rule's name"),
        (rule(name="health"), "two rules have the same name"),
        (rule(when=[{"header": "a"}]), "rules[1].when[0]: a condition has one of present"),
        (rule(when=[{"header": "a", "claim": ["b"], "present": True}]), "rules[1].when[0]: a condition is about"),
        (rule(when=[{"claim": ["a"], "present": True}]), "conditions on claims need a claims_header"),
        (rule(when=[{"header": "a", "equals_group": "g"}]), "rules[1]: its path has no group 'g'"),
        (
            rule(obligations=[{"do": "set_header", "on": "upstream", "name": "a", "value": "b"}]),
            'rules[1].obligations[0].on: expected "request" or "response", got "upstream"',
        ),
        (
            rule(obligations=[{"do": "set_header", "on": "request", "name": "a", "value": "b\n"}]),
            "rules[1].obligations[0]: a header has a name in lower case",
        ),
        (rule(obligations=[{"do": "shout"}]), 'rules[1].obligations[0].do: expected "set_header" or "remove_header"'),
    ],
)
def test_a_bad_policy_is_refused_with_its_place(
    make_proxy: MakeProxy, configuration: dict[str, Any], problem: str
) -> None:
    with pytest.raises(PluginConfigurationError) as caught:
        make_proxy(configuration=configuration)
    assert f"configuration: {problem}" in str(caught.value)


def test_the_proxy_does_not_start_with_a_bad_policy(make_proxy: MakeProxy) -> None:
    with pytest.raises(PluginConfigurationError, match=r"configuration: rules\[1\]\.status: expected an integer"):
        make_proxy(configuration=rule(status="teapot"))
