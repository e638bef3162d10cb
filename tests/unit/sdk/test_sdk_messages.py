"""Headers, bodies, messages and properties over a scripted host."""

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pywasm_filter import BadArgument, HeaderMap, HostError, InternalFailure, MapType, NotFound, Request, Response
from pywasm_filter.sdk import headers as headers_module
from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import BufferType
from pywasm_filter.sdk.contexts import RootContext
from pywasm_filter.sdk.exceptions import host_error
from pywasm_filter.sdk.headers import encode_headers
from pywasm_filter.sdk.http_context import HttpContext
from pywasm_filter.sdk.properties import Properties

if TYPE_CHECKING:
    from tests.unit.sdk.conftest import ScriptedHost


@pytest.fixture
def headers(host: "ScriptedHost") -> HeaderMap:
    host.maps[MapType.HTTP_REQUEST_HEADERS] = [(b"accept", b"a"), (b"cookie", b"1"), (b"cookie", b"2"), (b"x", b"\xff")]
    return HeaderMap(MapType.HTTP_REQUEST_HEADERS)


def test_reading(headers: HeaderMap) -> None:
    assert headers["accept"] == "a"
    assert headers["ACCEPT"] == "a"
    assert headers.get("cookie") == "1"
    assert headers.get("absent") is None
    assert headers.get("absent", "z") == "z"
    assert headers.getall("Cookie") == ["1", "2"]
    assert headers.getall("absent") == []
    assert "cookie" in headers
    assert "absent" not in headers
    assert 5 not in headers
    assert list(headers) == headers.keys() == ["accept", "cookie", "cookie", "x"]
    assert len(headers) == 4
    with pytest.raises(KeyError, match="absent"):
        headers["absent"]


def test_bytes_that_are_not_utf8_come_and_go_unchanged(headers: HeaderMap, host: "ScriptedHost") -> None:
    assert headers["x"] == "\udcff"
    assert headers.get_bytes("x") == b"\xff"
    headers["y"] = headers["x"]
    assert (b"y", b"\xff") in host.request_headers


def test_writing(headers: HeaderMap, host: "ScriptedHost") -> None:
    headers["Cookie"] = "3"
    headers.add("accept", b"b")
    del headers["x"]
    assert host.request_headers == [(b"accept", b"a"), (b"cookie", b"3"), (b"accept", b"b")]
    assert headers.pop("cookie") == "3"
    assert headers.pop("cookie", "none") == "none"
    headers.discard("cookie")
    with pytest.raises(KeyError):
        del headers["cookie"]
    assert headers.setdefault("accept", "z") == "a"
    assert headers.setdefault("new", "z") == "z"
    headers.update([("via", "1"), ("via", "2"), ("accept", "c")])
    assert headers.getall("via") == ["1", "2"]
    assert headers.getall("accept") == ["c"]
    headers.raw = [(b"A", b"1")]
    assert host.request_headers == [(b"a", b"1")]


@pytest.mark.parametrize("value", ["a\r\nset-cookie: x", "a\nb", b"a\0", "a\r"])
def test_a_value_cannot_smuggle_in_a_header(headers: HeaderMap, value: str | bytes) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        headers["x"] = value
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        headers.add("x", value)


@pytest.mark.parametrize(
    "name", ["x\r\nset-cookie: y", "x\n", b"x\0", "x: y", "x y", "x:", "::x", ":", "", "grün", b"\xff"]
)
def test_a_name_cannot_smuggle_in_a_header(headers: HeaderMap, host: "ScriptedHost", name: str | bytes) -> None:
    headers.raw = []
    with pytest.raises(ValueError, match="no header can have the name"):
        headers[name] = "1"
    with pytest.raises(ValueError, match="no header can have the name"):
        headers.add(name, "1")
    with pytest.raises(ValueError, match="no header can have the name"):
        encode_headers([(name, "1")])
    assert host.request_headers == []


def test_every_name_that_http_allows_is_taken(headers: HeaderMap, host: "ScriptedHost") -> None:
    headers.raw = []
    headers["X!#$%&'*+-.^_`|~09"] = "1"
    headers[":path"] = "/"
    assert [name for name, _ in host.request_headers] == [b"x!#$%&'*+-.^_`|~09", b":path"]


def test_names_that_come_again_are_kept_but_not_without_end(headers: HeaderMap, host: "ScriptedHost") -> None:
    for _ in range(2):
        for number in range(600):
            headers[f"X-{number}"] = "text"
            headers[b"X-%d" % number] = b"bytes"
            assert headers[f"x-{number}"] == "bytes"
    long = "X-" + "a" * 70_000
    headers[long] = "v"
    assert headers.raw[-1] == (long.lower().encode(), b"v")
    assert len(headers_module._text_names) <= 256
    assert len(headers_module._byte_names) <= 256
    assert max(map(len, headers_module._text_names)) <= 64


def test_one_map_can_be_copied_to_another(headers: HeaderMap, host: "ScriptedHost") -> None:
    headers.raw = [(b"a", b"1"), (b"a", b"2"), (b"b", b"\xff")]
    response = HeaderMap(MapType.HTTP_RESPONSE_HEADERS)
    response.update(headers)
    assert response.raw == [(b"a", b"1"), (b"a", b"2"), (b"b", b"\xff")]
    HttpContext(2, RootContext(1)).send_local_response(200, headers=headers)
    assert host.local_responses[0][3] == response.raw


