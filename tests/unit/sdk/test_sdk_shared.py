"""Shared data and queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pytest

from pywasm_filter import BadArgument, CasMismatch, NotFound, SharedQueue, shared_data
from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.hostcalls import Unbound
from pywasm_filter.sdk.shared_data import ABSENT


class SharedHost(Unbound):
    """One vm_id's data and queues as Envoy keeps them; `meddle` is a value that another VM writes before each write."""

    strict_cas = False
    """Whether a number must match even where there is no value, as in ngx_wasm_module."""

    def __init__(self) -> None:
        self.values: dict[bytes, tuple[bytes, int]] = {}
        self.meddling: list[bytes] = []
        self.status = int(Status.OK)
        self.queues: dict[int, deque[bytes]] = {}
        self.names: dict[tuple[bytes, bytes], int] = {}
        self._cas = 0

    def write(self, key: bytes, value: bytes) -> None:
        self._cas += 1
        self.values[key] = (value, self._cas)

    def proxy_get_shared_data(self, key: bytes, /) -> tuple[int, bytes, int]:
        if self.status:
            return self.status, b"", 0
        return (0, *self.values[key]) if key in self.values else (Status.NOT_FOUND, b"", 0)

    def proxy_set_shared_data(self, key: bytes, value: bytes, cas: int, /) -> int:
        if self.meddling:
            self.write(key, self.meddling.pop())
        present = self.values.get(key)
        if self.strict_cas:
            matches = cas == (0 if present is None else present[1])
        else:
            matches = present is None or cas in (0, present[1])
        if not matches:
            return Status.CAS_MISMATCH
        self.write(key, value)
        return self.status

    def proxy_register_shared_queue(self, queue_name: bytes, /) -> tuple[int, int]:
        queue_id = self.names.setdefault((b"", queue_name), len(self.names) + 1)
        self.queues.setdefault(queue_id, deque())
        return self.status, queue_id

    def proxy_resolve_shared_queue(self, vm_id: bytes, queue_name: bytes, /) -> tuple[int, int]:
        queue_id = self.names.get((vm_id, queue_name), 0)
        return (0, queue_id) if queue_id else (Status.NOT_FOUND, 0)

    def proxy_enqueue_shared_queue(self, queue_id: int, value: bytes, /) -> int:
        if queue_id not in self.queues:
            return Status.NOT_FOUND
        self.queues[queue_id].append(value)
        return 0

    def proxy_dequeue_shared_queue(self, queue_id: int, /) -> tuple[int, bytes]:
        if queue_id not in self.queues:
            return Status.NOT_FOUND, b""
        return (0, self.queues[queue_id].popleft()) if self.queues[queue_id] else (Status.EMPTY, b"")


@pytest.fixture
def host() -> Iterator[SharedHost]:
    scripted = SharedHost()
    previous = hostcalls.bind(scripted)
    yield scripted
    hostcalls.bind(previous)


# --- data ---


def test_values_are_written_and_read(host: SharedHost) -> None:
    assert shared_data.get("k") is None
    shared_data.set("k", b"v")
    shared_data.set("é", b"")
    assert shared_data.get(b"k") == b"v"
    assert shared_data.get("é".encode()) == b""
    assert shared_data.get_with_cas("k") == (b"v", 1)


def test_a_write_with_a_number_loses_against_another_write(host: SharedHost) -> None:
    shared_data.set("k", b"1")
    value, cas = shared_data.get_with_cas("k")
    assert value == b"1"
    host.write(b"k", b"other")
    with pytest.raises(CasMismatch, match="proxy_set_shared_data"):
        shared_data.set("k", b"2", cas)
    assert shared_data.get("k") == b"other"
    shared_data.set("k", b"2", shared_data.get_with_cas("k")[1])
    shared_data.set("k", b"3")
    assert shared_data.get("k") == b"3"


