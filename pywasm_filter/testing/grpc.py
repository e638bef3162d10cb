"""gRPC services that callouts reach, as a test scripts them: the same in the embedded proxy and behind a real Envoy.

Metadata is as it is on the wire: names in lower case, the values of names that end in `-bin` as base64 text. That is
also how a plugin reads it; what a plugin sends, Envoy encodes.
"""

from __future__ import annotations

import base64
import binascii
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field

from pywasm_filter.testing.answers import Delay, NoAnswer, Refuse, Reset
from pywasm_filter.testing.messages import Headers, HeadersInput

_OK = 0
_INTERNAL = 13
_LAST_STATUS = 16


@dataclass(frozen=True)
class GrpcRequest:
    """A call with its message. `timeout` is in seconds; None for a stream."""

    service: str
    method: str
    metadata: Headers
    message: bytes
    timeout: float | None = None


class GrpcReply:
    """A whole answer: metadata, messages, status. Immutable.

    `GrpcReply(b"…")` is a success, `GrpcReply(status=7, status_message="no")` an error. A unary call takes one
    message; a stream any number, as `messages`. A success without messages sends one empty message.
    """

    __slots__ = ("initial_metadata", "messages", "status", "status_message", "trailing_metadata")

    messages: tuple[bytes, ...]
    status: int
    status_message: str
    initial_metadata: Headers
    trailing_metadata: Headers

    def __init__(
        self,
        message: bytes | None = None,
        *,
        messages: Iterable[bytes] | None = None,
        status: int = _OK,
        status_message: str = "",
        initial_metadata: HeadersInput | None = None,
        trailing_metadata: HeadersInput | None = None,
    ) -> None:
        """Raises ValueError for a status or metadata that gRPC does not have, and for both message and messages."""
        if message is not None and messages is not None:
            raise ValueError("a reply has message or messages, not both")
        if messages is not None:
            sent = tuple(messages)
        elif message is not None:
            sent = (message,)
        else:
            sent = (b"",) if status == _OK else ()
        object.__setattr__(self, "messages", sent)
        object.__setattr__(self, "status", checked_status(status))
        object.__setattr__(self, "status_message", status_message)
        object.__setattr__(self, "initial_metadata", checked_metadata(initial_metadata))
        object.__setattr__(self, "trailing_metadata", checked_metadata(trailing_metadata))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"GrpcReply.{name} cannot be changed")

    def __repr__(self) -> str:
        return f"<GrpcReply status {self.status} {self.status_message!r}, {len(self.messages)} messages>"


class GrpcCall(ABC):
    """One call as its server sees it, to be answered step by step.

    The methods may be called at any time and, behind a real Envoy, from any thread; once the call has ended they do
    nothing. What they send leaves when the running step is over: `proxy.clock.advance` lets it arrive.
    """

    def __init__(self, record: GrpcCallRecord) -> None:
        self.record = record

    @property
    def service(self) -> str:
        """The service that is called, such as "envoy.service.auth.v3.Authorization"."""
        return self.record.service

    @property
    def method(self) -> str:
        """The method that is called."""
        return self.record.method

    @property
    def metadata(self) -> Headers:
        """The client's metadata."""
        return self.record.metadata

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether the call is over: finished, reset or cancelled."""

    @abstractmethod
    def send_initial_metadata(self, metadata: HeadersInput | None = None) -> None:
        """Send the initial metadata; the first message sends them, empty, if nobody did before.

        Raises ValueError for metadata that gRPC does not have, or when they were sent before.
        """

    @abstractmethod
    def send(self, message: bytes) -> None:
        """Send a message."""

    @abstractmethod
    def finish(
        self, status: int = _OK, status_message: str = "", trailing_metadata: HeadersInput | None = None
    ) -> None:
        """End the call with a status. Raises ValueError for a status or metadata that gRPC does not have."""

    @abstractmethod
    def reset(self) -> None:
        """Reset the connection: the client sees a failure."""

    def reply(self, reply: GrpcReply) -> None:
        """Send a whole answer."""
        if reply.initial_metadata:
            self.send_initial_metadata(reply.initial_metadata)
        for message in reply.messages:
            self.send(message)
        self.finish(reply.status, reply.status_message, reply.trailing_metadata)


class GrpcHandler:
    """Serves calls step by step; a test overrides what it needs. As it stands it answers when a call is half-closed.

    `proxy.grpc["chat"] = Chat` makes one instance a call, `proxy.grpc["chat"] = Chat()` one for all. The methods for
    one call come one after another, behind a real Envoy in a thread of the server's.
    """

    def opened(self, call: GrpcCall) -> None:
        """A call has begun."""

    def received(self, call: GrpcCall, message: bytes) -> None:
        """The client has sent a message."""

    def half_closed(self, call: GrpcCall) -> None:
        """The client sends no more."""
        call.reply(GrpcReply())

    def cancelled(self, call: GrpcCall) -> None:
        """The client has cancelled the call, or its time is over; it takes no answer any more."""


GrpcAnswer = GrpcReply | Delay["GrpcAnswer"] | NoAnswer | Reset | Refuse
"""What becomes of a call."""
GrpcService = GrpcAnswer | Callable[[GrpcRequest], GrpcAnswer] | GrpcHandler | type[GrpcHandler]
"""What answers the calls to a cluster. A function sees a call's first message."""


