"""What a callback's return value makes the proxy do with the stream."""

from __future__ import annotations

from pywasm_filter.sdk.abi import FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus


def headers_status(result: int, *, replied: bool, allow_stop_iteration: bool) -> FilterHeadersStatus:
    """`replied`: a local response was sent from the callback. `allow_stop_iteration`: the plugin's setting."""
    if replied or result > FilterHeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK:
        return FilterHeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK
    if result == FilterHeadersStatus.STOP_ITERATION and not allow_stop_iteration:
        return FilterHeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK
    if result == FilterHeadersStatus.CONTINUE_AND_END_STREAM:
        return FilterHeadersStatus.CONTINUE  # Envoy does not support it
    return FilterHeadersStatus(result)


def data_status(result: int, *, replied: bool) -> FilterDataStatus:
    """`replied`: a local response was sent from the callback."""
    if replied or result > FilterDataStatus.STOP_ITERATION_NO_BUFFER:
        return FilterDataStatus.STOP_ITERATION_NO_BUFFER
    return FilterDataStatus(result)


def trailers_status(result: int, *, replied: bool) -> FilterTrailersStatus:
    """`replied`: a local response was sent from the callback."""
    if replied or result > FilterTrailersStatus.STOP_ITERATION:
        return FilterTrailersStatus.STOP_ITERATION
    return FilterTrailersStatus(result)
