"""Rate limits per client, which all workers of the proxy share: token buckets in shared data, with compare-and-swap.

Configuration (JSON):

    {"limits": [{"name": "address", "requests": 100, "per": "10s", "burst": 200},
                {"name": "key", "requests": 5, "per": "1s", "header": "x-api-key", "path": "/search(/.*)?"}],
     "clients": 8192, "report_every": "10s"}

Each limit that concerns a request has to allow it. A client is the address of the connection, or the value of `header`
where the request has it: let that be one that a filter before has checked, or limit addresses as well, for whoever
invents keys gets a bucket for each.

A bucket is kept as one time: when it will be full again. The proxy's shared data cannot be deleted or listed, so its
keys are a fixed number of slots, each with some buckets, found by a keyed hash of limit and client. Buckets that are
full again are forgotten; where a slot has no room, the one that is nearest to that.
"""

import hashlib
import ipaddress
import logging
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from struct import Struct

from pywasm_filter import (
    Action,
    CasMismatch,
    Counter,
    HttpContext,
    RootContext,
    current_time_ns,
    register_root_context,
    shared_data,
)

logger = logging.getLogger(__name__)

decisions = Counter("rate_limit.requests", labels=("limit", "outcome"))

SECOND = 1_000_000_000
PREFIX = "pywasm.rate_limit."
NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
HEADER_NAME = re.compile(r"[a-z0-9_-]+")
BUCKET = Struct("<8sQ")
"""A bucket in a slot: what is left of the hash, and when it will be full again, in nanoseconds since the epoch."""
BUCKETS_IN_SLOT = 8
LONGEST_CLIENT = 256


@dataclass(frozen=True)
class Limit:
    """So many requests in a time, and at once up to `burst`."""

    name: str
    requests: int
    per: timedelta = timedelta(seconds=1)
    burst: int | None = None
    header: str | None = None
    path: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise ValueError("a limit's name has up to 40 letters, digits, _ and -")
        if self.requests < 1 or (self.burst is not None and self.burst < 1):
            raise ValueError("requests and burst are 1 or more")
        if not timedelta(milliseconds=1) <= self.per <= timedelta(days=1):
            raise ValueError("per is a time from 1 ms to a day")
        if self.header is not None and not HEADER_NAME.fullmatch(self.header):
            raise ValueError("a header has a name in lower case")

    @property
    def interval(self) -> int:
        """In how many nanoseconds a token comes."""
        return max(1, self.per // timedelta(microseconds=1) * 1000 // self.requests)

    def spend(self, full: int, now: int) -> tuple[int, int]:
        """Take a token of a bucket that will be full again at `full`: when it will be then, and 0.

        When there is no token: `full`, and after how many nanoseconds there will be one.
        """
        capacity = self.interval * (self.burst or self.requests)
        # A clock that was put back does not lock anybody out for longer than an empty bucket does.
        after = min(max(full, now), now + capacity) + self.interval
        wait = after - now - capacity
        return (full, wait) if wait > 0 else (after, 0)


@dataclass(frozen=True)
class Config:
    """The limits, and how many clients are remembered at once."""

    limits: tuple[Limit, ...]
    clients: int = 8192
    report_every: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        if len({limit.name for limit in self.limits}) != len(self.limits):
            raise ValueError("two limits have the same name")
        if not BUCKETS_IN_SLOT <= self.clients <= 1_000_000:
            raise ValueError(f"clients is a number from {BUCKETS_IN_SLOT} to a million, not {self.clients}")
        if not timedelta(seconds=1) <= self.report_every <= timedelta(days=1):
            raise ValueError("report_every is a time from 1 s to a day")


class RateLimit(HttpContext["RateLimitRoot"]):
    """One exchange."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        path = self.request.headers.get(":path", "").partition("?")[0]
        now = current_time_ns()
        for limit in self.root.config.limits:
            if limit.path is None or limit.path.fullmatch(path):
                wait = self.root.wait(limit, self.client(limit), now)
                if wait > 0:
                    return self.refuse(limit, wait)
        return Action.CONTINUE

    def client(self, limit: Limit) -> bytes:
        """Whose bucket it is."""
        key = self.request.headers.get_bytes(limit.header) if limit.header is not None else None
        if key is not None:
            return b"key " + key[:LONGEST_CLIENT]
        return b"address " + network(self.properties.source.address).encode()

    def refuse(self, limit: Limit, wait: int) -> Action:
        """429, and when it is worth trying again."""
        self.root.refused += 1
        return self.send_local_response(
            429,
            headers={"retry-after": str(-(-wait // SECOND)), "x-ratelimit-name": limit.name},
            body="too many requests\n",
            details="rate_limited",
        )


class RateLimitRoot(RootContext[Config]):
    """The plugin: it finds the buckets."""

    http_context = RateLimit
    refused = 0
    secret = b""

    def on_configure(self, configuration: bytes) -> bool:
        # Nobody can compute which clients share a slot. All VMs have the secret of the first one.
        self.secret = shared_data.update(f"{PREFIX}secret", lambda present: present or os.urandom(32)) or b""
        self.set_tick_period(self.config.report_every.total_seconds())
        return True

    def on_tick(self) -> None:
        """A line now and then, and not for each request: there may be very many."""
        if self.refused:
            logger.warning("%d requests refused in the last %s", self.refused, self.config.report_every)
            self.refused = 0

    def wait(self, limit: Limit, client: bytes, now: int) -> int:
        """Take a token from the client's bucket: 0, or after how many nanoseconds there will be one."""
        found = hashlib.blake2b(limit.name.encode() + b"\0" + client, digest_size=16, key=self.secret).digest()
        slot = int.from_bytes(found[8:], "little") % (self.config.clients // BUCKETS_IN_SLOT)
        tag = found[:8]
        wait = 0

        def spend(present: bytes | None) -> bytes | None:
            nonlocal wait
            buckets = {key: full for key, full in BUCKET.iter_unpack(present or b"") if full > now}
            full, wait = limit.spend(buckets.pop(tag, 0), now)
            if wait > 0:
                return None  # nothing is written: refusing costs little
            while len(buckets) >= BUCKETS_IN_SLOT:
                del buckets[min(buckets, key=buckets.__getitem__)]
            buckets[tag] = full
            return b"".join([BUCKET.pack(*bucket) for bucket in buckets.items()])

        try:
            shared_data.update(f"{PREFIX}{slot}", spend)
        except CasMismatch:  # a hundred times: let one pass rather than answer with an error
            logger.warning("the buckets of slot %d are written too often", slot)
            wait = 0
        decisions.labels(limit=limit.name, outcome="refused" if wait > 0 else "allowed").increment()
        return wait


def network(address: str) -> str:
    """The address of a client without its port; of IPv6 the /64, which is what one client has."""
    host = address.rpartition(":")[0].strip("[]") or address
    if ":" not in host:
        return host
    ip = ipaddress.IPv6Address(host.partition("%")[0])
    return str(ip.ipv4_mapped or ipaddress.IPv6Network((ip, 64), strict=False))


register_root_context(RateLimitRoot, "rate_limit")
