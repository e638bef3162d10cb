"""What is held while a coroutine waits stays held, whatever comes; an answer passes though its own callbacks fail."""

from __future__ import annotations

import pytest

from pywasm_filter.testing import Proxy, Response

pytestmark = pytest.mark.pywasm(filter="held_filter.py")


def test_trailers_do_not_let_a_body_pass_that_waits(proxy: Proxy) -> None:
    exchange = proxy.post("/", body=[b"so ", b"bad"], trailers={"x-a": "1"})
    assert exchange.response.status == 403
    assert not exchange.reached_upstream
    assert "KeyError: 'own answer'" in "\n".join(record.message for record in proxy.logs)


def test_a_body_with_trailers_passes_with_them(proxy: Proxy) -> None:
    exchange = proxy.post("/", body=[b"so ", b"good"], trailers={"x-a": "1"})
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"so good"
    assert exchange.upstream_request.trailers["x-a"] == "1"


def test_trailers_do_not_let_a_response_pass_that_waits(proxy: Proxy) -> None:
    proxy.upstream = Response(200, body=[b"bad"], trailers={"x-a": "1"})
    response = proxy.get("/").response
    assert response.body == b"***"
    assert response.trailers["x-a"] == "1"
