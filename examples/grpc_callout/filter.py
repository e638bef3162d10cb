"""Quotas of clients, kept by a gRPC service: quota.proto beside this file.

Configuration (JSON); all but `cluster` is optional:

    {"cluster": "quota", "client_header": "x-client-id", "timeout": "200ms", "on_failure": "allow",
     "costs": {"/export": 20, "/search": 5}, "watch_again": "10s"}

Each request spends of its client's quota what the longest fitting prefix of `costs` says, or 1: a unary call, for
whose answer it waits. A quota that is used up is 429, none at all 403; `on_failure` says what any other failure leads
to. A stream tells of suspended clients, whose requests get 403 without a call. It is opened again `watch_again` after
its end, and until then the last list holds. Who the client is, a filter before this one has to say, and clients must
not be able to: `x-client-id` is of a filter that authenticates.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum

from pywasm_filter import (
    Action,
    CalloutError,
    GrpcError,
    GrpcStatus,
    GrpcStream,
    HttpContext,
    RootContext,
    register_root_context,
)

logger = logging.getLogger(__name__)

SERVICE = "quota.v1.Quota"


class OnFailure(Enum):
    """What becomes of requests while the service does not answer."""

    DENY = "deny"
    ALLOW = "allow"


@dataclass(frozen=True)
class Settings:
    """The configuration."""

    cluster: str
    client_header: str = "x-client-id"
    timeout: timedelta = timedelta(milliseconds=200)
    on_failure: OnFailure = OnFailure.ALLOW
    costs: dict[str, int] = field(default_factory=dict)
    watch_again: timedelta = timedelta(seconds=10)

    def __post_init__(self) -> None:
        if self.timeout <= timedelta(0) or self.watch_again <= timedelta(0):
            raise ValueError("timeout and watch_again are over 0")
        if not all(0 <= cost < 1 << 32 for cost in self.costs.values()):
            raise ValueError("costs are numbers of 32 bits without sign")

    def cost(self, path: str) -> int:
        """What a request for the path costs."""
        fitting = [prefix for prefix in self.costs if path.startswith(prefix)]
        return self.costs[max(fitting, key=len)] if fitting else 1


class GrpcCallout(HttpContext["GrpcCalloutRoot"]):
    """One exchange: it is paid for before it goes on."""

    left: int | None = None
    """What the client may still spend."""

    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        config = self.root.config
        client = text(",".join(self.request.headers.getall(config.client_header)))
        if client in self.root.suspended:
            return self.refuse(403, GrpcStatus.PERMISSION_DENIED)
        path = self.request.path
        order = bytes_field(1, client) + bytes_field(2, text(path)) + number_field(3, config.cost(path))
        try:
            answer = await self.grpc_call(
                config.cluster, SERVICE, "Spend", order, timeout=config.timeout.total_seconds()
            )
            self.left = next((value for number, value in fields(answer) if number == 1 and isinstance(value, int)), 0)
        except (CalloutError, ValueError) as error:
            match error:
                case GrpcError(status=GrpcStatus.RESOURCE_EXHAUSTED):
                    return self.refuse(429, GrpcStatus.RESOURCE_EXHAUSTED)
                case GrpcError(status=GrpcStatus.PERMISSION_DENIED):
                    return self.refuse(403, GrpcStatus.PERMISSION_DENIED)
            logger.warning("the quota is not known: %s", error)
            if config.on_failure is OnFailure.DENY:
                return self.refuse(503, GrpcStatus.UNAVAILABLE)
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        if self.left is not None:
            self.response.headers["x-quota-left"] = str(self.left)
        return Action.CONTINUE

    def refuse(self, status: int, grpc_status: GrpcStatus) -> Action:
        """Answer; a gRPC client gets `grpc_status`."""
        return self.send_local_response(status, grpc_status=grpc_status, details="quota_refused")


class GrpcCalloutRoot(RootContext[Settings]):
    """The plugin: it knows who is suspended."""

    http_context = GrpcCallout
    suspended: frozenset[bytes] = frozenset()

    def on_configure(self, configuration: bytes) -> bool:
        self.create_task(self.watch())
        return True

    async def watch(self) -> None:
        """Keep `suspended` up to date, for as long as there is a proxy."""
        while True:
            try:
                await self.follow(self.grpc_stream(self.config.cluster, SERVICE, "WatchSuspended"))
            except (CalloutError, ValueError) as error:
                logger.warning("news of suspended clients fail to come: %s", error)
            await self.sleep(self.config.watch_again.total_seconds())

    async def follow(self, stream: GrpcStream) -> None:
        """Take the news of a stream, until it ends."""
        stream.send(b"", end_stream=True)
        async for message in stream:
            try:
                clients = [value for number, value in fields(message) if number == 1]
            except ValueError:
                stream.cancel()
                raise
            self.suspended = frozenset(client for client in clients if isinstance(client, bytes))


def text(value: str) -> bytes:
    """A string for a message: what is not Unicode becomes a question mark, for no service would take it."""
    return value.encode("utf-8", "replace")


# --- the wire format of Protocol Buffers, as far as quota.proto needs it ---


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of all fields: an int, or the bytes of any other type. Raises ValueError for no message."""
    position = 0
    while position < len(message):
        key, position = read_varint(message, position)
        kind = key & 7
        if kind == 0:
            number, position = read_varint(message, position)
            yield key >> 3, number
            continue
        if kind == 2:
            size, position = read_varint(message, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"not a message: there is a field of type {kind}")
        if size > len(message) - position:
            raise ValueError("not a message: it ends within a field")
        yield key >> 3, message[position : position + size]
        position += size


def read_varint(message: bytes, position: int) -> tuple[int, int]:
    """A number and the position behind it. Raises ValueError."""
    number = 0
    for index, byte in enumerate(message[position : position + 10]):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number, position + index + 1
    raise ValueError("not a message: a number does not end")


register_root_context(GrpcCalloutRoot, "grpc_callout")
