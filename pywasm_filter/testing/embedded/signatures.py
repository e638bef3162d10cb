"""Signatures as Envoy makes and checks them: RSA with PKCS #1 v1.5, and ECDSA. Needs the package cryptography.

The reasons are Envoy's own words.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

_BAD_PUBLIC_KEY = "Failed to initialize digest verify."
_BAD_SIGNATURE = "Failed to verify digest. Error code: 0"
_NO_PRIVATE_KEY = "Invalid key type: private key required for signing operation."
_OTHER_PRIVATE_KEY = "Invalid private key: key data is corrupted or malformed."

_SPKI_PEM = b"-----BEGIN PUBLIC KEY-----"
_INTEGER_ZERO, _SEQUENCE = b"\x02\x01\x00", b"\x30"

_HASHES: dict[bytes, type[hashes.HashAlgorithm]] = {
    b"sha1": hashes.SHA1,
    b"sha224": hashes.SHA224,
    b"sha256": hashes.SHA256,
    b"sha384": hashes.SHA384,
    b"sha512": hashes.SHA512,
}


def verify(hash_name: bytes, der: bytes | None, pem: bytes | None, signature: bytes, text: bytes) -> str:
    """Why a signature does not hold; nothing if it does."""
    algorithm = _HASHES.get(hash_name.lower())
    if algorithm is None:
        return f"{hash_name.decode()} is not supported."
    key = _public_key(der, pem)
    if key is None:
        return _BAD_PUBLIC_KEY
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(signature, text, PKCS1v15(), algorithm())
        else:
            key.verify(signature, text, ECDSA(algorithm()))
    except InvalidSignature:
        return _BAD_SIGNATURE
    return ""


def sign(hash_name: bytes, der: bytes | None, pem: bytes | None, text: bytes) -> tuple[bytes, str]:
    """A signature, or why there is none."""
    algorithm = _HASHES.get(hash_name.lower())
    if algorithm is None:
        return b"", f"{hash_name.decode()} is not supported."
    try:
        key = load_pem_private_key(pem or b"", None) if der is None else load_der_private_key(_pkcs8(der), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return b"", _NO_PRIVATE_KEY
    if isinstance(key, RSAPrivateKey):
        return key.sign(text, PKCS1v15(), algorithm()), ""
    if isinstance(key, EllipticCurvePrivateKey):
        return key.sign(text, ECDSA(algorithm())), ""
    return b"", _OTHER_PRIVATE_KEY


def _public_key(der: bytes | None, pem: bytes | None) -> RSAPublicKey | EllipticCurvePublicKey | None:
    """A key of a kind that can be used, from a SubjectPublicKeyInfo and nothing else."""
    try:
        if der is not None:
            key = load_der_public_key(_spki(der))
        elif pem is not None and pem.lstrip().startswith(_SPKI_PEM):
            key = load_pem_public_key(pem)
        else:
            return None
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, (RSAPublicKey, EllipticCurvePublicKey)) else None


def _spki(data: bytes) -> bytes:
    """A sequence that begins with one, as a SubjectPublicKeyInfo does and a bare RSA key does not."""
    start, end = _contents(data)
    if data[start : start + 1] != _SEQUENCE:
        raise ValueError
    return data[:end]


def _pkcs8(data: bytes) -> bytes:
    """A sequence that begins with the version 0 and another one, as PKCS #8 does and a bare key does not."""
    start, end = _contents(data)
    if not data[start:].startswith(_INTEGER_ZERO + _SEQUENCE):
        raise ValueError
    return data[:end]


def _contents(data: bytes) -> tuple[int, int]:
    """Where the contents of the first element begin and end: Envoy looks at nothing behind it."""
    if len(data) < 2:
        raise ValueError
    size, start = data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start], "big")
    return start, start + size
