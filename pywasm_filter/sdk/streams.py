"""Resuming and closing the stream that hostcalls act for."""

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import StreamType
from pywasm_filter.sdk.exceptions import host_error


def continue_stream(stream_type: StreamType) -> None:
    """Resume it once the callback has returned. ABI: proxy_continue_stream. Raises HostError."""
    status = hostcalls.current.proxy_continue_stream(stream_type)
    if status != 0:
        raise host_error("proxy_continue_stream", status)


def close_stream(stream_type: StreamType) -> None:
    """Close or reset it once the callback has returned. ABI: proxy_close_stream. Raises HostError."""
    status = hostcalls.current.proxy_close_stream(stream_type)
    if status != 0:
        raise host_error("proxy_close_stream", status)
