"""Directions of a stream whose async callback awaits something: what arrives meanwhile, and how they go on."""

from __future__ import annotations

from collections.abc import Coroutine
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from pywasm_filter.sdk.abi import (
    FilterDataStatus,
    FilterHeadersStatus,
    FilterStatus,
    FilterTrailersStatus,
)
from pywasm_filter.sdk.failure_policy import FailureHandler
from pywasm_filter.sdk.statuses import stream_status
from pywasm_filter.sdk.tasks import Task

if TYPE_CHECKING:
    from pywasm_filter.sdk.contexts import Context
    from pywasm_filter.sdk.http_context import HttpContext
    from pywasm_filter.sdk.stream_context import StreamContext

HOLD = 1
"""To a data or trailers callback: keep what there is, and show all of it the next time."""

_CONTINUE = 0

_SUSPENDED = {
    # Not STOP_ITERATION: with Envoy's allow_on_headers_stop_iteration the body would come while the headers wait.
    FilterHeadersStatus: int(FilterHeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK),
    FilterDataStatus: int(FilterDataStatus.STOP_ITERATION_AND_BUFFER),
    FilterTrailersStatus: int(FilterTrailersStatus.STOP_ITERATION),
    FilterStatus: int(FilterStatus.STOP_ITERATION),
}


class Flow:
    """One direction. `start` runs a coroutine; the `hold_` methods keep what comes while it waits."""

    def __init__(self, stream: Context, failures: FailureHandler) -> None:
        self._stream = stream
        self._failures = failures
        self._suspended = False
        self._data: tuple[int, bool] | None = None
        self._trailers: int | None = None

    def start(self, coroutine: Coroutine[Any, Any, object], statuses: type[IntEnum], callback: str) -> int:
        """Run a callback's coroutine and return what to answer the host: its result, or a pause while it waits.

        Raises what the coroutine raises before it waits.
        """
        task = Task(coroutine, self._stream)
        task._observed = True
        task._step()
        if task._done:
            return self._status(task.result(), statuses, callback)
        self._suspended = True
        self._stream._enter_scope(task)
        task._when_done(lambda: self._ended(task, statuses, callback))
        if self._stream.context_id in self._failures.failed:  # one of its tasks has just failed
            task.cancel()
            return HOLD if self._replaced() else _CONTINUE
        self._attach()
        return _SUSPENDED[statuses]

    def hold_data(self, size: int, end_of_stream: bool) -> int:
        """Data has arrived; `size` counts all that the host holds. Returns what to answer."""
        self._data = (size, end_of_stream)
        self._attach()
        return HOLD

    def hold_trailers(self, num_trailers: int) -> int:
        """Trailers have arrived. Returns what to answer."""
        self._trailers = num_trailers
        self._attach()
        return HOLD

    def _ended(self, task: Task[object], statuses: type[IntEnum], callback: str) -> None:
        self._suspended = False
        where = f"{type(self._stream).__name__}.{callback}"
        if task._cancellations:  # the stream has ended, or failed
            self._detach()
            if task._error is not None and not task.cancelled():
                self._failures.report(where, task._error)
            if not self._stream._over:
                self._pass_own_answer()
            return
        try:
            status = self._status(task.result(), statuses, callback)
            if statuses is FilterHeadersStatus and status == FilterHeadersStatus.CONTINUE_AND_END_STREAM:
                raise TypeError(
                    f"{callback} returned CONTINUE_AND_END_STREAM after an await: that is possible before only"
                )
            status = self._show_what_came(status)
        except BaseException as error:  # noqa: BLE001 - nothing may leave a callback
            self._detach()
            if self._failures.stream_failed(self._stream, where, error) == _CONTINUE:
                self._stream._let_pass()
            self._pass_own_answer()
            return
        if not self._suspended:
            self._detach()
            if status == _CONTINUE and not self._replaced():
                self._resume()

    def _show_what_came(self, status: int) -> int:
        """Hand what was held to its callbacks, unless one of these waits in turn. Returns the last one's status."""
        while not (self._suspended or self._replaced() or self._stream.context_id in self._failures.failed):
            if self._data is None and self._trailers is None:
                break
            statuses: type[IntEnum]
            if self._data is not None:
                (size, end_of_stream), self._data = self._data, None
                result, statuses, callback = self._call_data(size, end_of_stream)
            else:
                assert self._trailers is not None
                num_trailers, self._trailers = self._trailers, None
                result, statuses, callback = self._call_trailers(num_trailers)
            if isinstance(result, Coroutine):
                status = self.start(result, statuses, callback)
            else:
                status = self._status(result, statuses, callback)
        return status

    def _status(self, result: object, statuses: type[IntEnum], callback: str) -> int:
        status = stream_status(result, statuses, callback)
        self._note(statuses is FilterDataStatus and status != _CONTINUE)
        return status

    def _note(self, collecting: bool) -> None:
        """Whether the callback that has just ended collects a body."""

    def _call_data(self, size: int, end_of_stream: bool) -> tuple[object, type[IntEnum], str]:
        raise NotImplementedError

    def _call_trailers(self, num_trailers: int) -> tuple[object, type[IntEnum], str]:
        raise NotImplementedError

    def _replaced(self) -> bool:
        """Whether an answer of the filter's has taken the place of this direction."""
        return False

    def _pass_own_answer(self) -> None:
        """Let the response go on if it is the filter's own answer: there will be no other."""

    def _attach(self) -> None:
        raise NotImplementedError

    def _detach(self) -> None:
        raise NotImplementedError

    def _resume(self) -> None:
        """Let it go on, unless the author has done so."""
        raise NotImplementedError


