"""The filter under the tests of configuration, metrics, shared data and queues."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from pywasm_filter import (
    Action,
    CasMismatch,
    Counter,
    Gauge,
    Histogram,
    HttpContext,
    NotFound,
    RootContext,
    SharedQueue,
    register_root_context,
    shared_data,
)

requests = Counter("data.requests", labels=("method", "tenant"))
active = Gauge("data.active")
sizes = Histogram("data.path_size")


class Mode(Enum):
    ENFORCE = "enforce"
    DRY_RUN = "dry-run"


@dataclass(frozen=True)
class Rule:
    prefix: str
    timeout: timedelta = timedelta(seconds=1)

    def __post_init__(self) -> None:
        if not self.prefix.startswith("/"):
            raise ValueError(f"a prefix begins with a slash, not {self.prefix!r}")


@dataclass(frozen=True)
class Settings:
    mode: Mode = Mode.ENFORCE
    rules: list[Rule] = field(default_factory=list)
    limit: int | None = None


class Data(HttpContext["DataRoot"]):
    """Tells upstream what it knows."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        headers = self.request.headers
        config = self.root.config
        headers["x-mode"] = config.mode.name
        headers["x-limit"] = str(config.limit)
        headers["x-timeouts"] = ",".join(f"{rule.prefix}={rule.timeout.total_seconds()}" for rule in config.rules)
        self.count(headers.get("x-tenant", ""))
        self.share(headers.get("x-key", "key"))
        if "x-items" in headers:
            self.enqueue(headers["x-items"].split(","))
        return Action.CONTINUE

    def count(self, tenant: str) -> None:
        counter = requests.labels(method=self.request.method, tenant=tenant)
        before = counter.value()
        counter.increment(2)
        active.set(5)
        active.add(-2)
        sizes.record(len(self.request.path))
        self.request.headers["x-metrics"] = f"{counter.value() - before} {active.value()}"

    def share(self, key: str) -> None:
        outcomes = [shared_data.get(key), shared_data.update(key, lambda old: (old or b"") + b"1")]
        _, cas = shared_data.get_with_cas(key)
        shared_data.set(key, b"")
        try:
            shared_data.set(key, b"lost", cas)
        except CasMismatch as error:
            outcomes.append(str(error).encode())
        outcomes.append(shared_data.get(key))
        shared_data.set(key, b"won", shared_data.get_with_cas(key)[1])
        outcomes.append(shared_data.update(key, lambda old: None))
        self.request.headers["x-shared"] = repr(outcomes)

    def enqueue(self, items: list[str]) -> None:
        """The first item is taken here, the others in `on_queue_ready`."""
        queue = SharedQueue.resolve("data_vm", "items")
        for item in items:
            queue.enqueue(item.encode())
        try:
            SharedQueue.resolve("data_vm", "others")
        except NotFound as error:
            self.request.headers["x-queue"] = f"{queue == self.root.queue} {queue.dequeue()!r} {error}"


class DataRoot(RootContext[Settings]):
    """The plugin."""

    http_context = Data

    def on_configure(self, configuration: bytes) -> bool:
        self.queue = SharedQueue.register("items")
        return True

    def on_queue_ready(self, queue: SharedQueue) -> None:
        for item in queue:
            print("item", item.decode())


register_root_context(DataRoot)
