"""Coroutines of async callbacks: what they wait for, and how they go on.

There is no event loop. A coroutine runs until it awaits something that is not there yet; the host's callback that
brings it (an answer, a tick) completes the future, and `run_ready` lets the coroutine go on before it returns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from pywasm_filter.sdk.exceptions import HostError

if TYPE_CHECKING:
    from pywasm_filter.sdk.contexts import Context

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")

_MOST_CANCELLATIONS = 3


class CancelledError(BaseException):
    """The stream is gone, or the task was cancelled: the coroutine is to clean up and end.

    Not an Exception, so that `except Exception` does not swallow it.
    """


class Future(Generic[T]):
    """A result that is not there yet. It is awaited; the SDK completes it."""

    __slots__ = ("_callbacks", "_done", "_error", "_observed", "_value")

    def __init__(self) -> None:
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._observed = False
        """Whether somebody awaits it, who then gets its error."""

    def __await__(self) -> Generator[Future[Any], None, T]:
        self._observed = True
        while not self._done:
            yield self
        return self.result()

    def done(self) -> bool:
        """Whether it is complete: with a result, an error, or by cancellation."""
        return self._done

    def cancelled(self) -> bool:
        """Whether it ended by cancellation."""
        return isinstance(self._error, CancelledError)

    def result(self) -> T:
        """The result. Raises the error it ended with; RuntimeError when it is not complete."""
        if not self._done:
            raise RuntimeError("the result is not there yet: await it")
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value

    def cancel(self) -> None:
        """Give it up: whoever awaits it gets CancelledError. Has no effect once it is complete."""
        self._complete(None, CancelledError())

    def _complete(self, value: Any, error: BaseException | None) -> None:
        if self._done:
            return
        self._done = True
        self._value = value
        self._error = error
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def _when_done(self, callback: Callable[[], None]) -> None:
        if self._done:
            callback()
        else:
            self._callbacks.append(callback)

    def _forget(self, callback: Callable[[], None]) -> None:
        if callback in self._callbacks:
            self._callbacks.remove(callback)


class Task(Future[T]):
    """A coroutine on its way. Await it for its result, or `cancel` it.

    It belongs to a context and is cancelled when that ends; whenever it goes on, hostcalls act for that context.
    """

    __slots__ = ("_awaited", "_cancellations", "_coroutine", "_failed_early", "_owner", "_stepping", "_thrown")

    def __init__(self, coroutine: Coroutine[Any, Any, T], owner: Context) -> None:
        super().__init__()
        self._coroutine = coroutine
        self._owner = owner
        self._awaited: Future[Any] | None = None
        self._thrown: BaseException | None = None
        self._cancellations = 0
        self._stepping = False
        self._failed_early: list[Task[Any]] = []

    def cancel(self) -> None:
        """Raise CancelledError where the coroutine waits. A task that runs gets it at its next await."""
        if self._done:
            return
        self._cancellations += 1
        self._thrown = CancelledError()
        if not self._stepping:
            self._stop_waiting()
            self._step()

    def _start_in_background(self) -> None:
        """Begin to run as a task whose failure is told to its context, unless somebody awaits it."""
        self._step()
        if not self._done:
            self._owner._enter_scope(self)
            self._when_done(self._report_unobserved)
        elif _running is not None:
            _running._failed_early.append(self)  # who runs may await it in a moment
        else:
            self._report_unobserved()

    def _report_unobserved(self) -> None:
        if self._error is not None and not self._observed and not self.cancelled():
            self._owner._task_failed(self._error)

    def _wake(self) -> None:
        self._awaited = None
        _ready.append(self)

    def _stop_waiting(self) -> None:
        if self._awaited is not None:
            self._awaited._forget(self._wake)
            self._awaited = None
        if self in _ready:
            _ready.remove(self)

    def _step(self) -> None:
        """Run until the next await of something that is not there, or to the end."""
        global _running
        previous, _running = _running, self
        self._stepping = True
        try:
            while not self._done and self._awaited is None:
                self._advance()
        finally:
            self._stepping = False
            _running = previous
        while self._failed_early:
            self._failed_early.pop()._report_unobserved()

    def _advance(self) -> None:
        error, self._thrown = self._thrown, None
        try:
            awaited: object = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
        except StopIteration as stop:
            self._complete(stop.value, None)
        except BaseException as raised:  # noqa: BLE001 - it goes to who awaits the task, or to the log
            self._complete(None, raised)
        else:
            self._wait_for(awaited)

    def _wait_for(self, awaited: object) -> None:
        if self._cancellations and isinstance(awaited, Future) and not isinstance(awaited, Task):
            awaited.cancel()  # it shall not wait for anything any more
        if self._cancellations >= _MOST_CANCELLATIONS:
            # It catches CancelledError and goes on, again and again. Closing it raises what says so.
            try:
                self._coroutine.close()
            except BaseException as error:  # noqa: BLE001 - it may raise anything else, too
                self._complete(None, error)
            else:
                self._complete(None, CancelledError())
        elif self._cancellations:
            self._cancellations += 1
            self._thrown = CancelledError()
        elif isinstance(awaited, Future):
            self._awaited = awaited
            awaited._when_done(self._wake)
        else:
            self._thrown = TypeError(
                f"a filter's coroutine cannot await {awaited!r}: only what pywasm_filter offers, such as http_call, "
                "sleep and gather; there is no asyncio in a proxy"
            )


_ready: list[Task[Any]] = []
_running: Task[Any] | None = None


def run_ready() -> None:
    """Let all tasks go on whose awaited results have come, each acting for its own context."""
    while _ready:
        task = _ready.pop(0)
        if task._done:
            continue
        try:
            task._owner.make_effective()
        except HostError:  # its context is gone
            task.cancel()
        else:
            task._step()


def running_task() -> Task[Any]:
    """The task whose coroutine is being run. Raises RuntimeError outside of async code."""
    if _running is None:
        raise RuntimeError("this works only in a coroutine that the proxy runs: an async callback or a task")
    return _running


class Scope:
    """What a context has under way: tasks and callouts. They end with the context."""

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: dict[Future[Any], None] = {}

    def __len__(self) -> int:
        return len(self._futures)

    def enter(self, future: Future[Any]) -> None:
        """Keep it until it is complete."""
        if not future._done:
            self._futures[future] = None
            future._when_done(lambda: self._leave(future))

    def end(self) -> None:
        """Cancel all of it, the tasks first: they may want to end their callouts themselves."""
        for future in list(self._futures):
            if isinstance(future, Task):
                future.cancel()
        for future in list(self._futures):
            future.cancel()

    def _leave(self, future: Future[Any]) -> None:
        self._futures.pop(future, None)


async def _result_of(awaitable: Awaitable[T]) -> T:
    return await awaitable


def as_future(awaitable: Awaitable[T], owner: Context) -> Future[T]:
    """A future for anything that can be awaited; a coroutine begins to run, as a task of `owner`."""
    if isinstance(awaitable, Future):
        awaitable._observed = True
        return awaitable
    task = Task(awaitable if isinstance(awaitable, Coroutine) else _result_of(awaitable), owner)
    task._step()
    return task


@overload
async def gather(first: Awaitable[T1], /) -> tuple[T1]: ...


@overload
async def gather(first: Awaitable[T1], second: Awaitable[T2], /) -> tuple[T1, T2]: ...


@overload
async def gather(first: Awaitable[T1], second: Awaitable[T2], third: Awaitable[T3], /) -> tuple[T1, T2, T3]: ...


@overload
async def gather(
    first: Awaitable[T1], second: Awaitable[T2], third: Awaitable[T3], fourth: Awaitable[T4], /
) -> tuple[T1, T2, T3, T4]: ...


@overload
async def gather(*awaitables: Awaitable[T]) -> tuple[T, ...]: ...


async def gather(*awaitables: Awaitable[Any]) -> tuple[Any, ...]:
    """Wait for several at once: `user, quota = await gather(self.http_call(...), self.http_call(...))`.

    Returns the results in order. When one raises, the coroutines among the others are cancelled, and the exception goes
    on; tasks may have others who wait for them, and go on. Raises RuntimeError outside of async code.
    """
    owner = running_task()._owner
    futures: list[Future[Any]] = []
    try:
        for index, awaitable in enumerate(awaitables):
            same = next(place for place, other in enumerate(awaitables) if other is awaitable)
            futures.append(futures[same] if same < index else as_future(awaitable, owner))
        await _all_of(futures)
        return tuple([future.result() for future in futures])
    except GeneratorExit:  # there is no proxy any more
        raise
    except BaseException:
        for awaitable, future in zip(awaitables, futures, strict=False):
            if future is not awaitable:
                future.cancel()
        for awaitable in awaitables[len(futures) :]:
            if isinstance(awaitable, Coroutine):
                awaitable.close()
        raise


def _all_of(futures: list[Future[Any]]) -> Future[None]:
    """Complete when all are, or with the first error."""
    outcome: Future[None] = Future()

    def check() -> None:
        if outcome._done:
            return
        for future in futures:
            if future._error is not None:
                outcome._complete(None, future._error)
                return
        if all(future._done for future in futures):
            outcome._complete(None, None)

    if futures:
        for future in futures:
            future._when_done(check)
    else:
        outcome._complete(None, None)
    return outcome
