"""Async callbacks in the corners: cancellations, failures and ends that cross each other."""

from __future__ import annotations

from typing import Any

import pytest

from pywasm_filter import (
    Action,
    CancelledError,
    FailurePolicy,
    GrpcError,
    HttpContext,
    HttpResponse,
    InvalidMemoryAccess,
    RootContext,
    StreamContext,
    Task,
    gather,
    wait_for,
)
from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.registry import Registry
from pywasm_filter.sdk.vm import Vm
from tests.unit.sdk.test_sdk_async import (
    ROOT_ID,
    STREAM_ID,
    WAITS_WITH_BODY,
    WAITS_WITH_HEADERS,
    AsyncHost,
    Root,
    Scene,
    Stream,
    async_host,
)

__all__ = ["async_host"]  # a fixture


def continued(host: AsyncHost) -> list[tuple[str, int]]:
    return [(event[1], event[2]) for event in host.events if event[0] == "continue"]


def answered(host: AsyncHost) -> list[tuple[int, int]]:
    return [(event[1], event[2]) for event in host.events if event[0] == "answer"]


async def go_on_after_a_call(stream: Stream) -> Action:
    await stream.http_call("a", "GET", "/")
    return Action.CONTINUE


# --- cancellation that is not the stream's end ---


def test_a_cancellation_of_what_it_awaits_fails_the_stream(async_host: AsyncHost) -> None:
    async def wait(stream: Stream) -> Action:
        await stream.sleep(0.001)
        task = stream.create_task(stream.http_call("a", "GET", "/"))
        task.cancel()
        await task
        return Action.CONTINUE

    scene = Scene(async_host, headers=wait)
    scene.request()
    async_host.tick(1)
    assert answered(async_host) == [(500, STREAM_ID)]
    assert "CancelledError" in async_host.log_text()


def test_a_coroutine_that_swallows_the_streams_end_does_not_resume_it(async_host: AsyncHost) -> None:
    async def swallow(stream: Stream) -> Action:
        try:
            await stream.http_call("a", "GET", "/")
        except BaseException:  # noqa: BLE001 - as it should not be done
            Stream.seen.append("swallowed")
        return Action.CONTINUE

    scene = Scene(async_host, headers=swallow)
    scene.request()
    scene.end()
    assert Stream.seen == ["swallowed", "log"]
    assert continued(async_host) == []


@pytest.mark.parametrize("policy", [FailurePolicy.FAIL_CLOSED, FailurePolicy.FAIL_OPEN])
def test_an_exception_at_the_streams_end_is_logged_and_no_more(async_host: AsyncHost, policy: FailurePolicy) -> None:
    async def clean_up_badly(stream: Stream) -> Action:
        try:
            await stream.http_call("a", "GET", "/")
        finally:
            raise KeyError("cleaning up")

    async def both(stream: Stream) -> Action:
        stream.create_task(clean_up_badly(stream))
        return await clean_up_badly(stream)

    scene = Scene(async_host, headers=both)
    Root.policy = policy
    scene.request()
    scene.end()
    assert async_host.log_text().count("KeyError: 'cleaning up'") == 2
    assert async_host.events == []
    assert scene.vm._failed == set()
    assert scene.left_behind == 0


def test_a_coroutine_that_fails_when_it_is_closed(async_host: AsyncHost) -> None:
    async def stubborn(stream: Stream) -> Action:
        for _ in range(9):
            try:
                await stream.sleep(60)
            except CancelledError:
                pass
            except GeneratorExit:
                raise KeyError("closed") from None
        return Action.CONTINUE

    scene = Scene(async_host, headers=stubborn)
    scene.request()
    stream = scene.vm._https[STREAM_ID]

    def response(num_headers: int, end_of_stream: bool) -> Action:
        raise ValueError("response")

    stream.on_response_headers = response  # type: ignore[method-assign]
    assert scene.vm.proxy_on_response_headers(STREAM_ID, 1, 1) == 1
    assert answered(async_host) == [(500, STREAM_ID)]
    scene.end()
    assert scene.left_behind == 0


def test_a_task_that_is_cancelled_from_below_goes_on_to_its_next_await(async_host: AsyncHost) -> None:
    tasks: list[Task[None]] = []

    async def cancel_the_outer() -> None:
        tasks[0].cancel()

    async def outer(stream: Stream) -> None:
        await stream.sleep(0.001)
        try:
            await gather(cancel_the_outer())
            Stream.seen.append("went on")
            await stream.sleep(60)
        except CancelledError:
            Stream.seen.append("cancelled")
            raise

    async def headers(stream: Stream) -> Action:
        tasks.append(stream.create_task(outer(stream)))
        return Action.CONTINUE

    scene = Scene(async_host, headers=headers)
    scene.request()
    async_host.tick(1)
    assert Stream.seen[-1] == "cancelled"
    assert tasks[0].cancelled()
    scene.end()
    assert "already executing" not in async_host.log_text()
    assert scene.left_behind == 0


