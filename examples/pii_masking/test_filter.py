import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.pii_masking.filter import DETECTORS, Kind, MaskerChain
from pywasm_filter.testing import Proxy, Response

TEXT = {"content-type": "text/plain; charset=utf-8"}
ALL = frozenset(DETECTORS)


def mask(*pieces: bytes, kinds: frozenset[Kind] = ALL) -> bytes:
    chain = MaskerChain(kinds)
    return b"".join([*[chain.feed(piece, False) for piece in pieces], chain.feed(b"", True)])


# --- what is found ---


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mail ada@example.com now", "mail xxx@xxxxxxx.xxx now"),
        ("<a.b+c@sub.example.co.uk>.", "<x.xxx@xxx.xxxxxxx.xx.xx>."),
        ("user=ada%40example.com&x=1", "user=xxxxxxxxxxxxx.xxx&x=1"),
        ("grün@exämple.de", "xxxxx@xxxxxxxx.xx"),
        ("a@b, @c.de, a@.de, x@example.c", "a@b, @c.de, a@.de, x@example.c"),
        ('{"card": 4111111111111111}', '{"card": 9999999999991111}'),
        ("4111-1111-1111-1111/378282246310005", "9999-9999-9999-1111/999999999990005"),
        ("3782 822463 10005 5555555555554444", "9999 999999 90005 9999999999994444"),
        ("1234 4111 1111 1111 1111", "1234 9999 9999 9999 1111"),
        ("4111111111111112 4111-1111 1111-1111", "4111111111111112 4111-1111 1111-1111"),
        ("14111111111111111 41111111111111110000", "14111111111111111 41111111111111110000"),
        ("IBAN DE89370400440532013000.", "IBAN DEXXXXXXXXXXXXXXXX3000."),
        ("DE89370400440532013001 xDE89370400440532013000", "DE89370400440532013001 xDE89370400440532013000"),
        ("078-05-1120 1078-05-1120", "999-99-1120 1078-05-1120"),
    ],
)  # fmt: skip
def test_what_is_masked(text: str, masked: str) -> None:
    expected = masked.replace("xxxxx@xxxxxxxx", "x" * 5 + "@" + "x" * 8).encode()
    assert mask(text.encode()) == expected
    assert len(expected) == len(text.encode())
    assert mask(*[bytes([byte]) for byte in text.encode()]) == expected


def test_one_kind_alone() -> None:
    assert (
        mask(b"ada@example.com 4111111111111111", kinds=frozenset([Kind.CARD])) == b"ada@example.com 9999999999991111"
    )


FRAGMENTS = st.one_of(
    st.sampled_from([b"ada@example.com", b"%40", b"@", b".", b"-", b" ", b"a" * 70, b"b." * 120, b"com", b"\xc3\xbc"]),
    st.sampled_from([b"4111111111111111", b"4111 1111 1111 1111", b"378282246310005", b"0", b"12", b"\n"]),
    st.sampled_from([b"DE89370400440532013000", b"078-05-1120", b"Z"]),
)


