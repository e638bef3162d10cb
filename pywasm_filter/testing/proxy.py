"""The proxy as a test sees it, whatever it runs on."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pywasm_filter.testing.answers import Refuse
from pywasm_filter.testing.client import Client, outgoing_request
from pywasm_filter.testing.clock import Clock, nanoseconds
from pywasm_filter.testing.clusters import Answer, Callout, ClusterAnswer, Clusters, check_answer
from pywasm_filter.testing.connection import Connection, TcpUpstream
from pywasm_filter.testing.downstream import DIRECT, Downstream, Tls, parse_address
from pywasm_filter.testing.errors import CallBackNotSupported, ConditionNotMet
from pywasm_filter.testing.exchange import Exchange
from pywasm_filter.testing.faults import Faults
from pywasm_filter.testing.grpc import GrpcCallRecord, GrpcServices
from pywasm_filter.testing.messages import HeadersInput, LogLine, Request, Response
from pywasm_filter.testing.metrics import Metrics
from pywasm_filter.testing.settings import PluginSettings
from pywasm_filter.testing.stepwise import Stream
from pywasm_filter.testing.strict import unexpected
from pywasm_filter.testing.trace import Trace

ResultT = TypeVar("ResultT")


class Proxy(Client):
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

    def _upstream_changed(self) -> None:
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

    def wait_until(self, condition: Callable[[], ResultT], *, timeout: float = 10.0) -> ResultT:
        """Let time pass until the condition holds, and return what it returned: anything that is true.

        It is asked at once, after all that happens, and every now and then. `timeout` is in seconds, of virtual time in
        the embedded proxy.
        Raises ConditionNotMet then, ValueError for a timeout that is no duration, and what the condition raises.
        """
        deadline = self.clock.now_ns() + nanoseconds(timeout)
        while not (result := condition()):
            if not self._pass_time(deadline):
                raise ConditionNotMet(f"{_words(condition)} did not hold within {timeout:g} s")
        return result

    def wait_for_log(self, pattern: str, *, timeout: float = 10.0) -> LogLine:
        """Let time pass until the plugin has logged a line in which this regular expression is found: the first one.

        Strict mode takes it for expected. Raises ConditionNotMet and ValueError as `wait_until` does, re.error for what
        is no regular expression.
        """
        expression = re.compile(pattern)
        self._expected.append(expression)

        def line_found() -> list[LogLine]:
            return [line for line in self.logs if expression.search(line.message)]

        try:
            return self.wait_until(line_found, timeout=timeout)[0]
        except ConditionNotMet:
            raise ConditionNotMet(f"no line of the log had {pattern!r} within {timeout:g} s") from None

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

    def client(self, *, tls: Tls | None = None, source: str = "127.0.0.1:50000", worker: int | None = None) -> Client:
        """A client whose connections come from an IP address and port, and have TLS: it has `get`, `post` and so on.

        `worker` is the one that takes its connections, of those that the setting `concurrency` says there are, from 0
        on. Other clients, and the proxy itself, have theirs taken by the workers in turn.

        `proxy.client(source="10.0.0.9:1234", tls=Tls(subject_peer_certificate="CN=alice")).get("/")` shows in the
        attributes `source.*` and `connection.*`, in a real Envoy too (there not for TCP: raises ClientsNotSupported).
        Raises ValueError for what is no address, and for a worker that is not there.
        """
        workers = self.settings.concurrency
        if worker is not None and not 0 <= worker < workers:
            raise ValueError(f"there is no worker {worker!r}: concurrency is {workers}, so they are 0 to {workers - 1}")
        return _ConnectedClient(self, Downstream(parse_address(source), tls, worker))

    def send(self, request: Request) -> Exchange:
        """Send a request through the plugin, and the upstream's answer back; see `request`."""
        return self._send(request, DIRECT)

    def open(self, method: str, path: str, *, headers: HeadersInput | None = None, end_stream: bool = False) -> Stream:
        """Begin a request, to be driven step by step: its headers go through the plugin now."""
        return self._open(outgoing_request(method, path, headers=headers), DIRECT, end_stream=end_stream)

    def connect(self) -> Connection:
        """Open a TCP connection through a plugin for TCP (`protocol="tcp"`): on_new_connection runs now."""
        return self._connect(DIRECT)

    @abstractmethod
    def _send(self, request: Request, downstream: Downstream) -> Exchange:
        """Send a request over a connection of its own."""

    @abstractmethod
    def _open(self, request: Request, downstream: Downstream, *, end_stream: bool) -> Stream:
        """Begin a request over a connection of its own."""

    @abstractmethod
    def _connect(self, downstream: Downstream) -> Connection:
        """Open a TCP connection."""

    @abstractmethod
    def close(self) -> None:
        """End the plugin."""

    def call_back_foreign_function(self, function_id: int, arguments: bytes = b"") -> None:
        """Call the plugin back as a foreign function of a proxy's own could: on_foreign_function runs now.

        Raises CallBackNotSupported in a real Envoy, none of whose functions does it.
        """
        raise CallBackNotSupported(
            f"{type(self).__name__}: no foreign function of Envoy's calls a plugin back; limit the test to the "
            "embedded proxy with @pytest.mark.pywasm(hosts=['inprocess', 'wasmtime'])"
        )

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


MakeProxy = Callable[..., Proxy]
"""Type of the fixture `make_proxy`: takes the marker's arguments, which win over the marker's, and returns a Proxy."""


class _ConnectedClient(Client):
    """A client of a proxy's."""

    def __init__(self, proxy: Proxy, downstream: Downstream) -> None:
        self._proxy = proxy
        self._downstream = downstream

    def send(self, request: Request) -> Exchange:
        """Send a request."""
        return self._proxy._send(request, self._downstream)

    def open(self, method: str, path: str, *, headers: HeadersInput | None = None, end_stream: bool = False) -> Stream:
        """Begin a request."""
        outgoing = outgoing_request(method, path, headers=headers)
        return self._proxy._open(outgoing, self._downstream, end_stream=end_stream)

    def connect(self) -> Connection:
        """Open a TCP connection."""
        return self._proxy._connect(self._downstream)


def _words(condition: Callable[[], object]) -> str:
    code = getattr(condition, "__code__", None)
    name = getattr(condition, "__name__", repr(condition))
    return name if code is None else f"{name} ({Path(code.co_filename).name}:{code.co_firstlineno})"
