"""TCP connections on each host."""

from __future__ import annotations

import pytest

from pywasm_filter.testing import Proxy, Response
from tests.faces.test_http import logged

pytestmark = pytest.mark.pywasm(filter="faces_filter.py", root_id="gate", protocol="tcp", clusters=["auth"])


def test_a_connection(proxy: Proxy) -> None:
    connection = proxy.connect()
    connection.wait_until(lambda: connection.upstream_connected)
    connection.send(b"hel")
    assert connection.upstream_received == b""
    connection.send(b"lo\n")
    connection.wait_until(lambda: connection.upstream_received == b"hello\n")
    connection.upstream_send(b"bye", end_stream=True)
    connection.wait_until(lambda: connection.received == b"bye<")
    connection.close()
    connection.wait_until(lambda: "log" in logged(proxy))
    assert logged(proxy) == ["connection from 127.0.0.1", "upstream closed UNKNOWN", "downstream closed", "log"]


def test_data_that_waits_for_an_answer(proxy: Proxy) -> None:
    proxy.clusters["auth"] = lambda request: Response(200, body=b"[" + request.body + b"]")
    connection = proxy.connect()
    connection.send(b"check me\n")
    connection.wait_until(lambda: connection.upstream_received == b"[check me\n]")
    connection.send(b"more\n")
    connection.wait_until(lambda: connection.upstream_received == b"[check me\n]more\n")
    connection.close()


def test_a_connection_that_the_filter_closes(proxy: Proxy) -> None:
    connection = proxy.connect()
    connection.send(b"quit")
    connection.wait_until(lambda: connection.received_end)
    assert connection.upstream_received == b""
    connection.close()
