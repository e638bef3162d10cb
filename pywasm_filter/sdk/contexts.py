"""What all contexts have in common, and the root context: the plugin itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeAlias

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.callouts import CalloutError, HttpCallout, HttpResponse, send_http_call, tell_outcome
from pywasm_filter.sdk.exceptions import host_error
from pywasm_filter.sdk.failure_policy import FailureHandler, FailurePolicy
from pywasm_filter.sdk.grpc import (
    GrpcCallout,
    GrpcStream,
    open_grpc_stream,
    send_grpc_call,
)
from pywasm_filter.sdk.headers import HeaderPairs
from pywasm_filter.sdk.properties import Properties
from pywasm_filter.sdk.tasks import CancelledError, Future, Scope, T, Task
from pywasm_filter.sdk.timers import Timers, milliseconds, sleep_future

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from pywasm_filter.sdk.http_context import HttpContext
    from pywasm_filter.sdk.shared_queue import SharedQueue
    from pywasm_filter.sdk.stream_context import StreamContext

    ConfigT = TypeVar("ConfigT", default=None)
else:
    from typing import TypeVar

    ConfigT = TypeVar("ConfigT")

Background: TypeAlias = Coroutine[Any, Any, None] | None
"""What callbacks return that the host expects nothing from: nothing, or a coroutine that goes on as a task."""

_DEFAULT_TIMEOUT = 5.0


class Context:
    """What root and stream contexts have in common."""

    context_id: Final[int]
    """The host's number for this context."""

    properties: Final = Properties()
    """Attributes of the connection, the request, the response and the plugin."""

    _scope: Scope | None = None
    """What is under way; in the class until a context has something."""

    _over: bool = False
    """The host is done with it: nothing can be answered or resumed any more."""

    def __init__(self, context_id: int) -> None:
        self.context_id = context_id

    def on_context_create(self) -> None:
        """The context begins: set up its state here. ABI: proxy_on_context_create."""

    def on_done(self) -> bool:
        """The host is done with the context. False defers its end until `done` is called. ABI: proxy_on_done."""
        return True

    def on_log(self) -> None:
        """The stream is over; headers and trailers can be read once more. ABI: proxy_on_log."""

    def on_delete(self) -> None:
        """The host has forgotten the context; release what it holds. ABI: proxy_on_delete."""

    def done(self) -> None:
        """Complete the end that `on_done` deferred. ABI: proxy_done.

        Raises NotFound when no end is pending.
        """
        status = hostcalls.current.proxy_done()
        if status != 0:
            raise host_error("proxy_done", status)

    def make_effective(self) -> None:
        """Let hostcalls act for this context until the callback that is running returns.

        The SDK does so by itself where an answer is awaited or comes to an `on_response`; a root context that keeps its
        streams can use it to continue or to answer one of them. ABI: proxy_set_effective_context. Raises BadArgument
        when the context has ended.
        """
        status = hostcalls.current.proxy_set_effective_context(self.context_id)
        if status != 0:
            raise host_error("proxy_set_effective_context", status)

    # --- async ---

    def create_task(self, coroutine: Coroutine[Any, Any, T]) -> Task[T]:
        """Run a coroutine beside the callbacks; it ends with this context at the latest.

        It begins at once, in the callback that is running, and goes on when what it awaits has come. An exception in it
        that nobody awaits is handled as one of a callback. To outlive a stream, make it a task of the root:
        `self.root.create_task(...)`.
        """
        task = Task(coroutine, self)
        task._start_in_background()
        return task

    async def sleep(self, seconds: float) -> None:
        """Wait, without holding up anything else. The root context's own tick is not disturbed.

        ABI: proxy_set_tick_period_milliseconds. Raises ValueError for a time that is negative or longer than 49 days.
        """
        timer = sleep_future(self._plugin(), seconds)
        try:
            await timer
        except CancelledError:
            timer.cancel()
            raise

    async def http_call(
        self,
        cluster: str,
        method: str,
        path: str,
        *,
        headers: HeaderPairs = (),
        body: bytes | str = b"",
        trailers: HeaderPairs = (),
        authority: str = "",
        timeout: float = _DEFAULT_TIMEOUT,
    ) -> HttpResponse:
        """Send an HTTP request to a cluster of the proxy's and wait for the answer, whatever its status.

        `authority` is the cluster's name by default. `timeout` is in seconds, to the millisecond; 0 is none. Envoy does
        not send the `trailers`. The stream is paused while its callback waits. ABI: proxy_http_call. Raises
        CalloutTimeout when no answer comes in time and CalloutFailed when none can come: the cluster is unknown or has
        no healthy host, the connection is refused or reset; CancelledError when the context ends first; ValueError and
        TypeError as `HeaderMap` does, and ValueError for method, path, authority or host among the headers, as when all
        of a request's are handed on.
        """
        callout = send_http_call(self, cluster, method, path, headers, body, trailers, authority, timeout)
        try:
            return await callout
        except CancelledError:
            callout.cancel()
            raise

    def start_http_call(
        self,
        cluster: str,
        method: str,
        path: str,
        on_response: Callable[[HttpResponse], None],
        *,
        on_failure: Callable[[CalloutError], None] | None = None,
        headers: HeaderPairs = (),
        body: bytes | str = b"",
        trailers: HeaderPairs = (),
        authority: str = "",
        timeout: float = _DEFAULT_TIMEOUT,
    ) -> HttpCallout:
        """As `http_call`, for callbacks that are not async: `on_response` gets the answer.

        Return PAUSE, and call `continue_request` in `on_response`; hostcalls act for this context there. `on_failure`
        gets CalloutTimeout or CalloutFailed; without it they are handled as an exception of the callback's. Neither is
        called when the context ends first, nor after `cancel` of the callout that is returned. ABI: proxy_http_call.
        """
        callout = send_http_call(self, cluster, method, path, headers, body, trailers, authority, timeout)
        self.create_task(tell_outcome(callout, on_response, on_failure))
        return callout

    async def grpc_call(
        self,
        cluster: str,
        service: str,
        method: str,
        message: bytes,
        *,
        metadata: HeaderPairs = (),
        timeout: float = _DEFAULT_TIMEOUT,
    ) -> bytes:
        """Make a unary gRPC call and wait for its answer: `await self.grpc_call("authz", "pkg.Service", "Method",
        data)`.

        `message` and the result are serialised messages; for metadata of the answer open a stream. `timeout` is in
        seconds, over 0. ABI: proxy_grpc_call. Raises GrpcError when the call ends with a status other than OK, which is
        DEADLINE_EXCEEDED at a timeout and UNAVAILABLE without a connection; CalloutFailed for an unknown cluster;
        CancelledError when the stream ends first.
        """
        callout = send_grpc_call(self, cluster, service, method, message, metadata, timeout)
        try:
            return await callout
        except CancelledError:
            callout.cancel()
            raise

    def start_grpc_call(
        self,
        cluster: str,
        service: str,
        method: str,
        message: bytes,
        on_response: Callable[[bytes], None],
        *,
        on_failure: Callable[[CalloutError], None] | None = None,
        metadata: HeaderPairs = (),
        timeout: float = _DEFAULT_TIMEOUT,
    ) -> GrpcCallout:
        """As `grpc_call`, for callbacks that are not async; see `start_http_call`. ABI: proxy_grpc_call."""
        callout = send_grpc_call(self, cluster, service, method, message, metadata, timeout)
        self.create_task(tell_outcome(callout, on_response, on_failure))
        return callout

    def grpc_stream(self, cluster: str, service: str, method: str, *, metadata: HeaderPairs = ()) -> GrpcStream:
        """Open a gRPC stream: send on it, and read with `async for message in stream`.

        It is cancelled when this context ends first. ABI: proxy_grpc_stream. Raises CalloutFailed for an unknown
        cluster.
        """
        return open_grpc_stream(self, cluster, service, method, metadata)

    # --- for the SDK ---

    def _plugin(self) -> RootContext[Any]:
        """The root context that this one belongs to."""
        raise NotImplementedError

    def _fail_closed(self) -> None:
        """End what the context stands for, after an exception."""

    def _let_pass(self) -> None:
        """Resume what the context's callbacks have paused."""

    def _task_failed(self, error: BaseException) -> None:
        self._plugin()._failures.task_failed(self, error)

    def _enter_scope(self, future: Future[Any]) -> None:
        if self._scope is None:
            self._scope = Scope()
        self._scope.enter(future)

    def _end_scope(self) -> None:
        if self._scope is not None:
            self._scope.end()