@given(st.lists(st.one_of(FRAGMENTS, st.binary(max_size=3)), max_size=30).map(b"".join), st.data())
def test_how_a_text_is_cut_makes_no_difference(text: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    pieces = [text[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    chain, out = MaskerChain(ALL), b""
    for piece in pieces:
        out += chain.feed(piece, False)
        assert len(chain) <= 400
    out += chain.feed(b"", True)
    assert out == mask(text)
    assert len(out) == len(text)


def test_nothing_is_held_back_where_nothing_can_begin() -> None:
    chain = MaskerChain(ALL)
    assert chain.feed(b'data: {"user": "ada@example.com"}\n\n', False) == b'data: {"user": "xxx@xxxxxxx.xxx"}\n\n'
    assert not chain


# --- in the proxy ---


def test_requests_and_responses_are_masked_at_their_length(proxy: Proxy) -> None:
    proxy.upstream = Response(200, headers={**TEXT, "content-md5": "x"}, body=b"card 4111 1111 1111 1111")
    exchange = proxy.post("/", headers=TEXT, body=b"from ada@example.com")
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"from xxx@xxxxxxx.xxx"
    assert exchange.upstream_request.headers["content-length"] == "20"
    assert exchange.response.body == b"card 9999 9999 9999 1111"
    assert exchange.response.headers["content-length"] == "24"
    assert "content-md5" not in exchange.response.headers


def test_what_spans_chunks_is_masked(proxy: Proxy) -> None:
    proxy.upstream = Response(200, headers=TEXT, body=[b"to ", b"ada@ex", b"ample.c", b"om and bob@example.org"])
    chunks = [b"4111 11", b"11 1111", b" 1111"]
    exchange = proxy.post("/", headers=TEXT, body=chunks)
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"9999 9999 9999 1111"
    assert exchange.response.body == b"to xxx@xxxxxxx.xxx and xxx@xxxxxxx.xxx"


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_the_body_is_not_collected(proxy: Proxy) -> None:
    stream = proxy.open("POST", "/", headers=TEXT)
    stream.send_body(b"from ada@example.com, card 41")
    assert stream.upstream_request is not None
    assert stream.upstream_request.body == b"from xxx@xxxxxxx.xxx, card"
    stream.send_body(b"11111111111111\n")
    assert stream.upstream_request is not None
    assert stream.upstream_request.body == b"from xxx@xxxxxxx.xxx, card 9999999999991111\n"


def test_a_large_body_passes(proxy: Proxy) -> None:
    record = json.dumps({"user": "ada@example.com", "card": "4111111111111111", "note": "x" * 90}) + "\n"
    chunks = [record.encode() * 100] * 10
    upstream = proxy.post("/", headers={"content-type": "application/x-ndjson"}, body=chunks).upstream_request
    assert upstream is not None
    masked = record.replace("ada@example.com", "xxx@xxxxxxx.xxx").replace("4111111111111111", "9999999999991111")
    assert upstream.body == masked.encode() * 1000


@pytest.mark.parametrize("content_type", ["application/octet-stream", "image/png", "multipart/form-data", ""])
def test_other_content_types_are_untouched(proxy: Proxy, content_type: str) -> None:
    headers = {"content-type": content_type, "content-md5": "x"}
    upstream = proxy.post("/", headers=headers, body=b"ada@example.com").upstream_request
    assert upstream is not None
    assert upstream.body == b"ada@example.com"
    assert upstream.headers["content-md5"] == "x"


def test_upstreams_are_not_asked_for_what_cannot_be_read(proxy: Proxy) -> None:
    upstream = proxy.get("/", headers={"accept-encoding": "gzip", "range": "bytes=0-5"}).upstream_request
    assert upstream is not None
    assert "accept-encoding" not in upstream.headers
    assert "range" not in upstream.headers


@pytest.mark.parametrize(
    "headers", [{**TEXT, "content-encoding": "gzip"}, {"content-type": "text/plain; charset=UTF-16LE"}]
)
def test_what_cannot_be_read_is_refused(proxy: Proxy, headers: dict[str, str]) -> None:
    exchange = proxy.post("/", headers=headers, body=b"\x1f\x8b")
    assert (exchange.response.status, exchange.reached_upstream) == (415, False)
    proxy.upstream = Response(200, headers=headers, body=b"\x1f\x8b")
    assert proxy.get("/").response.status == 502


@pytest.mark.pywasm(configuration={"opaque": "pass"})
def test_what_cannot_be_read_passes_when_told_so(proxy: Proxy) -> None:
    upstream = proxy.post("/", headers={**TEXT, "content-encoding": "br"}, body=b"ada@example.com").upstream_request
    assert upstream is not None
    assert upstream.body == b"ada@example.com"


def test_trailers_pass_when_nothing_is_held_back(proxy: Proxy) -> None:
    trailers = {"x-checksum": "1"}
    proxy.upstream = Response(200, headers=TEXT, body=[b"ada@example.com\n"], trailers=trailers)
    exchange = proxy.post("/", headers=TEXT, body=[b"ada@example.com\n"], trailers=trailers)
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == exchange.response.body == b"xxx@xxxxxxx.xxx\n"
    assert exchange.upstream_request.trailers["x-checksum"] == "1"


def test_a_body_is_never_cut_short_in_silence(proxy: Proxy) -> None:
    exchange = proxy.post("/", headers=TEXT, body=[b"ada@example.com"], trailers={"x-checksum": "1"})
    assert (exchange.response.status, exchange.reached_upstream) == (400, False)
    proxy.upstream = Response(200, headers=TEXT, body=[b"ada@example.com"], trailers={"x-checksum": "1"})
    assert proxy.get("/").reset
