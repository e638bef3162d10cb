"""The attributes that Envoy offers, as typed properties.

Generated from sdk_stubs/proxy_wasm_abi/attributes.toml by `python -m proxy_wasm_abi`. Do not edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pywasm_filter.sdk.attribute_values import (
    HeadersAttribute,
    StateAttribute,
    read_bool,
    read_duration,
    read_int,
    read_metadata,
    read_struct,
    read_text,
    read_timestamp,
    read_uint,
)

if TYPE_CHECKING:
    from datetime import datetime, timedelta

_ALWAYS = "in every callback, those of a root context included"
_STREAM = "in every callback of a stream"
_ROUTE = "in every callback of a stream that has a route"
_REQUEST = "in on_request_headers, as long as the filter holds the request's headers back, and in on_log"
_REQUEST_HEADER = (
    "in on_request_headers, as long as the filter holds the request's headers back, and in on_log, if the request"
    " has that header"
)
_RESPONSE = "from on_response_headers on"
_END = "in on_log, on_done and on_delete"
_ANSWERED = "once the upstream's answer has come to its end: in on_response_trailers and from on_log on"
_UPSTREAM_HOST = "once an upstream host is chosen, which is after the request's headers have passed the filter"
_UPSTREAM_CONNECTION = (
    "once the connection to the upstream is ready: in response callbacks, and at times in later ones of the "
    "request"
)
_TLS = "on a downstream connection with TLS, if the certificate has that field"
_UPSTREAM_TLS = "on an upstream connection with TLS, if the certificate has that field"
_FAILURE = "on a connection that has failed or was ended by Envoy"


class UpstreamLocalityAttributes:
    """Where the upstream host runs; a part that is not configured is empty."""

    __slots__ = ()

    @property
    def region(self) -> str:
        """The region.

        Available once an upstream host is chosen, which is after the request's headers have passed the filter.
        """
        return read_text(b"upstream\0locality\0region", _UPSTREAM_HOST)

    @property
    def zone(self) -> str:
        """The zone within the region.

        Available once an upstream host is chosen, which is after the request's headers have passed the filter.
        """
        return read_text(b"upstream\0locality\0zone", _UPSTREAM_HOST)

    @property
    def sub_zone(self) -> str:
        """The part of the zone, such as a rack.

        Available once an upstream host is chosen, which is after the request's headers have passed the filter.
        """
        return read_text(b"upstream\0locality\0sub_zone", _UPSTREAM_HOST)


class NodeLocalityAttributes:
    """Where Envoy runs; a part that is not configured is empty."""

    __slots__ = ()

    @property
    def region(self) -> str:
        """The region.

        Available in every callback, those of a root context included.
        """
        return read_text(b"xds\0node\0locality\0region", _ALWAYS)

    @property
    def zone(self) -> str:
        """The zone within the region.

        Available in every callback, those of a root context included.
        """
        return read_text(b"xds\0node\0locality\0zone", _ALWAYS)

    @property
    def sub_zone(self) -> str:
        """The part of the zone, such as a rack.

        Available in every callback, those of a root context included.
        """
        return read_text(b"xds\0node\0locality\0sub_zone", _ALWAYS)


class RequestAttributes:
    """The request, as Envoy has it."""

    __slots__ = ()

    @property
    def path(self) -> str:
        """Path and query.

        Available in on_request_headers, as long as the filter holds the request's headers back, and in on_log.
        """
        return read_text(b"request\0path", _REQUEST)

    @property
    def url_path(self) -> str:
        """The path without the query.

        Available in on_request_headers, as long as the filter holds the request's headers back, and in on_log.
        """
        return read_text(b"request\0url_path", _REQUEST)

    @property
    def query(self) -> str:
        """The query, without its question mark.

        Available in on_request_headers, as long as the filter holds the request's headers back, and in on_log.
        """
        return read_text(b"request\0query", _REQUEST)

    @property
    def host(self) -> str:
        """Host and port that the client asked for.

        Available in on_request_headers, as long as the filter holds the request's headers back, and in on_log.
        """
        return read_text(b"request\0host", _REQUEST)

    @property
    def scheme(self) -> str:
        """`http` or `https`.

        Available in on_request_headers, as long as the filter holds the request's headers back, and in on_log.
        """
        return read_text(b"request\0scheme", _REQUEST)

    @property
    def method(self) -> str:
        """The method, such as GET.

        Available in on_request_headers, as long as the filter holds the request's headers back, and in on_log.
        """
        return read_text(b"request\0method", _REQUEST)

    @property
    def headers(self) -> HeadersAttribute:
        """The headers by name, several values of one joined by commas; empty while they are not lent, which is outside
        of on_request_headers and on_log.

        Available in every callback of a stream.
        """
        return HeadersAttribute(b"request\0headers", _STREAM)

    @property
    def headers_bytes(self) -> int:
        """Size of the headers in bytes; 0 while they are not lent.

        Available in every callback of a stream.
        """
        return read_int(b"request\0headers_bytes", _STREAM)

    @property
    def referer(self) -> str:
        """The header `referer`.

        Available in on_request_headers, as long as the filter holds the request's headers back, and in on_log, if
        the request has that header.
        """
        return read_text(b"request\0referer", _REQUEST_HEADER)

    @property
    def useragent(self) -> str:
        """The header `user-agent`.

        Available in on_request_headers, as long as the filter holds the request's headers back, and in on_log, if
        the request has that header.
        """
        return read_text(b"request\0useragent", _REQUEST_HEADER)

    @property
    def id(self) -> str:
        """The header `x-request-id`.

        Available in on_request_headers, as long as the filter holds the request's headers back, and in on_log, if
        the request has that header.
        """
        return read_text(b"request\0id", _REQUEST_HEADER)

    @property
    def time(self) -> datetime:
        """When the first byte arrived.

        Available in every callback of a stream.
        """
        return read_timestamp(b"request\0time", _STREAM)

    @property
    def protocol(self) -> str:
        """`HTTP/1.0`, `HTTP/1.1`, `HTTP/2` or `HTTP/3`.

        Available in every callback of a stream.
        """
        return read_text(b"request\0protocol", _STREAM)

    @property
    def duration(self) -> timedelta:
        """Time from the first byte of the request to the end of the response.

        Available in on_log, on_done and on_delete.
        """
        return read_duration(b"request\0duration", _END)

    @property
    def size(self) -> int:
        """Bytes of the body: what content-length says, otherwise what has arrived.

        Available in every callback of a stream.
        """
        return read_int(b"request\0size", _STREAM)

    @property
    def total_size(self) -> int:
        """Bytes of the body that have arrived, and of the headers while these are lent.

        Available in every callback of a stream.
        """
        return read_int(b"request\0total_size", _STREAM)


class ResponseAttributes:
    """The response, as Envoy has it."""

    __slots__ = ()

    @property
    def code(self) -> int:
        """The status code.

        Available from on_response_headers on.
        """
        return read_int(b"response\0code", _RESPONSE)

    @property
    def code_details(self) -> str:
        """Why the response has its code, such as `via_upstream`.

        Available from on_response_headers on.
        """
        return read_text(b"response\0code_details", _RESPONSE)

    @property
    def flags(self) -> int:
        """What went wrong, as a set of bits: Envoy's response flags.

        Available in every callback of a stream.
        """
        return read_int(b"response\0flags", _STREAM)

    @property
    def grpc_status(self) -> int:
        """The gRPC status; where there is none, the one that fits the status code.

        Available from on_response_headers on.
        """
        return read_int(b"response\0grpc_status", _RESPONSE)

    @property
    def headers(self) -> HeadersAttribute:
        """The headers by name, several values of one joined by commas; empty while they are not lent, which is outside
        of on_response_headers and on_log.

        Available in every callback of a stream.
        """
        return HeadersAttribute(b"response\0headers", _STREAM)

    @property
    def headers_bytes(self) -> int:
        """Size of the headers in bytes; 0 while they are not lent.

        Available in every callback of a stream.
        """
        return read_int(b"response\0headers_bytes", _STREAM)

    @property
    def trailers(self) -> HeadersAttribute:
        """The trailers by name; empty while they are not lent, which is outside of on_response_trailers and on_log.

        Available in every callback of a stream.
        """
        return HeadersAttribute(b"response\0trailers", _STREAM)

    @property
    def size(self) -> int:
        """Bytes of the body that the client was sent so far.

        Available in every callback of a stream.
        """
        return read_int(b"response\0size", _STREAM)

    @property
    def total_size(self) -> int:
        """Bytes of the body that the client was sent so far, and of headers and trailers while these are lent.

        Available in every callback of a stream.
        """
        return read_int(b"response\0total_size", _STREAM)

    @property
    def backend_latency(self) -> timedelta:
        """Time from the first byte to the upstream to the last byte from it.

        Available once the upstream's answer has come to its end: in on_response_trailers and from on_log on.
        """
        return read_duration(b"response\0backend_latency", _ANSWERED)


class ConnectionAttributes:
    """The downstream connection."""

    __slots__ = ()

    @property
    def id(self) -> int:
        """Envoy's number for the connection.

        Available in every callback of a stream.
        """
        return read_uint(b"connection\0id", _STREAM)

    @property
    def mtls(self) -> bool:
        """Whether there is TLS, and the client has presented a certificate.

        Available in every callback of a stream.
        """
        return read_bool(b"connection\0mtls", _STREAM)

    @property
    def requested_server_name(self) -> str:
        """The server name that the client asked for in TLS (SNI); empty without.

        Available in every callback of a stream.
        """
        return read_text(b"connection\0requested_server_name", _STREAM)

    @property
    def tls_version(self) -> str:
        """Version of TLS, such as `TLSv1.3`.

        Available on a downstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"connection\0tls_version", _TLS)

    @property
    def subject_local_certificate(self) -> str:
        """Subject of Envoy's certificate.

        Available on a downstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"connection\0subject_local_certificate", _TLS)

    @property
    def subject_peer_certificate(self) -> str:
        """Subject of the client's certificate.

        Available on a downstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"connection\0subject_peer_certificate", _TLS)

    @property
    def dns_san_local_certificate(self) -> str:
        """First DNS name in Envoy's certificate.

        Available on a downstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"connection\0dns_san_local_certificate", _TLS)

    @property
    def dns_san_peer_certificate(self) -> str:
        """First DNS name in the client's certificate.

        Available on a downstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"connection\0dns_san_peer_certificate", _TLS)

    @property
    def uri_san_local_certificate(self) -> str:
        """First URI in Envoy's certificate, such as its SPIFFE id.

        Available on a downstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"connection\0uri_san_local_certificate", _TLS)

    @property
    def uri_san_peer_certificate(self) -> str:
        """First URI in the client's certificate, such as its SPIFFE id.

        Available on a downstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"connection\0uri_san_peer_certificate", _TLS)

    @property
    def sha256_peer_certificate_digest(self) -> str:
        """SHA-256 of the client's certificate, in hexadecimal.

        Available on a downstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"connection\0sha256_peer_certificate_digest", _TLS)

    @property
    def peer_certificate(self) -> str:
        """The client's certificate: PEM, percent-encoded as in a URL.

        Available on a downstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"connection\0peer_certificate", _TLS)

    @property
    def transport_failure_reason(self) -> str:
        """Why TLS failed.

        Available on a connection that has failed or was ended by Envoy.
        """
        return read_text(b"connection\0transport_failure_reason", _FAILURE)

    @property
    def termination_details(self) -> str:
        """Why Envoy ended the connection.

        Available on a connection that has failed or was ended by Envoy.
        """
        return read_text(b"connection\0termination_details", _FAILURE)


