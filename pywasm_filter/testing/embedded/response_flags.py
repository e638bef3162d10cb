"""Envoy's response flags, as far as this proxy sets them: the bits of the attribute response.flags."""

from __future__ import annotations

from enum import IntFlag


class ResponseFlag(IntFlag):
    """What went wrong with a stream; the names are Envoy's (CoreResponseFlag)."""

    UPSTREAM_REQUEST_TIMEOUT = 0x4
    UPSTREAM_CONNECTION_FAILURE = 0x20
    UPSTREAM_CONNECTION_TERMINATION = 0x40
    NO_ROUTE_FOUND = 0x100
    DOWNSTREAM_CONNECTION_TERMINATION = 0x4000
    DOWNSTREAM_PROTOCOL_ERROR = 0x4_0000
    UPSTREAM_PROTOCOL_ERROR = 0x80_0000


NO_FLAGS = ResponseFlag(0)
