"""HTTP callouts of a root context: the requests, the scripted answers, and how they come back.

What the plugin gets when there is no answer is Envoy's own local reply, which looks like a response: only what breaks
off after a response's headers is told as a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pywasm_filter.sdk.abi import Status
from pywasm_filter.testing.answers import Delay, NoAnswer, Refuse, Reset
from pywasm_filter.testing.clock import nanoseconds
from pywasm_filter.testing.clusters import Answer, Clusters, Partial
from pywasm_filter.testing.embedded.buffers import ConstantBuffer
from pywasm_filter.testing.embedded.endpoints import BODYLESS_METHODS
from pywasm_filter.testing.embedded.events import Event, EventQueue
from pywasm_filter.testing.embedded.header_map import HeaderMap, RequestHeaderMap, ResponseHeaderMap
from pywasm_filter.testing.embedded.header_syntax import check_syntax
from pywasm_filter.testing.embedded.local_reply import LocalReply, reply_message
from pywasm_filter.testing.embedded.upstream import HUNG_UP, REFUSED, TIMED_OUT
from pywasm_filter.testing.messages import Headers, Request, Response
from pywasm_filter.testing.wire import end_to_end_headers, has_no_body, response_framing

_MILLISECOND = 1_000_000
_NEGATIVE = 1 << 31  # the timeout is an int32 of the host's


@dataclass(frozen=True)
class CalloutResponse:
    """An answer as it is lent to the plugin; `trailers` is None when it has none."""

    headers: HeaderMap
    body: ConstantBuffer
    trailers: HeaderMap | None


Notify = Callable[[int, CalloutResponse | None], None]
"""Gives a root context the answer to the callout of that token; None for a failure."""


@dataclass
class _Callout:
    token: int
    cluster: str
    headers: RequestHeaderMap
    start_ns: int
    next_step: Event | None = None
    timeout: Event | None = None
    begun: bool = False
    """Whether the headers of the response have arrived."""

    def cancel(self) -> None:
        for event in (self.next_step, self.timeout):
            if event is not None:
                event.cancel()


class HttpCallouts:
    """The callouts of one root context that have not been answered yet."""

    def __init__(self, clusters: Clusters, events: EventQueue, next_token: Callable[[], int], notify: Notify) -> None:
        self._clusters = clusters
        self._events = events
        self._next_token = next_token
        self._notify = notify
        self._outstanding: dict[int, _Callout] = {}

    def call(
        self, cluster: str, headers: RequestHeaderMap, body: bytes, timeout_milliseconds: int
    ) -> tuple[Status, int]:
        """Send a request; it leaves when the running callback is over. A timeout of 0 is none."""
        if timeout_milliseconds >= _NEGATIVE or not self._clusters.reaches(cluster):
            return Status.BAD_ARGUMENT, 0
        if any(headers.get(name) is None for name in (b":path", b":method", b":authority")):
            return Status.BAD_ARGUMENT, 0
        callout = _Callout(self._next_token(), cluster, headers, self._events.now_ns())
        self._outstanding[callout.token] = callout
        if timeout_milliseconds:
            after = timeout_milliseconds * _MILLISECOND
            callout.timeout = self._events.schedule(after, partial(self._time_out, callout))
        request = _as_sent(headers, body, timeout_milliseconds)
        callout.next_step = self._events.schedule(0, partial(self._arrive, callout, request))
        return Status.OK, callout.token

    def cancel_all(self) -> None:
        """Forget them all: the context is gone."""
        for callout in self._outstanding.values():
            callout.cancel()
        self._outstanding.clear()

    # --- the service ---

    def _arrive(self, callout: _Callout, request: Request | None) -> None:
        if isinstance(self._clusters.answer_of(callout.cluster), Refuse):
            self._reply(callout, REFUSED.reply)
        elif request is not None:  # a request whose body is short never arrives as a whole
            self._play(callout, self._clusters.arrive(callout.cluster, request))

    def _play(self, callout: _Callout, answer: Answer) -> None:
        match answer:
            case Response():
                self._answer(callout, answer)
            case Delay(seconds=seconds, answer=later):
                step = partial(self._play, callout, later)
                callout.next_step = self._events.schedule(nanoseconds(seconds), step)
            case Partial(response=response, then=then):
                callout.begun = not _bodyless(callout, response)
                self._play(callout, then)
            case Reset():
                self._break(callout, HUNG_UP.reply)
            case NoAnswer():
                pass

    def _time_out(self, callout: _Callout) -> None:
        self._break(callout, TIMED_OUT.reply)

    # --- back to the plugin ---

    def _break(self, callout: _Callout, reply: LocalReply) -> None:
        """Nothing more comes: Envoy answers itself, unless the response has begun."""
        if callout.begun:
            self._deliver(callout, None)
        else:
            self._reply(callout, reply)

    def _reply(self, callout: _Callout, reply: LocalReply) -> None:
        grpc = (callout.headers.get(b"content-type") or b"").startswith(b"application/grpc")
        headers, body = reply_message(reply, grpc=grpc, head=callout.headers.get(b":method") == b"HEAD")
        self._deliver(callout, CalloutResponse(headers, ConstantBuffer(body), None))

    def _answer(self, callout: _Callout, response: Response) -> None:
        pairs = [(b":status", b"%d" % response.status), *response.headers.raw, *response_framing(response)]
        headers = ResponseHeaderMap(pairs)
        elapsed = (self._events.now_ns() - callout.start_ns) // _MILLISECOND
        headers.set(b"x-envoy-upstream-service-time", b"%d" % elapsed)
        bodyless = _bodyless(callout, response)
        body = b"" if bodyless else response.body
        trailers = HeaderMap(response.trailers.raw) if response.trailers and not bodyless else None
        self._deliver(callout, CalloutResponse(headers, ConstantBuffer(body), trailers))

    def _deliver(self, callout: _Callout, response: CalloutResponse | None) -> None:
        callout.cancel()
        del self._outstanding[callout.token]
        self._notify(callout.token, response)


def _bodyless(callout: _Callout, response: Response) -> bool:
    return has_no_body(response.status) or callout.headers.get(b":method") == b"HEAD"


def _as_sent(headers: RequestHeaderMap, body: bytes, timeout_milliseconds: int) -> Request | None:
    """The request as its service gets it; None when it announces a body that does not follow. Trailers never leave."""
    sent = RequestHeaderMap(headers)
    if body:
        sent.set(b"content-length", b"%d" % len(body))
    sent.set(b"x-envoy-internal", b"true")
    if timeout_milliseconds:
        sent.set(b"x-envoy-expected-rq-timeout-ms", b"%d" % timeout_milliseconds)
    declared = sent.get(b"content-length")
    if declared is None and sent.get(b":method") not in BODYLESS_METHODS:
        sent.add(b"content-length", b"0")
    elif declared is not None and declared.isdigit() and int(declared) != len(body):
        return None
    check_syntax("the request of the callout", list(sent))
    pseudo = Headers([(name, value) for name, value in sent if name.startswith(b":")])
    return Request(
        pseudo[":method"],
        pseudo[":path"],
        authority=pseudo[":authority"],
        headers=end_to_end_headers(sent),
        body=body,
    )
