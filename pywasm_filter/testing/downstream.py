"""What a test says of a client's connection: where it comes from, and its TLS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Literal

Address = tuple[str, int]

SERVER_SUBJECT = "CN=proxy.test"
SERVER_DNS_SAN = "proxy.test"
SERVER_URI_SAN = "spiffe://proxy.test/proxy"

_CLIENT_ADDRESS = ("127.0.0.1", 50000)


@dataclass(frozen=True)
class Tls:
    """TLS between a client and the proxy, by what the attributes `connection.*` show of it.

    With a subject or a name the client presents a certificate of its own (mutual TLS). The proxy's certificate has the
    subject `CN=proxy.test`.
    """

    sni: str = ""
    """The server name that the client asks for."""
    version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.3"
    subject_peer_certificate: str = ""
    """Subject of the client's certificate, as in `CN=alice,O=Acme` (RFC 4514)."""
    uri_san: str = ""
    """A URI in the client's certificate, such as a SPIFFE id."""
    dns_san: str = ""
    """A DNS name in the client's certificate."""

    def __post_init__(self) -> None:
        if self.version not in ("TLSv1.2", "TLSv1.3"):
            raise ValueError(f"version is 'TLSv1.2' or 'TLSv1.3', not {self.version!r}")

    @property
    def mutual(self) -> bool:
        """Whether the client presents a certificate."""
        return bool(self.subject_peer_certificate or self.uri_san or self.dns_san)


@dataclass(frozen=True)
class Downstream:
    """A client's connection: its source, TLS or none, and the worker that takes it (the next in turn if None)."""

    source: Address = _CLIENT_ADDRESS
    tls: Tls | None = None
    worker: int | None = None

    @property
    def is_direct(self) -> bool:
        """Whether it comes from the same machine, without TLS."""
        return self.source == _CLIENT_ADDRESS and self.tls is None

    def of_request(self, forwarded_for: bytes | None) -> Downstream:
        """As Envoy sees it for a request: from where x-forwarded-for says last, if that is an address."""
        if forwarded_for is None:
            return self
        try:
            address = ip_address(forwarded_for.rpartition(b",")[2].strip().decode("latin-1"))
        except ValueError:
            return self
        return replace(self, source=(str(address), 0))


DIRECT = Downstream()
"""The connections of `proxy.get` and its like: from the same machine, without TLS."""


def parse_address(text: str) -> Address:
    """An IP address with a port, as in `10.0.0.9:1234` or `[::1]:1234`; without a port it is 50000.

    Raises ValueError for anything else.
    """
    host, separator, port = text.rpartition(":")
    if not separator or (host.count(":") and not host.startswith("[")):
        host, port = text, str(_CLIENT_ADDRESS[1])
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port)
    except ValueError:
        raise ValueError(f"source is an IP address with a port, as in '10.0.0.9:1234', not {text!r}") from None
    if not 0 < number < 1 << 16:
        raise ValueError(f"a port is 1 to 65535, not {number}")
    return str(address), number


def address_text(address: Address) -> str:
    """An address as Envoy shows it: an IPv6 address in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
