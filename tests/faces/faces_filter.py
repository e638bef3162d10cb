"""One module with a root for each subject: between them they use every face of the ABI."""

from __future__ import annotations

import gc

from pywasm_filter import (
    Action,
    CalloutError,
    CancelledError,
    Counter,
    Gauge,
    GrpcError,
    Histogram,
    HttpContext,
    HttpResponse,
    LogLevel,
    NotFound,
    PeerType,
    RootContext,
    SharedQueue,
    StreamContext,
    Task,
    call_foreign_function,
    current_time_ns,
    gather,
    log,
    log_level,
    register_root_context,
    shared_data,
    wait_for,
)

# --- messages ---


class Messages(HttpContext["MessagesRoot"]):
    def on_context_create(self) -> None:
        self.trailers_seen = ""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        headers = self.request.headers
        if self.request.path == "/answer":
            return self.send_local_response(418, headers={"x-by": "filter"}, body="short", details="teapot")
        if self.request.path == "/reset":
            self.reset()
            return Action.PAUSE
        headers.add("x-multi", "two")
        headers["x-size"] = str(headers.byte_size > 0)
        del headers["x-drop"]
        headers.raw = [*headers.raw, (b"x-raw", b"\xff")]
        self.properties.set_raw("faces", value=b"kept")
        headers["x-property"] = (self.properties.raw("faces") or b"").decode()
        headers["x-attribute"] = self.properties.request.path
        return Action.CONTINUE

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        if not end_of_stream:
            return Action.PAUSE
        assert body_size == len(self.request.body)
        self.request.body.replace(self.request.body.read().upper())
        return Action.CONTINUE

    def on_request_trailers(self, num_trailers: int) -> Action:
        self.request.body.replace(self.request.body.read().upper())
        self.request.trailers["x-count"] = str(num_trailers)
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.response.headers.discard("content-length")
        self.response.headers["x-status"] = str(self.response.status)
        return Action.CONTINUE

    def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        if end_of_stream:
            self.response.body.append(b"!")
        return Action.CONTINUE

    def on_response_trailers(self, num_trailers: int) -> Action:
        self.response.trailers.add("x-seen", str(num_trailers))
        return Action.CONTINUE

    def on_done(self) -> bool:
        try:
            self.done()
        except NotFound:
            log(LogLevel.INFO, "nothing to be done")
        return True

    def on_log(self) -> None:
        log(LogLevel.INFO, f"log {self.response.headers.get(':status')} at {log_level().name}")

    def on_delete(self) -> None:
        log(LogLevel.INFO, "deleted")


class MessagesRoot(RootContext):
    http_context = Messages

    def on_vm_start(self, vm_configuration: bytes) -> bool:
        log(LogLevel.INFO, f"vm {vm_configuration.decode()}")
        return True

    def on_configure(self, configuration: bytes) -> bool:
        log(LogLevel.INFO, f"plugin {configuration.decode()}")
        return True


register_root_context(MessagesRoot, "messages")


# --- HTTP/2 metadata ---


class Metadata(HttpContext["MetadataRoot"]):
    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        log(LogLevel.INFO, "request headers")
        self.path = self.request.path
        if self.path == "/hold":
            await self.sleep(0.1)
        return Action.CONTINUE

    def on_request_metadata(self, num_elements: int) -> Action:
        log(LogLevel.INFO, f"request metadata {num_elements}")
        if self.path == "/answer":
            self.send_local_response(418, body="short")
        return Action.PAUSE  # in vain

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        log(LogLevel.INFO, f"request body {body_size} {end_of_stream}")
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        log(LogLevel.INFO, "response headers")
        return Action.CONTINUE

    def on_response_metadata(self, num_elements: int) -> Action:
        log(LogLevel.INFO, f"response metadata {num_elements}")
        return Action.PAUSE

    def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        log(LogLevel.INFO, f"response body {body_size} {end_of_stream}")
        return Action.CONTINUE


class MetadataRoot(RootContext):
    http_context = Metadata


register_root_context(MetadataRoot, "metadata")


# --- HTTP callouts ---


