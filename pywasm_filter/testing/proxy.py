"""The proxy as a test sees it, whatever it runs on."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pywasm_filter.testing.answers import Refuse
from pywasm_filter.testing.clock import Clock, nanoseconds
from pywasm_filter.testing.clusters import Answer, Callout, ClusterAnswer, Clusters, check_answer
from pywasm_filter.testing.connection import Connection, TcpUpstream
from pywasm_filter.testing.errors import CallBackNotSupported, ConditionNotMet, StepwiseNotSupported
from pywasm_filter.testing.exchange import Exchange
from pywasm_filter.testing.faults import Faults
from pywasm_filter.testing.grpc import GrpcCallRecord, GrpcServices
from pywasm_filter.testing.messages import BodyInput, Headers, HeadersInput, LogLine, Request, Response
from pywasm_filter.testing.metrics import Metrics
from pywasm_filter.testing.settings import PluginSettings
from pywasm_filter.testing.strict import unexpected
from pywasm_filter.testing.trace import Trace
from pywasm_filter.testing.wire import check_framing

ResultT = TypeVar("ResultT")

_DEFAULT_AUTHORITY = "localhost"


class Proxy(ABC):
    """A proxy with one plugin in it.

    All hosts follow Envoy and show the same of an exchange:

    - header names are in lower case, in the order in which Envoy has them;
    - pseudo-headers and `host` are attributes (`method`, `path`, `authority`, `status`), not headers;
    - headers that concern one connection (`connection`, `transfer-encoding`, …) are left out;
    - Envoy's own additions are there: `x-forwarded-proto: http` on the way up, `date` and `server: envoy` on the way
      down, `content-length` where the body came in one piece. A test had better compare the headers it names;
    - a body compares as a whole: the bounds of its chunks are exact in the embedded proxy only.
    """

    def __init__(self, settings: PluginSettings, clusters: Clusters, grpc: GrpcServices) -> None:
        self.settings = settings
        """How the plugin is run."""
        self._upstream: ClusterAnswer = Response(200)
        self.upstream_scripted = False
        """Whether the test has said what the upstream answers."""
        self.clusters = clusters
        """What answers HTTP callouts, by the name of a cluster that the settings declare; by default 200 with an empty
        body. `proxy.clusters["auth"] = Response(403)`, a function of the request, or Delay, NoAnswer, Reset, Refuse,
        Partial. May be set at any time."""
        self.grpc = grpc
        """What answers gRPC callouts, by the name of a cluster that the settings declare; by default `GrpcReply()`.
        `proxy.grpc["authz"] = GrpcReply(b"…")`, a function of the `GrpcRequest`, a `GrpcHandler`, or Delay, NoAnswer,
        Reset, Refuse. May be set at any time."""
        self._expected: list[re.Pattern[str]] = []
        self.tcp_upstream: TcpUpstream | None = None
        """Answers what arrives over the TCP connections that are opened from now on: a function from bytes to bytes,
        which also closes its side after the client's. By default nothing does: the test sends by `upstream_send`."""

    @property
    def upstream(self) -> ClusterAnswer:
        """What answers the requests that the filter lets pass; by default 200 with an empty body.

        The same words as for callouts: a Response, Delay, NoAnswer, Reset, Refuse, Partial, or a function of the
        request that returns one of them (but for Refuse). May be set at any time. Setting raises TypeError for what is
        no answer, ValueError for a response that HTTP/1.1 cannot say.
        """
        return self._upstream

    @upstream.setter
    def upstream(self, answer: ClusterAnswer) -> None:
        if not isinstance(answer, Refuse) and not callable(answer):
            check_answer("the upstream", answer)
        self._upstream = answer
        self.upstream_scripted = True
        self._upstream_changed()

    def _upstream_changed(self) -> None:  # noqa: B027 - the embedded proxy looks when it needs the answer
        """What is to be done for a new answer of the upstream before the next request."""

    @property
    def callouts(self) -> list[Callout]:
        """The HTTP callouts that have reached their clusters since this proxy was made, in order."""
        return list(self.clusters.callouts)

    @property
    def grpc_calls(self) -> list[GrpcCallRecord]:
        """The gRPC callouts that have reached their clusters since this proxy was made, in order."""
        return list(self.grpc.calls)

    @property
    @abstractmethod
    def clock(self) -> Clock:
        """The proxy's time: `now_ns()`, and `advance(seconds)`.

        In the embedded proxy it is virtual: it stands still unless a test advances it, or an exchange cannot go on
        before something happens that is due later. In a real Envoy it is real, and `advance` waits.
        """

    def wait_until(self, condition: Callable[[], ResultT], *, timeout: float = 5.0) -> ResultT:
        """Let time pass until the condition holds, and return what it returned: anything that is true.

        It is asked at once, and after all that happens. `timeout` is in seconds, of virtual time in the embedded proxy.
        Raises ConditionNotMet then, ValueError for a timeout that is no duration, and what the condition raises.
        """
        deadline = self.clock.now_ns() + nanoseconds(timeout)
        while not (result := condition()):
            if not self._pass_time(deadline):
                raise ConditionNotMet(f"{_words(condition)} did not hold within {timeout:g} s")
        return result

    @abstractmethod
    def _pass_time(self, deadline_ns: int) -> bool:
        """Let time pass until something has happened, or may have; false when the time is up."""

    @property
    @abstractmethod
    def logs(self) -> list[LogLine]:
        """What the plugin has logged since its start, the callbacks of its configuration included.

        Each VM runs these once: a line of theirs comes more than once.
        """

    @property
    @abstractmethod
    def notes(self) -> list[str]:
        """What the proxy itself has to say, such as traps of the VM."""

    @property
    @abstractmethod
    def traps(self) -> list[str]:
        """The traps of the plugin's VMs, in the words of the proxy; they are among its notes."""

    def expect_log(self, pattern: str) -> None:
        """Say that a line of the plugin's log may come in which this regular expression is found, or a trap.

        In strict mode lines from ERROR on fail the test unless they are expected, and so does an expected line of any
        level that has not come when the test is over. Raises re.error for what is no regular expression.
        """
        self._expected.append(re.compile(pattern))

    @property
    def unexpected(self) -> list[str]:
        """What happened without the test having said that it may, in words: strict mode fails on it.

        That are log lines from ERROR on, lines of `expect_log` that did not come, traps, callouts to clusters for which
        the test has not said what they answer, and faults that were not used.
        """
        return unexpected(self, self._expected)

    @property
    @abstractmethod
    def trace(self) -> Trace:
        """What has crossed between the proxy and the plugin, in both directions: the last `trace_length` of it.

        `print(proxy.trace)` shows it, `proxy.trace.calls("proxy_http_call")` picks one function. Raises
        TraceNotSupported in a real Envoy that does not log it: see `--pywasm-trace`.
        """

    @property
    @abstractmethod
    def faults(self) -> Faults:
        """Faults between plugin and proxy: `proxy.faults.fail("proxy_get_property", Status.NOT_FOUND, times=1)`.

        Raises FaultsNotSupported in a real Envoy.
        """

    @property
    @abstractmethod
    def metrics(self) -> Metrics:
        """The metrics that the plugin has defined, as they are now."""

    @abstractmethod
    def send(self, request: Request) -> Exchange:
        """Send a request through the plugin, and the upstream's answer back; see `request`."""

    @abstractmethod
    def connect(self) -> Connection:
        """Open a TCP connection through a plugin for TCP (`protocol="tcp"`): on_new_connection runs now.

        Raises WrongProtocol when the plugin is one for HTTP.
        """

    @abstractmethod
    def close(self) -> None:
        """End the plugin."""

    def open(self, method: str, path: str, *, headers: HeadersInput | None = None, end_stream: bool = False) -> Stream:
        """Begin a request, to be driven step by step: its headers go through the plugin now.

        Raises StepwiseNotSupported where the host cannot do that (a real Envoy).
        """
        raise StepwiseNotSupported(
            f"{type(self).__name__} cannot be driven step by step; limit the test to the embedded proxy with "
            "@pytest.mark.pywasm(hosts=['inprocess', 'wasmtime'])"
        )

    def call_back_foreign_function(self, function_id: int, arguments: bytes = b"") -> None:
        """Call the plugin back as a foreign function of a proxy's own could: on_foreign_function runs now.

        Raises CallBackNotSupported in a real Envoy, none of whose functions does it.
        """
        raise CallBackNotSupported(
            f"{type(self).__name__}: no foreign function of Envoy's calls a plugin back; limit the test to the "
            "embedded proxy with @pytest.mark.pywasm(hosts=['inprocess', 'wasmtime'])"
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: HeadersInput | None = None,
        body: BodyInput = b"",
        trailers: HeadersInput | None = None,
    ) -> Exchange:
        """Send a request and wait for its end.

        A body in one piece has a content-length, a list is sent chunk by chunk. `host` among the headers is the
        authority. Raises ValueError for what HTTP/1.1 cannot say, StreamStalled when the filter pauses for good,
        HostMisuse for what breaks a real proxy, HostcallNotSupported, WrongProtocol, and what the upstream function
        raises.
        """
        return self.send(outgoing_request(method, path, headers=headers, body=body, trailers=trailers))

    def get(self, path: str = "/", *, headers: HeadersInput | None = None) -> Exchange:
        """Send a GET."""
        return self.request("GET", path, headers=headers)

    def head(self, path: str = "/", *, headers: HeadersInput | None = None) -> Exchange:
        """Send a HEAD."""
        return self.request("HEAD", path, headers=headers)

    def options(self, path: str = "/", *, headers: HeadersInput | None = None) -> Exchange:
        """Send an OPTIONS."""
        return self.request("OPTIONS", path, headers=headers)

    def delete(self, path: str = "/", *, headers: HeadersInput | None = None) -> Exchange:
        """Send a DELETE."""
        return self.request("DELETE", path, headers=headers)

    def post(
        self,
        path: str = "/",
        *,
        headers: HeadersInput | None = None,
        body: BodyInput = b"",
        trailers: HeadersInput | None = None,
    ) -> Exchange:
        """Send a POST."""
        return self.request("POST", path, headers=headers, body=body, trailers=trailers)

    def put(
        self,
        path: str = "/",
        *,
        headers: HeadersInput | None = None,
        body: BodyInput = b"",
        trailers: HeadersInput | None = None,
    ) -> Exchange:
        """Send a PUT."""
        return self.request("PUT", path, headers=headers, body=body, trailers=trailers)

    def patch(
        self,
        path: str = "/",
        *,
        headers: HeadersInput | None = None,
        body: BodyInput = b"",
        trailers: HeadersInput | None = None,
    ) -> Exchange:
        """Send a PATCH."""
        return self.request("PATCH", path, headers=headers, body=body, trailers=trailers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, request: Request) -> Answer:
        """What the upstream answers. Raises what its function raises, TypeError and ValueError for a wrong answer."""
        if not callable(self._upstream):
            return check_answer("the upstream", self._upstream)
        return check_answer("the function of the upstream", self._upstream(request))


