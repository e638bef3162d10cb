import pytest

from pywasm_filter.testing import Proxy, Response


def test_request_and_response_get_the_header(proxy: Proxy) -> None:
    exchange = proxy.get("/x", headers={"user-agent": "t"})
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.headers["x-hello"] == "world"
    assert exchange.upstream_request.headers["user-agent"] == "t"
    assert exchange.response.status == 200
    assert exchange.response.headers["x-hello"] == "world"


@pytest.mark.pywasm(configuration="Grüße")
def test_the_configuration_is_the_value(proxy: Proxy) -> None:
    assert proxy.get("/").response.headers["x-hello"] == "Grüße"


def test_a_header_of_the_client_is_replaced(proxy: Proxy) -> None:
    exchange = proxy.get("/", headers=[("x-hello", "one"), ("x-hello", "two")])
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.headers.getall("x-hello") == ["world"]


def test_the_body_passes_untouched(proxy: Proxy) -> None:
    proxy.upstream = Response(201, headers={"content-type": "text/plain"}, body=b"made")
    exchange = proxy.post("/things", body=b"a thing")
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"a thing"
    assert (exchange.response.status, exchange.response.body) == (201, b"made")
