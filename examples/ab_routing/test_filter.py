from typing import Any

import pytest

from pywasm_filter.testing import Exchange, MakeProxy, PluginConfigurationError, Proxy, Response, Route

CONFIGURATION = {"experiment": "checkout", "variants": {"control": 1, "fast": 1, "gone": 0}, "id_header": "x-user-id"}
CLUSTERS = {"control": "upstream", "fast": "canary"}

pytestmark = pytest.mark.pywasm(configuration=CONFIGURATION, routes=[Route("canary", headers={"x-variant": "fast"})])


def variant_of(exchange: Exchange) -> str:
    """The variant that upstream learns of; the request's route is that one's."""
    assert exchange.upstream_request is not None
    [variant] = exchange.upstream_request.headers.getall("x-variant")
    assert exchange.cluster == CLUSTERS[variant]
    return variant


def visit(proxy: Proxy, **headers: str | bytes) -> Exchange:
    return proxy.get("/", headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("variant", ["control", "fast"])
def test_a_client_keeps_its_variant(proxy: Proxy, variant: str) -> None:
    exchange = visit(proxy, cookie=f"a=b; checkout={variant};c", x_variant="forged")
    assert variant_of(exchange) == variant
    assert "set-cookie" not in exchange.response.headers
    assert exchange.response.headers["vary"] == "Cookie"


def test_a_new_client_gets_a_variant_and_its_cookie(proxy: Proxy) -> None:
    proxy.upstream = Response(200, headers=[("set-cookie", "session=1"), ("vary", "Accept")])
    first = visit(proxy)
    variant = variant_of(first)
    theirs, cookie = first.response.headers.getall("set-cookie")
    assert theirs == "session=1"
    assert cookie == f"checkout={variant}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"
    assert ",".join(first.response.headers.getall("vary")) == "Accept,Cookie"
    again = visit(proxy, cookie=cookie.partition(";")[0])
    assert variant_of(again) == variant
    assert again.response.headers.getall("set-cookie") == ["session=1"]


def test_chance_decides_over_clients_without_an_id(proxy: Proxy) -> None:
    assert {variant_of(visit(proxy)) for _ in range(40)} == {"control", "fast"}


def test_an_id_has_the_same_variant_everywhere(proxy: Proxy) -> None:
    users = [f"user-{number}" for number in range(20)]
    variants = [variant_of(visit(proxy, x_user_id=user)) for user in users]
    assert set(variants) == {"control", "fast"}
    assert variants == [variant_of(visit(proxy, x_user_id=user)) for user in users]
    assert variant_of(visit(proxy, x_user_id=users[0], cookie="checkout=fast")) == "fast"
    assert variant_of(visit(proxy, x_user_id=users[0], cookie="checkout=control")) == "control"


@pytest.mark.parametrize(
    "cookie",
    ["checkout=gone", "checkout=", "checkout", "checkout=fast/../..", "xcheckout=fast", "=;;=", b"checkout=\xff"],
)
def test_what_is_no_variant_is_replaced_by_one(proxy: Proxy, cookie: str | bytes) -> None:
    exchange = visit(proxy, cookie=cookie, x_user_id=b"\xff\xfe")
    assert exchange.response.headers["set-cookie"].startswith(f"checkout={variant_of(exchange)};")


def test_the_first_of_several_cookies_counts(proxy: Proxy) -> None:
    cookies = [("cookie", "checkout=gone"), ("cookie", "checkout=fast; checkout=control")]
    assert variant_of(proxy.get("/", headers=cookies)) == "fast"


@pytest.mark.pywasm(routes=[Route("canary", filter_state={"wasm.checkout": "fast"})])
def test_routes_can_depend_on_filter_state(proxy: Proxy) -> None:
    assert variant_of(visit(proxy, cookie="checkout=fast")) == "fast"
    assert variant_of(visit(proxy, cookie="checkout=control")) == "control"


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_filters_behind_can_read_the_variant(proxy: Proxy) -> None:
    assert visit(proxy, cookie="checkout=fast").properties == {"checkout": b"fast"}


def test_assignments_are_counted(proxy: Proxy) -> None:
    variant = variant_of(visit(proxy))
    assert proxy.metrics.counters[f"ab_routing.assignments;experiment=checkout;variant={variant}"] >= 1


@pytest.mark.pywasm(
    hosts=["inprocess", "wasmtime"], configuration={**CONFIGURATION, "variants": {"control": 90, "fast": 10}}
)
def test_weights(proxy: Proxy) -> None:
    variants = [variant_of(visit(proxy, x_user_id=f"user-{number}")) for number in range(500)]
    assert 30 <= variants.count("fast") <= 70


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"variants": {}}, "weights are not negative, and one is over 0"),
        ({"variants": {"a": 2, "b": -1}}, "weights are not negative, and one is over 0"),
        ({"variants": {"a": 0.5}}, "variants"),
        ({"variants": {"a;b": 1}}, "names have up to 64 letters"),
        ({"experiment": ""}, "names have up to 64 letters"),
        ({"header": ":path"}, "':path' cannot be the header"),
        ({"id_header": "cookie"}, "'cookie' cannot be the header"),
        ({"max_age": 0}, "max_age is a second or longer"),
    ],
)
def test_a_bad_configuration_is_refused(make_proxy: MakeProxy, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginConfigurationError) as caught:
        make_proxy(configuration={**CONFIGURATION, **changes})
    assert f"configuration: {problem}" in str(caught.value)
