"""What authors' callbacks return, as the numbers that the host understands."""

from __future__ import annotations

from collections.abc import Coroutine
from enum import IntEnum

from pywasm_filter.sdk.abi import Action


def stream_status(result: object, statuses: type[IntEnum], callback: str) -> int:
    """The number of a result. Raises TypeError for anything but an Action or one of `statuses`.

    Not any int: True would pause the stream, and the host traps on numbers that it does not know.
    """
    if isinstance(result, (Action, statuses)):
        return int(result)
    if isinstance(result, Coroutine):
        result.close()
        raise TypeError(f"{callback} cannot be async: proxies cannot resume it")
    raise TypeError(f"{callback} returned {result!r}; return Action.CONTINUE or Action.PAUSE, or a {statuses.__name__}")


def check_ended(result: object, callback: str) -> None:
    """Of a callback that has no result. Raises TypeError for a coroutine, which nobody would run."""
    if isinstance(result, Coroutine):
        result.close()
        raise TypeError(f"{callback} cannot be async: nothing waits for it; begin a task with self.root.create_task")


def success(result: object, callback: str) -> int:
    """The number of a result that is True or False. Raises TypeError for any other."""
    if isinstance(result, bool):
        return int(result)
    raise TypeError(f"{callback} returned {result!r}; return True or False")
