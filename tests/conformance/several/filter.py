"""A filter that tells of its callbacks and counts its requests; its name is the root's configuration."""

from __future__ import annotations

from pywasm_filter import (
    Action,
    FailurePolicy,
    HttpContext,
    LogLevel,
    RootContext,
    SharedQueue,
    log,
    register_root_context,
    shared_data,
)

in_this_vm = 0
"""The requests that this VM has seen."""


class Telling(HttpContext["TellingRoot"]):
    """Each callback is a line of the log; the request's header `x-<name>` says what to do."""

    order = ""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        """Count, then do as told."""
        global in_this_vm
        in_this_vm += 1
        self.tell("request headers")
        self.order = self.request.headers.get(f"x-{self.root.name}", "")
        self.request.headers.add("x-seen-by", self.root.name)
        self.request.headers["x-in-this-vm"] = str(in_this_vm)
        self.request.headers["x-in-all"] = shared_data.update("all", lambda value: b"%d" % (int(value or b"0") + 1))
        match self.order:
            case "answer":
                self.send_local_response(403, body=f"from {self.root.name}")
                return Action.PAUSE
            case "trap":
                raise ValueError("a trap")
            case "reset":
                self.reset()
            case "enqueue":
                SharedQueue.resolve("", "work").enqueue(self.root.name.encode())
            case "wait":
                self.create_task(self.resume())
                return Action.PAUSE
        return Action.CONTINUE

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        """Hold the body back until it is whole, if told so, and sign it."""
        if self.order != "hold":
            return Action.CONTINUE
        if not end_of_stream:
            return Action.PAUSE
        self.tell(f"request body {self.request.body.read()!r}")
        self.request.body.append(b"+" + self.root.name.encode())
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        """Tell, and answer instead if told so."""
        self.tell("response headers")
        self.response.headers.add("x-returned-by", self.root.name)
        if self.order == "replace":
            self.send_local_response(502, body=f"instead by {self.root.name}")
        return Action.CONTINUE

    def on_log(self) -> None:
        """Tell."""
        self.tell("log")

    def on_done(self) -> bool:
        """Tell."""
        self.tell("done")
        return True

    async def resume(self) -> None:
        """Go on a little later."""
        await self.sleep(0.01)
        self.continue_request()

    def tell(self, what: str) -> None:
        """Say what happened, and to whom."""
        log(LogLevel.INFO, f"{self.root.name}: {what}")


class TellingRoot(RootContext):
    """Reads its name; one with `!` accepts its configuration twice only: in the canary and once more."""

    http_context = Telling
    failure_policy = FailurePolicy.TRAP
    name = ""

    def on_configure(self, configuration: bytes) -> bool:
        """Read the name, and register the queue."""
        self.name = configuration.decode()
        SharedQueue.register("work")
        if not self.name.startswith("!"):
            return True
        return int(shared_data.update("configured", lambda value: b"%d" % (int(value or b"0") + 1))) <= 2

    def on_queue_ready(self, queue: SharedQueue) -> None:
        """Take what is there."""
        for item in queue:
            log(LogLevel.INFO, f"{self.name} takes {item!r}, in a VM that has seen {in_this_vm}")


register_root_context(TellingRoot)