class Callouts(HttpContext["CalloutsRoot"]):
    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        match self.request.path:
            case "/callback":
                self.start_http_call("auth", "GET", "/callback", self.answered)
                return Action.PAUSE
            case "/all":
                first, second = await gather(
                    self.http_call("auth", "GET", "/first"), self.http_call("other", "POST", "/second", body="data")
                )
                self.request.headers["x-answers"] = f"{first.text} {second.text}"
                return Action.CONTINUE
            case "/again":
                self.request.headers["x-answers"] = str(await self.retry(3))
                return Action.CONTINUE
            case "/bounded":
                try:
                    await wait_for(self.http_call("auth", "GET", "/slow", timeout=9), timeout=0.05)
                except TimeoutError:
                    return self.send_local_response(504, body="bounded")
            case "/hold":
                try:
                    await self.http_call("auth", "GET", "/hold", timeout=5)
                except CancelledError:
                    log(LogLevel.INFO, "cancelled")
                    raise
            case "/nap":
                await self.sleep(0.02)
            case "/broken":
                await self.http_call("auth", "GET", "/broken")
                raise KeyError("after the answer")
            case "/nowhere":
                return await self.report("nowhere")
            case path if path.startswith("/request"):
                return await self.report("auth")
        return Action.CONTINUE

    async def report(self, cluster: str) -> Action:
        try:
            response = await self.http_call(
                cluster,
                "POST",
                "/check",
                headers={"x-from": "filter"},
                body=b"question",
                trailers={"x-trailer": "t"},
                authority="auth.example",
                timeout=0.2,
            )
        except CalloutError as error:
            return self.send_local_response(502, body=f"{type(error).__name__}: {error}")
        self.request.headers["x-answer"] = f"{response.status} {response.text} {response.headers.get('x-own')}"
        self.request.headers["x-trailer"] = response.trailers.get("x-t", "none")
        return Action.CONTINUE

    async def retry(self, times: int) -> list[int]:
        return [(await self.http_call("auth", "GET", f"/{number}")).status for number in range(times)]

    def answered(self, response: HttpResponse) -> None:
        self.request.headers["x-answer"] = str(response.status)
        self.continue_request()

    async def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        if not end_of_stream:
            return Action.PAUSE
        if self.root.checks_bodies:
            response = await self.http_call("auth", "POST", "/body", body=self.request.body.read())
            self.request.body.replace(response.body)
        return Action.CONTINUE

    async def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        if self.response.headers.get("x-ask") is not None:
            response = await self.http_call("other", "GET", "/response")
            self.response.headers["x-answer"] = response.text
        return Action.CONTINUE


class CalloutsRoot(RootContext):
    http_context = Callouts
    checks_bodies = False

    def on_configure(self, configuration: bytes) -> bool:
        self.checks_bodies = configuration == b"bodies"
        return True


register_root_context(CalloutsRoot, "callouts")


# --- many streams that end early ---


class Cancelled(HttpContext["CancelledRoot"]):
    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        if self.request.path == "/count":
            gc.collect()
            counts = {
                kind.__name__: sum(isinstance(entry, kind) for entry in gc.get_objects()) for kind in (Cancelled, Task)
            }
            return self.send_local_response(200, body=f"{counts} {self.root.cancelled} {self.root.left_behind()}")
        try:
            await gather(self.http_call("auth", "GET", "/", timeout=60), self.sleep(60), self.read_on())
        finally:
            self.root.cancelled += 1
        return Action.CONTINUE

    async def read_on(self) -> None:
        await wait_for(self.http_call("auth", "GET", "/2", timeout=60), 30)


class CancelledRoot(RootContext):
    http_context = Cancelled

    def __init__(self, context_id: int) -> None:
        super().__init__(context_id)
        self.cancelled = 0

    def left_behind(self) -> int:
        """Callouts and timers that the SDK still knows of."""
        return len(self._http_callouts) + len(self._timers())


register_root_context(CancelledRoot, "cancelled")


# --- time ---


class Ticking(RootContext):
    """Ticks every 50 ms, three times; sleeps of a task go on beside it."""

    def on_configure(self, configuration: bytes) -> bool:
        self.ticks = 0
        self.begin = current_time_ns()
        self.set_tick_period(0.05)
        self.create_task(self.nap())
        return True

    def on_tick(self) -> None:
        self.ticks += 1
        log(LogLevel.INFO, f"tick {self.ticks}")
        if self.ticks == 3:
            self.set_tick_period(0)

    async def nap(self) -> None:
        await self.sleep(0.07)
        elapsed = (current_time_ns() - self.begin) / 1e6
        log(LogLevel.INFO, f"woke up: {elapsed >= 69}")


register_root_context(Ticking, "ticking")


# --- what VMs share ---


REQUESTS = Counter("faces_requests")
LAST = Gauge("faces_last")
SIZES = Histogram("faces_sizes")


