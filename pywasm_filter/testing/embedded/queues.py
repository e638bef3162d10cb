"""Queues that the VMs of a proxy share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from pywasm_filter.sdk.abi import Status
from pywasm_filter.testing.embedded.events import EventQueue

Notify = Callable[[int], None]
"""Tells a root context that something was put into the queue of that token."""


@dataclass
class _Queue:
    notify: Notify
    items: deque[bytes] = field(default_factory=deque)


class SharedQueues:
    """Queues by token, counted from 1; a token belongs to a vm_id and a name."""

    def __init__(self, events: EventQueue) -> None:
        self._events = events
        self._tokens: dict[tuple[str, bytes], int] = {}
        self._queues: dict[int, _Queue] = {}

    def register(self, vm_id: str, name: bytes, notify: Notify) -> int:
        """The queue's token. What is in it stays; the last to register it is told of what comes."""
        token = self._tokens.setdefault((vm_id, name), len(self._tokens) + 1)
        if token in self._queues:
            self._queues[token].notify = notify
        else:
            self._queues[token] = _Queue(notify)
        return token

    def resolve(self, vm_id: str, name: bytes) -> int | None:
        """The token of a queue that has been registered."""
        return self._tokens.get((vm_id, name))

    def enqueue(self, token: int, value: bytes) -> Status:
        """Add an item. Each is told once, when the running callback is over, even if it has been taken by then."""
        queue = self._queues.get(token)
        if queue is None:
            return Status.NOT_FOUND
        queue.items.append(value)
        self._events.schedule(0, partial(queue.notify, token))
        return Status.OK

    def dequeue(self, token: int) -> tuple[Status, bytes]:
        """Take the oldest item."""
        queue = self._queues.get(token)
        if queue is None:
            return Status.NOT_FOUND, b""
        return (Status.OK, queue.items.popleft()) if queue.items else (Status.EMPTY, b"")