After = Callable[[float, Callable[[], None]], object]
"""Runs an action in so many seconds."""


@dataclass
class GrpcCallRecord:
    """A call as it arrived. What is to come is added as it comes."""

    cluster: str
    service: str
    method: str
    metadata: Headers
    timeout: float | None = None
    """In seconds; None for a stream, which has none, and for a call that has no time left at all."""
    messages: list[bytes] = field(default_factory=list)
    cancelled: bool = False
    """Whether the client went away before the call had ended: cancelled it, or was out of time."""


class GrpcServices(MutableMapping[str, GrpcService]):
    """What answers gRPC callouts, by cluster: `GrpcReply()` unless a test says otherwise.

    Only clusters that the plugin's settings declare are there. Setting raises KeyError for another, TypeError for what
    is no answer.
    """

    def __init__(
        self, clusters: Sequence[str], changed: Callable[[str, GrpcService], None] = lambda cluster, service: None
    ) -> None:
        """`changed` is told of each service that is set."""
        self._services: dict[str, GrpcService] = dict.fromkeys(clusters, GrpcReply())
        self._changed = changed
        self.answered: set[str] = set()
        """The clusters for which the test has said what answers."""
        self.calls: list[GrpcCallRecord] = []
        """The calls that arrived, in order."""

    def __getitem__(self, cluster: str) -> GrpcService:
        self._require(cluster)
        return self._services[cluster]

    def __setitem__(self, cluster: str, service: GrpcService) -> None:
        self._require(cluster)
        if not _is_service(service):
            raise TypeError(f"a gRPC cluster is answered by a GrpcReply, a function or a GrpcHandler, not {service!r}")
        self._services[cluster] = service
        self.answered.add(cluster)
        self._changed(cluster, service)

    def __delitem__(self, cluster: str) -> None:
        self[cluster] = GrpcReply()
        self.answered.discard(cluster)

    def __iter__(self) -> Iterator[str]:
        return iter(self._services)

    def __len__(self) -> int:
        return len(self._services)

    def _require(self, cluster: str) -> None:
        if cluster not in self._services:
            declared = f"declared are {', '.join(self._services)}" if self._services else "none is declared"
            raise KeyError(
                f"gRPC cluster {cluster!r} is not declared ({declared}): name it in grpc_clusters=[...] of the marker "
                "pywasm"
            )


def handler_of(service: GrpcService, after: After) -> GrpcHandler:
    """The handler that serves one call."""
    if isinstance(service, GrpcHandler):
        return service
    if isinstance(service, type):
        handler: GrpcHandler = service()
        return handler
    return _Answering(service, after)


class _Answering(GrpcHandler):
    """Answers the first message."""

    def __init__(
        self,
        service: GrpcAnswer | Callable[[GrpcRequest], GrpcAnswer],
        after: After,
    ) -> None:
        self._service = service
        self._after = after
        self._asked = False

    def received(self, call: GrpcCall, message: bytes) -> None:
        if self._asked:
            return
        self._asked = True
        record = call.record
        request = GrpcRequest(record.service, record.method, record.metadata, message, record.timeout)
        self._give(call, self._service(request) if callable(self._service) else self._service)

    def half_closed(self, call: GrpcCall) -> None:
        if not self._asked:
            call.finish(_INTERNAL, "the client sent no message")

    def _give(self, call: GrpcCall, answer: GrpcAnswer) -> None:
        match answer:
            case GrpcReply():
                call.reply(answer)
            case Delay():
                later = answer.answer
                self._after(answer.seconds, lambda: self._give(call, later))
            case NoAnswer():
                pass
            case Reset():
                call.reset()
            case Refuse():
                raise TypeError("a call that has arrived cannot be refused: Refuse() stands for a whole cluster")
            case _:
                raise TypeError(f"a gRPC service is to answer a GrpcReply, not {type(answer).__name__}")


def checked_status(status: int) -> int:
    """The status. Raises ValueError for one that gRPC does not have."""
    if not _OK <= status <= _LAST_STATUS:
        raise ValueError(f"a gRPC status is a number from 0 to {_LAST_STATUS}, not {status!r}")
    return int(status)


def checked_metadata(metadata: HeadersInput | None) -> Headers:
    """The metadata, names in lower case. Raises ValueError for what a server cannot send."""
    given = [(name.lower(), value) for name, value in Headers(metadata).raw]
    for name, value in given:
        if name.startswith((b":", b"grpc-")) or name in (b"te", b"content-type"):
            raise ValueError(f"{name.decode('latin-1')!r} is no metadata of a service's own")
        if name.endswith(b"-bin"):
            decode_binary(value)
        elif not all(0x20 <= byte < 0x7F for byte in value):
            raise ValueError(f"metadata is printable ASCII unless its name ends in -bin: {value!r}")
    return Headers(given)


def encode_binary(value: bytes) -> bytes:
    """The value of a `-bin` name as it is on the wire: base64 without padding."""
    return base64.b64encode(value).rstrip(b"=")


def decode_binary(text: bytes) -> bytes:
    """The bytes that a value on the wire stands for. Raises ValueError."""
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"the value of a -bin name is base64 text, not {text!r}") from error


def _is_service(service: object) -> bool:
    if isinstance(service, type):
        return issubclass(service, GrpcHandler)
    return callable(service) or isinstance(service, (GrpcReply, Delay, NoAnswer, Reset, Refuse, GrpcHandler))
