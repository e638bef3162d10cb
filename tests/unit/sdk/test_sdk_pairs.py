"""The codec of serialised maps."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywasm_filter.sdk.pairs import decode_pairs, decode_text_pairs, encode_pairs

PAIRS = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=12)


def test_layout_is_that_of_the_abi() -> None:
    encoded = encode_pairs([(b"a", b"1"), (b"b", b"22")])
    assert encoded == (b"\x02\0\0\0" + b"\x01\0\0\0\x01\0\0\0" + b"\x01\0\0\0\x02\0\0\0" + b"a\x001\0" + b"b\x0022\0")


@given(PAIRS)
def test_decoding_gives_back_what_was_encoded(pairs: list[tuple[bytes, bytes]]) -> None:
    assert decode_pairs(encode_pairs(pairs)) == pairs


@given(PAIRS)
def test_text_is_what_the_bytes_say(pairs: list[tuple[bytes, bytes]]) -> None:
    encoded = encode_pairs(pairs)
    assert decode_text_pairs(encoded) == [
        (key.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")) for key, value in pairs
    ]


ZEROS = [(b"\0", b""), (b"", b"\0"), (b"a", b"b\0c"), (b"", b""), (b"\0\0", b"\0")]


def test_zero_bytes_within_keys_and_values() -> None:
    for count in range(len(ZEROS) + 1):
        encoded = encode_pairs(ZEROS[:count])
        assert decode_pairs(encoded) == ZEROS[:count]
        assert decode_text_pairs(encoded) == [(key.decode(), value.decode()) for key, value in ZEROS[:count]]


def test_what_stands_behind_the_pairs_is_no_matter() -> None:
    encoded = encode_pairs([(b"a", b"1"), (b"b", b"\xff")])
    assert decode_pairs(encoded + b"more\0") == decode_pairs(encoded)
    assert decode_text_pairs(encoded + b"more\0") == [("a", "1"), ("b", "\udcff")]


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\0"])
def test_an_empty_map_has_three_forms(data: bytes) -> None:
    assert decode_pairs(data) == []
    assert decode_text_pairs(data) == []


@given(PAIRS.filter(bool), st.data())
def test_a_truncated_map_is_refused(pairs: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    encoded = encode_pairs(pairs)
    cut = data.draw(st.integers(min_value=2, max_value=len(encoded) - 1))
    with pytest.raises(ValueError, match="serialised map"):
        decode_pairs(encoded[:cut])


def test_a_map_that_envoy_would_take_for_empty_is_refused() -> None:
    largest = [(b"x", b"")] * 1024
    assert decode_pairs(encode_pairs(largest)) == largest
    with pytest.raises(ValueError, match="at most 1024 pairs, not 1025"):
        encode_pairs([*largest, (b"x", b"")])
    longest = b"v" * ((1 << 20) - len(encode_pairs([(b"x", b"")])))
    assert len(encode_pairs([(b"x", longest)])) == 1 << 20
    with pytest.raises(ValueError, match="at most 1048576 bytes when it is serialised, not 1048577"):
        encode_pairs([(b"x", longest + b"v")])


@given(st.binary(max_size=64))
def test_hostile_bytes_decode_or_raise_value_error(data: bytes) -> None:
    with suppress(ValueError):
        assert decode_pairs(encode_pairs(decode_pairs(data))) == decode_pairs(data)
