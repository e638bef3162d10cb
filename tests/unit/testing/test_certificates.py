from __future__ import annotations

import importlib.util
import ssl
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pywasm_filter.testing import CertificatesNotInstalled, EmbeddedProxy, Tls
from pywasm_filter.testing.certificates import authority, client_certificate, server_certificate
from pywasm_filter.testing.downstream import Downstream
from pywasm_filter.testing.envoy.client_connection import ClientConnector, server_certificates
from pywasm_filter.testing.guests.inprocess import InProcessGuest

READER = """
from pywasm_filter import Action, HttpContext

class Reader(HttpContext):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.request.headers["x-digest"] = self.properties.connection.sha256_peer_certificate_digest
        return Action.CONTINUE
"""
ALICE = Tls(subject_peer_certificate="CN=alice,O=Acme", dns_san="alice.example", uri_san="spiffe://example/alice")


@pytest.fixture
def without_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pywasm_filter.testing.certificates", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def test_all_are_signed_by_the_authority() -> None:
    root = x509.load_pem_x509_certificate(authority().encode())
    for issued in (server_certificate(), client_certificate(ALICE)):
        certificate = x509.load_pem_x509_certificate(issued.pem.encode())
        certificate.verify_directly_issued_by(root)
        assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)


def test_a_client_keeps_its_certificate() -> None:
    same = Tls(subject_peer_certificate="CN=alice,O=Acme", dns_san="alice.example", uri_san="spiffe://example/alice")
    assert client_certificate(ALICE) == client_certificate(same)
    assert client_certificate(ALICE) != client_certificate(Tls(subject_peer_certificate="CN=bob"))


@pytest.mark.parametrize("subject", ["alice", "CN=", "CN=a,", "XX=a"])
def test_a_subject_that_is_none(subject: str) -> None:
    with pytest.raises(ValueError, match=r"not a subject: '.*'; it is written as in 'CN=alice,O=Acme'"):
        client_certificate(Tls(subject_peer_certificate=subject))


def test_python_takes_them_for_its_own() -> None:
    assert isinstance(ClientConnector(Downstream(tls=ALICE))._context, ssl.SSLContext)
    certificates = server_certificates()
    assert certificates is not None
    assert certificates.authority == authority()


@pytest.mark.usefixtures("without_certificates")
def test_without_cryptography_tls_says_what_to_install() -> None:
    assert server_certificates() is None
    assert ClientConnector(Downstream())._context is None
    with pytest.raises(CertificatesNotInstalled, match=r"pip install 'pywasm-filter\[envoy\]'"):
        ClientConnector(Downstream(tls=ALICE))


def test_a_filter_learns_the_digest_if_there_is_cryptography(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "reader.py"
    path.write_text(READER)
    with EmbeddedProxy(lambda host: InProcessGuest(path, host)) as proxy:
        request = proxy.client(tls=ALICE).get("/").upstream_request
        assert request is not None
        assert request.headers["x-digest"] == client_certificate(ALICE).sha256
        monkeypatch.setitem(sys.modules, "pywasm_filter.testing.certificates", None)
        with pytest.raises(CertificatesNotInstalled, match=r"pip install 'pywasm-filter\[envoy\]'"):
            proxy.client(tls=ALICE).get("/")
