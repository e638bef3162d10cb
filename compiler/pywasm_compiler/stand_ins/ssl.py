"""Takes the place of the standard library's `ssl` for packages that cannot be imported without it.

They name its classes, most of them in annotations, and work as long as nobody makes a connection. Whoever tries gets
an OSError, as for any socket.
"""

from __future__ import annotations

import enum
from typing import Any, NoReturn

HAS_SNI = HAS_ALPN = HAS_NPN = HAS_ECDH = HAS_TLSv1_3 = False
OPENSSL_VERSION = "none"
OPENSSL_VERSION_INFO = OPENSSL_VERSION_NUMBER = (0, 0, 0, 0, 0)


class SSLError(OSError):
    """An error of TLS."""


class SSLZeroReturnError(SSLError):
    """The connection was closed."""


class SSLWantReadError(SSLError):
    """More has to be read first."""


class SSLWantWriteError(SSLError):
    """More has to be written first."""


class SSLSyscallError(SSLError):
    """The system failed."""


class SSLEOFError(SSLError):
    """The connection was broken off."""


class SSLCertVerificationError(SSLError, ValueError):
    """A certificate is not valid."""


CertificateError = SSLCertVerificationError
socket_error = OSError


class VerifyMode(enum.IntEnum):
    """Whether certificates are asked for."""

    CERT_NONE = 0
    CERT_OPTIONAL = 1
    CERT_REQUIRED = 2


class TLSVersion(enum.IntEnum):
    """Versions of the protocol."""

    MINIMUM_SUPPORTED = -2
    MAXIMUM_SUPPORTED = -1
    TLSv1_2 = 0x303
    TLSv1_3 = 0x304


class Purpose(enum.Enum):
    """What certificates are for."""

    SERVER_AUTH = "server"
    CLIENT_AUTH = "client"


CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED = VerifyMode
PROTOCOL_TLS, PROTOCOL_TLS_CLIENT, PROTOCOL_TLS_SERVER = 2, 16, 17


def create_default_context(*_: Any, **__: Any) -> NoReturn:
    """Raise OSError."""
    raise OSError("there is no TLS in a proxy's VM: let the proxy connect, with self.http_call to one of its clusters")


_create_default_https_context = _create_unverified_context = _create_stdlib_context = create_default_context


class SSLContext:
    """Cannot be made."""

    def __init__(self, *_: Any, **__: Any) -> None:
        create_default_context()


class SSLSocket(SSLContext):
    """Cannot be made."""


class SSLObject(SSLContext):
    """Cannot be made."""


class MemoryBIO(SSLContext):
    """Cannot be made."""
