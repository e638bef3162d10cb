"""What the strategies make passes a filter that does nothing, unchanged, on all hosts."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pywasm_filter.testing import Headers, Proxy, Request, Response, strategies

pytestmark = pytest.mark.pywasm(filter="told_filter.py")

# In a real Envoy each chunk takes its time.
on_a_proxy = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def own(headers: Headers, names: Headers) -> Headers:
    """Those that the strategies have made."""
    made = {name.lower() for name in names}
    return Headers([(name, value) for name, value in headers.raw if name.decode().lower() in made])


@on_a_proxy
@given(request=strategies.requests(), response=strategies.responses())
def test_messages_pass(proxy: Proxy, request: Request, response: Response) -> None:
    proxy.upstream = response
    exchange = proxy.send(request)
    sent = exchange.upstream_request
    assert sent is not None
    assert (sent.method, sent.path, sent.body) == (request.method, request.path, request.body)
    assert own(sent.headers, request.headers) == request.headers
    assert sent.trailers == request.trailers
    received = exchange.response
    assert received.status == response.status
    assert own(received.headers, response.headers) == response.headers
    if request.method == "HEAD":
        assert received.body == b""
    else:
        assert (received.body, received.trailers) == (response.body, response.trailers)


@given(strategies.json_bodies())
def test_json_bodies_are_json(body: bytes) -> None:
    json.loads(body)


@given(strategies.in_chunks(st.binary(max_size=20)))
def test_chunks_are_not_empty(chunks: list[bytes]) -> None:
    assert all(chunks)
    assert len(chunks) <= 4


@given(strategies.json_values())
def test_values_are_what_json_can_say(value: object) -> None:
    assert json.loads(json.dumps(value)) == value
    assert not isinstance(value, float) or math.isfinite(value)


@pytest.mark.parametrize("value", [b" a", b"a\t", b"a\x01b", b"a\x7f"])
def test_values_that_http_cannot_carry_are_refused(proxy: Proxy, value: bytes) -> None:
    with pytest.raises(ValueError, match=r"the request has a field x-a whose value HTTP/1\.1 cannot carry"):
        proxy.get("/", headers={"x-a": value})
    with pytest.raises(ValueError, match=r"the answer of the upstream has a field x-a whose value HTTP/1\.1"):
        proxy.upstream = Response(200, body=[b"a"], trailers={"x-a": value})


def test_names_that_http_cannot_carry_are_refused(proxy: Proxy) -> None:
    with pytest.raises(ValueError, match=r"the request has a field whose name HTTP/1\.1 cannot carry"):
        proxy.get("/", headers={"x a": "b"})


def test_white_space_around_values_does_not_arrive(proxy: Proxy) -> None:
    proxy.upstream = Response(200, body=[b"a", b"b"], trailers={"x-t": "t"})
    exchange = proxy.post("/", headers={"x-do": "spaces"}, body=[b"a", b"b"], trailers={"x-t": "t"})
    assert exchange.upstream_request is not None
    for message in (exchange.upstream_request, exchange.response):
        assert (message.headers["x-space"], message.trailers["x-space"]) == ("a b", "a b")