class RequestFlow(Flow):
    """The request of an HTTP stream."""

    def __init__(self, stream: HttpContext[Any], failures: FailureHandler) -> None:
        super().__init__(stream, failures)
        self._http = stream

    def _call_data(self, size: int, end_of_stream: bool) -> tuple[object, type[IntEnum], str]:
        return self._http.on_request_body(size, end_of_stream), FilterDataStatus, "on_request_body"

    def _call_trailers(self, num_trailers: int) -> tuple[object, type[IntEnum], str]:
        return self._http.on_request_trailers(num_trailers), FilterTrailersStatus, "on_request_trailers"

    def _note(self, collecting: bool) -> None:
        self._http._request_collecting = collecting

    def _replaced(self) -> bool:
        return self._http._answered

    def _attach(self) -> None:
        self._http._request_flow = self
        self._http._request_paused = True

    def _detach(self) -> None:
        self._http._request_flow = None

    def _resume(self) -> None:
        if self._http._request_paused:
            self._http.continue_request()


class ResponseFlow(Flow):
    """The response of an HTTP stream."""

    def __init__(self, stream: HttpContext[Any], failures: FailureHandler) -> None:
        super().__init__(stream, failures)
        self._http = stream
        self._is_the_filters = stream._answered

    def _call_data(self, size: int, end_of_stream: bool) -> tuple[object, type[IntEnum], str]:
        return self._http.on_response_body(size, end_of_stream), FilterDataStatus, "on_response_body"

    def _call_trailers(self, num_trailers: int) -> tuple[object, type[IntEnum], str]:
        return self._http.on_response_trailers(num_trailers), FilterTrailersStatus, "on_response_trailers"

    def _note(self, collecting: bool) -> None:
        self._http._response_collecting = collecting

    def _replaced(self) -> bool:
        return self._http._answered and not self._is_the_filters

    def _pass_own_answer(self) -> None:
        if self._is_the_filters:
            self._resume()

    def _attach(self) -> None:
        self._http._response_flow = self
        self._http._response_paused = True

    def _detach(self) -> None:
        self._http._response_flow = None

    def _resume(self) -> None:
        if self._http._response_paused:
            self._http.continue_response()


class DownstreamFlow(Flow):
    """What comes from the client of a TCP connection."""

    def __init__(self, stream: StreamContext[Any], failures: FailureHandler) -> None:
        super().__init__(stream, failures)
        self._connection = stream

    def _call_data(self, size: int, end_of_stream: bool) -> tuple[object, type[IntEnum], str]:
        return self._connection.on_downstream_data(size, end_of_stream), FilterStatus, "on_downstream_data"

    def _attach(self) -> None:
        self._connection._downstream_flow = self
        self._connection._downstream_paused = True

    def _detach(self) -> None:
        self._connection._downstream_flow = None

    def _resume(self) -> None:
        if self._connection._downstream_paused:
            self._connection.continue_downstream()


def start_async_http(
    stream: HttpContext[Any],
    failures: FailureHandler,
    coroutine: Coroutine[Any, Any, object],
    statuses: type[IntEnum],
    callback: str,
    request: bool,
) -> int:
    """Run the coroutine of an HTTP callback; see `Flow.start`."""
    flow = RequestFlow(stream, failures) if request else ResponseFlow(stream, failures)
    return flow.start(coroutine, statuses, callback)


def start_async_network(
    stream: StreamContext[Any], failures: FailureHandler, coroutine: Coroutine[Any, Any, object], callback: str
) -> int:
    """Run the coroutine of a connection's callback; see `Flow.start`."""
    return DownstreamFlow(stream, failures).start(coroutine, FilterStatus, callback)
