"""Attributes that the plugin can read, in Envoy's encodings.

Strings as they are, numbers as 8 bytes little endian, booleans as one byte, timestamps and durations in nanoseconds,
maps as serialised pairs. See Envoy's "Attributes" page for the meaning of each.
"""

from __future__ import annotations

from collections.abc import Callable

from pywasm_filter.sdk.abi import Status
from pywasm_filter.testing.embedded.contexts import Context, HttpContext
from pywasm_filter.testing.embedded.header_map import HeaderMap
from pywasm_filter.testing.embedded.local_reply import grpc_status_of
from pywasm_filter.testing.embedded.pairs import write_pairs
from pywasm_filter.testing.embedded.stream_info import (
    CLIENT_ADDRESS,
    LISTENER_ADDRESS,
    UPSTREAM_ADDRESS,
    UPSTREAM_LOCAL_ADDRESS,
    View,
)

_FILTER_STATE_PREFIX = b"wasm."
_MAX_SIGNED = (1 << 63) - 1
_MAX_DIGITS = 40  # leading zeros among them; Python refuses to read thousands

Getter = Callable[[View], bytes | None]
Group = Callable[[View, bytes], bytes | None]


def get_property(context: Context, path: bytes) -> tuple[Status, bytes]:
    """The value at a path, whose parts are separated by NUL."""
    top, *rest = path.split(b"\0") if path else [b""]
    own = _plugin_attribute(context, top)
    if own is not None:
        return (Status.OK, own) if not rest else (Status.NOT_FOUND, b"")
    if not isinstance(context, HttpContext):
        return Status.NOT_FOUND, b""
    view = context.view()
    if top in _GROUPS:
        return _in_group(view, top, rest)
    single = {b"connection_id": _unsigned(view.info.connection_id), b"metadata": b""}.get(top)
    value = single if single is not None else view.info.filter_state.get(_FILTER_STATE_PREFIX + top)
    return (Status.NOT_FOUND, b"") if value is None or rest else (Status.OK, value)


def set_property(context: Context, path: bytes, value: bytes) -> Status:
    """Keep a value of the stream; it is read back by the same path if that has one part."""
    if not isinstance(context, HttpContext):
        return Status.NOT_FOUND
    context.view().info.filter_state[_FILTER_STATE_PREFIX + path] = value
    return Status.OK


def _plugin_attribute(context: Context, name: bytes) -> bytes | None:
    settings = context.vm.settings
    names = {
        b"plugin_name": settings.plugin_name,
        b"plugin_root_id": settings.root_id,
        b"plugin_vm_id": settings.vm_id,
    }
    return names[name].encode() if name in names else None


def _in_group(view: View, group: bytes, rest: list[bytes]) -> tuple[Status, bytes]:
    if not rest:
        # Envoy cannot list what is in them.
        return Status.SERIALIZATION_FAILURE, b""
    name, *deeper = rest
    header_maps = {
        (b"request", b"headers"): view.request_headers,
        (b"response", b"headers"): view.response_headers,
        (b"response", b"trailers"): view.response_trailers,
    }
    if (group, name) in header_maps:
        return _in_headers(header_maps[group, name], deeper)
    value = _GROUPS[group](view, name)
    return (Status.NOT_FOUND, b"") if value is None or deeper else (Status.OK, value)


def _in_headers(headers: HeaderMap | None, rest: list[bytes]) -> tuple[Status, bytes]:
    if not rest:
        names = [] if headers is None else headers.names()
        return Status.OK, write_pairs([(name, _joined(headers, name) or b"") for name in names])
    value = _joined(headers, rest[0])
    return (Status.NOT_FOUND, b"") if value is None or len(rest) > 1 else (Status.OK, value)


def _joined(headers: HeaderMap | None, name: bytes) -> bytes | None:
    return None if headers is None else headers.joined(name)


# --- encodings ---


def _signed(value: int) -> bytes:
    return value.to_bytes(8, "little", signed=True)


