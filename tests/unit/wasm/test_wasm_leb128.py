import pytest
from hypothesis import given
from hypothesis import strategies as st
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.leb128 import decode_signed, decode_unsigned, encode_signed, encode_unsigned

WIDTHS = st.sampled_from([7, 32, 33, 64])


@st.composite
def unsigned(draw: st.DrawFn) -> tuple[int, int]:
    bits = draw(WIDTHS)
    return bits, draw(st.integers(0, (1 << bits) - 1))


@st.composite
def signed(draw: st.DrawFn) -> tuple[int, int]:
    bits = draw(WIDTHS)
    return bits, draw(st.integers(-1 << bits - 1, (1 << bits - 1) - 1))


def pad(encoded: bytes, length: int, filler: int) -> bytes:
    """The same number in `length` bytes: continuation bits set, then bytes that hold no new bits."""
    if length <= len(encoded):
        return encoded
    head = [*encoded[:-1], encoded[-1] | 0x80]
    return bytes([*head, *[filler | 0x80] * (length - len(encoded) - 1), filler])


@given(unsigned(), st.binary(max_size=4), st.binary(max_size=4))
def test_unsigned_round_trip(number: tuple[int, int], before: bytes, after: bytes) -> None:
    bits, value = number
    encoded = encode_unsigned(value)
    assert decode_unsigned(before + encoded + after, len(before), bits) == (value, len(before) + len(encoded))


@given(signed(), st.binary(max_size=4), st.binary(max_size=4))
def test_signed_round_trip(number: tuple[int, int], before: bytes, after: bytes) -> None:
    bits, value = number
    encoded = encode_signed(value)
    data = memoryview(before + encoded + after)
    assert decode_signed(data, len(before), bits) == (value, len(before) + len(encoded))


@given(st.integers(0, 2**64 - 1))
def test_unsigned_encoding_is_minimal(value: int) -> None:
    assert len(encode_unsigned(value)) == max(1, -(-value.bit_length() // 7))


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_encoding_is_minimal(value: int) -> None:
    magnitude_bits = (value if value >= 0 else ~value).bit_length()
    assert len(encode_signed(value)) == magnitude_bits // 7 + 1


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (127, "7f"), (128, "8001"), (624485, "e58e26"), (2**32 - 1, "ffffffff0f")],
)
def test_unsigned_examples(value: int, encoded: str) -> None:
    assert encode_unsigned(value).hex() == encoded


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, "00"), (63, "3f"), (64, "c000"), (-1, "7f"), (-64, "40"), (-65, "bf7f"), (-123456, "c0bb78")],
)
def test_signed_examples(value: int, encoded: str) -> None:
    assert encode_signed(value).hex() == encoded


@given(unsigned())
def test_padded_unsigned_is_accepted(number: tuple[int, int]) -> None:
    bits, value = number
    padded = pad(encode_unsigned(value), -(-bits // 7), 0x00)
    assert decode_unsigned(padded, 0, bits) == (value, len(padded))


@given(signed())
def test_padded_signed_is_accepted(number: tuple[int, int]) -> None:
    bits, value = number
    padded = pad(encode_signed(value), -(-bits // 7), 0x7F if value < 0 else 0x00)
    assert decode_signed(padded, 0, bits) == (value, len(padded))


@given(unsigned())
def test_overlong_unsigned_is_refused(number: tuple[int, int]) -> None:
    bits, value = number
    longest = -(-bits // 7)
    with pytest.raises(MalformedModule, match=f"more than {longest} bytes"):
        decode_unsigned(pad(encode_unsigned(value), longest + 1, 0x00), 0, bits)


@given(signed())
def test_overlong_signed_is_refused(number: tuple[int, int]) -> None:
    bits, value = number
    longest = -(-bits // 7)
    with pytest.raises(MalformedModule, match=f"more than {longest} bytes"):
        decode_signed(pad(encode_signed(value), longest + 1, 0x7F if value < 0 else 0x00), 0, bits)


@given(unsigned(), st.data())
def test_truncated_integer_is_refused(number: tuple[int, int], data: st.DataObject) -> None:
    bits, value = number
    encoded = encode_unsigned(value)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for decode in (decode_unsigned, decode_signed):
        with pytest.raises(MalformedModule, match="unexpected end") as caught:
            decode(b"\x00" + encoded[:cut], 1, bits)
        assert caught.value.offset == 1
        with pytest.raises(MalformedModule, match="unexpected end"):
            decode(encoded, 0, bits, end=cut)


@given(st.sampled_from([32, 33, 64]), st.integers(0, 2**70))
def test_unused_bits_of_the_last_byte_are_checked(bits: int, excess: int) -> None:
    longest = -(-bits // 7)
    too_big = (1 << bits) + excess % ((1 << 7 * longest) - (1 << bits))
    with pytest.raises(MalformedModule, match=f"exceeds {bits} bits"):
        decode_unsigned(encode_unsigned(too_big), 0, bits)


@pytest.mark.parametrize("encoded", ["ffffffff4f", "808080800f"])
def test_signed_unused_bits_repeat_the_sign(encoded: str) -> None:
    with pytest.raises(MalformedModule, match="exceeds 32 bits"):
        decode_signed(bytes.fromhex(encoded), 0, 32)


def test_a_negative_number_has_no_unsigned_encoding() -> None:
    with pytest.raises(ValueError, match="-1 is negative"):
        encode_unsigned(-1)


def test_error_says_where() -> None:
    assert str(MalformedModule(0x1F, "unexpected end")) == "unexpected end (at byte 0x1f)"
