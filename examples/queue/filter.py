"""An audit trail: requests that change something are reported to a collector, without making any request wait.

The module has two root contexts. `audit` serves the requests: when an exchange is over, it puts an event into a shared
queue. `audit_shipper` has no streams: it takes the events of all workers from the queue and posts them in batches. Both
have to have the same `vm_id`. Their configurations (JSON); all but `cluster` is optional:

    {"methods": ["POST", "PUT", "PATCH", "DELETE"], "user_header": "x-user"}

    {"cluster": "collector", "path": "/events", "timeout": "2s", "batch": 100, "flush_every": "1s",
     "retry_after": "500ms", "longest_retry": "30s", "keep": 10000}

A batch is lines of JSON. It goes out when it is full, or with `flush_every`, and again until the collector has taken
it, with an `idempotency-key` by which that can tell what it already has. Meanwhile up to `keep` events wait; of more
the oldest are lost, and so is what the collector calls a bad request (4xx other than 408 and 429). Both are logged and
counted.
"""

import json
import logging
import uuid
from collections import deque
from dataclasses import dataclass
from datetime import timedelta

from pywasm_filter import (
    CalloutError,
    Counter,
    HttpContext,
    NotFound,
    RootContext,
    SharedQueue,
    current_time_ns,
    register_root_context,
)

logger = logging.getLogger(__name__)
shipped = Counter("audit.shipped")
lost = Counter("audit.lost", labels=("why",))

QUEUE = "audit-events"
LONGEST_TEXT = 2000


@dataclass(frozen=True)
class AuditSettings:
    """The configuration of `audit`."""

    methods: frozenset[str] = frozenset({"POST", "PUT", "PATCH", "DELETE"})
    user_header: str = "x-user"


class Audit(HttpContext["AuditRoot"]):
    """One exchange."""

    def on_log(self) -> None:
        method = self.request.headers.get(":method", "")
        if method not in self.root.config.methods:
            return
        event = {
            "time": current_time_ns() // 1_000_000,
            "client": self.properties.get(lambda p: p.source.address, ""),
            "user": self.request.headers.get(self.root.config.user_header, "")[:LONGEST_TEXT],
            "method": method,
            "host": self.request.headers.get(":authority", "")[:LONGEST_TEXT],
            "path": self.request.headers.get(":path", "")[:LONGEST_TEXT],
            "status": self.properties.get(lambda p: p.response.code, 0),
        }
        self.root.report(json.dumps(event, separators=(",", ":")).encode())


class AuditRoot(RootContext[AuditSettings]):
    """Serves the requests."""

    http_context = Audit
    queue: SharedQueue | None = None

    def report(self, event: bytes) -> None:
        """Put an event into the queue. It is the shipper's: while there is none, events are lost."""
        try:
            if self.queue is None:
                self.queue = SharedQueue.resolve(self.properties.plugin_vm_id, QUEUE)
            self.queue.enqueue(event)
        except NotFound:
            self.queue = None
            lost.labels(why="no-queue").increment()
            logger.error("an event is lost: no audit_shipper runs with the vm_id of audit")


@dataclass(frozen=True)
class ShipperSettings:
    """The configuration of `audit_shipper`."""

    cluster: str
    path: str = "/"
    timeout: timedelta = timedelta(seconds=2)
    batch: int = 100
    flush_every: timedelta = timedelta(seconds=1)
    retry_after: timedelta = timedelta(milliseconds=500)
    longest_retry: timedelta = timedelta(seconds=30)
    keep: int = 10_000

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise ValueError(f"the path begins with a slash, not {self.path!r}")
        if min(self.timeout, self.flush_every, self.retry_after, self.longest_retry) <= timedelta(0):
            raise ValueError("all times are over 0")
        if not 1 <= self.batch <= self.keep:
            raise ValueError("a batch has at least one event, and at most as many as are kept")


class ShipperRoot(RootContext[ShipperSettings]):
    """Runs in the background: it empties the queue, whatever becomes of the collector."""

    def on_configure(self, configuration: bytes) -> bool:
        self.waiting: deque[bytes] = deque()
        self.shipping = False
        self.queue = SharedQueue.register(QUEUE)
        self.set_tick_period(self.config.flush_every.total_seconds())
        return True

    async def on_queue_ready(self, queue: SharedQueue) -> None:
        self.take()
        if len(self.waiting) >= self.config.batch:
            await self.ship()

    async def on_tick(self) -> None:
        await self.ship()

    def take(self) -> None:
        """Move what the queue holds to this VM: it has no bound of its own."""
        self.waiting.extend(self.queue)
        excess = len(self.waiting) - self.config.keep
        if excess > 0:
            for _ in range(excess):
                self.waiting.popleft()
            lost.labels(why="collector-slow").increment(excess)
            logger.error("%d events are lost: more than %d wait for the collector", excess, self.config.keep)

    async def ship(self) -> None:
        """Send all that waits, one batch after the other."""
        if self.shipping:
            return
        self.shipping = True
        try:
            while self.waiting:
                size = min(self.config.batch, len(self.waiting))
                await self.deliver([self.waiting.popleft() for _ in range(size)])
        finally:
            self.shipping = False

    async def deliver(self, batch: list[bytes]) -> None:
        """Send a batch, until the collector has taken or refused it."""
        key = str(uuid.uuid4())
        pause = self.config.retry_after
        while not await self.settled(batch, key):
            await self.sleep(pause.total_seconds())
            pause = min(2 * pause, self.config.longest_retry)

    async def settled(self, batch: list[bytes], key: str) -> bool:
        """Send a batch once. Whether that is the end of it."""
        config = self.config
        try:
            answer = await self.http_call(
                config.cluster,
                "POST",
                config.path,
                headers={"content-type": "application/x-ndjson", "idempotency-key": key},
                body=b"".join(event + b"\n" for event in batch),
                timeout=config.timeout.total_seconds(),
            )
        except CalloutError as error:
            logger.warning("events have to wait: %s", error)
            return False
        if 200 <= answer.status < 300:
            shipped.increment(len(batch))
            return True
        if 400 <= answer.status < 500 and answer.status not in (408, 429):
            lost.labels(why="refused").increment(len(batch))
            logger.error("%d events are lost: the collector refuses them with %d", len(batch), answer.status)
            return True
        logger.warning("events have to wait: the collector answers %d", answer.status)
        return False


register_root_context(AuditRoot, "audit")
register_root_context(ShipperRoot, "audit_shipper")
