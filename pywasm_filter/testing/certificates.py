"""Certificates of clients and of the proxy, signed by one authority that lives as long as this process.

Needs the package cryptography.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pywasm_filter.testing.downstream import SERVER_DNS_SAN, SERVER_SUBJECT, SERVER_URI_SAN, Tls

_AUTHORITY = x509.Name.from_rfc4514_string("CN=pywasm-filter tests")
_VALID_FOR = timedelta(days=30)


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key, both in PEM, and its SHA-256 in hexadecimal."""

    pem: str
    key_pem: str
    sha256: str


@cache
def authority() -> str:
    """The certificate of the authority, in PEM."""
    return _authority()[0].public_bytes(Encoding.PEM).decode()


@cache
def server_certificate() -> Certificate:
    """The proxy's."""
    return _issue(SERVER_SUBJECT, SERVER_DNS_SAN, SERVER_URI_SAN)


@cache
def client_certificate(tls: Tls) -> Certificate:
    """The one that a client presents. Raises ValueError for a subject that is none, or names that are not ASCII."""
    return _issue(tls.subject_peer_certificate, tls.dns_san, tls.uri_san)


def _issue(subject: str, dns_san: str, uri_san: str) -> Certificate:
    issuer, issuer_key = _authority()
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = []
    if dns_san:
        names.append(x509.DNSName(dns_san))
    if uri_san:
        names.append(x509.UniformResourceIdentifier(uri_san))
    try:
        name = x509.Name.from_rfc4514_string(subject)
    except ValueError as error:
        raise ValueError(f"not a subject: {subject!r}; it is written as in 'CN=alice,O=Acme'") from error
    builder = _builder(name, key.public_key())
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not subject)
    certificate = builder.issuer_name(issuer.subject).sign(issuer_key, hashes.SHA256())
    return Certificate(
        certificate.public_bytes(Encoding.PEM).decode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        certificate.fingerprint(hashes.SHA256()).hex(),
    )


@cache
def _authority() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_AUTHORITY, key.public_key()).issuer_name(_AUTHORITY)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()), key


def _builder(subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID_FOR)
    )
