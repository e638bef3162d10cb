"""What a gRPC callout names as its upstream: a serialised envoy.config.core.v3.GrpcService, or a cluster's name."""

from __future__ import annotations

from dataclasses import dataclass

_ENVOY_GRPC = 1
_CLUSTER_NAME, _AUTHORITY = 1, 2
_MAX_VARINT_BYTES = 10
_MAX_DEPTH = 100


@dataclass(frozen=True)
class GrpcUpstream:
    """`named` tells whether the bytes are a cluster's name as it stands; `cluster` is None when they name none."""

    cluster: str | None
    named: bool
    other_fields: frozenset[int] = frozenset()
    """Fields of the message beside `envoy_grpc`."""


def read_upstream(upstream: bytes) -> GrpcUpstream:
    """Read it as Envoy does: whatever parses as the message is one, even if it was meant as a name."""
    try:
        fields = _fields(upstream)
        services = [value for number, value in fields if number == _ENVOY_GRPC and isinstance(value, bytes)]
        clusters: list[str] = []
        for number, value in _fields(b"".join(services)):  # repeated occurrences of a message field are merged
            if number in (_CLUSTER_NAME, _AUTHORITY) and isinstance(value, bytes):
                text = value.decode("utf-8")
                if number == _CLUSTER_NAME:
                    clusters.append(text)
    except ValueError:
        return GrpcUpstream(upstream.decode("utf-8", "surrogateescape"), named=True)
    others = frozenset(number for number, _ in fields if number != _ENVOY_GRPC)
    if not services:
        return GrpcUpstream(None, named=False, other_fields=others)
    return GrpcUpstream(clusters[-1] if clusters else "", named=False, other_fields=others)


def _fields(data: bytes) -> list[tuple[int, bytes | int]]:
    """Number and value of each field. Raises ValueError for what is no message."""
    fields, end = _read(data, 0, None, 0)
    assert end == len(data)
    return fields


def _read(data: bytes, at: int, group: int | None, depth: int) -> tuple[list[tuple[int, bytes | int]], int]:
    """The fields up to the end, or to the end of a group."""
    if depth > _MAX_DEPTH:
        raise ValueError("groups too deep")
    fields: list[tuple[int, bytes | int]] = []
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if not 0 < tag < 1 << 32 or number == 0:
            raise ValueError("no such field")
        value: bytes | int
        match kind:
            case 0:
                value, at = _varint(data, at)
            case 1:
                value, at = _take(data, at, 8)
            case 2:
                size, at = _varint(data, at)
                value, at = _take(data, at, size)
            case 3:
                _, at = _read(data, at, number, depth + 1)
                continue
            case 4 if number == group:
                return fields, at
            case 5:
                value, at = _take(data, at, 4)
            case _:
                raise ValueError("no such wire type")
        fields.append((number, value))
    if group is not None:
        raise ValueError("the group does not end")
    return fields, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(_MAX_VARINT_BYTES):
        if at + index >= len(data):
            break
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & (1 << 64) - 1, at + index + 1
    raise ValueError("no varint")


def _take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    if size > len(data) - at:
        raise ValueError("cut off")
    return data[at : at + size], at + size