# --- two failures, or a failure and an answer ---


def test_a_stream_that_fails_before_its_coroutine_waits_ends_it(async_host: AsyncHost) -> None:
    async def fail() -> None:
        raise KeyError("early")

    async def wait(stream: Stream) -> Action:
        async def inner() -> None:
            stream.create_task(fail())

        await gather(inner())
        try:
            await stream.sleep(60)
        finally:
            Stream.seen.append("ended")
        return Action.CONTINUE

    scene = Scene(async_host, headers=wait)
    scene.request()
    assert answered(async_host) == [(500, STREAM_ID)]
    assert Stream.seen == ["ended"]
    scene.end()
    assert scene.left_behind == 0


@pytest.mark.parametrize(("policy", "status"), [(FailurePolicy.FAIL_CLOSED, 1), (FailurePolicy.FAIL_OPEN, 0)])
def test_a_callback_that_pauses_for_a_task_that_has_failed(
    async_host: AsyncHost, policy: FailurePolicy, status: int
) -> None:
    async def fail() -> None:
        raise KeyError("early")

    scene = Scene(async_host)
    Root.policy = policy
    stream = scene.vm._https[STREAM_ID]

    def pause(num_headers: int, end_of_stream: bool) -> Action:
        stream.create_task(fail())
        return Action.PAUSE

    stream.on_request_headers = pause  # type: ignore[method-assign]
    assert scene.request() == status
    assert answered(async_host) == ([(500, STREAM_ID)] if status else [])
    scene.end()
    assert scene.left_behind == 0


def test_what_came_is_not_shown_to_a_stream_that_has_failed(async_host: AsyncHost) -> None:
    async def fail() -> None:
        raise KeyError("early")

    async def second(stream: Stream) -> Action:
        stream.create_task(fail())
        await stream.sleep(60)
        return Action.CONTINUE

    scene = Scene(async_host, body=go_on_after_a_call)
    Root.policy = FailurePolicy.FAIL_OPEN
    scene.request()
    scene.vm.proxy_on_request_body(STREAM_ID, 3, 0)
    scene.vm.proxy_on_request_body(STREAM_ID, 5, 0)
    scene.vm.proxy_on_request_trailers(STREAM_ID, 1)
    Stream.on_body = second
    async_host.answer(4)
    assert Stream.seen == [("body", 3, False), ("body", 5, False)]
    assert continued(async_host) == [("HTTP_REQUEST", STREAM_ID)]


def test_what_came_is_not_shown_after_an_answer(async_host: AsyncHost) -> None:
    async def deny(stream: Stream) -> Action:
        await stream.http_call("a", "GET", "/")
        return stream.send_local_response(403)

    scene = Scene(async_host, body=deny)
    scene.request()
    assert scene.vm.proxy_on_request_body(STREAM_ID, 3, 0) == WAITS_WITH_BODY
    scene.vm.proxy_on_request_body(STREAM_ID, 5, 0)
    scene.vm.proxy_on_request_trailers(STREAM_ID, 1)
    async_host.answer(4)
    assert Stream.seen == [("body", 3, False)]
    assert async_host.events == [("answer", 403, STREAM_ID)]


def test_a_request_that_its_coroutine_continued_is_not_continued_again(async_host: AsyncHost) -> None:
    async def early(stream: Stream) -> Action:
        await stream.http_call("a", "GET", "/")
        stream.continue_request()
        await stream.http_call("a", "GET", "/")
        return Action.CONTINUE

    scene = Scene(async_host, headers=early)
    scene.request()
    async_host.answer(4)
    assert continued(async_host) == [("HTTP_REQUEST", STREAM_ID)]
    async_host.answer(8)
    assert continued(async_host) == [("HTTP_REQUEST", STREAM_ID)]


def test_what_comes_after_an_early_continue_is_continued_too(async_host: AsyncHost) -> None:
    async def early(stream: Stream) -> Action:
        await stream.http_call("a", "GET", "/")
        stream.continue_request()
        await stream.http_call("a", "GET", "/")
        return Action.CONTINUE

    scene = Scene(async_host, headers=early)
    scene.request()
    async_host.answer(4)
    assert scene.vm.proxy_on_request_body(STREAM_ID, 3, 1) == WAITS_WITH_BODY
    async_host.answer(8)
    assert Stream.seen == [("body", 3, True)]
    assert continued(async_host) == [("HTTP_REQUEST", STREAM_ID)] * 2