class RootContext(Context, Generic[ConfigT]):
    """The plugin itself: it reads the configuration and creates a context for each stream.

    Name a dataclass in brackets to have the configuration parsed and checked: `class Root(RootContext[Settings])`. It
    is in `config` from `on_configure` on; a configuration that does not fit makes the proxy refuse the plugin, with a
    line in its log that names the place and the reason.
    """

    http_context: ClassVar[type[HttpContext[Any]] | None] = None
    """Class of the HTTP contexts; None when this root serves no HTTP streams."""

    stream_context: ClassVar[type[StreamContext[Any]] | None] = None
    """Class of the contexts of TCP connections; None when this root serves none."""

    failure_policy: ClassVar[FailurePolicy] = FailurePolicy.FAIL_CLOSED
    """What an exception in a stream's callback leads to."""

    config: ConfigT
    """The configuration, as the type in brackets has it."""

    _serves_tcp: bool = False
    """Whether it creates contexts of TCP connections; found out when it is created."""

    def __init__(self, context_id: int) -> None:
        super().__init__(context_id)
        self._failures = FailureHandler()
        self._http_callouts: dict[int, HttpCallout] = {}
        self._grpc_callouts: dict[int, GrpcCallout | GrpcStream] = {}
        self._own_timers: Timers | None = None

    def on_vm_start(self, vm_configuration: bytes) -> bool:
        """The VM starts. False, or an exception, makes the host refuse it. ABI: proxy_on_vm_start."""
        return True

    def on_configure(self, configuration: bytes) -> bool:
        """The plugin gets its configuration, as it stands in the proxy's.

        False, or an exception, makes the host refuse it. Ticks, tasks and callouts may begin here. Envoy runs this in
        each worker's VM, in that of its main thread, and in one that only tries the configuration out. ABI:
        proxy_on_configure.
        """
        return True

    def on_tick(self) -> Background:
        """The tick period has passed; see `set_tick_period`. May be async. ABI: proxy_on_tick."""
        return None

    def on_queue_ready(self, queue: SharedQueue) -> Background:
        """A queue that this VM has registered has a new item. May be async.

        There is one call an item, but another VM may have taken it: `dequeue` may find nothing. ABI:
        proxy_on_queue_ready.
        """
        return None

    def on_foreign_function(self, function_id: int, arguments: bytes) -> None:
        """A foreign function of the host calls back; none of Envoy's own does. ABI: proxy_on_foreign_function."""

    def on_exception(self, error: BaseException, context: Context) -> FailurePolicy:
        """An exception has left a callback or a task of `context`, and has been logged: say what happens next.

        By default `failure_policy`. To answer otherwise than with an empty 500, send a local response from the stream's
        context here and return FAIL_CLOSED.
        """
        return self.failure_policy

    def create_http_context(self, context_id: int) -> HttpContext[Any] | None:
        """The context of a new HTTP stream; None lets the stream pass untouched.

        By default an instance of `http_context`.
        """
        return None if self.http_context is None else self.http_context(context_id, self)

    def create_stream_context(self, context_id: int) -> StreamContext[Any] | None:
        """The context of a new TCP connection; None lets the connection pass untouched.

        By default an instance of `stream_context`.
        """
        return None if self.stream_context is None else self.stream_context(context_id, self)

    def set_tick_period(self, seconds: float) -> None:
        """Have `on_tick` called every so many seconds, to the millisecond; 0 stops it.

        ABI: proxy_set_tick_period_milliseconds. Raises ValueError for a negative period and one over 49 days.
        """
        self._timers().set_author_period(milliseconds(seconds, "a tick period"))

    def _plugin(self) -> RootContext[Any]:
        return self

    def _timers(self) -> Timers:
        if self._own_timers is None:
            self._own_timers = Timers()
        return self._own_timers
