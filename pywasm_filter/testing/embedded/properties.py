"""Attributes that the plugin can read and set. See Envoy's "Attributes" page for the meaning of each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from pywasm_filter.sdk.abi import Status
from pywasm_filter.testing.downstream import address_text
from pywasm_filter.testing.embedded.attribute_values import (
    LOCALITY,
    NODE,
    Duration,
    Group,
    Message,
    NotSerializable,
    Null,
    Timestamp,
    Unsigned,
    Value,
    child,
    encode,
    from_json,
    metadata,
)
from pywasm_filter.testing.embedded.client_attributes import CONNECTION, SOURCE, Getter
from pywasm_filter.testing.embedded.contexts import Context, StreamContext
from pywasm_filter.testing.embedded.header_map import HeaderMap
from pywasm_filter.testing.embedded.local_reply import grpc_status_of
from pywasm_filter.testing.embedded.stream_info import (
    LISTENER_ADDRESS,
    UPSTREAM_ADDRESS,
    UPSTREAM_LOCAL_ADDRESS,
    View,
)
from pywasm_filter.testing.settings import AttributeValue, PluginSettings

_MAX_SIGNED = (1 << 63) - 1
_MAX_DIGITS = 40  # leading zeros among them; Python refuses to read thousands
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def get_property(context: Context, path: bytes) -> tuple[Status, bytes]:
    """The value at a path, whose parts are separated by NUL; one at the end has no effect."""
    parts = _text(path.removesuffix(b"\0")).split("\0")
    value = find_attribute(context, parts[0], last=len(parts) == 1) if path else Null.NULL
    for part in parts[1:]:
        value = None if value is None else child(value, part)
    if value is None:
        return Status.NOT_FOUND, b""
    try:
        return Status.OK, encode(value)
    except NotSerializable:
        return Status.SERIALIZATION_FAILURE, b""


def set_property(context: Context, path: bytes, value: bytes) -> Status:
    """Keep a value of the stream; it is read back by the same path if that has one part."""
    if not isinstance(context, StreamContext):
        return Status.NOT_FOUND
    return context.view().info.filter_state.set_property(path, value, context.root.declared_properties)


def find_attribute(context: Context, name: str, *, last: bool) -> Value | None:
    """The attribute with a name, in which others may be.

    `last` tells that nothing within it is asked for: only then a declared message comes as its bytes.
    """
    settings = context.vm.settings
    if name in (own := _plugin_attributes(context)):
        return own[name]
    if not isinstance(context, StreamContext):
        return Group({"node": _node(settings)}.get, ("node",)) if name == "xds" else None
    view = context.view()
    overridden = _overridden(settings, name, view)
    if overridden is not None:
        return overridden
    if name in _GROUPS:
        return _group(view, settings, name)
    match name:
        case "xds":
            return _xds(view, settings)
        case "connection_id":
            return Unsigned(view.info.connection_id)
        case "metadata":
            return metadata({})
        case "filter_state":
            state = view.info.filter_state
            return Group(lambda key: state.find(_bytes(key), last=False), state.names())
        case "upstream_filter_state":
            return Group(lambda key: None) if view.info.upstream_attempts else None
        case _:
            return view.info.filter_state.find_property(_bytes(name), last=last)


# --- what the settings say ---


def _plugin_attributes(context: Context) -> dict[str, str]:
    root = context.root_context()
    plugin = context.vm.plugin if root is None else root.plugin
    return {"plugin_name": plugin.plugin_name, "plugin_root_id": plugin.root_id, "plugin_vm_id": plugin.vm_id}


def _node(settings: PluginSettings) -> Message:
    return Message(NODE, {**settings.node, "user_agent_name": "envoy"})


def _overridden(settings: PluginSettings, name: str, view: View) -> Value | None:
    """An attribute of its own, or a group some of whose attributes the settings give."""
    given = settings.attributes
    if name in given:
        return _given(name, given[name])
    inner = {path: value for path, value in given.items() if path.startswith(f"{name}.")}
    if not inner:
        return None
    return _override_in(name, inner, _group(view, settings, name) if name in _GROUPS else _xds(view, settings))


def _override_in(prefix: str, given: Mapping[str, AttributeValue], rest: Value | None) -> Group:
    def get(part: str) -> Value | None:
        path = f"{prefix}.{part}"
        below = None if rest is None else child(rest, part)
        if path in given:
            return _given(path, given[path])
        inner = {entry: value for entry, value in given.items() if entry.startswith(f"{path}.")}
        return _override_in(path, inner, below) if inner else below

    own = tuple(path.removeprefix(f"{prefix}.").partition(".")[0] for path in given)
    names = rest.names if isinstance(rest, Group) else ()
    return Group(get, tuple(dict.fromkeys([*names, *own])))


@cache
def _types() -> dict[str, str]:
    """Type of each attribute in the table, by its path."""
    from proxy_wasm_abi.attributes import load_attributes  # every pytest run loads this module, few need the table

    attributes = [attribute for group in load_attributes().groups for attribute in group.attributes]
    return {".".join(attribute.path): attribute.type for attribute in attributes}


def _given(path: str, value: AttributeValue) -> Value:
    """A value of the settings, in the type that Envoy has for this attribute."""
    match value:
        case datetime():
            return Timestamp((value - _EPOCH) // timedelta(microseconds=1) * 1000)
        case timedelta():
            return Duration(value // timedelta(microseconds=1) * 1000)
        case Mapping():
            return metadata(value) if _types().get(path) == "metadata" else from_json(value)
        case bool():
            return value
        case int():
            return Unsigned(value) if _types().get(path) == "uint" else value
        case _:
            return value


# --- groups ---


def _group(view: View, settings: PluginSettings, name: str) -> Group:
    getters = _GROUPS[name]

    def get(attribute: str) -> Value | None:
        return getters[attribute](view) if attribute in getters else None

    return Group(get, tuple(getters))


def _xds(view: View, settings: PluginSettings) -> Group:
    route = view.info.route
    values: dict[str, Value] = {
        "node": _node(settings),
        "filter_chain_name": "",
        "listener_metadata": metadata(settings.metadata.get("listener", {})),
        "listener_direction": 0,
    }
    if route is not None:
        values |= {
            "cluster_name": route.cluster,
            "cluster_metadata": metadata(settings.metadata.get("cluster", {})),
            "route_name": route.name,
            "route_metadata": metadata(settings.metadata.get("route", {})),
            "virtual_host_name": "all",
            "virtual_host_metadata": metadata(settings.metadata.get("virtual_host", {})),
        }
    elif not view.info.is_http and view.info.upstream_attempts:
        values |= {"cluster_name": "upstream", "cluster_metadata": metadata(settings.metadata.get("cluster", {}))}
    if view.info.upstream_attempts:
        host = settings.metadata.get("host")
        values["upstream_host_metadata"] = metadata(host) if host else Null.NULL
        values["upstream_host_locality_metadata"] = Null.NULL
    return Group(values.get, tuple(values))


class HeaderValues(dict[str, Any]):
    """Headers by name; a name is found in any case."""

    def __init__(self, headers: HeaderMap | None) -> None:
        super().__init__() if headers is None else super().__init__(
            (_text(name), _text(headers.joined(name) or b"")) for name in headers.names()
        )
        self._map = headers

    def get(self, name: str, default: Any = None) -> Any:
        """All values of a name, joined by commas."""
        joined = None if self._map is None else self._map.joined(_bytes(name))
        return default if joined is None else _text(joined)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decimal(text: bytes | None) -> int | None:
    """The number in a header, None for what is none or does not fit into 63 bits."""
    if text is None or not text.isdigit() or len(text) > _MAX_DIGITS:
        return None
    return int(text) if int(text) <= _MAX_SIGNED else None


def _request_header(name: bytes) -> Getter:
    def get(view: View) -> Value | None:
        value = None if view.request_headers is None else view.request_headers.get(name)
        return None if value is None else _text(value)

    return get


def _url_path(view: View) -> Value | None:
    path = _request_header(b":path")(view)
    return path.partition("?")[0] if isinstance(path, str) else None


def _query(view: View) -> Value | None:
    path = _request_header(b":path")(view)
    return path.partition("?")[2] if isinstance(path, str) else None


def _duration(view: View) -> Value | None:
    end = view.info.end_time
    return None if end is None else Duration(end - view.info.start_time)


def _size(headers: HeaderMap | None) -> int:
    return 0 if headers is None else headers.size


def _request_size(view: View) -> Value:
    declared = None if view.request_headers is None else _decimal(view.request_headers.get(b"content-length"))
    return view.info.bytes_received if declared is None else declared


def _grpc_status(view: View) -> Value | None:
    for entry in (view.response_trailers, view.response_headers):
        status = None if entry is None else _decimal(entry.get(b"grpc-status"))
        if status is not None:
            return status
    return None if view.info.response_code is None else grpc_status_of(view.info.response_code)


def _upstream_host(value: Value) -> Getter:
    return lambda view: value if view.info.upstream_attempts else None


def _routed(view: View) -> bool:
    """Whether the cluster is known: that of a TCP connection once the proxy connects."""
    return view.info.route is not None or (not view.info.is_http and view.info.upstream_attempts > 0)


_GROUPS: dict[str, dict[str, Getter]] = {
    "request": {
        "path": _request_header(b":path"),
        "url_path": _url_path,
        "host": _request_header(b":authority"),
        "scheme": _request_header(b":scheme"),
        "method": _request_header(b":method"),
        "headers": lambda view: HeaderValues(view.request_headers),
        "headers_bytes": lambda view: _size(view.request_headers),
        "referer": _request_header(b"referer"),
        "useragent": _request_header(b"user-agent"),
        "time": lambda view: Timestamp(view.info.start_time),
        "id": _request_header(b"x-request-id"),
        "protocol": lambda view: "HTTP/1.1" if view.info.is_http else None,
        "query": _query,
        "duration": _duration,
        "size": _request_size,
        "total_size": lambda view: view.info.bytes_received + _size(view.request_headers),
    },
    "response": {
        "code": lambda view: view.info.response_code,
        "code_details": lambda view: view.info.response_code_details,
        "flags": lambda view: int(view.info.response_flags),
        "grpc_status": _grpc_status,
        "headers": lambda view: HeaderValues(view.response_headers),
        "headers_bytes": lambda view: _size(view.response_headers),
        "trailers": lambda view: HeaderValues(view.response_trailers),
        "size": lambda view: view.info.bytes_sent,
        "total_size": lambda view: view.info.bytes_sent + _size(view.response_headers) + _size(view.response_trailers),
        "backend_latency": lambda view: (
            None if view.info.backend_latency is None else Duration(view.info.backend_latency)
        ),
    },
    "connection": CONNECTION,
    "source": SOURCE,
    "destination": {
        "address": lambda view: address_text(LISTENER_ADDRESS),
        "port": lambda view: LISTENER_ADDRESS[1],
    },
    "upstream": {
        "address": _upstream_host(address_text(UPSTREAM_ADDRESS)),
        "port": _upstream_host(UPSTREAM_ADDRESS[1]),
        "num_endpoints": lambda view: Unsigned(1) if _routed(view) else None,
        "locality": _upstream_host(Message(LOCALITY, {})),
        "local_address": lambda view: address_text(UPSTREAM_LOCAL_ADDRESS) if view.info.upstream_connected else None,
        "transport_failure_reason": lambda view: (
            view.info.transport_failure_reason if view.info.upstream_attempts or not view.info.is_http else None
        ),
        "request_attempt_count": lambda view: Unsigned(view.info.upstream_attempts),
        "cx_pool_ready_duration": lambda view: (
            Duration(0) if view.info.upstream_connected or view.info.transport_failure_reason else None
        ),
    },
}
