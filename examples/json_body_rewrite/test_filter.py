import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pywasm_filter.testing import Proxy, Response, strategies

JSON = {"content-type": "application/json; charset=utf-8"}
CONFIGURATION = {"set_in_request": {"tenant": "blau-grün"}, "remove_from_response": ["password"]}

pytestmark = pytest.mark.pywasm(configuration=CONFIGURATION)

exact = pytest.mark.pywasm(
    configuration={**CONFIGURATION, "exact_length": True},
    allow_on_headers_stop_iteration=True,
)


def test_a_request_gets_the_member(proxy: Proxy) -> None:
    exchange = proxy.post("/", headers=JSON, body=b'{"a": 1, "tenant": "red"}')
    upstream = exchange.upstream_request
    assert upstream is not None
    assert json.loads(upstream.body) == {"a": 1, "tenant": "blau-grün"}
    assert "content-length" not in upstream.headers


@exact
def test_the_length_is_exact_when_asked_for(proxy: Proxy) -> None:
    proxy.upstream = Response(200, headers=JSON, body=b'{"user": "ada", "password": "x"}')
    exchange = proxy.post("/", headers=JSON, body=b'{"a": 1}')
    upstream = exchange.upstream_request
    assert upstream is not None
    assert upstream.body == '{"a":1,"tenant":"blau-grün"}'.encode()
    assert upstream.headers["content-length"] == str(len(upstream.body))
    assert exchange.response.body == b'{"user":"ada"}'
    assert exchange.response.headers["content-length"] == "14"


def test_a_body_in_chunks_is_one_document(proxy: Proxy) -> None:
    exchange = proxy.post("/", headers=JSON, body=[b'{"numb', b'ers": [1, 2', b", 3]}"])
    assert exchange.upstream_request is not None
    assert json.loads(exchange.upstream_request.body) == {"numbers": [1, 2, 3], "tenant": "blau-grün"}


def test_a_body_with_trailers_is_edited(proxy: Proxy) -> None:
    exchange = proxy.post("/", headers=JSON, body=[b'{"a"', b": 1}"], trailers={"x-checksum": "1"})
    assert exchange.upstream_request is not None
    assert json.loads(exchange.upstream_request.body) == {"a": 1, "tenant": "blau-grün"}
    assert exchange.upstream_request.trailers["x-checksum"] == "1"


def test_members_of_a_response_are_removed_at_any_depth(proxy: Proxy) -> None:
    document = {"users": [{"name": "ada", "password": "x"}, {"name": "bob", "password": "y"}], "password": 1}
    proxy.upstream = Response(200, headers=JSON, body=json.dumps(document).encode())
    response = proxy.get("/users").response
    assert json.loads(response.body) == {"users": [{"name": "ada"}, {"name": "bob"}]}
    assert "content-length" not in response.headers


def test_anything_but_json_in_a_request_is_refused(proxy: Proxy) -> None:
    exchange = proxy.post("/", headers=JSON, body=b"not json")
    assert exchange.upstream_request is None
    assert (exchange.response.status, exchange.response.body) == (400, b"the body is not JSON\n")


def test_anything_but_json_in_a_response_passes(proxy: Proxy) -> None:
    proxy.upstream = Response(200, headers=JSON, body=b"<html>")
    exchange = proxy.get("/")
    assert exchange.response.body == b"<html>"
    assert [line.message for line in exchange.logs] == ["a response declared as JSON is not JSON"]


def test_other_media_types_pass_untouched(proxy: Proxy) -> None:
    exchange = proxy.post("/", headers={"content-type": "text/plain"}, body=b'{"a": 1}')
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b'{"a": 1}'
    assert exchange.upstream_request.headers["content-length"] == "8"


def test_a_json_document_that_is_no_object_passes(proxy: Proxy) -> None:
    exchange = proxy.post("/", headers=JSON, body=b"[1, 2]")
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"[1, 2]"


KEYS = st.sampled_from(["password", "tenant", "a"]) | st.text()
DOCUMENTS = strategies.json_bodies(st.dictionaries(KEYS, strategies.json_values()))
any_document = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
@any_document
@given(body=strategies.in_chunks(DOCUMENTS), headers=strategies.headers())
def test_any_request_gets_the_member(proxy: Proxy, body: list[bytes], headers: list[strategies.Field]) -> None:
    exchange = proxy.post("/", headers=[*headers, *JSON.items()], body=body)
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.json() == {**json.loads(b"".join(body)), "tenant": "blau-grün"}


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
@any_document
@given(body=strategies.in_chunks(DOCUMENTS))
def test_no_response_keeps_the_member(proxy: Proxy, body: list[bytes]) -> None:
    def without_password(pairs: list[tuple[str, object]]) -> dict[str, object]:
        return {name: value for name, value in pairs if name != "password"}

    proxy.upstream = Response(200, headers=JSON, body=body)
    expected = json.loads(b"".join(body), object_pairs_hook=without_password)
    assert proxy.get("/").response.json() == expected