class SourceAttributes:
    """The client's end of the downstream connection."""

    __slots__ = ()

    @property
    def address(self) -> str:
        """Address and port, such as `10.0.0.1:4711`.

        Available in every callback of a stream.
        """
        return read_text(b"source\0address", _STREAM)

    @property
    def port(self) -> int:
        """The port.

        Available in every callback of a stream.
        """
        return read_int(b"source\0port", _STREAM)


class DestinationAttributes:
    """Envoy's end of the downstream connection."""

    __slots__ = ()

    @property
    def address(self) -> str:
        """Address and port, such as `10.0.0.2:443`.

        Available in every callback of a stream.
        """
        return read_text(b"destination\0address", _STREAM)

    @property
    def port(self) -> int:
        """The port.

        Available in every callback of a stream.
        """
        return read_int(b"destination\0port", _STREAM)


class UpstreamAttributes:
    """The upstream connection."""

    __slots__ = ()

    locality: Final = UpstreamLocalityAttributes()
    """Where the upstream host is."""

    @property
    def address(self) -> str:
        """Address and port of the upstream host.

        Available once an upstream host is chosen, which is after the request's headers have passed the filter.
        """
        return read_text(b"upstream\0address", _UPSTREAM_HOST)

    @property
    def port(self) -> int:
        """Port of the upstream host.

        Available once an upstream host is chosen, which is after the request's headers have passed the filter.
        """
        return read_int(b"upstream\0port", _UPSTREAM_HOST)

    @property
    def num_endpoints(self) -> int:
        """Number of hosts in the upstream cluster.

        Available in every callback of a stream that has a route.
        """
        return read_uint(b"upstream\0num_endpoints", _ROUTE)

    @property
    def local_address(self) -> str:
        """Address and port of Envoy's end.

        Available once the connection to the upstream is ready: in response callbacks, and at times in later ones of
        the request.
        """
        return read_text(b"upstream\0local_address", _UPSTREAM_CONNECTION)

    @property
    def transport_failure_reason(self) -> str:
        """Why TLS with the upstream failed; empty if it did not.

        Available once an upstream host is chosen, which is after the request's headers have passed the filter.
        """
        return read_text(b"upstream\0transport_failure_reason", _UPSTREAM_HOST)

    @property
    def request_attempt_count(self) -> int:
        """How often the request was sent upstream, retries included.

        Available in every callback of a stream.
        """
        return read_uint(b"upstream\0request_attempt_count", _STREAM)

    @property
    def cx_pool_ready_duration(self) -> timedelta:
        """Time until a connection was ready for the request.

        Available once the connection to the upstream is ready: in response callbacks, and at times in later ones of
        the request.
        """
        return read_duration(b"upstream\0cx_pool_ready_duration", _UPSTREAM_CONNECTION)

    @property
    def tls_version(self) -> str:
        """Version of TLS, such as `TLSv1.3`.

        Available on an upstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"upstream\0tls_version", _UPSTREAM_TLS)

    @property
    def subject_local_certificate(self) -> str:
        """Subject of Envoy's certificate.

        Available on an upstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"upstream\0subject_local_certificate", _UPSTREAM_TLS)

    @property
    def subject_peer_certificate(self) -> str:
        """Subject of the upstream's certificate.

        Available on an upstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"upstream\0subject_peer_certificate", _UPSTREAM_TLS)

    @property
    def dns_san_local_certificate(self) -> str:
        """First DNS name in Envoy's certificate.

        Available on an upstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"upstream\0dns_san_local_certificate", _UPSTREAM_TLS)

    @property
    def dns_san_peer_certificate(self) -> str:
        """First DNS name in the upstream's certificate.

        Available on an upstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"upstream\0dns_san_peer_certificate", _UPSTREAM_TLS)

    @property
    def uri_san_local_certificate(self) -> str:
        """First URI in Envoy's certificate.

        Available on an upstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"upstream\0uri_san_local_certificate", _UPSTREAM_TLS)

    @property
    def uri_san_peer_certificate(self) -> str:
        """First URI in the upstream's certificate.

        Available on an upstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"upstream\0uri_san_peer_certificate", _UPSTREAM_TLS)

    @property
    def sha256_peer_certificate_digest(self) -> str:
        """SHA-256 of the upstream's certificate, in hexadecimal.

        Available on an upstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"upstream\0sha256_peer_certificate_digest", _UPSTREAM_TLS)

    @property
    def peer_certificate(self) -> str:
        """The upstream's certificate: PEM, percent-encoded as in a URL.

        Available on an upstream connection with TLS, if the certificate has that field.
        """
        return read_text(b"upstream\0peer_certificate", _UPSTREAM_TLS)


