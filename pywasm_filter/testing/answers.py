"""What a service can do other than answer at once; the same for the upstream and for HTTP and gRPC callouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from pywasm_filter.testing.clock import nanoseconds

AnswerT = TypeVar("AnswerT", covariant=True)


@dataclass(frozen=True)
class Delay(Generic[AnswerT]):
    """Answers after so many seconds. Raises ValueError for what is no duration."""

    seconds: float
    answer: AnswerT

    def __post_init__(self) -> None:
        nanoseconds(self.seconds)


@dataclass(frozen=True)
class NoAnswer:
    """Takes the request and never answers: the timeout of the callout or of the route strikes."""


@dataclass(frozen=True)
class Reset:
    """Takes the request and resets the connection."""


@dataclass(frozen=True)
class Refuse:
    """Refuses the connection: the request does not arrive."""
