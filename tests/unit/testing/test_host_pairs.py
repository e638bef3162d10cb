from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pywasm_filter.sdk.pairs import decode_pairs, encode_pairs
from pywasm_filter.testing.embedded.pairs import MAX_BYTES, MAX_PAIRS, read_pairs, write_pairs

pairs_of_bytes = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=20)


@given(pairs_of_bytes)
def test_what_is_written_reads_back(pairs: list[tuple[bytes, bytes]]) -> None:
    assert read_pairs(write_pairs(pairs)) == pairs


@given(pairs_of_bytes)
def test_host_and_sdk_understand_each_other(pairs: list[tuple[bytes, bytes]]) -> None:
    assert decode_pairs(write_pairs(pairs)) == pairs
    assert read_pairs(encode_pairs(pairs)) == pairs


@given(st.binary(max_size=60))
def test_whatever_comes_is_read_without_an_error(data: bytes) -> None:
    pairs = read_pairs(data)
    assert pairs == [] or write_pairs(pairs) == data


@given(pairs_of_bytes.filter(bool), st.data())
def test_a_truncated_map_reads_as_empty(pairs: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    whole = write_pairs(pairs)
    size = data.draw(st.integers(0, len(whole) - 1))
    assert read_pairs(whole[:size]) == []


def test_the_format_is_the_abis() -> None:
    count, sizes, texts = b"\2\0\0\0", b"\1\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0", b"a\0bc\0\0\0"
    assert write_pairs([(b"a", b"bc"), (b"", b"")]) == count + sizes + texts
    assert write_pairs([]) == b"\0\0\0\0"


def test_trailing_bytes_and_missing_nuls_read_as_empty() -> None:
    whole = write_pairs([(b"a", b"b")])
    assert read_pairs(whole) == [(b"a", b"b")]
    assert read_pairs(whole + b"\0") == []
    assert read_pairs(whole[:-1] + b"x") == []
    assert read_pairs(whole.replace(b"a\0", b"ax")) == []


def test_too_many_pairs_read_as_empty() -> None:
    pairs = [(b"a", b"b")] * MAX_PAIRS
    assert read_pairs(write_pairs(pairs)) == pairs
    assert read_pairs(write_pairs([*pairs, (b"a", b"b")])) == []


def test_too_many_bytes_read_as_empty() -> None:
    overhead = len(write_pairs([(b"", b"")]))
    fitting = [(b"", b"x" * (MAX_BYTES - overhead))]
    assert read_pairs(write_pairs(fitting)) == fitting
    assert read_pairs(write_pairs([(b"", b"x" * (MAX_BYTES - overhead + 1))])) == []


def test_sizes_that_would_wrap_around_read_as_empty() -> None:
    assert read_pairs(b"\1\0\0\0" + b"\xff" * 8 + b"a\0b\0") == []
    assert read_pairs(b"\xff\xff\xff\xff" + bytes(8)) == []
