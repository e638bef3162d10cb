"""What answers requests and HTTP callouts, as a test scripts it: the same on all hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pywasm_filter.testing.answers import Delay, NoAnswer, Refuse, Reset
from pywasm_filter.testing.messages import Request, Response
from pywasm_filter.testing.wire import check_message


@dataclass(frozen=True)
class Partial:
    """Begins a response and does not end it: its headers leave, and all of its body but the last byte.

    Then the connection is reset, or with `NoAnswer()` nothing more comes until the timeout. A response that has no body
    by definition (to HEAD, 204, 304) does not begin. Raises ValueError for a response without a body.
    """

    response: Response
    then: Reset | NoAnswer = field(default_factory=Reset)

    def __post_init__(self) -> None:
        if not self.response.body:
            raise ValueError("a partial response needs a body, of which the last byte is kept back")


Answer: TypeAlias = "Response | Delay[Answer] | NoAnswer | Reset | Partial"
"""What a service does with a request that has reached it."""
ClusterAnswer: TypeAlias = "Answer | Refuse | Callable[[Request], Answer]"
"""What a cluster does with requests: always the same, or a function of the request."""


@dataclass(frozen=True)
class Callout:
    """A request that a plugin sent to a cluster, as its service got it: with the headers that Envoy adds."""

    cluster: str
    request: Request


class Clusters(MutableMapping[str, ClusterAnswer]):
    """What answers callouts, by cluster: an empty 200 unless a test says otherwise.

    Only clusters that the plugin's settings declare are there. Setting raises KeyError for another, TypeError for what
    is no answer, ValueError for a response that HTTP/1.1 cannot say.
    """

    def __init__(
        self,
        names: Sequence[str],
        changed: Callable[[str, ClusterAnswer], None] = lambda name, answer: None,
        *,
        routed: Sequence[str] = (),
        upstream: Callable[[], ClusterAnswer] = lambda: Response(200),
    ) -> None:
        """`changed` is told of each answer that is set. `upstream` says what answers callouts to the clusters `routed`.

        These get the requests of clients, and are no keys of the mapping.
        """
        self._routed = frozenset(routed)
        self._upstream = upstream
        self._answers: dict[str, ClusterAnswer] = dict.fromkeys(names, Response(200))
        self._changed = changed
        self.answered: set[str] = set()
        """The clusters for which the test has said what answers."""
        self.callouts: list[Callout] = []
        """The callouts that arrived, in order."""

    def __getitem__(self, name: str) -> ClusterAnswer:
        self._require(name)
        return self._answers[name]

    def __setitem__(self, name: str, answer: ClusterAnswer) -> None:
        self._require(name)
        if not isinstance(answer, Refuse) and not callable(answer):
            check_answer(f"cluster {name!r}", answer)
        self._answers[name] = answer
        self.answered.add(name)
        self._changed(name, answer)

    def __delitem__(self, name: str) -> None:
        """Go back to the empty 200."""
        self[name] = Response(200)
        self.answered.discard(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._answers)

    def __len__(self) -> int:
        return len(self._answers)

    def arrive(self, name: str, request: Request) -> Answer:
        """A callout has reached a cluster: what comes of it.

        Raises what the cluster's function raises, TypeError and ValueError for what it must not answer, a refusal among
        it.
        """
        self.callouts.append(Callout(name, request))
        answer = self.answer_of(name)
        if callable(answer):
            answer = answer(request)
        return check_answer(f"the function of cluster {name!r}", answer)

    def reaches(self, name: str) -> bool:
        """Whether callouts may go to a cluster: it is declared, or gets the requests of clients."""
        return name in self._answers or name in self._routed

    def answer_of(self, name: str) -> ClusterAnswer:
        """What answers callouts to a cluster that they reach."""
        return self._upstream() if name in self._routed else self._answers[name]

    def _require(self, name: str) -> None:
        if name in self._routed:
            raise KeyError(f"cluster {name!r} gets the requests of clients: proxy.upstream says what it answers")
        if name not in self._answers:
            declared = f"declared are {', '.join(self._answers)}" if self._answers else "none is declared"
            raise KeyError(
                f"cluster {name!r} is not declared ({declared}): name it in clusters=[...] of the marker pywasm"
            )


def check_answer(whose: str, answer: object) -> Answer:
    """The answer. Raises TypeError for what is none, ValueError for a response that HTTP/1.1 cannot say."""
    match answer:
        case Response():
            check_message(f"answer of {whose}", answer)
            return answer
        case Delay(answer=later):
            check_answer(whose, later)
            return answer
        case Partial(response=response):
            check_message(f"answer of {whose}", response)
            return answer
        case NoAnswer() | Reset():
            return answer
        case Refuse():
            raise TypeError(f"{whose} cannot refuse a connection that is made: set Refuse() itself as the answer")
    raise TypeError(
        f"{whose} is to answer a Response, Delay, NoAnswer, Reset or Partial (or be Refuse, or a function), "
        f"not {type(answer).__name__}"
    )
