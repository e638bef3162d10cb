from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywasm_filter.sdk.metadata import decode_metadata, decode_struct, decode_struct_field
from pywasm_filter.sdk.protobuf import bytes_field, decode_fields, encode_varint, number_field

WORD = (1 << 64) - 1
NUMBERS = st.integers(0, (1 << 29) - 1).filter(bool)


def test_known_encodings() -> None:
    # From the documentation of the format.
    assert encode_varint(150) == b"\x96\x01"
    assert number_field(1, 150) == b"\x08\x96\x01"
    assert bytes_field(2, b"testing") == b"\x12\x07testing"
    assert list(decode_fields(b"\x08\x96\x01\x12\x07testing")) == [(1, 150), (2, b"testing")]


def test_defaults_are_not_written() -> None:
    assert number_field(1, 0) == bytes_field(2, b"") == b""


@pytest.mark.parametrize("number", [-1, WORD + 1])
def test_numbers_that_do_not_fit_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match="not a number of 64 bits"):
        encode_varint(number)


@given(st.lists(st.tuples(NUMBERS, st.one_of(st.integers(1, WORD), st.binary(min_size=1)))))
def test_what_is_written_is_read(fields: list[tuple[int, int | bytes]]) -> None:
    data = b"".join(
        number_field(number, value) if isinstance(value, int) else bytes_field(number, value)
        for number, value in fields
    )
    assert list(decode_fields(data)) == fields


def test_fields_of_fixed_size() -> None:
    assert list(decode_fields(b"\x09" + b"12345678" + b"\x15" + b"1234")) == [(1, b"12345678"), (2, b"1234")]


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\x80",
        b"\x12\x02x",
        b"\x09" + b"1234567",
        b"\x15123",
        b"\x0b",
        b"\x08" + b"\xff" * 10 + b"\1",
        b"\x0e",
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a message"):
        list(decode_fields(data))


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        decode_metadata(data)
    except ValueError as error:
        assert "message" in str(error) or "8 bytes" in str(error)  # noqa: PT017 - valid data raises nothing


# --- structs ---

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def value(item: Any) -> bytes:
    """google.protobuf.Value: unlike other messages it writes its defaults, for it is a oneof."""
    import struct

    match item:
        case None:
            return b"\x08\x00"
        case bool():
            return b"\x20" + bytes([item])
        case float():
            return b"\x11" + struct.pack("<d", item)
        case str():
            return prefixed(3, item.encode())
        case dict():
            return prefixed(5, struct_of(item))
        case _:
            return prefixed(6, b"".join(prefixed(1, value(entry)) for entry in item))


def prefixed(field: int, data: bytes) -> bytes:
    return encode_varint(field << 3 | 2) + encode_varint(len(data)) + data


def struct_of(items: dict[str, Any]) -> bytes:
    return b"".join(prefixed(1, prefixed(1, name.encode()) + prefixed(2, value(item))) for name, item in items.items())


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_structs(items: dict[str, Any]) -> None:
    assert decode_struct(struct_of(items)) == items


@given(st.dictionaries(st.text(), st.dictionaries(st.text(), JSON, max_size=3), max_size=3))
def test_metadata(filters: dict[str, dict[str, Any]]) -> None:
    data = b"".join(prefixed(1, prefixed(1, name.encode()) + prefixed(2, struct_of(s))) for name, s in filters.items())
    typed = prefixed(2, prefixed(1, b"typed"))
    assert decode_metadata(data + typed) == filters


def test_the_last_entry_of_a_name_counts() -> None:
    assert decode_struct(struct_of({"a": 1.0}) + struct_of({"a": 2.0})) == {"a": 2.0}


def test_text_that_is_not_utf8() -> None:
    assert decode_struct(prefixed(1, prefixed(1, b"\xff") + prefixed(2, prefixed(3, b"\xfe")))) == {"\udcff": "\udcfe"}


def test_a_struct_within_a_message() -> None:
    message = prefixed(1, b"id") + prefixed(3, struct_of({"a": True})) + prefixed(9, b"more") + b"\xff"
    assert decode_struct_field(message, 3) == {"a": True}
    assert decode_struct_field(prefixed(1, b"id") + prefixed(9, b"more"), 3) == {}
    with pytest.raises(ValueError, match="a number stands for a message"):
        decode_struct_field(number_field(3, 1), 3)


def test_a_number_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="8 bytes, not 2"):
        decode_struct(prefixed(1, prefixed(1, b"a") + prefixed(2, prefixed(2, b"12"))))
