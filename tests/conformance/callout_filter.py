"""The filter under the tests of callouts, ticks and queues: `x-do` names what is to happen to a request."""

from __future__ import annotations

from pywasm_filter import (
    Action,
    CalloutFailed,
    CalloutTimeout,
    Counter,
    Gauge,
    Histogram,
    HttpContext,
    LogLevel,
    RootContext,
    SharedQueue,
    log,
    register_root_context,
)

done = Counter("callout_filter.done")
depth = Gauge("callout_filter.depth")
sizes = Histogram("callout_filter.sizes")


class Asking(HttpContext["AskingRoot"]):
    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        match self.request.headers.pop("x-do"):
            case "ask":
                await self.ask()
            case "forget":
                self.root.create_task(self.root.http_call("auth", "GET", "/forgotten"))
            case "tick":
                self.root.set_tick_period(0.05)
            case "sleep":
                await self.sleep(0.1)
            case "enqueue":
                SharedQueue.resolve("", "jobs").enqueue(b"one")
            case "count":
                done.increment(2)
                depth.set(7)
                for size in (1, 2, 3):
                    sizes.record(size)
        return Action.CONTINUE

    async def ask(self) -> None:
        try:
            answer = await self.http_call(
                "auth", "POST", "/check", headers={"x-token": "t"}, body=b"who?", timeout=0.25, authority="auth.example"
            )
        except CalloutTimeout:
            self.send_local_response(504, body="late")
        except CalloutFailed:
            self.send_local_response(503, body="failed")
        else:
            if answer.status != 200:
                self.send_local_response(403, body=answer.body)
            self.request.headers["x-answer"] = answer.text


class AskingRoot(RootContext):
    http_context = Asking
    ticks = 0

    def on_tick(self) -> None:
        self.ticks += 1
        log(LogLevel.INFO, f"tick {self.ticks}")
        if self.ticks == 3:
            self.set_tick_period(0)


class Worker(RootContext):
    def on_configure(self, configuration: bytes) -> bool:
        self.greeting = configuration.decode()
        SharedQueue.register("jobs")
        return True

    def on_queue_ready(self, queue: SharedQueue) -> None:
        for job in queue:
            log(LogLevel.INFO, f"{self.greeting} {job.decode()}")


register_root_context(AskingRoot, "asking")
register_root_context(Worker, "worker")
