from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywasm_filter.testing import Headers, LogLevel, LogLine, Request, Response
from pywasm_filter.testing.messages import chunks_of

names = st.text("abcXYZ-", min_size=1, max_size=4)
values = st.binary(max_size=5).filter(lambda data: not set(data) & set(b"\r\n\0"))


def test_headers_are_found_by_any_case() -> None:
    headers = Headers({"Content-Type": "text/plain"})
    assert headers["content-type"] == headers["CONTENT-TYPE"] == headers[b"Content-type"] == "text/plain"
    assert "content-TYPE" in headers
    assert 1 not in headers
    assert headers.raw == [(b"Content-Type", b"text/plain")]


def test_repeated_headers_are_kept_in_order() -> None:
    headers = Headers([("a", "1"), ("b", "2"), ("A", "3")])
    assert headers["a"] == "1"
    assert headers.getall("a") == ["1", "3"]
    assert list(headers) == headers.keys() == ["a", "b", "A"]
    assert headers.values() == ["1", "2", "3"]
    assert headers.items() == [("a", "1"), ("b", "2"), ("A", "3")]
    assert len(headers) == 3


def test_absent_headers() -> None:
    headers = Headers()
    assert headers.get("a") is None
    assert headers.get("a", "default") == "default"
    assert headers.getall("a") == []
    with pytest.raises(KeyError, match="a"):
        headers["a"]


def test_bytes_that_are_not_utf8_survive() -> None:
    headers = Headers({"x": b"\xff\xc3\xa9"})
    assert headers["x"] == "\udcffé"
    assert Headers(headers.items()).raw == [(b"x", b"\xff\xc3\xa9")]


@given(st.lists(st.tuples(names, values)))
def test_pairs_survive_the_way_through_text(pairs: list[tuple[str, bytes]]) -> None:
    headers = Headers(pairs)
    assert Headers(headers.items()).raw == headers.raw == [(name.encode(), value) for name, value in pairs]
    assert Headers(headers) == headers
    assert hash(Headers(headers.items())) == hash(headers)


def test_equality_is_about_each_name() -> None:
    assert Headers([("a", "1"), ("b", "2")]) == Headers([("B", "2"), ("A", "1")])
    assert Headers([("a", "1"), ("a", "2")]) != Headers([("a", "2"), ("a", "1")])
    assert Headers({"a": "1"}) == {"A": "1"}
    assert Headers({"a": "1"}) == [("a", "1")]
    assert Headers({"a": "1"}) != "a"


def test_without_leaves_the_rest() -> None:
    assert Headers([("a", "1"), ("B", "2"), ("A", "3")]).without("a", "c").raw == [(b"B", b"2")]


@pytest.mark.parametrize("text", ["a\r", "a\n", "a\0b"])
def test_what_would_smuggle_headers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        Headers({"x": text})
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        Headers({text: "x"})


def test_other_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        Headers({"": "x"})
    with pytest.raises(TypeError, match="a header value is str or bytes, not int: 1"):
        Headers({"x": 1})  # type: ignore[arg-type]


def test_a_body_is_bytes_text_or_chunks() -> None:
    assert Response(body=b"ab").chunks == (b"ab",)
    assert Response(body="é").chunks == ("é".encode(),)
    assert Response(body=[b"a", "b", b""]).chunks == (b"a", b"b")
    assert Response(body=(piece for piece in [b"a", b"b"])).body == b"ab"
    assert Response().chunks == ()
    assert chunks_of(bytearray(b"x")) == (b"x",)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not int"):
        Response(body=[1])  # type: ignore[list-item]


def test_bodies_read_as_text_and_json() -> None:
    response = Response(200, body=[b'{"a": "\xc3', b'\xa9"}'])
    assert response.text == '{"a": "é"}'
    assert response.json() == {"a": "é"}
    assert Response(body=b"\xff").text == "\ufffd"
    with pytest.raises(ValueError, match="Expecting value"):
        Response(body=b"no").json()


def test_messages_compare_and_cannot_be_changed() -> None:
    response = Response(201, headers={"a": "1"}, body=b"x", trailers={"t": "1"})
    assert response == Response(201, headers={"A": "1"}, body="x", trailers={"T": "1"})
    assert hash(response) == hash(Response(201, headers={"A": "1"}, body="x", trailers={"T": "1"}))
    assert response != Response(202, headers={"a": "1"}, body=b"x", trailers={"t": "1"})
    assert response != Response(201, headers={"a": "1"}, body=[b"x", b"y"], trailers={"t": "1"})
    with pytest.raises(AttributeError, match=r"Response\.status cannot be changed"):
        response.status = 200


def test_requests_compare_by_all_they_have() -> None:
    request = Request("GET", "/", headers={"a": "1"})
    assert request == Request("GET", "/", headers={"a": "1"}, authority="localhost", scheme="http")
    for other in (
        Request("PUT", "/", headers={"a": "1"}),
        Request("GET", "/x", headers={"a": "1"}),
        Request("GET", "/", headers={"a": "1"}, authority="other"),
        Request("GET", "/", headers={"a": "1"}, scheme="https"),
    ):
        assert request != other


def test_reprs_are_short() -> None:
    assert repr(Request("GET", "/x", body=b"abc")) == "<Request GET /x Headers([]) 3 bytes>"
    assert repr(Response(404, headers={"a": "1"})) == "<Response 404 Headers([('a', '1')]) 0 bytes>"


def test_log_lines_read_like_a_log() -> None:
    assert str(LogLine(LogLevel.WARN, "careful")) == "[warn] careful"
    assert LogLine(LogLevel.INFO, "x", "one") == LogLine(LogLevel.INFO, "x", "two")
