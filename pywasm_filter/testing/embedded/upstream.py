"""The upstream of one request: what the router makes of its failures and its silence, and how its answer is played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pywasm_filter.testing.embedded.events import Event, EventQueue
from pywasm_filter.testing.embedded.local_reply import LocalReply
from pywasm_filter.testing.embedded.response_flags import ResponseFlag

_UPSTREAM_ERROR = b"upstream connect error or disconnect/reset before headers. reset reason: "
_BEFORE = "upstream_reset_before_response_started"
_CONNECTION_REFUSED = "delayed connect error: Connection refused"


@dataclass(frozen=True)
class UpstreamFailure:
    """Why no answer comes, or no more of it.

    `reply` is Envoy's own answer when none has begun. Otherwise the stream is reset, with `late_details` as its
    response.code_details.
    """

    reply: LocalReply
    late_details: str
    late_flag: ResponseFlag
    transport_failure_reason: str = ""


REFUSED = UpstreamFailure(
    LocalReply(
        503,
        _UPSTREAM_ERROR + b"remote connection failure",
        details=f"{_BEFORE}{{remote_connection_failure|{_CONNECTION_REFUSED}}}",
        flag=ResponseFlag.UPSTREAM_CONNECTION_FAILURE,
    ),
    late_details="",
    late_flag=ResponseFlag.UPSTREAM_CONNECTION_FAILURE,
    transport_failure_reason=_CONNECTION_REFUSED,
)
HUNG_UP = UpstreamFailure(
    LocalReply(
        503,
        _UPSTREAM_ERROR + b"connection termination",
        details=f"{_BEFORE}{{connection_termination}}",
        flag=ResponseFlag.UPSTREAM_CONNECTION_TERMINATION,
    ),
    # A connection that ends within an answer has broken the protocol, to Envoy's codec.
    late_details="upstream_reset_after_response_started{protocol_error}",
    late_flag=ResponseFlag.UPSTREAM_PROTOCOL_ERROR,
)
TIMED_OUT = UpstreamFailure(
    LocalReply(
        504, b"upstream request timeout", details="response_timeout", flag=ResponseFlag.UPSTREAM_REQUEST_TIMEOUT
    ),
    late_details="response_timeout",
    late_flag=ResponseFlag.UPSTREAM_REQUEST_TIMEOUT,
)


class UpstreamRequest:
    """The router's hold on a request that goes to the upstream: it fails at the route's timeout, or at once.

    `refuses` says that the upstream refuses the connection.
    """

    def __init__(self, events: EventQueue, fail: Callable[[UpstreamFailure], None]) -> None:
        self.refuses = False
        self._events = events
        self._fail = fail
        self._pending: Event | None = None

    def begin(self) -> None:
        """The request's headers have passed."""
        if self.refuses:
            self._pending = self._events.schedule(0, partial(self._fail, REFUSED))

    def complete(self, timeout_ns: int) -> None:
        """The upstream has the whole request; 0 is no timeout."""
        if timeout_ns and not self.refuses:
            self._pending = self._events.schedule(timeout_ns, partial(self._fail, TIMED_OUT))

    def end(self) -> None:
        """The answer is complete, or nobody waits for it any more."""
        if self._pending is not None:
            self._pending.cancel()