def test_the_filters_own_answer_passes_when_its_callback_fails(async_host: AsyncHost) -> None:
    async def deny(stream: Stream) -> Action:
        return stream.send_local_response(403)

    def fail(num_headers: int, end_of_stream: bool) -> Action:
        raise KeyError("boom")

    scene = Scene(async_host, headers=deny)
    scene.request()
    stream = scene.vm._https[STREAM_ID]
    stream.on_response_headers = fail  # type: ignore[method-assign]
    assert scene.vm.proxy_on_response_headers(STREAM_ID, 1, 1) == 0
    assert answered(async_host) == [(403, STREAM_ID)]


def test_the_filters_own_answer_passes_when_its_coroutine_fails(async_host: AsyncHost) -> None:
    async def deny(stream: Stream) -> Action:
        return stream.send_local_response(403)

    async def fail(stream: Stream, num_headers: int, end_of_stream: bool) -> Action:
        await stream.http_call("a", "GET", "/")
        raise KeyError("boom")

    scene = Scene(async_host, headers=deny)
    scene.request()
    stream = scene.vm._https[STREAM_ID]
    stream.on_response_headers = fail.__get__(stream)  # type: ignore[method-assign]
    assert scene.vm.proxy_on_response_headers(STREAM_ID, 1, 1) == WAITS_WITH_HEADERS
    async_host.answer(4)
    assert answered(async_host) == [(403, STREAM_ID)]
    assert continued(async_host) == [("HTTP_RESPONSE", STREAM_ID)]


@pytest.mark.parametrize("policy", [FailurePolicy.FAIL_CLOSED, FailurePolicy.FAIL_OPEN])
def test_the_filters_own_answer_passes_when_a_task_fails(async_host: AsyncHost, policy: FailurePolicy) -> None:
    async def fail(stream: Stream) -> None:
        await stream.http_call("a", "GET", "/")
        raise KeyError("boom")

    async def deny(stream: Stream) -> Action:
        stream.create_task(fail(stream))
        return stream.send_local_response(403)

    async def wait(stream: Stream, num_headers: int, end_of_stream: bool) -> Action:
        await stream.sleep(60)
        return Action.CONTINUE

    scene = Scene(async_host, headers=deny)
    Root.policy = policy
    scene.request()
    stream = scene.vm._https[STREAM_ID]
    stream.on_response_headers = wait.__get__(stream)  # type: ignore[method-assign]
    assert scene.vm.proxy_on_response_headers(STREAM_ID, 1, 1) == WAITS_WITH_HEADERS
    async_host.answer(4)
    assert answered(async_host) == [(403, STREAM_ID)]
    assert continued(async_host) == [("HTTP_RESPONSE", STREAM_ID)]


# --- contexts ---


def test_what_a_stream_began_that_could_not_be_created_is_given_up(async_host: AsyncHost) -> None:
    class Failing(HttpContext[Any]):
        def on_context_create(self) -> None:
            self.start_http_call("a", "GET", "/", lambda response: None)
            raise KeyError("boom")

    scene = Scene(async_host)
    scene.end()
    scene.root.create_http_context = lambda context_id: Failing(context_id, scene.root)  # type: ignore[method-assign]
    scene.vm.proxy_on_context_create(9, ROOT_ID)
    assert scene.vm.proxy_on_request_headers(9, 1, 1) == 1
    scene.vm.proxy_on_done(9)
    scene.vm.proxy_on_delete(9)
    assert scene.left_behind == 0


def test_what_a_stream_begins_in_on_delete_is_given_up(async_host: AsyncHost) -> None:
    told: list[HttpResponse] = []
    scene = Scene(async_host)
    scene.request()
    stream = scene.vm._https[STREAM_ID]

    def begin() -> None:
        stream.start_http_call("a", "POST", "/", told.append)
        raise KeyError("boom")

    stream.on_delete = begin  # type: ignore[method-assign]
    scene.end()
    assert len(async_host.calls) == 1
    assert scene.left_behind == 0
    async_host.answer(4)
    assert told == []
    assert async_host.log_text().count("Traceback") == 1


