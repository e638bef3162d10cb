"""The gRPC server behind Envoy, seen by a gRPC client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from pywasm_filter.testing import Delay, GrpcCall, GrpcCallRecord, GrpcHandler, GrpcReply, NoAnswer, Refuse, Reset
from pywasm_filter.testing.envoy.grpc_server import GrpcServer


class Client:
    """A client of bytes."""

    def __init__(self, port: int) -> None:
        self._channel: Any = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.initial_reconnect_backoff_ms", 20)])

    def get(self, message: bytes = b"hi", **options: Any) -> Any:
        """A unary call that is under way."""
        return self._channel.unary_unary("/pkg.Svc/Get").future(message, **{"timeout": 5, **options})

    def chat(self, messages: Iterator[bytes]) -> Any:
        """A stream."""
        return self._channel.stream_stream("/pkg.Svc/Chat")(messages, timeout=5)

    def close(self) -> None:
        self._channel.close()


class Fixture:
    def __init__(self) -> None:
        self.server = GrpcServer("a")
        self.client = Client(self.server.port)
        self.calls: list[GrpcCallRecord] = []
        self.errors: list[Exception] = []
        self.server.recorded, self.server.failed = self.calls.append, self.errors.append


@pytest.fixture
def served() -> Iterator[Fixture]:
    fixture = Fixture()
    yield fixture
    fixture.client.close()
    fixture.server.close()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_reply(served: Fixture) -> None:
    served.server.service = lambda request: GrpcReply(
        b"re:" + request.message,
        initial_metadata={"x-init": "1", "x-raw-bin": "AP8"},
        trailing_metadata={"x-trail": "2"},
    )
    call = served.client.get(metadata=[("x-md", "v"), ("k-bin", b"\x00\xff")])
    assert call.result() == b"re:hi"
    assert ("x-init", "1") in call.initial_metadata()
    assert ("x-raw-bin", b"\x00\xff") in call.initial_metadata()
    assert list(call.trailing_metadata()) == [("x-trail", "2")]
    (record,) = served.calls
    assert (record.cluster, record.service, record.method, record.messages) == ("a", "pkg.Svc", "Get", [b"hi"])
    assert record.metadata.get("x-md") == "v"
    assert record.metadata.get("k-bin") == "AP8"


@pytest.mark.parametrize("status", range(1, 17))
def test_an_error(served: Fixture, status: int) -> None:
    served.server.service = GrpcReply(status=status, status_message="no, é%")
    call = served.client.get()
    assert call.code().value[0] == status
    assert call.details() == "no, é%"


def test_a_stream(served: Fixture) -> None:
    class Echo(GrpcHandler):
        def received(self, call: GrpcCall, message: bytes) -> None:
            call.send(b"re:" + message)

        def half_closed(self, call: GrpcCall) -> None:
            call.send(b"bye")
            call.finish()

    served.server.service = Echo
    stream = served.client.chat(iter([b"a", b"b"]))
    assert list(stream) == [b"re:a", b"re:b", b"bye"]
    assert stream.code() is grpc.StatusCode.OK
    assert served.calls[0].messages == [b"a", b"b"]
    assert not served.calls[0].cancelled


def test_a_call_is_answered_from_another_thread(served: Fixture) -> None:
    opened = threading.Event()

    class Held(GrpcHandler):
        def opened(self, call: GrpcCall) -> None:
            self.call = call
            opened.set()

        def half_closed(self, call: GrpcCall) -> None:
            """Nothing yet."""

    held = Held()
    served.server.service = held
    call = served.client.get()
    assert opened.wait(5)
    assert not call.done()
    held.call.reply(GrpcReply(b"at last"))
    assert call.result() == b"at last"
    assert held.call.ended
    held.call.finish(5)
    held.call.send(b"too late")


def test_a_delay(served: Fixture) -> None:
    served.server.service = Delay(0.2, GrpcReply(b"late"))
    start = time.monotonic()
    assert served.client.get().result() == b"late"
    assert time.monotonic() - start >= 0.2


def test_a_client_that_goes_away_is_told(served: Fixture) -> None:
    cancelled = threading.Event()

    class Told(GrpcHandler):
        def half_closed(self, call: GrpcCall) -> None:
            """Never."""

        def cancelled(self, call: GrpcCall) -> None:
            assert call.ended
            cancelled.set()

    served.server.service = Told
    call = served.client.get()
    eventually(lambda: bool(served.calls and served.calls[0].messages))
    call.cancel()
    assert cancelled.wait(5)
    assert served.calls[0].cancelled


def test_a_deadline(served: Fixture) -> None:
    served.server.service = NoAnswer()
    assert served.client.get(timeout=0.1).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    eventually(lambda: served.calls[0].cancelled)


def test_reset_and_refuse(served: Fixture) -> None:
    served.server.service = Reset()
    assert served.client.get().code() is grpc.StatusCode.UNAVAILABLE
    assert len(served.calls) == 1
    await_service(served, b"back")
    arrived = len(served.calls)
    served.server.service = Refuse()
    assert served.client.get().code() is grpc.StatusCode.UNAVAILABLE
    assert served.client.get().code() is grpc.StatusCode.UNAVAILABLE
    assert len(served.calls) == arrived
    await_service(served, b"again")


def await_service(served: Fixture, message: bytes) -> None:
    """Wait until the client has connected again: it may take the broken connection for a whole one for a moment."""
    served.server.service = GrpcReply(message)
    eventually(lambda: served.client.get(wait_for_ready=True).code() is grpc.StatusCode.OK)
    assert served.client.get().result() == message


def test_what_a_handler_raises_is_handed_on(served: Fixture) -> None:
    class Failing(GrpcHandler):
        def received(self, call: GrpcCall, message: bytes) -> None:
            raise ZeroDivisionError

    served.server.service = Failing
    assert served.client.get().code() is grpc.StatusCode.INTERNAL
    served.server.service = lambda _: Delay(0.01, Refuse())
    assert served.client.get().code() is grpc.StatusCode.INTERNAL
    assert [type(error) for error in served.errors] == [ZeroDivisionError, TypeError]


def test_closing_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    fixture = Fixture()
    fixture.server.service = NoAnswer()
    call = fixture.client.get()
    eventually(lambda: bool(fixture.calls))
    fixture.server.close()
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    fixture.client.close()
    eventually(lambda: not {thread for thread in set(threading.enumerate()) - before if "grpc" in thread.name})