def test_a_value_of_another_type_is_refused_by_name(headers: HeaderMap) -> None:
    wrong: Any = 5
    with pytest.raises(TypeError, match="a header value is str or bytes, not int: 5"):
        headers["x"] = wrong


def test_a_refusing_host_raises(headers: HeaderMap, host: "ScriptedHost") -> None:
    host.status = 2
    with pytest.raises(BadArgument, match="proxy_replace_header_map_value: BAD_ARGUMENT"):
        headers["x"] = "1"
    with pytest.raises(BadArgument, match="proxy_add_header_map_value"):
        headers.add("x", "1")
    with pytest.raises(BadArgument, match="proxy_get_header_map_pairs"):
        len(headers)
    with pytest.raises(BadArgument, match="proxy_remove_header_map_value"):
        headers.discard("x")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary().filter(lambda data: not set(data) & set(b"\r\n\0")))
def test_any_value_reads_as_text_and_writes_back(host: "ScriptedHost", value: bytes) -> None:
    host.maps[MapType.HTTP_RESPONSE_HEADERS] = [(b"in", value)]
    headers = HeaderMap(MapType.HTTP_RESPONSE_HEADERS)
    headers["out"] = headers["in"]
    assert headers.get_bytes("out") == value


def test_body(host: "ScriptedHost") -> None:
    body = Request().body
    assert (len(body), body.read()) == (0, b"")
    host.buffers[BufferType.HTTP_REQUEST_BODY] = b"0123456789"
    assert len(body) == 10
    assert bytes(body) == b"0123456789"
    assert body.read(3) == b"3456789"
    assert body.read(3, 2) == b"34"
    assert body.read(20) == b""
    body.append(b"ab")
    body.prepend(b"-")
    assert host.request_body == b"-0123456789ab"
    body.replace(b"new")
    assert host.request_body == b"new"
    text: Any = "text"
    with pytest.raises(TypeError, match="a body is bytes, not str"):
        body.replace(text)


def test_pseudo_headers(host: "ScriptedHost") -> None:
    host.maps[MapType.HTTP_REQUEST_HEADERS] = [
        (b":method", b"GET"),
        (b":path", b"/x?y"),
        (b":authority", b"a:1"),
        (b":scheme", b"https"),
    ]
    host.maps[MapType.HTTP_RESPONSE_HEADERS] = [(b":status", b"204")]
    request, response = Request(), Response()
    assert (request.method, request.path, request.authority, request.scheme) == ("GET", "/x?y", "a:1", "https")
    assert response.status == 204
    request.method, request.path, request.authority, request.scheme = "POST", "/", "b", "http"
    response.status = 500
    assert dict(host.request_headers) == {b":method": b"POST", b":path": b"/", b":authority": b"b", b":scheme": b"http"}
    assert host.maps[MapType.HTTP_RESPONSE_HEADERS] == [(b":status", b"500")]


def test_local_response(host: "ScriptedHost") -> None:
    stream = HttpContext(2, RootContext(1))
    assert stream.send_local_response(403, headers=[("a", "1"), ("a", b"2")], body="nö", details="d") == 1
    assert stream.send_local_response(200, grpc_status=7) == 1
    assert host.local_responses == [
        (403, b"d", "nö".encode(), [(b"a", b"1"), (b"a", b"2")], 0xFFFF_FFFF),
        (200, b"", b"", [], 7),
    ]
    stream.continue_request()
    stream.continue_response()
    assert host.continued == [0, 1]
    host.status = 10
    with pytest.raises(InternalFailure):
        stream.send_local_response(200)
    with pytest.raises(NotFound, match="proxy_done"):
        stream.done()


@pytest.mark.parametrize("status", [-1, 0, 99, 100, 199, 1000])
def test_a_status_that_no_client_can_read_is_refused(host: "ScriptedHost", status: int) -> None:
    with pytest.raises(ValueError, match=f"from 200 to 999, not {status}"):
        HttpContext(2, RootContext(1)).send_local_response(status)
    assert host.local_responses == []


def test_properties(host: "ScriptedHost") -> None:
    host.properties[b"request\0path"] = b"/x"
    properties = Properties()
    assert properties.raw("request", "path") == b"/x"
    assert properties.raw("nothing") is None
    properties.set_raw("my", "state", value=b"1")
    assert host.properties[b"my\0state"] == b"1"
    with pytest.raises(ValueError, match="at least one part"):
        properties.raw()


def test_unknown_statuses_are_host_errors() -> None:
    error = host_error("proxy_log", 99)
    assert type(error) is HostError
    assert str(error) == "proxy_log: unknown status 99"


def test_nothing_can_be_called_before_a_proxy_runs_the_code() -> None:
    with pytest.raises(RuntimeError, match="proxy_get_header_map_value: no proxy is running this code yet"):
        Request().headers.get("x")
    assert isinstance(hostcalls.current, hostcalls.Unbound)
