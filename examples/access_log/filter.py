"""An access log in JSON, and metrics, from what the proxy knows of an exchange or of a TCP connection when it is over.

Configuration (JSON, every member optional):

    {"sample": 0.1, "slow": "500ms", "headers": ["x-tenant"], "query": false}

`sample` is the share of the exchanges that get a line; those that failed (status 500 and above, no status, a response
flag) or took longer than `slow` always do. The query is left out, for it may hold what is secret. Metrics count all:
requests by method and class of status, connections by who closed them, what is under way, failures by flag, durations,
sizes.
"""

import json
import logging
import random
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pywasm_filter import (
    Action,
    Counter,
    Gauge,
    Histogram,
    HttpContext,
    PeerType,
    RootContext,
    StreamContext,
    current_time_ns,
    register_root_context,
)

logger = logging.getLogger(__name__)

requests = Counter("access.requests", labels=("method", "status"))
connections = Counter("access.connections", labels=("closed_by",))
failures = Counter("access.failures", labels=("flag",))
active = Gauge("access.active")
duration_ms = Histogram("access.duration_ms")
response_bytes = Histogram("access.response_bytes")

METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"])
# Envoy's response flags, by their bit.
FLAGS = (
    *("LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC"),
    *("URX", "SI", "IH", "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR", "UDO"),
)
HEADER_NAME = re.compile(r"[a-z0-9_-]+")
LONGEST_TEXT = 500


@dataclass(frozen=True)
class Config:
    """Which exchanges get a line, and what is in it."""

    sample: float = 1.0
    slow: timedelta | None = None
    headers: tuple[str, ...] = ()
    query: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.sample <= 1:
            raise ValueError(f"sample is a share from 0 to 1, not {self.sample}")
        for name in self.headers:
            if not HEADER_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no header's name in lower case")


class AccessLog(HttpContext["AccessLogRoot"]):
    """One exchange."""

    counted = False

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        active.add(1)
        self.counted = True
        return Action.CONTINUE

    def on_log(self) -> None:
        get = self.properties.get
        method = get(lambda p: p.request.method, "")
        status = get(lambda p: p.response.code, 0)
        flags = flag_names(get(lambda p: p.response.flags, 0))
        duration = get(lambda p: p.request.duration, timedelta())
        size = get(lambda p: p.response.size, 0)

        if self.counted:
            active.add(-1)
        # What clients choose freely is no label: each value would be a metric for ever.
        requests.labels(
            method=method if method in METHODS else "OTHER", status=f"{status // 100}xx" if status else "none"
        ).increment()
        for flag in flags:
            failures.labels(flag=flag).increment()
        duration_ms.record(max(0, duration // timedelta(milliseconds=1)))
        response_bytes.record(size)
        failed = status >= 500 or not status or bool(flags)
        if self.root.wants(failed, duration):
            write_line(failed, self.fields(method, status, flags, duration, size))

    def fields(self, method: str, status: int, flags: list[str], duration: timedelta, size: int) -> dict[str, Any]:
        """What is in the line."""
        get = self.properties.get
        config = self.root.config
        headers = self.properties.request.headers
        return {
            "time": get(lambda p: p.request.time.isoformat(timespec="milliseconds")),
            "method": method,
            "path": get(lambda p: p.request.path if config.query else p.request.url_path),
            "protocol": get(lambda p: p.request.protocol),
            "host": get(lambda p: p.request.host),
            "status": status or None,
            "details": get(lambda p: p.response.code_details),
            "flags": flags,
            "duration_ms": duration / timedelta(milliseconds=1),
            "bytes_in": get(lambda p: p.request.size),
            "bytes_out": size,
            "client": get(lambda p: p.source.address),
            "server_name": get(lambda p: p.connection.requested_server_name),
            "upstream": get(lambda p: p.upstream.address),
            "route": get(lambda p: p.route_name),
            "request_id": get(lambda p: p.request.id),
            "user_agent": get(lambda p: p.request.useragent),
            "headers": {name: shorten(headers[name]) for name in config.headers if name in headers},
        }


class ConnectionLog(StreamContext["AccessLogRoot"]):
    """One TCP connection."""

    bytes_in = bytes_out = 0
    started = 0
    closed_by = "proxy"

    def on_new_connection(self) -> Action:
        active.add(1)
        self.started = current_time_ns()
        return Action.CONTINUE

    def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        self.bytes_in += data_size
        return Action.CONTINUE

    def on_upstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        self.bytes_out += data_size
        return Action.CONTINUE

    def on_downstream_close(self, peer_type: PeerType) -> None:
        self.closed_by = "client" if peer_type is PeerType.REMOTE else "proxy"

    def on_log(self) -> None:
        get = self.properties.get
        flags = flag_names(get(lambda p: p.response.flags, 0))
        duration = timedelta()
        if self.started:
            active.add(-1)
            duration = timedelta(microseconds=(current_time_ns() - self.started) // 1000)
        connections.labels(closed_by=self.closed_by).increment()
        for flag in flags:
            failures.labels(flag=flag).increment()
        duration_ms.record(max(0, duration // timedelta(milliseconds=1)))
        response_bytes.record(self.bytes_out)
        if self.root.wants(bool(flags), duration):
            write_line(
                bool(flags),
                {
                    "closed_by": self.closed_by,
                    "details": get(lambda p: p.connection.termination_details),
                    "flags": flags,
                    "duration_ms": duration / timedelta(milliseconds=1),
                    "bytes_in": self.bytes_in,
                    "bytes_out": self.bytes_out,
                    "client": get(lambda p: p.source.address),
                    "server_name": get(lambda p: p.connection.requested_server_name),
                    "upstream": get(lambda p: p.upstream.address),
                },
            )


class AccessLogRoot(RootContext[Config]):
    """The plugin: its configuration says what is logged."""

    http_context = AccessLog
    stream_context = ConnectionLog

    def wants(self, failed: bool, duration: timedelta) -> bool:
        """Whether something gets a line."""
        slow = self.config.slow is not None and duration >= self.config.slow
        return failed or slow or random.random() < self.config.sample


def write_line(failed: bool, fields: dict[str, Any]) -> None:
    """JSON in ASCII, so that nothing that a client sends can break the line. What is not known is left out."""
    known = {name: shorten(value) for name, value in fields.items() if value not in (None, "", [], {})}
    logger.log(logging.WARNING if failed else logging.INFO, "%s", json.dumps(known))


def flag_names(bits: int) -> list[str]:
    """Envoy's short names of the flags that are set."""
    return [name for index, name in enumerate(FLAGS) if bits >> index & 1]


def shorten(value: Any) -> Any:
    """A text that is not too long for a log."""
    return f"{value[:LONGEST_TEXT]}…" if isinstance(value, str) and len(value) > LONGEST_TEXT else value


register_root_context(AccessLogRoot, "access_log")
