"""Shared data and queues hold bytes."""

from pywasm_filter import SharedQueue, shared_data

value: bytes | None = shared_data.get("key")
present, cas = shared_data.get_with_cas("key")
shared_data.set("key", b"value", cas)
shared_data.update("key", lambda old: b"1" if old is None else old + b"1")
queue = SharedQueue.register("jobs")
queue.enqueue(b"item")
items: list[bytes] = list(queue)
number: int = SharedQueue.resolve("vm", "jobs").id

shared_data.set("key", "value")  # mypy: arg-type pyright: reportArgumentType
shared_data.get(5)  # mypy: arg-type pyright: reportArgumentType
shared_data.get("key").decode()  # mypy: union-attr pyright: reportOptionalMemberAccess
shared_data.update("key", lambda old: 5)  # mypy: arg-type, return-value pyright: reportArgumentType, reportCallIssue
queue.enqueue("item")  # mypy: arg-type pyright: reportArgumentType
queue.dequeue().decode()  # mypy: union-attr pyright: reportOptionalMemberAccess
SharedQueue.register(b"jobs")  # mypy: arg-type pyright: reportArgumentType
