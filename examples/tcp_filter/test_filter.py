from typing import Any

import pytest

from pywasm_filter.testing import MakeProxy, PluginConfigurationError, Proxy

pytestmark = pytest.mark.pywasm(protocol="tcp")

REFUSED = b"*1\r\n$16\r\nREFUSED-BY-PROXY\r\n"


def request(*arguments: str | bytes) -> bytes:
    encoded = [argument.encode() if isinstance(argument, str) else argument for argument in arguments]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(entry), entry) for entry in encoded)


def redis(data: bytes) -> bytes:
    """Answers whole requests, one to a piece."""
    return b"-ERR unknown command\r\n" if data == REFUSED else b"+OK\r\n"


TRICKY = request("SET", "key", b"\r\n*1\r\n$8\r\nFLUSHALL\r\n\xff\x00")


def test_commands_and_answers_pass(proxy: Proxy) -> None:
    proxy.tcp_upstream = redis
    connection = proxy.connect()
    connection.send(TRICKY)
    connection.send(request("get", "key"))
    assert connection.upstream_received == TRICKY + request("get", "key")
    assert connection.received == b"+OK\r\n+OK\r\n"
    connection.close()
    connection.wait_until(lambda: bool(proxy.logs))
    [line] = proxy.logs
    size = len(TRICKY + request("get", "key"))
    assert line.message == f"2 commands permitted, 0 refused; {size} bytes from the client, 10 to it"


@pytest.mark.parametrize("command", [("FLUSHALL",), ("flushAll", "ASYNC"), ("CONFIG", "SET", "dir", b"/\xff")])
def test_a_refused_command_is_answered_by_the_server(proxy: Proxy, command: tuple[str | bytes, ...]) -> None:
    proxy.tcp_upstream = redis
    connection = proxy.connect()
    connection.send(request(*command))
    assert connection.received == b"-ERR unknown command\r\n"
    connection.send(request("PING"))
    assert connection.upstream_received == REFUSED + request("PING")


PIPELINE = request("GET", "a") + request("KEYS", "*") + TRICKY + request("FLUSHDB") + request("PING")
PASSES = request("GET", "a") + REFUSED + TRICKY + REFUSED + request("PING")


@pytest.mark.parametrize("cut", [16, 25, 40, 43])
def test_pieces_may_end_anywhere(proxy: Proxy, cut: int) -> None:
    connection = proxy.connect()
    for begin in range(0, len(PIPELINE), cut):
        connection.send(PIPELINE[begin : begin + cut])
    assert connection.upstream_received == PASSES


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_pieces_of_all_sizes(proxy: Proxy) -> None:
    for size in (1, *range(2, len(PIPELINE), 7)):
        connection = proxy.connect()
        for begin in range(0, len(PIPELINE), size):
            connection.send(PIPELINE[begin : begin + size])
        assert connection.upstream_received == PASSES
        connection.close()


def test_a_name_is_held_back_until_it_is_complete(proxy: Proxy) -> None:
    connection = proxy.connect()
    connection.send(b"*2\r\n$3\r\nDE")
    assert connection.upstream_received == b""
    connection.send(b"L\r\n$5\r\nab")
    assert connection.upstream_received == b"*2\r\n$3\r\nDEL\r\n$5\r\nab"
    connection.send(b"cde\r\n*1\r\n$8\r\nFLUSH", end_stream=True)
    assert connection.upstream_received == request("DEL", "abcde")
    assert connection.upstream_received_end


@pytest.mark.parametrize(
    "data",
    [
        b"FLUSHALL\r\n",
        b"\r\nFLUSHALL\r\n",
        b"*0\r\n*1\r\n$8\r\nFLUSHALL\r\n",
        b"*-1\r\n",
        b"*\r\n",
        b"* 1\r\n$4\r\nPING\r\n",
        b"*+1\r\n$4\r\nPING\r\n",
        b"*1\n$4\nPING\n",
        b"*1\r\r\n$4\r\nPING\r\n",
        b"*\xd9\xa1\r\n",
        b"*99999999999999999999",
        b"*1\r\n$65\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n:4\r\nPING\r\n",
        b"*2\r\n$3\r\nGET\r\n$x\r\n",
    ],
)
def test_what_is_no_request_closes(proxy: Proxy, data: bytes) -> None:
    connection = proxy.connect()
    connection.send(data)
    assert connection.closed
    assert connection.upstream_received == b""
    assert proxy.logs[0].message.startswith("closed: what the client sends is no request: ")


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"], configuration={"deny": ["GET", "JSON.SET"]})
def test_other_commands_may_be_dangerous(proxy: Proxy) -> None:
    connection = proxy.connect()
    connection.send(request("KEYS", "*") + request("GET", "a") + request("json.set", "a"))
    assert connection.upstream_received == request("KEYS", "*") + REFUSED + REFUSED


@pytest.mark.pywasm(configuration={"allow": ["GET", "PING"], "on_refused": "close"})
def test_or_only_some_commands_pass(proxy: Proxy) -> None:
    connection = proxy.connect()
    connection.send(request("GET", "a"))
    connection.send(request("PING") + request("SE\xff\n", "a") + request("GET", "b"))
    assert connection.closed
    assert connection.upstream_received == request("GET", "a")
    messages = [line.message for line in proxy.logs]
    assert messages[0] == r"refused: 'SE\xc3\xbf\n'"
    assert messages[1].startswith("2 commands permitted, 1 refused;")
    assert proxy.metrics.counters["redis_gate.commands;outcome=refused"] == 1


@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
@pytest.mark.parametrize(
    ("configuration", "problem"),
    [
        ({"deny": ["flushall"]}, "the name of a command is in capital letters, not 'flushall'"),
        ({"deny": ["KEYS"], "allow": []}, "allow and deny exclude each other"),
        ({"allow": "GET"}, "allow: "),
        ({"on_refused": "drop"}, 'on_refused: expected "error" or "close"'),
    ],
)
def test_a_bad_configuration_is_refused(make_proxy: MakeProxy, configuration: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginConfigurationError) as caught:
        make_proxy(configuration=configuration)
    assert f"configuration: {problem}" in str(caught.value)
