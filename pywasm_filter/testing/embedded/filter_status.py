"""What a callback's return value makes the proxy do with the stream."""

from __future__ import annotations

from enum import IntEnum


class HeadersStatus(IntEnum):
    """After on_request_headers and on_response_headers."""

    CONTINUE = 0
    STOP_ITERATION = 1
    CONTINUE_AND_END_STREAM = 2
    STOP_ALL_ITERATION_AND_BUFFER = 3
    STOP_ALL_ITERATION_AND_WATERMARK = 4


class DataStatus(IntEnum):
    """After on_request_body and on_response_body."""

    CONTINUE = 0
    STOP_ITERATION_AND_BUFFER = 1
    STOP_ITERATION_AND_WATERMARK = 2
    STOP_ITERATION_NO_BUFFER = 3


class TrailersStatus(IntEnum):
    """After on_request_trailers and on_response_trailers."""

    CONTINUE = 0
    STOP_ITERATION = 1


def headers_status(result: int, *, replied: bool, allow_stop_iteration: bool) -> HeadersStatus:
    """`replied`: a local response was sent from the callback. `allow_stop_iteration`: the plugin's setting."""
    if replied or result > HeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK:
        return HeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK
    if result == HeadersStatus.STOP_ITERATION and not allow_stop_iteration:
        return HeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK
    if result == HeadersStatus.CONTINUE_AND_END_STREAM:
        return HeadersStatus.CONTINUE  # Envoy does not support it
    return HeadersStatus(result)


def data_status(result: int, *, replied: bool) -> DataStatus:
    """`replied`: a local response was sent from the callback."""
    if replied or result > DataStatus.STOP_ITERATION_NO_BUFFER:
        return DataStatus.STOP_ITERATION_NO_BUFFER
    return DataStatus(result)


def trailers_status(result: int, *, replied: bool) -> TrailersStatus:
    """`replied`: a local response was sent from the callback."""
    if replied or result > TrailersStatus.STOP_ITERATION:
        return TrailersStatus.STOP_ITERATION
    return TrailersStatus(result)