def _unsigned(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _decimal(text: bytes | None) -> int | None:
    """The number in a header, None for what is none or does not fit into 63 bits."""
    if text is None or not text.isdigit() or len(text) > _MAX_DIGITS:
        return None
    return int(text) if int(text) <= _MAX_SIGNED else None


def _address(address: tuple[str, int]) -> bytes:
    return f"{address[0]}:{address[1]}".encode()


# --- groups ---


def _table(getters: dict[bytes, Getter]) -> Group:
    def group(view: View, name: bytes) -> bytes | None:
        getter = getters.get(name)
        return None if getter is None else getter(view)

    return group


def _request_header(name: bytes) -> Getter:
    return lambda view: None if view.request_headers is None else view.request_headers.get(name)


def _url_path(view: View) -> bytes | None:
    path = _request_header(b":path")(view)
    return None if path is None else path.partition(b"?")[0]


def _query(view: View) -> bytes | None:
    path = _request_header(b":path")(view)
    return None if path is None else path.partition(b"?")[2]


def _duration(view: View) -> bytes | None:
    end = view.info.end_time
    return None if end is None else _signed(end - view.info.start_time)


def _request_size(view: View) -> bytes:
    declared = _decimal(_request_header(b"content-length")(view))
    return _signed(view.info.bytes_received if declared is None else declared)


def _request_total_size(view: View) -> bytes:
    headers = 0 if view.request_headers is None else view.request_headers.size
    return _signed(view.info.bytes_received + headers)


def _response_code(view: View) -> bytes | None:
    return None if view.info.response_code is None else _signed(view.info.response_code)


def _response_code_details(view: View) -> bytes | None:
    details = view.info.response_code_details
    return None if details is None else details.encode("utf-8", "surrogateescape")


def _response_total_size(view: View) -> bytes:
    maps = (view.response_headers, view.response_trailers)
    return _signed(view.info.bytes_sent + sum(entry.size for entry in maps if entry is not None))


def _grpc_status(view: View) -> bytes | None:
    for entry in (view.response_trailers, view.response_headers):
        status = None if entry is None else _decimal(entry.get(b"grpc-status"))
        if status is not None:
            return _signed(status)
    return None if view.info.response_code is None else _signed(grpc_status_of(view.info.response_code))


def _filter_state(view: View, name: bytes) -> bytes | None:
    return view.info.filter_state.get(name)


_GROUPS: dict[bytes, Group] = {
    b"request": _table(
        {
            b"path": _request_header(b":path"),
            b"url_path": _url_path,
            b"host": _request_header(b":authority"),
            b"scheme": _request_header(b":scheme"),
            b"method": _request_header(b":method"),
            b"referer": _request_header(b"referer"),
            b"useragent": _request_header(b"user-agent"),
            b"time": lambda view: _signed(view.info.start_time),
            b"id": _request_header(b"x-request-id"),
            b"protocol": lambda view: b"HTTP/1.1",
            b"query": _query,
            b"duration": _duration,
            b"size": _request_size,
            b"total_size": _request_total_size,
        }
    ),
    b"response": _table(
        {
            b"code": _response_code,
            b"code_details": _response_code_details,
            b"flags": lambda view: _signed(0),
            b"grpc_status": _grpc_status,
            b"size": lambda view: _signed(view.info.bytes_sent),
            b"total_size": _response_total_size,
        }
    ),
    b"connection": _table(
        {
            b"id": lambda view: _unsigned(view.info.connection_id),
            b"mtls": lambda view: b"\0",
            b"requested_server_name": lambda view: b"",
        }
    ),
    b"source": _table(
        {
            b"address": lambda view: _address(CLIENT_ADDRESS),
            b"port": lambda view: _signed(CLIENT_ADDRESS[1]),
        }
    ),
    b"destination": _table(
        {
            b"address": lambda view: _address(LISTENER_ADDRESS),
            b"port": lambda view: _signed(LISTENER_ADDRESS[1]),
        }
    ),
    b"upstream": _table(
        {
            b"address": lambda view: _address(UPSTREAM_ADDRESS) if view.info.upstream_attempts else None,
            b"port": lambda view: _signed(UPSTREAM_ADDRESS[1]) if view.info.upstream_attempts else None,
            b"local_address": lambda view: _address(UPSTREAM_LOCAL_ADDRESS) if view.info.upstream_connected else None,
            b"transport_failure_reason": lambda view: b"" if view.info.upstream_attempts else None,
            b"request_attempt_count": lambda view: _unsigned(view.info.upstream_attempts),
        }
    ),
    b"xds": _table(
        {
            b"cluster_name": lambda view: b"upstream",
            b"cluster_metadata": lambda view: b"",
            b"route_name": lambda view: b"",
            b"route_metadata": lambda view: b"",
            b"virtual_host_name": lambda view: b"all",
            b"filter_chain_name": lambda view: b"",
            b"listener_metadata": lambda view: b"",
            b"listener_direction": lambda view: _signed(0),
        }
    ),
    b"filter_state": _filter_state,
}
