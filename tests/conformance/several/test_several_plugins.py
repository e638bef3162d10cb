"""Chains of several plugins, and what the plugins of a proxy share."""

import pytest

from pywasm_filter.testing import Exchange, MakeProxy, Plugin, Proxy

PASSING = [
    "a: request headers",
    "b: request headers",
    "b: response headers",
    "a: response headers",
    "a: log",
    "b: log",
    "a: done",
    "b: done",
]

TWO = [Plugin(configuration="a", plugin_name="first"), Plugin(configuration="b", plugin_name="second")]

pytestmark = pytest.mark.pywasm(plugins=TWO)


def told(exchange: Exchange) -> list[str]:
    return [line.message for line in exchange.logs]


def seen_by(exchange: Exchange) -> list[str]:
    assert exchange.upstream_request is not None
    return exchange.upstream_request.headers.getall("x-seen-by")


def test_the_response_passes_the_plugins_in_the_other_order(proxy: Proxy) -> None:
    exchange = proxy.get()
    assert told(exchange) == PASSING
    assert seen_by(exchange) == ["a", "b"]
    assert exchange.response.headers.getall("x-returned-by") == ["b", "a"]


@pytest.mark.parametrize("answers", ["a", "b"])
def test_a_local_reply_returns_through_the_plugins_that_the_request_has_reached(proxy: Proxy, answers: str) -> None:
    exchange = proxy.get(headers={f"x-{answers}": "answer"})
    assert (exchange.response.status, exchange.response.text) == (403, f"from {answers}")
    assert not exchange.reached_upstream
    assert exchange.response.headers.getall("x-returned-by") == (["a"] if answers == "a" else ["b", "a"])
    # The other is there for the log alone.
    assert told(exchange) == [line for line in PASSING if answers == "b" or line not in PASSING[1:3]]


@pytest.mark.parametrize("answers", ["a", "b"])
def test_a_local_reply_to_a_response_passes_no_plugin(proxy: Proxy, answers: str) -> None:
    exchange = proxy.get(headers={f"x-{answers}": "replace"})
    assert (exchange.response.status, exchange.response.text) == (502, f"instead by {answers}")
    assert "x-returned-by" not in exchange.response.headers
    assert told(exchange) == [line for line in PASSING if answers == "a" or line != "a: response headers"]


@pytest.mark.parametrize("waits", [["a"], ["b"], ["a", "b"]])
def test_a_plugin_resumes_what_lies_behind_it(proxy: Proxy, waits: list[str]) -> None:
    exchange = proxy.post(body=[b"1", b"2"], headers={f"x-{name}": "wait" for name in waits})
    assert told(exchange) == PASSING
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"12"


@pytest.mark.pywasm(plugins=[Plugin(configuration=name, allow_on_headers_stop_iteration=True) for name in "ab"])
@pytest.mark.parametrize(
    ("holding", "bodies", "sent"),
    [
        ("a", ["a: request body b'123'"], b"123+a"),
        ("b", ["b: request body b'123'"], b"123+b"),
        ("ab", ["a: request body b'123'", "b: request body b'123+a'"], b"123+a+b"),
    ],
)
def test_bodies_that_are_held_back(proxy: Proxy, holding: str, bodies: list[str], sent: bytes) -> None:
    exchange = proxy.post(body=[b"1", b"2", b"3"], headers={f"x-{name}": "hold" for name in holding})
    assert [line for line in told(exchange) if "body" in line] == bodies
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == sent


@pytest.mark.parametrize("resets", ["a", "b"])
def test_a_plugin_resets_the_stream(proxy: Proxy, resets: str) -> None:
    exchange = proxy.get(headers={f"x-{resets}": "reset"})
    assert exchange.reset
    assert told(exchange) == [
        line for line in PASSING if "response" not in line and (resets == "b" or line != PASSING[1])
    ]


def numbers(exchange: Exchange) -> tuple[str, str]:
    assert exchange.upstream_request is not None
    headers = exchange.upstream_request.headers
    return str(headers["x-in-this-vm"]), str(headers["x-in-all"])


def test_plugins_of_one_module_share_a_vm(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(plugins=[Plugin(configuration=name, vm_id="one VM") for name in "ab"])
    assert [numbers(proxy.get()) for _ in range(2)] == [("2", "2"), ("4", "4")]


def test_a_vm_configuration_of_its_own_means_a_vm_of_its_own(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(
        plugins=[Plugin(configuration=name, vm_id="one for data", vm_configuration=name) for name in "ab"]
    )
    assert [numbers(proxy.get()) for _ in range(2)] == [("1", "2"), ("2", "4")]


def test_data_is_shared_within_a_vm_id(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(plugins=[Plugin(configuration=name, vm_id=f"data of {name}") for name in "ab"])
    assert [numbers(proxy.get()) for _ in range(2)] == [("1", "1"), ("2", "2")]


def test_plugins_that_are_the_same_share_a_root_context(make_proxy: MakeProxy) -> None:
    proxy = make_proxy(plugins=[Plugin(configuration="a", vm_id="twice")] * 2)
    assert told(proxy.get()) == [line.replace("b:", "a:") for line in PASSING]
