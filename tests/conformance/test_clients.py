"""Clients with TLS and sources of their own, as the filter sees them in its attributes, on all hosts."""

import hashlib
import json
import ssl
from typing import Any, cast
from urllib.parse import unquote

import pytest

from pywasm_filter.testing import Client, Proxy, Tls

NAMES = [
    "source.address",
    "source.port",
    "request.scheme",
    "connection.mtls",
    "connection.requested_server_name",
    "connection.tls_version",
    "connection.subject_local_certificate",
    "connection.subject_peer_certificate",
    "connection.dns_san_local_certificate",
    "connection.dns_san_peer_certificate",
    "connection.uri_san_local_certificate",
    "connection.uri_san_peer_certificate",
    "connection.sha256_peer_certificate_digest",
    "connection.peer_certificate",
]

pytestmark = pytest.mark.pywasm(filter="attribute_reader.py", configuration=json.dumps(NAMES))

PROXYS_OWN = {
    "connection.subject_local_certificate": "CN=proxy.test",
    "connection.dns_san_local_certificate": "proxy.test",
    "connection.uri_san_local_certificate": "spiffe://proxy.test/proxy",
}


def seen(client: Client, headers: dict[str, str] | None = None) -> dict[str, str]:
    """The attributes that are there in on_request_headers."""
    lines = [line.message.split(" ", 3) for line in client.get("/", headers=headers).logs]
    return {
        name: "".join(value) for phase, name, kind, *value in lines if phase == "request_headers" != kind != "absent"
    }


def test_a_client_comes_from_where_it_says(proxy: Proxy) -> None:
    assert seen(proxy.client(source="10.0.0.9:1234")) == {
        "source.address": "10.0.0.9:1234",
        "source.port": "1234",
        "request.scheme": "http",
        "connection.mtls": "False",
        "connection.requested_server_name": "",
    }
    assert seen(proxy.client(source="[2001:db8::1]:99"))["source.address"] == "[2001:db8::1]:99"
    assert seen(proxy.client(source="10.0.0.9"))["source.address"] == "10.0.0.9:50000"
    assert seen(proxy)["source.address"].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    ("forwarded", "source", "port"),
    [
        ("192.0.2.1", "192.0.2.1:0", "0"),
        ("192.0.2.1, 192.0.2.2", "192.0.2.2:0", "0"),
        ("2001:db8::1", "[2001:db8::1]:0", "0"),
        ("someone", "10.0.0.9:1234", "1234"),
    ],
)
def test_the_proxy_before_it_may_say_where_it_comes_from(proxy: Proxy, forwarded: str, source: str, port: str) -> None:
    attributes = seen(proxy.client(source="10.0.0.9:1234"), {"x-forwarded-for": forwarded})
    assert (attributes["source.address"], attributes["source.port"]) == (source, port)


def test_tls_without_a_certificate_of_the_clients(proxy: Proxy) -> None:
    assert seen(proxy.client(tls=Tls(sni="shop.example"), source="10.0.0.9:1234")) == {
        "source.address": "10.0.0.9:1234",
        "source.port": "1234",
        "request.scheme": "https",
        "connection.mtls": "False",
        "connection.requested_server_name": "shop.example",
        "connection.tls_version": "TLSv1.3",
        "connection.subject_peer_certificate": "",
        **PROXYS_OWN,
    }


def test_mutual_tls(proxy: Proxy) -> None:
    tls = Tls(
        version="TLSv1.2",
        subject_peer_certificate="CN=alice,O=Acme",
        uri_san="spiffe://acme.example/alice",
        dns_san="alice.acme.example",
    )
    client = proxy.client(tls=tls)
    attributes = seen(client)
    certificate = ssl.PEM_cert_to_DER_cert(unquote(attributes.pop("connection.peer_certificate")))
    assert attributes.pop("connection.sha256_peer_certificate_digest") == hashlib.sha256(certificate).hexdigest()
    assert attributes == {
        "source.address": "127.0.0.1:50000",
        "source.port": "50000",
        "request.scheme": "https",
        "connection.mtls": "True",
        "connection.requested_server_name": "",
        "connection.tls_version": "TLSv1.2",
        "connection.subject_peer_certificate": "CN=alice,O=Acme",
        "connection.dns_san_peer_certificate": "alice.acme.example",
        "connection.uri_san_peer_certificate": "spiffe://acme.example/alice",
        **PROXYS_OWN,
    }
    exchange = client.post("/", body=[b"one", b"two"])
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.body == b"onetwo"
    assert exchange.upstream_request.headers["x-forwarded-proto"] == "https"


def test_a_certificate_may_have_names_alone(proxy: Proxy) -> None:
    attributes = seen(proxy.client(tls=Tls(uri_san="spiffe://acme.example/bob")))
    assert attributes["connection.mtls"] == "True"
    assert attributes["connection.subject_peer_certificate"] == ""
    assert attributes["connection.uri_san_peer_certificate"] == "spiffe://acme.example/bob"
    assert "connection.dns_san_peer_certificate" not in attributes


@pytest.mark.parametrize("source", ["somewhere:1", "10.0.0.9:x", "10.0.0.9:0", "10.0.0.9:70000", "", "::1:"])
def test_what_is_no_address_is_refused(proxy: Proxy, source: str) -> None:
    with pytest.raises(ValueError, match=r"source is an IP address with a port|a port is 1 to 65535"):
        proxy.client(source=source)


def test_a_version_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"version is 'TLSv1\.2' or 'TLSv1\.3', not 'SSLv3'"):
        Tls(version=cast("Any", "SSLv3"))


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_step_by_step(proxy: Proxy) -> None:
    stream = proxy.client(source="10.0.0.9:1234").open("GET", "/", end_stream=True)
    stream.abort()
    assert "request_headers source.address str 10.0.0.9:1234" in [line.message for line in proxy.logs]


@pytest.mark.pywasm(filter="tcp_client_filter.py", protocol="tcp", configuration=b"", hosts=["inprocess"])
def test_clients_of_tcp(proxy: Proxy) -> None:
    connection = proxy.client(source="10.0.0.9:1234", tls=Tls(sni="db.example")).connect()
    assert [line.message for line in proxy.logs] == ["10.0.0.9:1234 db.example TLSv1.3"]
    connection.close()
