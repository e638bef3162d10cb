"""Queues between VMs, of one vm_id or of several."""

from __future__ import annotations

from collections.abc import Iterator

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.exceptions import host_error


class SharedQueue:
    """A queue of bytes that outlives the VMs that use it. It has no bound: whoever registers it must empty it."""

    __slots__ = ("id",)

    def __init__(self, queue_id: int) -> None:
        self.id = queue_id
        """The host's number for this queue, the same in all VMs."""

    @classmethod
    def register(cls, name: str) -> SharedQueue:
        """Create the queue `name` of this plugin's vm_id, or open it with what it holds.

        From now on `on_queue_ready` of the present root context is called for each item; whoever has registered last is
        told. ABI: proxy_register_shared_queue. Raises HostError.
        """
        status, queue_id = hostcalls.current.proxy_register_shared_queue(name.encode("utf-8", "surrogateescape"))
        if status != 0:
            raise host_error("proxy_register_shared_queue", status)
        return cls(queue_id)

    @classmethod
    def resolve(cls, vm_id: str, name: str) -> SharedQueue:
        """Open the queue `name` that a VM of `vm_id` has registered.

        ABI: proxy_resolve_shared_queue. Raises HostError: NotFound when there is no such queue yet.
        """
        status, queue_id = hostcalls.current.proxy_resolve_shared_queue(
            vm_id.encode("utf-8", "surrogateescape"), name.encode("utf-8", "surrogateescape")
        )
        if status != 0:
            raise host_error("proxy_resolve_shared_queue", status)
        return cls(queue_id)

    def enqueue(self, item: bytes) -> None:
        """Append an item. ABI: proxy_enqueue_shared_queue. Raises HostError: NotFound when the queue is gone."""
        if not isinstance(item, bytes):
            raise TypeError(f"an item of a queue is bytes, not {type(item).__name__}; encode text first")
        status = hostcalls.current.proxy_enqueue_shared_queue(self.id, item)
        if status != 0:
            raise host_error("proxy_enqueue_shared_queue", status)

    def dequeue(self) -> bytes | None:
        """Take the oldest item, None when there is none: another VM may have taken it.

        ABI: proxy_dequeue_shared_queue. Raises HostError: NotFound when the queue is gone.
        """
        status, item = hostcalls.current.proxy_dequeue_shared_queue(self.id)
        if status == 0:
            return item
        if status == Status.EMPTY:
            return None
        raise host_error("proxy_dequeue_shared_queue", status)

    def __iter__(self) -> Iterator[bytes]:
        """Take items until there are none."""
        item = self.dequeue()
        while item is not None:
            yield item
            item = self.dequeue()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SharedQueue) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<SharedQueue {self.id}>"
