"""A filter for TCP connections, the same in process, under wasmtime and in a real Envoy."""

from __future__ import annotations

import pytest

from pywasm_filter.testing import ClientsNotSupported, Connection, MakeProxy, Proxy, StreamStalled, WrongProtocol

pytestmark = pytest.mark.pywasm(filter="tcp_filter.py", protocol="tcp", configuration="sesame")


def messages(proxy: Proxy) -> list[str]:
    return [line.message for line in proxy.logs]


def test_an_upstream_that_answers(proxy: Proxy) -> None:
    proxy.tcp_upstream = lambda data: data[::-1]
    connection = proxy.connect()
    connection.send(b"sesame\nhello\n")
    assert connection.upstream_received == b"HELLO\n"
    assert connection.received == b"> \nOLLEH"
    connection.send(b"", end_stream=True)
    assert connection.closed
    assert messages(proxy) == [
        "new connection",
        "end of the client, 0 bytes of no whole line",
        "upstream closed: UNKNOWN",
        "downstream closed: LOCAL",
        "over",
    ]


def test_both_sides_step_by_step(proxy: Proxy) -> None:
    connection = proxy.connect()
    assert connection.upstream_connected
    connection.send(b"sesa")
    connection.send(b"me\nab\ncd")
    assert connection.upstream_received == b"AB\ncd"
    connection.upstream_send(b"x")
    assert (connection.received, connection.received_end) == (b"> x", False)
    connection.upstream_send(b"y", end_stream=True)
    assert (connection.received, connection.received_end) == (b"> x> y", True)
    assert not connection.closed
    connection.send(b"\n", end_stream=True)
    assert (connection.upstream_received, connection.upstream_received_end) == (b"AB\ncd\n", True)
    assert connection.closed
    assert messages(proxy)[-2:] == ["downstream closed: REMOTE", "over"]


def test_the_filter_closes(proxy: Proxy) -> None:
    connection = proxy.connect()
    connection.send(b"hello\nsesame\n")
    assert connection.closed
    assert (connection.received, connection.upstream_received) == (b"", b"")
    assert connection.received_end
    assert connection.upstream_received_end
    assert messages(proxy) == ["new connection", "wrong password", "downstream closed: LOCAL", "over"]


def test_connections_do_not_meet(proxy: Proxy) -> None:
    proxy.tcp_upstream = lambda data: data
    first, second = proxy.connect(), proxy.connect()
    first.send(b"sesame\n")
    second.send(b"sesame\nsecond\n")
    first.send(b"first\n")
    assert (first.received, second.received) == (b"> FIRST\n", b"> SECOND\n")
    second.close(reset=True)
    assert second.closed
    assert not first.closed
    first.send(b"more\n")
    assert first.received == b"> FIRST\n> MORE\n"


def test_much_data(proxy: Proxy) -> None:
    """More than the buffers of the sockets and of the proxy hold at once."""
    proxy.tcp_upstream = lambda data: bytes(len(data))
    connection = proxy.connect()
    connection.send(b"sesame\n")
    data = b"".join(b"line %d\n" % number for number in range(300_000))
    connection.send(data)
    assert len(connection.upstream_received) == len(data)
    whole = connection.upstream_received.upper() == data.upper()  # a bool: pytest would explain for minutes
    assert whole
    assert connection.received.count(0) == len(data)


def test_too_much_to_hold_back(proxy: Proxy) -> None:
    """Without a newline the filter pauses until the proxy reads no more; the newline never comes to it."""
    connection = proxy.connect()
    connection.send(b"x" * 5_000_000 + b"\n")
    assert not connection.upstream_received
    assert not connection.closed


def test_both_sides_may_leave(proxy: Proxy) -> None:
    connection = proxy.connect()
    connection.close()
    assert connection.upstream_received_end
    assert "over" not in messages(proxy)
    connection.upstream_close()
    assert connection.closed
    assert messages(proxy)[-3:] == ["upstream closed: UNKNOWN", "downstream closed: LOCAL", "over"]
    connection.close()
    connection.upstream_close()


@pytest.mark.parametrize("reset_upstream", [False, True])
def test_what_was_broken_off(proxy: Proxy, reset_upstream: bool) -> None:
    connection = proxy.connect()
    if reset_upstream:
        connection.upstream_close(reset=True)
        assert connection.received_end
    else:
        connection.close(reset=True)
        assert connection.upstream_received_end
    assert connection.closed
    peer = "LOCAL" if reset_upstream else "REMOTE"
    assert messages(proxy) == ["new connection", f"downstream closed: {peer}", "over"]


def test_what_cannot_be_sent(proxy: Proxy) -> None:
    connection = proxy.connect()
    connection.send(b"sesame\n", end_stream=True)
    connection.upstream_send(b"", end_stream=True)
    for send in (connection.send, connection.upstream_send):
        with pytest.raises(ValueError, match="has closed its side"):
            send(b"x")


def test_an_upstream_that_answers_nonsense(proxy: Proxy) -> None:
    proxy.tcp_upstream = lambda data: data.decode()  # type: ignore[assignment,return-value]
    connection = proxy.connect()
    with pytest.raises(TypeError, match="tcp_upstream is to return bytes, not str"):
        connection.send(b"sesame\nx\n")


def test_waiting(proxy: Proxy) -> None:
    connection = proxy.connect()
    connection.send(b"sesame\nx\n")
    connection.wait_until(lambda: connection.upstream_received == b"X\n")
    with pytest.raises(StreamStalled, match=r"does not come within 0\.1 s"):
        connection.wait_until(lambda: connection.closed, timeout=0.1)


def test_the_protocol_decides(proxy: Proxy, make_proxy: MakeProxy) -> None:
    with pytest.raises(WrongProtocol, match=r"a request needs a plugin for http: .*protocol='http'"):
        proxy.get("/")
    http = make_proxy(protocol="http")
    with pytest.raises(WrongProtocol, match=r"a connection needs a plugin for tcp: .*protocol='tcp'"):
        http.connect()


@pytest.mark.pywasm(hosts=["envoy"])
def test_a_real_envoy_has_no_clients_of_their_own(proxy: Proxy) -> None:
    with pytest.raises(ClientsNotSupported, match=r"limit the test to the embedded proxy with @pytest\.mark\.pywasm"):
        proxy.client(source="10.0.0.9:1234").connect()


def test_what_is_open_at_the_end_is_broken_off(make_proxy: MakeProxy) -> None:
    proxy = make_proxy()
    connection: Connection = proxy.connect()
    proxy.close()
    assert connection.closed
    assert messages(proxy)[-2:] == ["downstream closed: REMOTE", "over"]
