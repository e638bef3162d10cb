"""Responses that the proxy makes up itself."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote_from_bytes

from pywasm_filter.testing.embedded.header_map import ResponseHeaderMap
from pywasm_filter.testing.embedded.pairs import Pair
from pywasm_filter.testing.embedded.response_flags import NO_FLAGS, ResponseFlag

_MAX_GRPC_STATUS = 16
_UNKNOWN = 2
# What HTTP statuses are to gRPC clients (doc/http-grpc-status-mapping.md of the gRPC project).
_GRPC_STATUS = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}


@dataclass(frozen=True)
class LocalReply:
    """What is to be answered. `grpc_status` None: derived from `status`."""

    status: int
    body: bytes = b""
    headers: tuple[Pair, ...] = ()
    grpc_status: int | None = None
    details: str = ""
    flag: ResponseFlag = NO_FLAGS


def grpc_status_of(status: int) -> int:
    """The gRPC status of an HTTP status."""
    return _GRPC_STATUS.get(status, _UNKNOWN)


def known_grpc_status(number: int) -> int | None:
    """The number if gRPC defines it; the SDKs pass -1 for none."""
    return number if 0 <= number <= _MAX_GRPC_STATUS else None


def reply_message(reply: LocalReply, *, grpc: bool, head: bool) -> tuple[ResponseHeaderMap, bytes]:
    """Headers and body for a request that is gRPC, or HEAD, or neither."""
    headers = ResponseHeaderMap([(b":status", b"%d" % reply.status), *_without_status(reply.headers)])
    if grpc:
        _make_grpc(headers, reply, head=head)
        return headers, b""
    if not reply.body:
        headers.remove(b"content-length")
        headers.remove(b"content-type")
        return headers, b""
    headers.set(b"content-length", b"%d" % len(reply.body))
    if headers.get(b"content-type") is None:
        headers.add(b"content-type", b"text/plain")
    return headers, b"" if head else reply.body


def _make_grpc(headers: ResponseHeaderMap, reply: LocalReply, *, head: bool) -> None:
    headers.set(b":status", b"200")
    headers.set(b"content-type", b"application/grpc")
    if headers.get(b"grpc-status") is None:
        status = grpc_status_of(reply.status) if reply.grpc_status is None else reply.grpc_status
        headers.add(b"grpc-status", b"%d" % status)
    if reply.body and not head:
        headers.add(b"grpc-message", _percent_encode(reply.body))
    headers.remove(b"content-length")


def _percent_encode(message: bytes) -> bytes:
    return quote_from_bytes(message, safe=bytes(set(range(0x20, 0x7F)) - set(b"%"))).encode("ascii")


def _without_status(headers: tuple[Pair, ...]) -> list[Pair]:
    return [(name, value) for name, value in headers if name.lower() != b":status"]
