"""The filter under the tests of configuration, metrics and shared data."""

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
    RootContext,
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


class DataRoot(RootContext[Settings]):
    """The plugin."""

    http_context = Data


register_root_context(DataRoot)