def test_a_key_is_created_once(host: SharedHost) -> None:
    value, cas = shared_data.get_with_cas("k")
    assert (value, cas) == (None, ABSENT)
    shared_data.set("k", b"mine", cas)
    with pytest.raises(CasMismatch):
        shared_data.set("k", b"theirs", cas)


def add_one(value: bytes | None) -> bytes:
    return b"%d" % (int(value or b"0") + 1)


def test_an_update_loses_no_other(host: SharedHost) -> None:
    assert shared_data.update("k", add_one) == b"1"
    host.meddling = [b"20", b"10"]
    assert shared_data.update("k", add_one) == b"21"
    assert host.meddling == []


def test_an_update_that_creates_loses_no_other(host: SharedHost) -> None:
    host.meddling = [b"10"]
    assert shared_data.update("k", add_one) == b"11"


@pytest.mark.parametrize("meddling", [[], [b"10"], [b"20", b"10"]])
def test_an_update_where_only_zero_creates(host: SharedHost, meddling: list[bytes]) -> None:
    host.strict_cas = True
    host.meddling = list(meddling)
    assert shared_data.update("k", add_one) == add_one(meddling[0] if meddling else None)
    assert shared_data.update("k", add_one) == add_one(add_one(meddling[0] if meddling else None))


def test_an_update_may_leave_the_value(host: SharedHost) -> None:
    shared_data.set("k", b"1")
    assert shared_data.update("k", lambda value: None) == b"1"
    assert shared_data.update("absent", lambda value: None) is None
    assert host.values == {b"k": (b"1", 1)}


def test_an_update_gives_up_in_the_end(host: SharedHost) -> None:
    host.meddling = [b"%d" % index for index in range(1000)]
    with pytest.raises(CasMismatch):
        shared_data.update("k", add_one)
    assert len(host.meddling) == 900


def test_other_statuses_become_exceptions(host: SharedHost) -> None:
    host.status = Status.BAD_ARGUMENT
    with pytest.raises(BadArgument, match="proxy_get_shared_data"):
        shared_data.get("k")
    with pytest.raises(BadArgument, match="proxy_set_shared_data"):
        shared_data.set("k", b"v")
    with pytest.raises(BadArgument):
        shared_data.update("k", add_one)


def test_shared_data_is_bytes(host: SharedHost) -> None:
    with pytest.raises(TypeError, match="shared data is bytes, not str"):
        shared_data.set("k", "v")  # type: ignore[arg-type]


# --- queues ---


def test_items_come_out_in_order(host: SharedHost) -> None:
    queue = SharedQueue.register("jobs")
    for item in (b"a", b"", b"c"):
        queue.enqueue(item)
    assert queue.dequeue() == b"a"
    assert list(queue) == [b"", b"c"]
    assert queue.dequeue() is None
    assert list(queue) == []


def test_a_queue_is_found_by_vm_id_and_name(host: SharedHost) -> None:
    queue = SharedQueue.register("jobs")
    found = SharedQueue.resolve("", "jobs")
    assert found == queue == SharedQueue(queue.id)
    assert len({found, queue, SharedQueue(9)}) == 2
    assert queue != queue.id
    assert repr(queue) == "<SharedQueue 1>"
    with pytest.raises(NotFound, match="proxy_resolve_shared_queue"):
        SharedQueue.resolve("other", "jobs")


def test_a_queue_that_is_gone(host: SharedHost) -> None:
    with pytest.raises(NotFound, match="proxy_enqueue_shared_queue"):
        SharedQueue(7).enqueue(b"x")
    with pytest.raises(NotFound, match="proxy_dequeue_shared_queue"):
        SharedQueue(7).dequeue()
    with pytest.raises(TypeError, match="an item of a queue is bytes, not str"):
        SharedQueue(7).enqueue("x")  # type: ignore[arg-type]
    host.status = Status.INTERNAL_FAILURE
    with pytest.raises(Exception, match="proxy_register_shared_queue: INTERNAL_FAILURE"):
        SharedQueue.register("jobs")
