"""Connections of clients that come from anywhere, with TLS or without, to a listener that takes PROXY headers."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import ssl
import tempfile
from ipaddress import ip_address
from pathlib import Path

from pywasm_filter.testing.downstream import Downstream, Tls
from pywasm_filter.testing.envoy.config import Certificates
from pywasm_filter.testing.errors import CertificatesNotInstalled

_VERSIONS = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def server_certificates() -> Certificates | None:
    """What Envoy needs for TLS; None when the package that makes it is missing."""
    if importlib.util.find_spec("cryptography") is None:
        return None
    from pywasm_filter.testing.certificates import authority, server_certificate

    own = server_certificate()
    return Certificates(own.pem, own.key_pem, authority())


class ClientConnector:
    """Opens the connections of one client. Raises CertificatesNotInstalled for TLS without what makes certificates."""

    def __init__(self, downstream: Downstream) -> None:
        self._source = downstream.source
        self._sni = downstream.tls.sni if downstream.tls else ""
        self._context = None if downstream.tls is None else _context(downstream.tls)

    def __call__(self, address: tuple[str, int], timeout: float) -> socket.socket:
        """Connect, say where the connection comes from, and shake hands."""
        with contextlib.ExitStack() as cleanup:
            sock = cleanup.enter_context(socket.create_connection(address, timeout=timeout))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(self._proxy_header(address))
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_hostname=self._sni or None)
            cleanup.pop_all()
            return sock

    def _proxy_header(self, address: tuple[str, int]) -> bytes:
        """The header of version 1, for which both addresses are of one family."""
        host, port = self._source
        if ip_address(host).version == 4:
            return f"PROXY TCP4 {host} {address[0]} {port} {address[1]}\r\n".encode()
        return f"PROXY TCP6 {host} ::1 {port} {address[1]}\r\n".encode()


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        from pywasm_filter.testing.certificates import authority, client_certificate
    except ImportError as error:
        raise CertificatesNotInstalled from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=authority())
    context.minimum_version = context.maximum_version = _VERSIONS[tls.version]
    if tls.mutual:
        own = client_certificate(tls)
        with tempfile.TemporaryDirectory() as directory:  # the only way in is a file
            file = Path(directory, "client.pem")
            file.write_text(own.pem + own.key_pem, encoding="ascii")
            context.load_cert_chain(file)
    return context
