"""Keeps what crosses between proxy and plugin as it is; `trace.py` makes it readable when somebody looks."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

Argument: TypeAlias = "int | bytes"
Answer: TypeAlias = "int | tuple[Argument, ...]"
"""What a hostcall answers: a status, or a status and its results."""

KEPT_BYTES = 16 * 1024
"""So much of a buffer is kept."""
KEPT_CROSSINGS = 5_000

HOSTCALL, INTERCEPTED, CALLBACK, RETURN = range(4)

AnswerT = TypeVar("AnswerT", bound="int | tuple[Argument, ...]")


class Clipped(bytes):
    """The beginning of a buffer that had `size` bytes."""

    size: int

    def __new__(cls, data: bytes) -> Clipped:
        """Keep KEPT_BYTES of the data."""
        self = super().__new__(cls, data[:KEPT_BYTES])
        self.size = len(data)
        return self


class Raised:
    """Ends a crossing in the place of an answer: the text of an exception, whose frames are not kept alive."""

    def __init__(self, error: BaseException) -> None:
        self.kind = type(error).__name__
        self.text = str(error)


class Entry(NamedTuple):
    """One crossing as it was.

    `kind` is HOSTCALL, INTERCEPTED for one that did not reach the host, CALLBACK, or RETURN for the end of a callback.
    `moment` is the context that a hostcall acted for, the time in nanoseconds at which a callback began, 0 for its end.
    `answer` is None for the beginning of a callback.
    """

    number: int
    kind: int
    vm_name: str
    moment: int
    name: str
    args: tuple[Argument, ...]
    answer: Answer | Raised | None


class Recorder:
    """The last crossings of all VMs of a proxy."""

    def __init__(self, now_ns: Callable[[], int], kept: int = KEPT_CROSSINGS) -> None:
        self._now_ns = now_ns
        self._numbers = itertools.count()
        # Tuples in the shape of Entry: making one of these takes a third of the time.
        self._entries: deque[tuple[int, int, str, int, str, tuple[Argument, ...], Answer | Raised | None]] = deque(
            maxlen=kept
        )

    @property
    def next_number(self) -> int:
        """The number of the next entry."""
        return self._entries[-1][0] + 1 if self._entries else 0

    def entries(self, since: int = 0, until: int | None = None) -> list[Entry]:
        """What is kept, from the entry with the number `since` on, to the one before `until`."""
        newest = itertools.takewhile(lambda entry: entry[0] >= since, reversed(self._entries))
        return [Entry(*entry) for entry in newest if until is None or entry[0] < until][::-1]

    def hostcall(
        self, kind: int, vm_name: str, context_id: int, name: str, args: tuple[Argument, ...], answer: Answer | Raised
    ) -> None:
        """A hostcall has been answered; `kind` is HOSTCALL or INTERCEPTED."""
        self._entries.append((next(self._numbers), kind, vm_name, context_id, name, args, answer))

    def callback(self, vm_name: str, name: str, args: tuple[int, ...]) -> int:
        """A callback begins; the number of the entry."""
        number = next(self._numbers)
        self._entries.append((number, CALLBACK, vm_name, self._now_ns(), name, args, None))
        return number

    def returned(self, vm_name: str, name: str, answer: int | Raised | None) -> None:
        """A callback has ended, with its result if it has one."""
        self._entries.append((next(self._numbers), RETURN, vm_name, 0, name, (), answer))


def clipped(values: AnswerT) -> AnswerT | tuple[Argument, ...]:
    """The values, with long buffers cut."""
    if isinstance(values, tuple):
        for value in values:
            if isinstance(value, bytes) and len(value) > KEPT_BYTES:
                return tuple(
                    Clipped(one) if isinstance(one, bytes) and len(one) > KEPT_BYTES else one for one in values
                )
    return values
