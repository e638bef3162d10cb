"""Async callbacks: what pauses a stream, what resumes it, and that nothing is left behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterator
from typing import Any, ClassVar

import pytest

from pywasm_filter import (
    Action,
    CalloutError,
    CalloutFailed,
    CalloutTimeout,
    CancelledError,
    Context,
    FailurePolicy,
    FilterDataStatus,
    FilterHeadersStatus,
    GrpcError,
    GrpcStatus,
    HttpContext,
    HttpResponse,
    RootContext,
    Task,
    gather,
    wait_for,
)
from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import BufferType, LogLevel, MapType, Status, StreamType
from pywasm_filter.sdk.pairs import decode_pairs
from pywasm_filter.sdk.registry import Registry
from pywasm_filter.sdk.vm import Vm
from tests.unit.sdk.conftest import ScriptedHost

ROOT_ID, STREAM_ID = 1, 2
WAITS_WITH_HEADERS = FilterHeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK
WAITS_WITH_BODY = FilterDataStatus.STOP_ITERATION_AND_BUFFER

Pairs = list[tuple[bytes, bytes]]


class AsyncHost(ScriptedHost):
    """Notes callouts and tells for which context each thing was done. Its clock stands still until a test moves it."""

    def __init__(self) -> None:
        super().__init__()
        self.vm: Vm | None = None
        self.now = 1_000_000_000
        self.effective = 0
        self.events: list[tuple[Any, ...]] = []
        self.calls: list[tuple[str, Pairs, bytes, int]] = []
        self.grpc: list[tuple[Any, ...]] = []
        self.refusing = 0
        self.grpc_message = b""

    def proxy_set_effective_context(self, context_id: int, /) -> int:
        self.effective = context_id
        return 0

    def proxy_get_current_time_nanoseconds(self, /) -> tuple[int, int]:
        return 0, self.now

    def proxy_set_tick_period_milliseconds(self, period: int, /) -> int:
        self.events.append(("tick period", period))
        return 0

    def proxy_continue_stream(self, stream_type: int, /) -> int:
        self.events.append(("continue", StreamType(stream_type).name, self.effective))
        return 0

    def proxy_send_local_response(
        self, status_code: int, details: bytes, body: bytes, headers: bytes, grpc_status: int, /
    ) -> int:
        self.events.append(("answer", status_code, self.effective))
        return 0

    def proxy_http_call(
        self, upstream: bytes, headers: bytes, body: bytes, trailers: bytes, timeout_milliseconds: int, /
    ) -> tuple[int, int]:
        if self.refusing:
            return self.refusing, 0
        self.calls.append((upstream.decode(), decode_pairs(headers), body, timeout_milliseconds))
        return 0, 4 * len(self.calls)

    def proxy_grpc_call(
        self,
        upstream: bytes,
        service: bytes,
        method: bytes,
        initial_metadata: bytes,
        message: bytes,
        timeout_milliseconds: int,
        /,
    ) -> tuple[int, int]:
        self.grpc.append(("call", upstream, service, method, decode_pairs(initial_metadata), message))
        return self.refusing, 4 * len(self.grpc) + 1

    def proxy_grpc_stream(
        self, upstream: bytes, service: bytes, method: bytes, initial_metadata: bytes, /
    ) -> tuple[int, int]:
        self.grpc.append(("stream", upstream, service, method, decode_pairs(initial_metadata)))
        return self.refusing, 4 * len(self.grpc) + 2

    def proxy_grpc_send(self, stream_id: int, message: bytes, end_stream: int, /) -> int:
        self.grpc.append(("send", stream_id, message, end_stream))
        return 0

    def proxy_grpc_cancel(self, call_id: int, /) -> int:
        self.grpc.append(("cancel", call_id))
        return 0

    def proxy_grpc_close(self, call_id: int, /) -> int:
        self.grpc.append(("close", call_id))
        return 0

    def proxy_get_status(self, /) -> tuple[int, int, bytes]:
        return 0, 0, self.grpc_message

    # --- what a test does ---

    def answer(self, call_id: int, status: int = 200, headers: Pairs | None = None, body: bytes = b"") -> None:
        assert self.vm is not None
        pairs = [(b":status", str(status).encode()), *(headers or [])]
        self.maps[MapType.HTTP_CALL_RESPONSE_HEADERS] = pairs
        self.buffers[BufferType.HTTP_CALL_RESPONSE_BODY] = body
        self.effective = ROOT_ID
        self.vm.proxy_on_http_call_response(ROOT_ID, call_id, len(pairs), len(body), 0)

    def fail(self, call_id: int) -> None:
        assert self.vm is not None
        self.effective = ROOT_ID
        self.vm.proxy_on_http_call_response(ROOT_ID, call_id, 0, 0, 0)

    def receive(self, call_id: int, message: bytes) -> None:
        assert self.vm is not None
        self.buffers[BufferType.GRPC_CALL_MESSAGE] = message
        self.effective = ROOT_ID
        self.vm.proxy_on_grpc_receive(ROOT_ID, call_id, len(message))

    def close(self, call_id: int, status: int, message: bytes = b"") -> None:
        assert self.vm is not None
        self.grpc_message = message
        self.effective = ROOT_ID
        self.vm.proxy_on_grpc_close(ROOT_ID, call_id, status)

    def tick(self, milliseconds: int) -> None:
        assert self.vm is not None
        self.now += milliseconds * 1_000_000
        self.effective = ROOT_ID
        self.vm.proxy_on_tick(ROOT_ID)

    def log_text(self) -> str:
        return "\n".join(message for _, message in self.logged)


@pytest.fixture
def async_host() -> Iterator[AsyncHost]:
    host = AsyncHost()
    previous = hostcalls.bind(host)
    yield host
    hostcalls.bind(previous)


Callback = Callable[[Any], Awaitable[Action]]


async def go_on(stream: Stream) -> Action:
    return Action.CONTINUE


class Stream(HttpContext["Root"]):
    """Does what a test gives it."""

    on_headers: ClassVar[Callback] = go_on
    on_body: ClassVar[Callback] = go_on
    seen: ClassVar[list[Any]] = []

    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        return await type(self).on_headers(self)

    async def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        self.seen.append(("body", body_size, end_of_stream))
        return await type(self).on_body(self)

    def on_request_trailers(self, num_trailers: int) -> Action:
        self.seen.append(("trailers", num_trailers))
        return Action.CONTINUE

    def on_log(self) -> None:
        self.seen.append("log")


class Root(RootContext):
    http_context = Stream
    policy: ClassVar[FailurePolicy] = FailurePolicy.FAIL_CLOSED
    answer_with: ClassVar[int] = 0
    ticks: ClassVar[list[int]] = []

    def on_tick(self) -> None:
        self.ticks.append(1)

    def on_exception(self, error: BaseException, context: Context) -> FailurePolicy:
        if self.answer_with and isinstance(context, Stream):
            context.send_local_response(self.answer_with)
        return self.policy


class Scene:
    """One stream of a VM, and what it does."""

    def __init__(self, host: AsyncHost, *, headers: Callback = go_on, body: Callback = go_on) -> None:
        Stream.on_headers, Stream.on_body, Stream.seen = headers, body, []
        Root.policy, Root.answer_with, Root.ticks = FailurePolicy.FAIL_CLOSED, 0, []
        registry = Registry()
        registry.add(Root, "")
        self.host = host
        self.vm = host.vm = Vm(registry)
        self.vm.proxy_on_context_create(ROOT_ID, 0)
        self.vm.proxy_on_context_create(STREAM_ID, ROOT_ID)

    def request(self) -> int:
        self.host.effective = STREAM_ID
        return self.vm.proxy_on_request_headers(STREAM_ID, 3, 0)

    def end(self) -> None:
        self.vm.proxy_on_log(STREAM_ID)
        self.vm.proxy_on_done(STREAM_ID)
        self.vm.proxy_on_delete(STREAM_ID)

    @property
    def root(self) -> RootContext[Any]:
        return self.vm._roots[ROOT_ID]

    @property
    def left_behind(self) -> int:
        """Contexts, callouts and timers beside the root context."""
        root = self.root
        scope = 0 if root._scope is None else len(root._scope)
        timers = 0 if root._own_timers is None else len(root._own_timers)
        return len(self.vm._https) + len(root._http_callouts) + len(root._grpc_callouts) + scope + timers


async def ask(stream: Stream) -> Action:
    response = await stream.http_call("auth", "GET", "/check", headers={"x-a": "1"}, timeout=0.25)
    Stream.seen.append((response.status, response.text, response.headers["x-b"]))
    return Action.CONTINUE if response.status == 200 else stream.send_local_response(403)


def test_a_callout_pauses_the_stream_and_its_answer_resumes_it(async_host: AsyncHost) -> None:
    scene = Scene(async_host, headers=ask)
    assert scene.request() == WAITS_WITH_HEADERS
    assert async_host.calls == [
        (
            "auth",
            [(b":method", b"GET"), (b":path", b"/check"), (b":authority", b"auth"), (b"x-a", b"1")],
            b"",
            250,
        )
    ]
    async_host.answer(4, headers=[(b"x-b", b"2")], body=b"ok")
    assert Stream.seen == [(200, "ok", "2")]
    assert async_host.events == [("continue", "HTTP_REQUEST", STREAM_ID)]
    scene.end()
    assert scene.left_behind == 0


def test_a_local_response_after_an_await_is_the_streams_and_ends_it(async_host: AsyncHost) -> None:
    scene = Scene(async_host, headers=ask)
    scene.request()
    async_host.answer(4, 401, [(b"x-b", b"2")])
    assert async_host.events == [("answer", 403, STREAM_ID)]


def test_a_callback_that_need_not_wait_answers_at_once(async_host: AsyncHost) -> None:
    async def at_once(stream: Stream) -> Action:
        return Action.PAUSE

    assert Scene(async_host).request() == 0
    assert Scene(async_host, headers=at_once).request() == 1
    assert async_host.events == []


def test_a_pause_after_an_await_stays_one(async_host: AsyncHost) -> None:
    async def pause(stream: Stream) -> Action:
        await stream.http_call("a", "GET", "/")
        return Action.PAUSE

    scene = Scene(async_host, headers=pause)
    scene.request()
    async_host.answer(4)
    assert async_host.events == []


def test_what_comes_while_a_body_waits_is_shown_afterwards_in_one_piece(async_host: AsyncHost) -> None:
    async def wait_once(stream: Stream) -> Action:
        if len(Stream.seen) == 1:
            await stream.http_call("a", "GET", "/")
        return Action.CONTINUE

    scene = Scene(async_host, body=wait_once)
    assert scene.request() == 0
    assert scene.vm.proxy_on_request_body(STREAM_ID, 3, 0) == WAITS_WITH_BODY
    assert scene.vm.proxy_on_request_body(STREAM_ID, 5, 0) == WAITS_WITH_BODY
    assert scene.vm.proxy_on_request_body(STREAM_ID, 9, 0) == WAITS_WITH_BODY
    assert scene.vm.proxy_on_request_trailers(STREAM_ID, 2) == 1
    assert Stream.seen == [("body", 3, False)]
    async_host.answer(4)
    assert Stream.seen == [("body", 3, False), ("body", 9, False), ("trailers", 2)]
    assert async_host.events == [("continue", "HTTP_REQUEST", STREAM_ID)]


def test_what_came_meanwhile_may_wait_in_turn(async_host: AsyncHost) -> None:
    async def wait(stream: Stream) -> Action:
        await stream.http_call("a", "GET", "/")
        return Action.CONTINUE

    scene = Scene(async_host, body=wait)
    scene.request()
    scene.vm.proxy_on_request_body(STREAM_ID, 3, 0)
    scene.vm.proxy_on_request_body(STREAM_ID, 5, 1)
    async_host.answer(4)
    assert async_host.events == []
    assert Stream.seen == [("body", 3, False), ("body", 5, True)]
    async_host.answer(8)
    assert async_host.events == [("continue", "HTTP_REQUEST", STREAM_ID)]
    assert scene.vm.proxy_on_request_trailers(STREAM_ID, 1) == 0


class Collecting(HttpContext[RootContext]):
    """Collects bodies, and has no callback for trailers."""

    seen: ClassVar[list[tuple[int, bool]]] = []
    results: ClassVar[list[Action | FilterDataStatus]] = []

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action | FilterDataStatus:
        self.seen.append((body_size, end_of_stream))
        return self.results.pop(0)

    async def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        self.seen.append((body_size, end_of_stream))
        if end_of_stream:
            await self.http_call("a", "GET", "/")
        return Action.CONTINUE if end_of_stream else Action.PAUSE


def collecting(host: AsyncHost, *results: Action | FilterDataStatus) -> Vm:
    class CollectingRoot(RootContext):
        http_context = Collecting

    Collecting.seen, Collecting.results = [], list(results)
    registry = Registry()
    registry.add(CollectingRoot, "")
    vm = host.vm = Vm(registry)
    vm.proxy_on_context_create(ROOT_ID, 0)
    vm.proxy_on_context_create(STREAM_ID, ROOT_ID)
    host.buffers[BufferType.HTTP_REQUEST_BODY] = host.buffers[BufferType.HTTP_RESPONSE_BODY] = b"12345"
    return vm


@pytest.mark.parametrize(
    ("last", "answer"),
    [
        (Action.CONTINUE, 0),
        (Action.PAUSE, 1),
        (FilterDataStatus.CONTINUE, 0),
        (FilterDataStatus.STOP_ITERATION_NO_BUFFER, 1),
    ],
)
def test_a_collected_body_ends_with_its_trailers(
    async_host: AsyncHost, last: Action | FilterDataStatus, answer: int
) -> None:
    vm = collecting(async_host, Action.PAUSE, FilterDataStatus.STOP_ITERATION_AND_BUFFER, last)
    assert vm.proxy_on_request_body(STREAM_ID, 2, 0) == 1
    assert vm.proxy_on_request_body(STREAM_ID, 5, 0) == 1
    assert vm.proxy_on_request_trailers(STREAM_ID, 1) == answer
    assert Collecting.seen == [(2, False), (5, False), (5, True)]


def test_a_body_that_has_gone_on_is_not_shown_with_its_trailers(async_host: AsyncHost) -> None:
    vm = collecting(async_host, Action.PAUSE, Action.CONTINUE, Action.PAUSE)
    vm.proxy_on_request_body(STREAM_ID, 2, 0)
    vm.proxy_on_request_body(STREAM_ID, 5, 0)
    assert vm.proxy_on_request_trailers(STREAM_ID, 1) == 0
    vm.proxy_on_request_body(STREAM_ID, 2, 0)
    vm._https[STREAM_ID].continue_request()
    assert vm.proxy_on_request_trailers(STREAM_ID, 1) == 0
    assert len(Collecting.seen) == 3


def test_a_collected_body_may_wait_with_its_trailers(async_host: AsyncHost) -> None:
    vm = collecting(async_host)
    assert vm.proxy_on_response_body(STREAM_ID, 5, 0) == 1
    assert vm.proxy_on_response_trailers(STREAM_ID, 1) == 1
    assert Collecting.seen == [(5, False), (5, True)]
    async_host.answer(4)
    assert async_host.events == [("continue", "HTTP_RESPONSE", STREAM_ID)]


# --- several at once ---


async def two(stream: Stream) -> Action:
    first, second = await gather(stream.http_call("a", "GET", "/1"), stream.http_call("b", "GET", "/2"))
    Stream.seen.append((first.status, second.status))
    return Action.CONTINUE


def test_several_callouts_run_at_once(async_host: AsyncHost) -> None:
    scene = Scene(async_host, headers=two)
    scene.request()
    assert [call[0] for call in async_host.calls] == ["a", "b"]
    async_host.answer(8, 202)
    assert Stream.seen == []
    async_host.answer(4, 201)
    assert Stream.seen == [(201, 202)]
    assert async_host.events == [("continue", "HTTP_REQUEST", STREAM_ID)]


def test_the_first_failure_ends_the_others(async_host: AsyncHost) -> None:
    scene = Scene(async_host, headers=two)
    scene.request()
    async_host.fail(8)
    assert async_host.events == [("answer", 500, STREAM_ID)]
    assert scene.root._http_callouts == {}
    async_host.answer(4)
    assert len(async_host.events) == 1


def test_nothing_to_gather_and_nobody_to_gather_for(async_host: AsyncHost) -> None:
    async def nothing(stream: Stream) -> Action:
        assert await gather() == ()
        return Action.CONTINUE

    assert Scene(async_host, headers=nothing).request() == 0
    with pytest.raises(RuntimeError, match="only in a coroutine that the proxy runs"):
        gather().send(None)


# --- failures of callouts ---


async def tell(stream: Stream) -> Action:
    try:
        await stream.http_call("auth", "GET", "/", timeout=1)
    except CalloutError as error:
        Stream.seen.append((type(error), str(error)))
    return Action.CONTINUE


LOCAL = [(b"content-length", b"24"), (b"content-type", b"text/plain")]


def test_what_the_proxy_answers_by_itself_is_a_failure(async_host: AsyncHost) -> None:
    scene = Scene(async_host, headers=tell)
    scene.request()
    async_host.answer(4, 504, LOCAL, b"upstream request timeout")
    scene.request()
    async_host.answer(8, 503, LOCAL, b"upstream connect error")
    scene.request()
    async_host.fail(12)
    scene.request()
    async_host.answer(16, 503, [*LOCAL, (b"x-envoy-overloaded", b"true")], b"reset reason: overflow")
    assert Stream.seen == [
        (CalloutTimeout, "no answer from the cluster 'auth' within 1 s"),
        (CalloutFailed, "no answer from the cluster 'auth': upstream connect error"),
        (CalloutFailed, "the answer of the cluster 'auth' was broken off"),
        (CalloutFailed, "no answer from the cluster 'auth': reset reason: overflow"),
    ]


def test_what_an_upstream_answers_is_an_answer_whatever_its_status(async_host: AsyncHost) -> None:
    scene = Scene(async_host, headers=ask)
    scene.request()
    async_host.answer(4, 504, [*LOCAL, (b"x-envoy-upstream-service-time", b"1"), (b"x-b", b"2")], b"late")
    assert Stream.seen == [(504, "late", "2")]


@pytest.mark.parametrize("status", [Status.BAD_ARGUMENT, Status.INTERNAL_FAILURE])
def test_an_unknown_cluster_fails_at_once(async_host: AsyncHost, status: Status) -> None:
    async_host.refusing = status
    assert Scene(async_host, headers=tell).request() == 0
    assert Stream.seen[0][0] is CalloutFailed
    assert "'auth'" in Stream.seen[0][1]


@pytest.mark.parametrize("timeout", [-1, 5_000_000, float("nan")])
def test_timeouts_are_within_bounds(async_host: AsyncHost, timeout: float) -> None:
    async def call(stream: Stream) -> Action:
        with pytest.raises(ValueError, match="a timeout is a number of seconds from 0"):
            await stream.http_call("a", "GET", "/", timeout=timeout)
        return Action.PAUSE

    assert Scene(async_host, headers=call).request() == 1


# --- failures of the author's ---


async def break_after_await(stream: Stream) -> Action:
    await stream.http_call("a", "GET", "/")
    raise KeyError("boom")


@pytest.mark.parametrize(
    ("policy", "answer", "events"),
    [
        (FailurePolicy.FAIL_CLOSED, 0, [("answer", 500, STREAM_ID)]),
        (FailurePolicy.FAIL_CLOSED, 418, [("answer", 418, STREAM_ID)]),
        (FailurePolicy.FAIL_OPEN, 0, [("continue", "HTTP_REQUEST", STREAM_ID)]),
    ],
)
def test_an_exception_after_an_await_is_handled_by_the_policy(
    async_host: AsyncHost, policy: FailurePolicy, answer: int, events: list[tuple[Any, ...]]
) -> None:
    scene = Scene(async_host, headers=break_after_await)
    Root.policy, Root.answer_with = policy, answer
    scene.request()
    async_host.answer(4)
    assert async_host.events == events
    assert "exception in Stream.on_request_headers\nTraceback" in async_host.log_text()
    assert 'raise KeyError("boom")' in async_host.log_text()
    assert scene.vm.proxy_on_request_body(STREAM_ID, 1, 1) == 0  # it gets no more callbacks
    assert Stream.seen == []
    scene.end()
    assert scene.left_behind == 0


def test_an_exception_after_an_await_can_trap(async_host: AsyncHost) -> None:
    scene = Scene(async_host, headers=break_after_await)
    Root.policy = FailurePolicy.TRAP
    scene.request()
    with pytest.raises(KeyError, match="boom"):
        async_host.answer(4)
    assert async_host.log_text().count("Traceback") == 1


def test_a_failure_of_one_direction_ends_the_other(async_host: AsyncHost) -> None:
    async def wait(stream: Stream) -> Action:
        try:
            await stream.sleep(60)
        finally:
            Stream.seen.append("ended")
        return Action.CONTINUE

    async def response(stream: Stream, num_headers: int, end_of_stream: bool) -> Action:
        raise KeyError("boom")

    scene = Scene(async_host, headers=wait)
    scene.request()
    stream = scene.vm._https[STREAM_ID]
    stream.on_response_headers = response.__get__(stream)  # type: ignore[method-assign]
    assert scene.vm.proxy_on_response_headers(STREAM_ID, 1, 1) == 1
    assert Stream.seen == ["ended"]
    scene.end()
    assert scene.left_behind == 0


def test_a_failure_that_passes_resumes_both_directions(async_host: AsyncHost) -> None:
    async def wait(stream: Stream) -> Action:
        await stream.sleep(60)
        return Action.CONTINUE

    async def response(stream: Stream, num_headers: int, end_of_stream: bool) -> Action:
        raise KeyError("boom")

    scene = Scene(async_host, headers=wait)
    Root.policy = FailurePolicy.FAIL_OPEN
    scene.request()
    stream = scene.vm._https[STREAM_ID]
    stream.on_response_headers = response.__get__(stream)  # type: ignore[method-assign]
    assert scene.vm.proxy_on_response_headers(STREAM_ID, 1, 1) == 0
    assert [event for event in async_host.events if event[0] == "continue"] == [("continue", "HTTP_REQUEST", STREAM_ID)]


def test_a_pause_that_is_over_is_not_resumed_again(async_host: AsyncHost) -> None:
    calls: list[int] = []

    async def body(stream: Stream) -> Action:
        calls.append(1)
        if len(calls) == 3:
            raise KeyError("boom")
        return Action.PAUSE if len(calls) == 1 else Action.CONTINUE

    scene = Scene(async_host, body=body)
    Root.policy = FailurePolicy.FAIL_OPEN
    scene.request()
    results = [scene.vm.proxy_on_request_body(STREAM_ID, size, 0) for size in (1, 2, 1)]
    assert results == [1, 0, 0]
    assert async_host.events == []


def test_an_answer_in_the_response_takes_its_place(async_host: AsyncHost) -> None:
    async def response(stream: Stream, num_headers: int, end_of_stream: bool) -> Action:
        await stream.http_call("a", "GET", "/")
        stream.send_local_response(502)
        return Action.CONTINUE

    scene = Scene(async_host)
    scene.request()
    stream = scene.vm._https[STREAM_ID]
    stream.on_response_headers = response.__get__(stream)  # type: ignore[method-assign]
    scene.vm.proxy_on_response_headers(STREAM_ID, 1, 1)
    async_host.answer(4)
    assert async_host.events == [("answer", 502, STREAM_ID)]


def test_statuses_that_are_late_or_of_another_phase_are_refused(async_host: AsyncHost) -> None:
    async def end_stream(stream: Stream) -> Any:
        await stream.http_call("a", "GET", "/")
        return FilterHeadersStatus.CONTINUE_AND_END_STREAM

    async def other_phase(stream: Stream) -> Any:
        return FilterDataStatus.CONTINUE

    scene = Scene(async_host, headers=end_stream)
    scene.request()
    async_host.answer(4)
    assert "CONTINUE_AND_END_STREAM after an await" in async_host.log_text()
    assert Scene(async_host, headers=other_phase).request() == 1
    assert "on_request_headers returned <FilterDataStatus.CONTINUE: 0>" in async_host.log_text()


def test_only_what_the_sdk_offers_can_be_awaited(async_host: AsyncHost) -> None:
    class Foreign:
        def __await__(self) -> Generator[object, None, None]:
            yield "something"

    async def foreign(stream: Stream) -> Action:
        await Foreign()
        return Action.CONTINUE

    assert Scene(async_host, headers=foreign).request() == 1
    assert "cannot await 'something'" in async_host.log_text()


# --- streams that end early ---


def test_a_stream_that_ends_cancels_what_it_has_under_way(async_host: AsyncHost) -> None:
    async def wait(stream: Stream) -> Action:
        try:
            await gather(
                stream.http_call("a", "GET", "/"),
                stream.sleep(60),
                stream.grpc_call("g", "s", "m", b""),
                wait_for(stream.http_call("b", "GET", "/"), 30),
            )
        except CancelledError:
            Stream.seen.append("cancelled")
            raise
        finally:
            Stream.seen.append("finally")
        return Action.CONTINUE

    scene = Scene(async_host, headers=wait)
    scene.request()
    scene.end()
    assert Stream.seen == ["cancelled", "finally", "log"]
    assert scene.left_behind == 0
    assert async_host.grpc[-1] == ("cancel", 5)
    assert async_host.events[-1] == ("tick period", 0)
    async_host.answer(4)
    async_host.close(5, 1)
    assert async_host.logged == []


def test_many_streams_that_end_early_leave_nothing(async_host: AsyncHost) -> None:
    async def wait(stream: Stream) -> Action:
        await gather(stream.http_call("a", "GET", "/"), stream.sleep(60))
        return Action.CONTINUE

    scene = Scene(async_host, headers=wait)
    scene.end()
    for context_id in range(10, 1010):
        scene.vm.proxy_on_context_create(context_id, ROOT_ID)
        assert scene.vm.proxy_on_request_headers(context_id, 1, 1) == WAITS_WITH_HEADERS
        if context_id % 7:
            scene.vm.proxy_on_done(context_id)
            scene.vm.proxy_on_delete(context_id)
    for context_id in range(10, 1010):
        scene.vm.proxy_on_delete(context_id)
    assert scene.left_behind == 0


def test_a_coroutine_that_will_not_end_is_closed(async_host: AsyncHost) -> None:
    async def stubborn(stream: Stream) -> Action:
        while Stream.seen.count("again") < 5:
            try:
                await stream.sleep(1)
            except BaseException:  # noqa: BLE001 - as it should not be done
                Stream.seen.append("again")
        return Action.CONTINUE

    scene = Scene(async_host, headers=stubborn)
    scene.request()
    scene.end()
    assert Stream.seen.count("again") >= 4
    assert "coroutine ignored GeneratorExit" in async_host.log_text()
    async_host.tick(1000)
    assert scene.left_behind == 0


def test_a_task_may_cancel_itself_and_others(async_host: AsyncHost) -> None:
    async def work(stream: Stream) -> None:
        try:
            await stream.sleep(5)
        finally:
            Stream.seen.append("stopped")

    async def cancel(stream: Stream) -> Action:
        task = stream.create_task(work(stream))
        task.cancel()
        with pytest.raises(CancelledError):
            await task
        return Action.CONTINUE

    assert Scene(async_host, headers=cancel).request() == 0
    assert Stream.seen == ["stopped"]


# --- background tasks ---


def test_a_task_of_the_root_outlives_the_stream(async_host: AsyncHost) -> None:
    async def report(root: RootContext[Any]) -> None:
        response = await root.http_call("log", "POST", "/", body="gone")
        Stream.seen.append((response.status, async_host.effective))

    async def leave(stream: Stream) -> Action:
        stream.root.create_task(report(stream.root))
        return Action.CONTINUE

    scene = Scene(async_host, headers=leave)
    assert scene.request() == 0
    scene.end()
    async_host.answer(4, 204)
    assert Stream.seen == ["log", (204, ROOT_ID)]
    assert scene.left_behind == 0


def test_streams_may_wait_for_one_task(async_host: AsyncHost) -> None:
    shared: list[Task[HttpResponse]] = []

    async def share(stream: Stream) -> Action:
        if not shared:
            shared.append(stream.root.create_task(stream.root.http_call("keys", "GET", "/")))
        Stream.seen.append((await shared[0]).status)
        return Action.CONTINUE

    scene = Scene(async_host, headers=share)
    scene.request()
    scene.vm.proxy_on_context_create(3, ROOT_ID)
    scene.vm.proxy_on_request_headers(3, 1, 1)
    assert len(async_host.calls) == 1
    async_host.answer(4, 203)
    assert Stream.seen == [203, 203]
    assert async_host.events == [("continue", "HTTP_REQUEST", STREAM_ID), ("continue", "HTTP_REQUEST", 3)]


def test_an_exception_in_a_task_that_nobody_awaits_is_the_contexts(async_host: AsyncHost) -> None:
    async def fail(context: Context) -> None:
        await context.sleep(0.001)
        raise KeyError("in the background")

    async def start(stream: Stream) -> Action:
        stream.create_task(fail(stream))
        stream.root.create_task(fail(stream.root))
        return Action.PAUSE

    scene = Scene(async_host, headers=start)
    scene.request()
    async_host.tick(1)
    assert async_host.log_text().count("KeyError: 'in the background'") == 2
    assert "exception in a task of Root" in async_host.log_text()
    assert ("answer", 500, STREAM_ID) in async_host.events


def test_a_task_that_fails_before_it_is_awaited_tells_who_awaits_it(async_host: AsyncHost) -> None:
    async def fail() -> None:
        raise KeyError("early")

    async def start(stream: Stream) -> Action:
        task = stream.create_task(fail())
        with pytest.raises(KeyError, match="early"):
            await task
        stream.create_task(fail())
        return Action.PAUSE

    Scene(async_host, headers=start).request()
    assert async_host.log_text().count("KeyError: 'early'") == 1


# --- time ---


def test_a_sleep_ends_with_the_tick_that_is_due(async_host: AsyncHost) -> None:
    async def nap(stream: Stream) -> Action:
        await stream.sleep(0.05)
        return Action.CONTINUE

    scene = Scene(async_host, headers=nap)
    scene.request()
    assert async_host.events == [("tick period", 50)]
    async_host.tick(49)
    assert async_host.events == [("tick period", 50), ("tick period", 1)]
    async_host.tick(1)
    assert async_host.events[2:] == [("tick period", 0), ("continue", "HTTP_REQUEST", STREAM_ID)]
    assert Root.ticks == []
    scene.end()
    assert scene.left_behind == 0


def test_sleeps_do_not_disturb_the_authors_tick(async_host: AsyncHost) -> None:
    async def nap(stream: Stream) -> Action:
        await gather(stream.sleep(0.07), stream.sleep(0.25))
        return Action.CONTINUE

    scene = Scene(async_host, headers=nap)
    scene.root.set_tick_period(0.1)
    async_host.tick(100)
    assert len(Root.ticks) == 1
    scene.request()
    ticks = []
    for milliseconds in (70, 30, 100, 50, 50):
        async_host.tick(milliseconds)
        ticks.append(len(Root.ticks))
    assert ticks == [1, 2, 3, 3, 4]
    assert [event[1] for event in async_host.events if event[0] == "tick period"] == [100, 70, 70, 30, 100, 50, 100]
    scene.root.set_tick_period(0)
    assert async_host.events[-1] == ("tick period", 0)


def test_many_short_sleeps_do_not_keep_the_authors_tick_from_coming(async_host: AsyncHost) -> None:
    async def nap(stream: Stream) -> Action:
        await stream.sleep(0.03)
        return Action.CONTINUE

    scene = Scene(async_host, headers=nap)
    scene.root.set_tick_period(0.1)
    for _ in range(25):
        scene.request()
        async_host.tick(30)
        async_host.now += 10_000_000
    assert len(Root.ticks) in (8, 9)  # at 120 ms, 240 ms, … : when a tick is due in a gap, it comes with the next sleep


def test_waiting_has_a_bound(async_host: AsyncHost) -> None:
    async def impatient(stream: Stream) -> Action:
        try:
            await wait_for(stream.http_call("a", "GET", "/"), timeout=0.01)
        except TimeoutError as error:
            Stream.seen.append(str(error))
        response = await wait_for(stream.http_call("a", "GET", "/"), timeout=0.01)
        Stream.seen.append(response.status)
        return Action.CONTINUE

    scene = Scene(async_host, headers=impatient)
    scene.request()
    async_host.tick(10)
    async_host.answer(8)
    assert Stream.seen == ["nothing came within 0.01 s", 200]
    assert async_host.events[-1] == ("continue", "HTTP_REQUEST", STREAM_ID)
    assert scene.left_behind == 1  # the stream itself


def test_others_tasks_are_not_cancelled(async_host: AsyncHost) -> None:
    async def share(stream: Stream) -> Action:
        task = stream.root.create_task(stream.root.http_call("keys", "GET", "/"))
        with pytest.raises(TimeoutError):
            await wait_for(task, 0.01)
        assert not task.done()
        try:
            await gather(task, stream.http_call("a", "GET", "/"))
        except CalloutFailed:
            Stream.seen.append(task.done())
        await gather(task, stream.sleep(9))
        return Action.CONTINUE

    scene = Scene(async_host, headers=share)
    scene.request()
    async_host.tick(10)
    async_host.fail(8)
    assert Stream.seen == [False]
    scene.end()
    assert len(scene.root._http_callouts) == 1
    async_host.answer(4)
    assert scene.left_behind == 0


# --- callback style ---


def test_callouts_without_async(async_host: AsyncHost) -> None:
    async def start(stream: Stream) -> Action:
        def answered(response: HttpResponse) -> None:
            Stream.seen.append((response.status, async_host.effective))
            stream.continue_request()

        def failed(error: CalloutError) -> None:
            Stream.seen.append(type(error))

        stream.start_http_call("a", "GET", "/", answered, on_failure=failed)
        stream.start_http_call("a", "GET", "/", answered, on_failure=failed)
        stream.start_http_call("a", "GET", "/", answered).cancel()
        stream.start_http_call("a", "GET", "/", answered)
        return Action.PAUSE

    scene = Scene(async_host, headers=start)
    scene.request()
    async_host.answer(4)
    async_host.fail(8)
    async_host.answer(12)
    assert Stream.seen == [(200, STREAM_ID), CalloutFailed]
    async_host.fail(16)
    assert async_host.events[-1] == ("answer", 500, STREAM_ID)
    assert "exception in a task of Stream" in async_host.log_text()
    scene.end()
    assert scene.left_behind == 0


# --- gRPC ---


async def grpc_ask(stream: Stream) -> Action:
    try:
        Stream.seen.append(await stream.grpc_call("email", "pkg.S", "M", b"question", metadata={"X-M": "1"}))
    except GrpcError as error:
        Stream.seen.append((error.status, error.message, str(error)))
    except CalloutFailed as error:
        Stream.seen.append(str(error))
    return Action.CONTINUE


def test_a_unary_call(async_host: AsyncHost) -> None:
    scene = Scene(async_host, headers=grpc_ask)
    scene.request()
    # A GrpcService message that names the cluster, in envoy_grpc.cluster_name.
    assert async_host.grpc == [("call", b"\x0a\x07\x0a\x05email", b"pkg.S", b"M", [(b"x-m", b"1")], b"question")]
    async_host.receive(5, b"answer")
    assert Stream.seen == [b"answer"]
    assert async_host.events == [("continue", "HTTP_REQUEST", STREAM_ID)]
    scene.end()
    assert scene.left_behind == 0


@pytest.mark.parametrize(
    ("status", "message", "readable", "text"),
    [
        (7, b"no, %C3%A9 100%25 way%0A!{via_upstream}", "no, é 100% way\n!", "PERMISSION_DENIED: no, é 100% way\n!"),
        (
            4,
            b"upstream request timeout{a{b}}",
            "upstream request timeout",
            "DEADLINE_EXCEEDED: upstream request timeout",
        ),
        (99, b"{x}", "", "status 99"),
        (14, b"no{x}", "no", "UNAVAILABLE: no"),
        (2, b"%zz %4 x}", "%zz %4 x}", "UNKNOWN: %zz %4 x}"),
        (0, b"", "", "INTERNAL"),
    ],
)
def test_a_unary_call_that_fails(async_host: AsyncHost, status: int, message: bytes, readable: str, text: str) -> None:
    scene = Scene(async_host, headers=grpc_ask)
    scene.request()
    async_host.close(5, status, message)
    assert Stream.seen == [(status or GrpcStatus.INTERNAL, readable, text)]


def test_a_unary_call_that_is_late(async_host: AsyncHost) -> None:
    scene = Scene(async_host, headers=grpc_ask)
    scene.request()
    async_host.close(5, GrpcStatus.UNAVAILABLE, b"upstream request timeout{response_timeout}")
    assert Stream.seen[0][0] is GrpcStatus.DEADLINE_EXCEEDED


def test_calls_that_cannot_be_sent(async_host: AsyncHost) -> None:
    async def refused(stream: Stream) -> Action:
        with pytest.raises(ValueError, match="needs the name of a cluster"):
            await stream.grpc_call("", "s", "m", b"")
        with pytest.raises(ValueError, match="a timeout over 0"):
            await stream.grpc_call("c", "s", "m", b"", timeout=0)
        with pytest.raises(ValueError, match="'te' is no metadata"):
            await stream.grpc_call("c", "s", "m", b"", metadata={"TE": "trailers"})
        return await grpc_ask(stream)

    async_host.refusing = Status.INTERNAL_FAILURE
    assert Scene(async_host, headers=refused).request() == 0
    assert Stream.seen == ["the proxy does not send to the cluster 'email': is it in its configuration?"]


def test_long_names_of_clusters(async_host: AsyncHost) -> None:
    async def call(stream: Stream) -> Action:
        await stream.grpc_call("c" * 200, "s", "m", b"")
        return Action.CONTINUE

    Scene(async_host, headers=call).request()
    assert async_host.grpc[0][1] == b"\x0a\xcb\x01\x0a\xc8\x01" + b"c" * 200


async def converse(stream: Stream) -> Action:
    conversation = stream.grpc_stream("g", "pkg.S", "Chat", metadata=[("x", "1"), ("x", "2")])
    conversation.send(b"hello")
    try:
        async for message in conversation:
            Stream.seen.append(message)
            if message == b"two":
                conversation.half_close()
    except GrpcError as error:
        Stream.seen.append(error.status)
    Stream.seen.append(conversation.trailing_metadata.get("x-t"))
    return Action.CONTINUE


def test_a_stream_is_read_message_by_message(async_host: AsyncHost) -> None:
    scene = Scene(async_host, headers=converse)
    scene.request()
    assert async_host.grpc == [
        ("stream", b"\x0a\x03\x0a\x01g", b"pkg.S", b"Chat", [(b"x", b"1"), (b"x", b"2")]),
        ("send", 6, b"hello", 0),
    ]
    async_host.maps[MapType.GRPC_CALL_INITIAL_METADATA] = [(b"x-i", b"1")]
    scene.vm.proxy_on_grpc_receive_initial_metadata(ROOT_ID, 6, 1)
    async_host.receive(6, b"one")
    async_host.receive(6, b"two")
    async_host.maps[MapType.GRPC_CALL_TRAILING_METADATA] = [(b"x-t", b"end")]
    scene.vm.proxy_on_grpc_receive_trailing_metadata(ROOT_ID, 6, 1)
    async_host.close(6, 0)
    assert Stream.seen == [b"one", b"two", "end"]
    assert async_host.grpc[2:] == [("close", 6), ("close", 6)]  # half-closed, then forgotten
    assert async_host.events == [("continue", "HTTP_REQUEST", STREAM_ID)]
    scene.end()
    assert scene.left_behind == 0


def test_a_stream_that_ends_with_an_error(async_host: AsyncHost) -> None:
    scene = Scene(async_host, headers=converse)
    scene.request()
    async_host.receive(6, b"one")
    async_host.close(6, 15, b"lost")
    assert Stream.seen == [b"one", GrpcStatus.DATA_LOSS, None]


def test_a_stream_goes_with_its_context(async_host: AsyncHost) -> None:
    scene = Scene(async_host, headers=converse)
    scene.request()
    async_host.receive(6, b"one")
    scene.end()
    assert async_host.grpc[-1] == ("cancel", 6)
    assert Stream.seen == [b"one", "log"]
    assert scene.left_behind == 0
    async_host.close(6, 1)
    assert async_host.logged == []


def test_answers_that_cannot_be_read_fail_the_callout_not_the_vm(async_host: AsyncHost) -> None:
    scene = Scene(async_host, headers=ask)
    scene.request()
    async_host.maps[MapType.HTTP_CALL_RESPONSE_HEADERS] = [(b":status", b"none")]
    scene.vm.proxy_on_http_call_response(ROOT_ID, 4, 1, 0, 0)
    assert async_host.events == [("answer", 500, STREAM_ID)]
    assert async_host.logged[0][0] == LogLevel.ERROR
