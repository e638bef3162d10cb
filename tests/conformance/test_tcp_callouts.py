"""A filter for TCP connections that awaits HTTP callouts, the same on all hosts."""

from __future__ import annotations

import pytest

from pywasm_filter.testing import Proxy, Request, Response

pytestmark = pytest.mark.pywasm(filter="tcp_callout_filter.py", protocol="tcp", clusters=["service"])


def service(request: Request) -> Response:
    return Response(200, body=request.body.upper())


def test_data_goes_on_as_the_service_says(proxy: Proxy) -> None:
    proxy.clusters["service"] = service
    connection = proxy.connect()
    connection.wait_until(lambda: connection.upstream_connected)
    connection.send(b"one ")
    connection.wait_until(lambda: connection.upstream_received == b"ONE ")
    connection.upstream_send(b"fine")
    assert connection.received == b"fine"
    connection.send(b"two")
    connection.wait_until(lambda: connection.upstream_received == b"ONE TWO")
    connection.send(b"", end_stream=True)
    assert connection.upstream_received_end
    connection.upstream_send(b"bye", end_stream=True)
    assert connection.closed
    assert [(callout.request.method, callout.request.path) for callout in proxy.callouts] == [
        ("GET", "/connect"),
        ("POST", "/line"),
        ("POST", "/line"),
    ]


def test_a_client_that_may_not_connect(proxy: Proxy) -> None:
    proxy.clusters["service"] = Response(403)
    connection = proxy.connect()
    connection.wait_until(lambda: connection.closed)
    assert not connection.upstream_connected


def test_a_client_that_does_not_wait(proxy: Proxy) -> None:
    """Data and end are there before the answer."""
    proxy.clusters["service"] = service
    connection = proxy.connect()
    connection.send(b"one", end_stream=True)
    connection.wait_until(lambda: connection.upstream_received_end)
    assert connection.upstream_received == b"ONE"
