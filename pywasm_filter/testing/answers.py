"""What a service can do other than answer at once; the same for the upstream and for HTTP and gRPC callouts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

AnswerT = TypeVar("AnswerT", covariant=True)


@dataclass(frozen=True)
class Delay(Generic[AnswerT]):
    """Answers after so many seconds."""

    seconds: float
    answer: AnswerT


@dataclass(frozen=True)
class NoAnswer:
    """Takes the request and never answers: the timeout of the callout or of the route strikes."""


@dataclass(frozen=True)
class Reset:
    """Takes the request and resets the connection."""


@dataclass(frozen=True)
class Refuse:
    """Refuses the connection: the request does not arrive."""