@pytest.mark.parametrize("callback", ["on_context_create", "on_log", "on_delete"])
def test_callbacks_that_nothing_waits_for_cannot_be_async(async_host: AsyncHost, callback: str) -> None:
    async def wait(stream: HttpContext[Any]) -> None:
        await stream.http_call("a", "GET", "/")

    scene = Scene(async_host)
    scene.end()
    asynchronous = type("Asynchronous", (HttpContext,), {callback: wait})
    scene.root.create_http_context = lambda context_id: asynchronous(context_id, scene.root)  # type: ignore[method-assign]
    scene.vm.proxy_on_context_create(9, ROOT_ID)
    scene.vm.proxy_on_request_headers(9, 1, 1)
    scene.vm.proxy_on_log(9)
    scene.vm.proxy_on_delete(9)
    assert f"TypeError: {callback} cannot be async: nothing waits for it" in async_host.log_text()
    assert async_host.calls == []


def test_who_waits_for_a_task_of_another_stream_goes_on_though_its_on_delete_fails(async_host: AsyncHost) -> None:
    tasks: list[Task[HttpResponse]] = []

    async def share(stream: Stream) -> Action:
        if not tasks:
            tasks.append(stream.create_task(stream.http_call("keys", "GET", "/")))
        try:
            await tasks[0]
        except CancelledError:
            if stream.context_id == STREAM_ID:
                raise
            return stream.send_local_response(503)
        return Action.CONTINUE

    scene = Scene(async_host, headers=share)
    scene.request()
    scene.vm.proxy_on_context_create(3, ROOT_ID)
    scene.vm.proxy_on_request_headers(3, 1, 1)

    def fail() -> None:
        raise KeyError("boom")

    scene.vm._https[STREAM_ID].on_delete = fail  # type: ignore[method-assign]
    scene.end()
    assert answered(async_host) == [(503, 3)]


def test_a_root_that_ends_ends_its_tasks(async_host: AsyncHost) -> None:
    async def forever(root: RootContext[Any]) -> None:
        try:
            while True:
                await root.sleep(1)
        finally:
            Stream.seen.append("ended")

    scene = Scene(async_host)
    scene.root.create_task(forever(scene.root))
    root = scene.root
    scene.end()
    scene.vm.proxy_on_done(ROOT_ID)
    scene.vm.proxy_on_delete(ROOT_ID)
    assert Stream.seen == ["log", "ended"]
    assert root._own_timers is not None
    assert len(root._own_timers) == 0
    scene.vm.proxy_on_tick(ROOT_ID)


# --- time ---


def test_a_failing_on_tick_does_not_keep_sleepers_from_waking(async_host: AsyncHost) -> None:
    async def nap(stream: Stream) -> Action:
        await stream.sleep(0.1)
        return Action.CONTINUE

    def fail() -> None:
        raise KeyError("tick")

    scene = Scene(async_host, headers=nap)
    scene.root.on_tick = fail  # type: ignore[method-assign]
    scene.root.set_tick_period(0.1)
    scene.request()
    async_host.tick(100)
    assert "KeyError: 'tick'" in async_host.log_text()
    assert continued(async_host) == [("HTTP_REQUEST", STREAM_ID)]


def test_a_clock_that_is_set_back_does_not_stop_the_authors_tick(async_host: AsyncHost) -> None:
    scene = Scene(async_host)
    async_host.now = 10**18
    scene.root.set_tick_period(0.1)
    async_host.tick(100)
    async_host.now -= 3600 * 10**9
    for _ in range(3):
        async_host.tick(100)
    assert len(Root.ticks) >= 3


@pytest.mark.parametrize("seconds", [float("inf"), float("-inf"), 1e308, -1e-9])
def test_times_that_no_host_can_keep(async_host: AsyncHost, seconds: float) -> None:
    async def nap(stream: Stream) -> Action:
        with pytest.raises(ValueError, match="a time to sleep is a number of seconds from 0"):
            await stream.sleep(seconds)
        return Action.PAUSE

    assert Scene(async_host, headers=nap).request() == 1


def test_no_time_at_all(async_host: AsyncHost) -> None:
    async def impatient(stream: Stream) -> Action:
        await stream.sleep(0)
        Stream.seen.append("slept")
        with pytest.raises(TimeoutError):
            await wait_for(stream.http_call("a", "GET", "/"), 0)
        return Action.CONTINUE

    scene = Scene(async_host, headers=impatient)
    scene.request()
    async_host.tick(1)
    async_host.tick(1)
    assert Stream.seen == ["slept"]
    assert continued(async_host) == [("HTTP_REQUEST", STREAM_ID)]


def test_a_coroutine_that_is_gathered_twice_runs_once(async_host: AsyncHost) -> None:
    async def twice(stream: Stream) -> Action:
        call = stream.http_call("a", "GET", "/")
        first, second = await gather(call, call)
        Stream.seen.append((first.status, second.status))
        return Action.CONTINUE

    scene = Scene(async_host, headers=twice)
    scene.request()
    async_host.answer(4)
    assert Stream.seen == [(200, 200)]