class Stream(ABC):
    """A request that a test drives step by step. Each step returns when the plugin has dealt with it."""

    @abstractmethod
    def send_body(self, chunk: bytes | str, *, end_stream: bool = False) -> None:
        """Send a chunk of the request's body."""

    @abstractmethod
    def send_trailers(self, trailers: HeadersInput) -> None:
        """Send the request's trailers, which end it."""

    @abstractmethod
    def send_metadata(self, metadata: HeadersInput) -> None:
        """Send a frame of HTTP/2 metadata: on_request_metadata gets the number of its names.

        It waits while the filter has stopped everything. As in Envoy, an empty one goes unnoticed, and what comes after
        the request's end is dropped.
        """

    @abstractmethod
    def respond(self, answer: Answer) -> None:
        """Let the upstream answer: a whole response at once, or Delay, NoAnswer, Reset, Partial.

        Raises ValueError when the upstream has no request yet.
        """

    @abstractmethod
    def respond_headers(self, status: int, headers: HeadersInput | None = None, *, end_stream: bool = False) -> None:
        """Begin an answer from the upstream."""

    @abstractmethod
    def respond_body(self, chunk: bytes | str, *, end_stream: bool = False) -> None:
        """Send a chunk of the upstream's body."""

    @abstractmethod
    def respond_trailers(self, trailers: HeadersInput) -> None:
        """Send the upstream's trailers, which end its answer."""

    @abstractmethod
    def respond_metadata(self, metadata: HeadersInput) -> None:
        """Send a frame of HTTP/2 metadata from the upstream: on_response_metadata gets the number of its names.

        It may come before the answer's headers; the filter sees it after them. Raises ValueError when the upstream has
        no request yet.
        """

    @abstractmethod
    def abort(self) -> None:
        """Go away, as a client does that loses patience."""

    @property
    @abstractmethod
    def request_paused(self) -> bool:
        """Whether the plugin holds the request back."""

    @property
    @abstractmethod
    def response_paused(self) -> bool:
        """Whether the plugin holds the response back."""

    @property
    @abstractmethod
    def upstream_request(self) -> Request | None:
        """The request as far as the upstream has it; None before its headers have passed."""

    @property
    @abstractmethod
    def response(self) -> Response | None:
        """The response as far as the client has it; None before its headers have passed."""

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether the stream is over."""

    @property
    @abstractmethod
    def exchange(self) -> Exchange:
        """What has become of the request so far."""


def outgoing_request(
    method: str,
    path: str,
    *,
    headers: HeadersInput | None = None,
    body: BodyInput = b"",
    trailers: HeadersInput | None = None,
) -> Request:
    """A request as a client sends it; `host` among the headers becomes the authority.

    Raises ValueError for what HTTP/1.1 cannot say.
    """
    given = Headers(headers)
    _check_request_line(method, path)
    _check_names([*given.raw, *Headers(trailers).raw])
    request = Request(
        method,
        path,
        headers=given.without("host"),
        body=body,
        trailers=trailers,
        authority=str(given.get("host", _DEFAULT_AUTHORITY)),
    )
    check_framing("request", request)
    return request


def _words(condition: Callable[[], object]) -> str:
    code = getattr(condition, "__code__", None)
    name = getattr(condition, "__name__", repr(condition))
    return name if code is None else f"{name} ({Path(code.co_filename).name}:{code.co_firstlineno})"


def _check_request_line(method: str, path: str) -> None:
    if not method.isascii() or not method.replace("-", "").isalnum():
        raise ValueError(f"not a method: {method!r}")
    if not (path.startswith("/") or path == "*") or not path.isascii() or not path.isprintable() or " " in path:
        raise ValueError(f"not a path: {path!r}; it begins with '/' and has all but printable ASCII escaped")
    if "#" in path:
        raise ValueError(f"a path goes out without its fragment: {path!r}; Envoy answers 400")


def _check_names(pairs: Sequence[tuple[bytes, bytes]]) -> None:
    for name, _ in pairs:
        if name.startswith(b":"):
            raise ValueError(f"{name.decode('latin-1')!r} is no header of its own: give method, path or host")
