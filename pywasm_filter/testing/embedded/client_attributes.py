"""The attributes of the client's connection: `source.*` and `connection.*`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from pywasm_filter.testing.downstream import (
    SERVER_DNS_SAN,
    SERVER_SUBJECT,
    SERVER_URI_SAN,
    Tls,
    address_text,
)
from pywasm_filter.testing.embedded.attribute_values import Unsigned, Value
from pywasm_filter.testing.embedded.stream_info import View
from pywasm_filter.testing.errors import CertificatesNotInstalled

if TYPE_CHECKING:
    from pywasm_filter.testing.certificates import Certificate

Getter = Callable[[View], Value | None]


def _of_tls(value: Callable[[Tls], Value | None]) -> Getter:
    """An attribute that only connections with TLS have."""
    return lambda view: None if view.info.downstream.tls is None else value(view.info.downstream.tls)


def _certificate(tls: Tls) -> Certificate:
    try:
        from pywasm_filter.testing.certificates import client_certificate
    except ImportError as error:
        raise CertificatesNotInstalled from error
    return client_certificate(tls)


def _mtls(view: View) -> bool:
    tls = view.info.downstream.tls
    return tls is not None and tls.mutual


SOURCE: dict[str, Getter] = {
    "address": lambda view: address_text(view.info.downstream.source),
    "port": lambda view: view.info.downstream.source[1],
}

CONNECTION: dict[str, Getter] = {
    "id": lambda view: Unsigned(view.info.connection_id),
    "mtls": _mtls,
    "requested_server_name": lambda view: view.info.downstream.tls.sni if view.info.downstream.tls else "",
    "tls_version": _of_tls(lambda tls: tls.version),
    "subject_local_certificate": _of_tls(lambda tls: SERVER_SUBJECT),
    "subject_peer_certificate": _of_tls(lambda tls: tls.subject_peer_certificate),
    "dns_san_local_certificate": _of_tls(lambda tls: SERVER_DNS_SAN),
    "dns_san_peer_certificate": _of_tls(lambda tls: tls.dns_san or None),
    "uri_san_local_certificate": _of_tls(lambda tls: SERVER_URI_SAN),
    "uri_san_peer_certificate": _of_tls(lambda tls: tls.uri_san or None),
    "sha256_peer_certificate_digest": _of_tls(lambda tls: _certificate(tls).sha256 if tls.mutual else None),
    "peer_certificate": _of_tls(lambda tls: quote(_certificate(tls).pem, safe="") if tls.mutual else None),
}
