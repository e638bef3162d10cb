"""A real gRPC server behind Envoy, that answers as a test says. Needs the package grpcio."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from pywasm_filter.testing.answers import Refuse
from pywasm_filter.testing.envoy.gate import Gate
from pywasm_filter.testing.grpc import (
    GrpcCall,
    GrpcCallRecord,
    GrpcHandler,
    GrpcReply,
    GrpcService,
    checked_metadata,
    checked_status,
    decode_binary,
    encode_binary,
    handler_of,
)
from pywasm_filter.testing.messages import Headers, HeadersInput

_OK = 0
_MOST_CALLS = 64
_GRACE = 0.03  # seconds
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_TIMEOUT_HEADER = "x-envoy-expected-rq-timeout-ms"
_ENVOYS_OWN = (_TIMEOUT_HEADER, "x-envoy-internal", "x-forwarded-for")


class GrpcServer:
    """Serves one cluster on a free port of 127.0.0.1.

    `recorded` is called with each call that arrives, `failed` with what a handler raises; both in a thread of the
    server's.
    """

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.recorded: Callable[[GrpcCallRecord], object] = lambda record: None
        self.failed: Callable[[Exception], object] = lambda error: None
        self._service: GrpcService = GrpcReply()
        self._pool = ThreadPoolExecutor(_MOST_CALLS, "grpc")
        self._server = grpc.server(self._pool, handlers=[_Methods(self)])
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self._gate = Gate(port)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self._gate.port

    @property
    def service(self) -> GrpcService:
        """What answers; may be exchanged at any time."""
        return self._service

    @service.setter
    def service(self, service: GrpcService) -> None:
        self._service = service
        if isinstance(service, Refuse):
            self._gate.refuse()
        else:
            self._gate.admit()

    def reset(self) -> None:
        """Reset all connections."""
        self._gate.reset()

    def close(self) -> None:
        """Stop; calls under way are cancelled."""
        self._gate.close()
        self._server.stop(0).wait()
        self._pool.shutdown()


class _Methods(grpc.GenericRpcHandler):
    """All methods of all services: bytes in, bytes out, any number of each. A unary call looks no different."""

    def __init__(self, server: GrpcServer) -> None:
        self._server = server

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a call that arrives."""
        _, service, method = handler_call_details.method.split("/", 2)
        metadata, timeout = _received(handler_call_details.invocation_metadata)
        record = GrpcCallRecord(self._server.cluster, service, method, metadata, timeout)
        return grpc.stream_stream_rpc_method_handler(
            lambda messages, context: _Call(self._server, record, context).serve(messages)
        )


_Step = Callable[[], "bytes | None"]
"""A step of the answer: a message to send, or None."""


class _Call(GrpcCall):
    """One call: what its handler does is put into a queue, from which grpcio's own thread takes it."""

    def __init__(self, server: GrpcServer, record: GrpcCallRecord, context: Any) -> None:
        super().__init__(record)
        self._server = server
        self._failed = server.failed
        self._context = context
        self._lock = threading.RLock()
        self._steps: queue.SimpleQueue[_Step | None] = queue.SimpleQueue()
        self._initial_sent = False
        self._ended = False
        self._gone = threading.Event()

    def serve(self, messages: Iterator[bytes]) -> Iterator[bytes]:
        """Answer: what grpcio iterates over."""
        self._server.recorded(self.record)
        if not self._context.add_callback(self._client_gone):
            self._client_gone()
        threading.Thread(target=self._drive, args=(messages,), name="grpc call", daemon=True).start()
        while (step := self._steps.get()) is not None:
            message = step()
            if message is not None:
                yield message

    # --- the handler's side ---

    @property
    def ended(self) -> bool:
        """Whether the call is over."""
        return self._ended

    def send_initial_metadata(self, metadata: HeadersInput | None = None) -> None:
        """Send the initial metadata."""
        pairs = _sent(checked_metadata(metadata))
        with self._lock:
            if self._ended:
                return
            if self._initial_sent:
                raise ValueError("the initial metadata has been sent already")
            self._initial_sent = True
            self._steps.put(lambda: self._context.send_initial_metadata(pairs))

    def send(self, message: bytes) -> None:
        """Send a message."""
        with self._lock:
            if not self._ended:
                self._initial_sent = True
                self._steps.put(lambda: message)

    def finish(
        self, status: int = _OK, status_message: str = "", trailing_metadata: HeadersInput | None = None
    ) -> None:
        """End the call."""
        code = _CODES[checked_status(status)]
        pairs = _sent(checked_metadata(trailing_metadata))

        def end() -> None:
            self._context.set_trailing_metadata(pairs)
            self._context.set_code(code)
            self._context.set_details(status_message)

        self._end(end)

    def reset(self) -> None:
        """Reset the connection."""
        self._end(self._server.reset)

    def _end(self, last: Callable[[], None]) -> None:
        with self._lock:
            if not self._ended:
                self._ended = True
                self._steps.put(last)
                self._steps.put(None)

    # --- the client's side ---

    def _drive(self, messages: Iterator[bytes]) -> None:
        """Lead the handler through the call, in one thread."""
        try:
            handler = handler_of(self._server.service, self._after)
            handler.opened(self)
            if self._read(handler, messages):
                handler.half_closed(self)
                self._gone.wait()
            if self._cancelled():
                handler.cancelled(self)
        except Exception as error:  # noqa: BLE001 - a test's own code
            self._fail(error)

    def _read(self, handler: GrpcHandler, messages: Iterator[bytes]) -> bool:
        """Hand over the messages; false when the client does not end its side in order."""
        while True:
            try:
                message = next(messages)
            except StopIteration:
                # A call that was cancelled looks the same at first, but is over a moment later.
                return not self._gone.wait(_GRACE) and not self._ended
            except grpc.RpcError:
                return False
            if not self._ended:
                self.record.messages.append(message)
                handler.received(self, message)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        def act() -> None:
            try:
                action()
            except Exception as error:  # noqa: BLE001 - a test's own code
                self._fail(error)

        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timer.start()

    def _fail(self, error: Exception) -> None:
        """Hand an error over to the test."""
        self._failed(error)
        self.finish(grpc.StatusCode.INTERNAL.value[0], "the test's handler failed")

    def _client_gone(self) -> None:
        """The call is over, in whatever way; in a thread of grpcio's."""
        self._gone.set()
        self._steps.put(None)

    def _cancelled(self) -> bool:
        with self._lock:
            cancelled = not self._ended
            self._ended = True
            self.record.cancelled = self.record.cancelled or cancelled
        return cancelled


def _received(metadata: Any) -> tuple[Headers, float | None]:
    """The client's own metadata as they were on the wire, and the timeout in seconds."""
    pairs = [(name, encode_binary(value) if name.endswith("-bin") else value) for name, value in metadata]
    timeout = next((int(value) / 1000 for name, value in pairs if name == _TIMEOUT_HEADER), None)
    return Headers([(name, value) for name, value in pairs if name not in _ENVOYS_OWN]), timeout


def _sent(metadata: Headers) -> tuple[tuple[str, str | bytes], ...]:
    """Metadata as grpcio takes them."""
    return tuple(
        (name.decode("ascii"), decode_binary(value) if name.endswith(b"-bin") else value.decode("ascii"))
        for name, value in metadata.raw
    )