# --- callouts ---


@pytest.mark.parametrize("name", [":path", ":METHOD", b":authority", "Host"])
def test_a_request_has_one_path(async_host: AsyncHost, name: str | bytes) -> None:
    async def forward(stream: Stream) -> Action:
        with pytest.raises(ValueError, match="cannot be among the headers: say method, path and authority"):
            await stream.http_call("a", "GET", "/", headers=[(name, "/../admin")])
        await stream.http_call("a", "GET", "/", headers={":scheme": "https"})
        return Action.CONTINUE

    Scene(async_host, headers=forward).request()
    assert [call[1][3:] for call in async_host.calls] == [[(b":scheme", b"https")]]


def test_headers_of_answers_are_found_in_any_case(async_host: AsyncHost) -> None:
    async def ask(stream: Stream) -> Action:
        headers = (await stream.http_call("a", "GET", "/")).headers
        Stream.seen.append((headers["x-a"], headers.get("X-A"), headers.getall("x-a")))
        return Action.CONTINUE

    Scene(async_host, headers=ask).request()
    async_host.answer(4, headers=[(b"X-A", b"1")])
    assert Stream.seen == [("1", "1", ["1"])]


@pytest.mark.parametrize("stream_call", [False, True])
def test_a_message_that_cannot_be_read_fails_who_awaits_it(async_host: AsyncHost, stream_call: bool) -> None:
    async def ask(stream: Stream) -> Action:
        answer = anext(stream.grpc_stream("g", "s", "m")) if stream_call else stream.grpc_call("g", "s", "m", b"")
        with pytest.raises(InvalidMemoryAccess):
            await answer
        return Action.CONTINUE

    scene = Scene(async_host, headers=ask)
    scene.request()
    async_host.status = Status.INVALID_MEMORY_ACCESS
    async_host.receive(6 if stream_call else 5, b"much")
    assert async_host.logged == []
    assert continued(async_host) == [("HTTP_REQUEST", STREAM_ID)]
    scene.end()
    assert scene.left_behind == 0


def test_a_long_message_of_an_error(async_host: AsyncHost) -> None:
    async def ask(stream: Stream) -> Action:
        with pytest.raises(GrpcError) as failed:
            await stream.grpc_call("g", "s", "m", b"")
        Stream.seen.append(failed.value.message)
        return Action.CONTINUE

    Scene(async_host, headers=ask).request()
    async_host.close(5, 7, b"%41%zz%" * 20_000 + b"}" * 20_000)
    assert Stream.seen == ["A%zz%" * 20_000 + "}" * 20_000]


# --- TCP ---


class Connection(StreamContext["ConnectionRoot"]):
    async def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        await self.sleep(60)
        return Action.CONTINUE

    def on_upstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        raise KeyError("boom")


class Pausing(StreamContext[Any]):
    def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        self.create_task(self.fail())
        return Action.PAUSE

    async def fail(self) -> None:
        raise KeyError("early")


class ConnectionRoot(RootContext):
    stream_context = Connection
    failure_policy = FailurePolicy.FAIL_OPEN


def test_a_connection_that_passes_after_a_failure_is_resumed(async_host: AsyncHost) -> None:
    registry = Registry()
    registry.add(ConnectionRoot, "")
    vm = async_host.vm = Vm(registry)
    vm.proxy_on_context_create(ROOT_ID, 0)
    vm.proxy_on_context_create(STREAM_ID, ROOT_ID)
    assert vm.proxy_on_downstream_data(STREAM_ID, 3, 0) == 1
    assert vm.proxy_on_upstream_data(STREAM_ID, 3, 0) == 0
    assert [name for name, _ in continued(async_host)] == ["DOWNSTREAM"]
    assert vm.proxy_on_downstream_data(STREAM_ID, 3, 0) == 0


def test_a_connection_that_pauses_for_a_task_that_has_failed(async_host: AsyncHost) -> None:
    class PausingRoot(RootContext):
        stream_context = Pausing
        failure_policy = FailurePolicy.FAIL_OPEN

    registry = Registry()
    registry.add(PausingRoot, "")
    vm = async_host.vm = Vm(registry)
    vm.proxy_on_context_create(ROOT_ID, 0)
    vm.proxy_on_context_create(STREAM_ID, ROOT_ID)
    assert vm.proxy_on_downstream_data(STREAM_ID, 3, 0) == 0
