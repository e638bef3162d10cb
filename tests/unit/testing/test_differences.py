"""What a failed comparison says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywasm_filter.testing import Headers, Request, Response
from pywasm_filter.testing.differences import differences
from pywasm_filter.testing.pytest_plugin import pytest_assertrepr_compare


def test_headers() -> None:
    left = Headers([("a", "1"), ("B", "2"), ("c", "3"), ("c", "4"), ("x-bytes", b"\xff")])
    right = {"A": "1", "b": "9", "d": "5", "x-bytes": b"\xff"}
    assert differences(left, right) == [
        "b: '2' != '9'",
        "c: '3', '4' is on the left only",
        "d: '5' is on the right only",
        "2 of 5 names are equal",
    ]
    assert differences([("a", "1")], Headers({"a": "2"})) == ["a: '1' != '2'"]
    assert differences(Headers({"a": "1"}), Headers({"A": "1"})) == []


def test_responses() -> None:
    left = Response(200, headers={"a": "1"}, body=b"x" * 50 + b"left" + b"y" * 50, trailers={"t": "1"})
    right = Response(403, body=b"x" * 50 + b"right" + b"y" * 50)
    assert differences(left, right) == [
        "status: 200 != 403",
        "headers: a: '1' is on the left only",
        "trailers: t: '1' is on the left only",
        "body: differs from byte 50 on (104 and 105 bytes)",
        "  left:  … b'xxxxxxxxxxxxxxxxxxxxleftyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy' …",
        "  right: … b'xxxxxxxxxxxxxxxxxxxxrightyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy' …",
    ]


def test_requests() -> None:
    left = Request("GET", "/a", body=[b"ab", b"c"])
    assert differences(left, Request("POST", "/b", authority="example.org", scheme="https", body=b"abc")) == [
        "method: 'GET' != 'POST'",
        "path: '/a' != '/b'",
        "authority: 'localhost' != 'example.org'",
        "scheme: 'http' != 'https'",
        "chunks of the body: [2, 1] != [3]",
    ]
    assert differences(left, Request("GET", "/a", body=b"ab")) == [
        "body: differs from byte 2 on (3 and 2 bytes)",
        "  left:  b'abc'",
        "  right: b'ab'",
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [(1, 2), (Headers(), 1), (Response(200), Request("GET", "/")), (Headers(), {"a": 1}), (Headers(), {"": "x"})],
)
def test_what_is_something_else_is_left_to_pytest(left: object, right: object) -> None:
    assert differences(left, right) is None
    assert pytest_assertrepr_compare("==", left, right) is None


def test_pytest_shows_it() -> None:
    same = Headers({"a": "1"})
    assert pytest_assertrepr_compare("==", same, {"a": "2"}) == ["Headers == dict", "a: '1' != '2'"]
    assert pytest_assertrepr_compare("!=", same, same) is None
    with pytest.raises(AssertionError, match=r"assert Headers == dict\n +a: '1' != '2'"):
        assert same == {"a": "2"}


headers = st.lists(st.tuples(st.sampled_from(["a", "A", "b", "c"]), st.sampled_from(["1", "2"])), max_size=5)


@given(headers, headers)
def test_equal_headers_are_those_without_a_difference(
    left: list[tuple[str, str]], right: list[tuple[str, str]]
) -> None:
    assert (Headers(left) == Headers(right)) == (differences(Headers(left), Headers(right)) == [])


messages = st.builds(Response, st.sampled_from([200, 404]), headers=headers, body=st.lists(st.binary(max_size=3)))


@given(messages, messages)
def test_equal_messages_are_those_without_a_difference(left: Response, right: Response) -> None:
    assert (left == right) == (differences(left, right) == [])