class Sharing(HttpContext["SharingRoot"]):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        count = shared_data.update("count", lambda value: str(int(value or b"0") + 1).encode())
        self.request.headers["x-count"] = count.decode()
        REQUESTS.increment()
        LAST.set(int(count))
        SIZES.record(num_headers)
        self.request.headers["x-metrics"] = f"{REQUESTS.value()} {LAST.value()}"
        SharedQueue.resolve("", "jobs").enqueue(self.request.path.encode())
        return Action.CONTINUE


class SharingRoot(RootContext):
    http_context = Sharing

    def on_configure(self, configuration: bytes) -> bool:
        self.queue = SharedQueue.register("jobs")
        return True

    def on_queue_ready(self, queue: SharedQueue) -> None:
        job = (queue.dequeue() or b"none").decode()
        log(LogLevel.INFO, f"job {job}, empty: {queue.dequeue() is None}, the same: {queue.id == self.queue.id}")


register_root_context(SharingRoot, "sharing")


# --- foreign functions ---


class Foreign(HttpContext["ForeignRoot"]):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        data = call_foreign_function("compress", b"a" * 1000)
        self.request.headers["x-back"] = str(call_foreign_function("uncompress", data) == b"a" * 1000)
        return Action.CONTINUE


class ForeignRoot(RootContext):
    http_context = Foreign

    def on_foreign_function(self, function_id: int, arguments: bytes) -> None:
        log(LogLevel.INFO, f"foreign function {function_id} {arguments!r}")


register_root_context(ForeignRoot, "foreign")


# --- gRPC ---


class Grpc(HttpContext["GrpcRoot"]):
    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        match self.request.path:
            case "/stream":
                return await self.converse()
            case "/hold":
                await self.hold()
            case "/nowhere":
                return await self.ask("nowhere")
            case _:
                return await self.ask("authz")
        return Action.CONTINUE

    async def ask(self, cluster: str) -> Action:
        try:
            answer = await self.grpc_call(
                cluster, "pkg.Service", "Unary", b"question", metadata={"x-from": "filter"}, timeout=0.3
            )
        except GrpcError as error:
            return self.send_local_response(502, body=f"{error.status} {error.message}")
        except CalloutError as error:
            return self.send_local_response(502, body=type(error).__name__)
        self.request.headers["x-answer"] = answer.decode()
        return Action.CONTINUE

    async def converse(self) -> Action:
        stream = self.grpc_stream("authz", "pkg.Service", "Chat", metadata={"x-from": "filter"})
        stream.send(b"one")
        received: list[str] = []
        try:
            async for message in stream:
                received.append(message.decode())
                if len(received) == 1:
                    stream.send(b"two")
                if len(received) == 2:
                    stream.half_close()
        except GrpcError as error:
            return self.send_local_response(502, body=f"{received} {error.status}")
        metadata = f"{stream.initial_metadata.get('x-initial')} {stream.trailing_metadata.get('x-trailing')}"
        self.request.headers["x-answer"] = f"{received} {metadata}"
        return Action.CONTINUE

    async def hold(self) -> None:
        try:
            await gather(
                self.grpc_call("authz", "pkg.Service", "Unary", b"hold", timeout=9),
                self.grpc_stream("authz", "pkg.Service", "Chat"),
            )
        except CancelledError:
            log(LogLevel.INFO, "cancelled")
            raise


class GrpcRoot(RootContext):
    http_context = Grpc


register_root_context(GrpcRoot, "grpc")


# --- TCP connections ---


class Gate(StreamContext["GateRoot"]):
    """Asks before it connects; answers "quit" itself, holds lines back until they are complete."""

    async def on_new_connection(self) -> Action:
        await self.sleep(0.01)
        log(LogLevel.INFO, f"connection from {self.properties.source.address.partition(':')[0]}")
        return Action.CONTINUE

    async def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        data = self.downstream_data.read()
        assert data_size == len(data)
        if data.startswith(b"quit"):
            self.close_downstream()
            return Action.PAUSE
        if not data.endswith(b"\n") and not end_of_stream:
            return Action.PAUSE
        if data.startswith(b"check"):
            response = await self.http_call("auth", "POST", "/line", body=data)
            self.downstream_data.replace(response.body)
        return Action.CONTINUE

    def on_upstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        if data_size:
            self.upstream_data.append(b"<")
        return Action.CONTINUE

    def on_downstream_close(self, peer_type: PeerType) -> None:
        log(LogLevel.INFO, "downstream closed")

    def on_upstream_close(self, peer_type: PeerType) -> None:
        log(LogLevel.INFO, f"upstream closed {peer_type.name}")

    def on_log(self) -> None:
        log(LogLevel.INFO, "log")


class GateRoot(RootContext):
    stream_context = Gate


register_root_context(GateRoot, "gate")