class NodeAttributes:
    """Envoy itself: the node of its bootstrap."""

    __slots__ = ()

    locality: Final = NodeLocalityAttributes()
    """Where the node is."""

    @property
    def id(self) -> str:
        """The node's id, such as the pod's name in Istio.

        Available in every callback, those of a root context included.
        """
        return read_text(b"xds\0node\0id", _ALWAYS)

    @property
    def cluster(self) -> str:
        """The service that the node belongs to.

        Available in every callback, those of a root context included.
        """
        return read_text(b"xds\0node\0cluster", _ALWAYS)

    @property
    def metadata(self) -> dict[str, Any]:
        """The node's metadata, such as NAMESPACE and LABELS in Istio. Envoy hands out the whole node for it, some 60
        KB: read it in on_configure.

        Available in every callback, those of a root context included.
        """
        return read_struct(b"xds\0node", 3, _ALWAYS)

    @property
    def user_agent_name(self) -> str:
        """What runs: `envoy`.

        Available in every callback, those of a root context included.
        """
        return read_text(b"xds\0node\0user_agent_name", _ALWAYS)


class Attributes:
    """What Envoy knows of itself, the plugin, the connection and the exchange. Each attribute raises
        AttributeNotAvailable where it is absent."""

    __slots__ = ()

    request: Final = RequestAttributes()
    """The request."""

    response: Final = ResponseAttributes()
    """The response."""

    connection: Final = ConnectionAttributes()
    """The downstream connection."""

    source: Final = SourceAttributes()
    """The client's end of the downstream connection."""

    destination: Final = DestinationAttributes()
    """Envoy's end of the downstream connection."""

    upstream: Final = UpstreamAttributes()
    """The upstream connection."""

    node: Final = NodeAttributes()
    """Envoy itself, as its bootstrap describes it."""

    @property
    def metadata(self) -> dict[str, dict[str, Any]]:
        """Dynamic metadata that filters have set: from the filter's name to its fields.

        Available in every callback of a stream.
        """
        return read_metadata(b"metadata", _STREAM)

    @property
    def filter_state(self) -> StateAttribute:
        """Objects that filters share, by name and as bytes; the value that `set_raw` sets under a name is `wasm.` and
        that name.

        Available in every callback of a stream.
        """
        return StateAttribute(b"filter_state", _STREAM)

    @property
    def upstream_filter_state(self) -> StateAttribute:
        """Objects that filters share on the upstream connection.

        Available once the connection to the upstream is ready: in response callbacks, and at times in later ones of
        the request.
        """
        return StateAttribute(b"upstream_filter_state", _UPSTREAM_CONNECTION)

    @property
    def cluster_name(self) -> str:
        """The upstream cluster.

        Available in every callback of a stream that has a route.
        """
        return read_text(b"xds\0cluster_name", _ROUTE)

    @property
    def cluster_metadata(self) -> dict[str, dict[str, Any]]:
        """Metadata of the upstream cluster.

        Available in every callback of a stream that has a route.
        """
        return read_metadata(b"xds\0cluster_metadata", _ROUTE)

    @property
    def route_name(self) -> str:
        """The route's name, empty where it has none.

        Available in every callback of a stream that has a route.
        """
        return read_text(b"xds\0route_name", _ROUTE)

    @property
    def route_metadata(self) -> dict[str, dict[str, Any]]:
        """Metadata of the route.

        Available in every callback of a stream that has a route.
        """
        return read_metadata(b"xds\0route_metadata", _ROUTE)

    @property
    def virtual_host_name(self) -> str:
        """The virtual host's name.

        Available in every callback of a stream that has a route.
        """
        return read_text(b"xds\0virtual_host_name", _ROUTE)

    @property
    def virtual_host_metadata(self) -> dict[str, dict[str, Any]]:
        """Metadata of the virtual host.

        Available in every callback of a stream that has a route.
        """
        return read_metadata(b"xds\0virtual_host_metadata", _ROUTE)

    @property
    def upstream_host_metadata(self) -> dict[str, dict[str, Any]]:
        """Metadata of the upstream host.

        Available once an upstream host is chosen, which is after the request's headers have passed the filter.
        """
        return read_metadata(b"xds\0upstream_host_metadata", _UPSTREAM_HOST)

    @property
    def upstream_host_locality_metadata(self) -> dict[str, dict[str, Any]]:
        """Metadata of the upstream host's locality.

        Available once an upstream host is chosen, which is after the request's headers have passed the filter.
        """
        return read_metadata(b"xds\0upstream_host_locality_metadata", _UPSTREAM_HOST)

    @property
    def filter_chain_name(self) -> str:
        """The listener's filter chain, empty where it has no name.

        Available in every callback of a stream.
        """
        return read_text(b"xds\0filter_chain_name", _STREAM)

    @property
    def listener_direction(self) -> int:
        """Whose traffic the listener takes: 0 unspecified, 1 inbound, 2 outbound.

        Available in every callback of a stream.
        """
        return read_int(b"xds\0listener_direction", _STREAM)

    @property
    def listener_metadata(self) -> dict[str, dict[str, Any]]:
        """Metadata of the listener.

        Available in every callback of a stream.
        """
        return read_metadata(b"xds\0listener_metadata", _STREAM)

    @property
    def plugin_name(self) -> str:
        """The plugin's name in Envoy's configuration.

        Available in every callback, those of a root context included.
        """
        return read_text(b"plugin_name", _ALWAYS)

    @property
    def plugin_root_id(self) -> str:
        """The root_id of the plugin.

        Available in every callback, those of a root context included.
        """
        return read_text(b"plugin_root_id", _ALWAYS)

    @property
    def plugin_vm_id(self) -> str:
        """The id of the plugin's VM.

        Available in every callback, those of a root context included.
        """
        return read_text(b"plugin_vm_id", _ALWAYS)

    @property
    def connection_id(self) -> int:
        """Envoy's number for the downstream connection.

        Available in every callback of a stream.
        """
        return read_uint(b"connection_id", _STREAM)
