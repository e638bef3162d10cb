"""What becomes of a stream, and of the VM, when an exception leaves the author's code."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from pywasm_filter.sdk.abi import LogLevel
from pywasm_filter.sdk.exceptions import ConfigurationError
from pywasm_filter.sdk.failures import describe
from pywasm_filter.sdk.output import finish_lines, log

if TYPE_CHECKING:
    from pywasm_filter.sdk.contexts import Context, RootContext

_CONTINUE = 0
_PAUSE = 1


class FailurePolicy(Enum):
    """What happens to a stream when an exception leaves one of its callbacks. It is always logged first."""

    FAIL_CLOSED = "fail_closed"
    """Answer 500; where the response has begun, reset the stream. A TCP connection is closed."""

    FAIL_OPEN = "fail_open"
    """Let the stream pass, without any further callback of this filter but those of its end, such as `on_log`."""

    TRAP = "trap"
    """Trap the VM: the proxy handles it by its own policy, and all streams of this VM fail with it."""


class FailureHandler:
    """Logs exceptions and applies the policy of the root context. One for a VM.

    `failed` holds the ids of the streams that get no more callbacks. Exceptions in `passing` are let through: a test
    run in process must see KeyboardInterrupt.
    """

    def __init__(self, passing: tuple[type[BaseException], ...] = ()) -> None:
        self.passing = passing
        self.failed: set[int] = set()
        self._trapping: BaseException | None = None

    def report(self, where: str, error: BaseException) -> None:
        """Log an exception with its traceback. Raises it again if it is one to let through."""
        if isinstance(error, self.passing) or error is self._trapping:
            raise error
        finish_lines()  # what the author printed on the way stands before the traceback
        try:
            text = describe(where, error)
        except BaseException:  # noqa: BLE001 - out of memory, say; the failure itself must still be told
            text = f"{type(error).__name__} in {where}; its traceback could not be formatted"
        log(LogLevel.ERROR, text)

    def root_failed(self, root: RootContext[Any], where: str, error: BaseException) -> int:
        """An exception left a callback or a task of a root context. Returns 0; raises it where the policy is TRAP."""
        if isinstance(error, ConfigurationError) and not isinstance(error, self.passing):
            log(LogLevel.ERROR, str(error))  # it says all there is to say
            return 0
        self.report(where, error)
        if self._policy(root, root, error) is FailurePolicy.TRAP:
            self._trapping = error
            raise error
        return 0

    def stream_failed(self, stream: Context, where: str, error: BaseException) -> int:
        """An exception left a callback of a stream. Returns what to answer the host: 0 to continue, 1 to stop."""
        self.report(where, error)
        policy = self._policy(stream._plugin(), stream, error)
        if policy is FailurePolicy.TRAP:
            self._trapping = error
            raise error
        self.failed.add(stream.context_id)
        stream._end_scope()
        if policy is FailurePolicy.FAIL_OPEN:
            return _CONTINUE
        stream._fail_closed()
        return _PAUSE

    def task_failed(self, context: Context, error: BaseException) -> None:
        """An exception left a task of a context, and nobody awaits the task. Handled as one of a callback's."""
        root = context._plugin()
        where = f"a task of {type(context).__name__}"
        if context._over or context.context_id in self.failed:
            self.report(where, error)
        elif context is root:
            self.root_failed(root, where, error)
        elif self.stream_failed(context, where, error) == _CONTINUE:
            context._let_pass()

    def _policy(self, root: RootContext[Any], context: Context, error: BaseException) -> FailurePolicy:
        where = f"{type(root).__name__}.on_exception"
        try:
            policy: object = root.on_exception(error, context)
            if isinstance(policy, FailurePolicy):
                return policy
            raise TypeError(f"on_exception returned {policy!r}; return a FailurePolicy")
        except BaseException as second:  # noqa: BLE001 - nothing may leave a callback
            self.report(where, second)
            return root.failure_policy
