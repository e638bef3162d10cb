"""External authorisation: a service says whether a request may pass.

Configuration (JSON); all but `cluster` is optional:

    {"cluster": "auth", "path": "/check", "timeout": "250ms", "on_failure": "deny",
     "forward": ["authorization", "cookie"], "tell_request": true,
     "to_upstream": ["x-user"], "to_client": ["www-authenticate", "content-type"],
     "cache": {"ttl": "30s", "size": 1000}}

The service gets `GET <path>` with the headers of `forward` and, unless `tell_request` is false, with the request's own
method, host and path in `x-forwarded-method`, `-host` and `-uri`. 2xx lets the request pass, with the headers of
`to_upstream` from the answer or not at all; 401 and 403 go to the client, with body and the headers of `to_client`. All
else is a failure of the service's: `on_failure` says what becomes of the request.

With `cache` an allowance holds for all requests about which the service would be asked the same question. Denials are
not kept: whoever has just been let in need not wait, and strangers cannot fill the cache.
"""

import hashlib
import logging
import re
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TypeAlias

from pywasm_filter import (
    Action,
    CalloutError,
    Counter,
    Headers,
    HttpContext,
    RootContext,
    Task,
    current_time_ns,
    register_root_context,
)

logger = logging.getLogger(__name__)
decisions = Counter("async_auth.decisions", labels=("outcome",))

HEADER_NAME = re.compile(r"[a-z0-9_-]+")
# They belong to a connection or to a message of its own length, or the filter sets them.
NOT_TO_COPY = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"x-forwarded-method", "x-forwarded-host", "x-forwarded-uri"}
)

Pairs: TypeAlias = list[tuple[str, str]]


class OnFailure(Enum):
    """What becomes of requests while the service does not answer."""

    DENY = "deny"
    ALLOW = "allow"


@dataclass(frozen=True)
class Cache:
    """How long an allowance holds, and how many are kept."""

    ttl: timedelta
    size: int = 1000

    def __post_init__(self) -> None:
        if self.ttl <= timedelta(0) or self.size < 1:
            raise ValueError("ttl and size are over 0; without a cache there is no member cache")


@dataclass(frozen=True)
class Settings:
    """The configuration."""

    cluster: str
    path: str = "/"
    timeout: timedelta = timedelta(milliseconds=500)
    on_failure: OnFailure = OnFailure.DENY
    forward: tuple[str, ...] = ("authorization",)
    tell_request: bool = True
    to_upstream: tuple[str, ...] = ()
    to_client: tuple[str, ...] = ("www-authenticate", "content-type")
    cache: Cache | None = None

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError(f"the path begins with a slash, not {self.path!r}")
        if self.timeout <= timedelta(0):
            raise ValueError("the timeout is over 0")
        for name in (*self.forward, *self.to_upstream, *self.to_client):
            if not HEADER_NAME.fullmatch(name) or name in NOT_TO_COPY:
                raise ValueError(f"{name!r} is no header that can be copied; names are in lower case")


@dataclass(frozen=True)
class Allowed:
    """The request passes with these headers."""

    headers: Pairs


@dataclass(frozen=True)
class Denied:
    """What the client gets."""

    status: int
    headers: Pairs
    body: bytes


@dataclass(frozen=True)
class Failed:
    """The service did not decide."""

    reason: str


Decision: TypeAlias = Allowed | Denied | Failed


class AsyncAuth(HttpContext["AsyncAuthRoot"]):
    """One exchange: it waits for the decision."""

    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        decision = await self.root.decide(self.question())
        match decision:
            case Denied(status, headers, body):
                return self.send_local_response(status, headers=headers, body=body, details="async_auth_denied")
            case Failed() if self.root.config.on_failure is OnFailure.DENY:
                return self.send_local_response(503, body="not authorised\n", details="async_auth_failed")
        for name in self.root.config.to_upstream:
            self.request.headers.discard(name)  # the client's own are not to be believed
        if isinstance(decision, Allowed):
            self.request.headers.update(decision.headers)
        return Action.CONTINUE

    def question(self) -> Pairs:
        """The headers with which the service is asked: all that its decision can depend on."""
        request, config = self.request, self.root.config
        told = [(name, value) for name in config.forward for value in request.headers.getall(name)]
        if config.tell_request:
            told += [
                ("x-forwarded-method", request.method),
                ("x-forwarded-host", request.authority),
                ("x-forwarded-uri", request.path),
            ]
        return told


class AsyncAuthRoot(RootContext[Settings]):
    """The plugin: it asks the service, and remembers whom it let pass."""

    http_context = AsyncAuth

    def on_configure(self, configuration: bytes) -> bool:
        self.known: dict[bytes, tuple[int, Allowed]] = {}
        """Allowances and when they end, the oldest first."""
        self.asked: dict[bytes, Task[Decision]] = {}
        """Questions that are under way."""
        return True

    async def decide(self, question: Pairs) -> Decision:
        """The decision: one that is known, or the service's."""
        # A digest: tokens are neither kept nor can they be chosen such that they collide.
        key = hashlib.sha256(repr(question).encode("ascii", "backslashreplace")).digest()
        ends, allowed = self.known.get(key, (0, None))
        if allowed is not None and current_time_ns() < ends:
            decisions.labels(outcome="cached").increment()
            return allowed
        task = self.asked.get(key)
        if task is None:
            # The root's task: it goes on for others who ask the same when the stream that began it is gone.
            task = self.create_task(self.ask(key, question))
            if not task.done():
                self.asked[key] = task
        return await task

    async def ask(self, key: bytes, question: Pairs) -> Decision:
        """Ask the service."""
        try:
            decision = await self.ask_service(question)
        finally:
            self.asked.pop(key, None)
        decisions.labels(outcome=type(decision).__name__.lower()).increment()
        match decision:
            case Failed(reason):
                logger.warning("not authorised by the service: %s", reason)
            case Allowed() if self.config.cache is not None:
                self.remember(key, decision, self.config.cache)
        return decision

    async def ask_service(self, question: Pairs) -> Decision:
        config = self.config
        try:
            answer = await self.http_call(
                config.cluster, "GET", config.path, headers=question, timeout=config.timeout.total_seconds()
            )
        except CalloutError as error:
            return Failed(str(error))
        if 200 <= answer.status < 300:
            return Allowed(chosen(answer.headers, config.to_upstream))
        if answer.status in (401, 403):
            return Denied(answer.status, chosen(answer.headers, config.to_client), answer.body)
        return Failed(f"it answered {answer.status}")

    def remember(self, key: bytes, allowed: Allowed, cache: Cache) -> None:
        self.known.pop(key, None)  # one that has ended: what is added goes to the end
        while len(self.known) >= cache.size:
            del self.known[next(iter(self.known))]
        self.known[key] = (current_time_ns() + cache.ttl // timedelta(microseconds=1) * 1000, allowed)


def chosen(headers: Headers, names: tuple[str, ...]) -> Pairs:
    """All values of the named headers."""
    return [(name, value) for name in names for value in headers.getall(name)]


register_root_context(AsyncAuthRoot, "async_auth")
