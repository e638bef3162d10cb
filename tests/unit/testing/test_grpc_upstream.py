"""How the embedded proxy reads the upstream of a gRPC callout."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pywasm_filter.testing.embedded.grpc_upstream import GrpcUpstream, read_upstream


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low]) if not rest else bytes([low | 0x80]) + varint(rest)


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_the_cluster_of_a_message(name: str) -> None:
    assert read_upstream(field(1, field(1, name.encode()))) == GrpcUpstream(name, named=False)


@given(st.binary(max_size=60))
@example(b"\x0b" * 50)
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
@example(b"\x0b" * 5_000 + b"\x0c" * 5_000)
def test_any_bytes_are_a_message_or_a_name(upstream: bytes) -> None:
    read = read_upstream(upstream)
    assert not read.named or read.cluster == upstream.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize("name", ["auth", "authz-service", "a", "outbound|80||auth.default.svc.cluster.local", "b"])
def test_names_that_no_message_reads_like(name: str) -> None:
    assert read_upstream(name.encode()) == GrpcUpstream(name, named=True)


@pytest.mark.parametrize("name", [b"", b"email", b"a12345678", b"\x98\x06\x01"])
def test_names_that_read_like_a_message(name: bytes) -> None:
    read = read_upstream(name)
    assert not read.named
    assert read.cluster is None


@pytest.mark.parametrize(
    ("upstream", "cluster"),
    [
        (field(1, b""), ""),
        (field(1, field(1, b"a")) + field(1, field(1, b"b")), "b"),
        (field(1, field(1, b"a")) + field(1, field(2, b"authority")), "a"),
        (field(1, field(1, b"a") + b"\x98\x06\x01"), "a"),
        (b"\x98\x06\x01" + field(1, field(1, b"a")) + b"\x9b\x06\x9c\x06", "a"),
    ],
)
def test_messages_in_other_shapes(upstream: bytes, cluster: str) -> None:
    read = read_upstream(upstream)
    assert (read.cluster, read.named) == (cluster, False)


@pytest.mark.parametrize(
    "broken", [field(1, field(1, b"\xff")), field(1, b"\x0a"), b"\x0a\x05ab", b"\x9b\x06", b"\x00"]
)
def test_what_breaks_off_is_a_name(broken: bytes) -> None:
    assert read_upstream(broken).named


def test_other_fields_are_told() -> None:
    assert read_upstream(field(2, b"") + field(5, b"")).other_fields == {2, 5}
