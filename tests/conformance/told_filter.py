"""Does what the header x-do says: the filter under the tests of upstreams, clocks, strategies and capabilities.

It logs the response's flags and details in the callbacks of the end, and what the clocks show in ticks, if it is
configured to tick.
"""

import datetime
import json
import os
import time
from collections.abc import Callable
from datetime import datetime as moment
from time import monotonic, time_ns

from pywasm_filter import (
    Action,
    AttributeNotAvailable,
    HostError,
    HttpContext,
    LogLevel,
    RootContext,
    current_time_ns,
    log,
    shared_data,
)

SPACIOUS = " \ta b\t "


def readings() -> dict[str, float]:
    """Seconds by clock; `proxy` is what the hostcall says."""
    return {
        "proxy": current_time_ns() / 1e9,
        "time": time.time(),
        "time_ns": time_ns() / 1e9,
        "datetime.now": datetime.datetime.now(datetime.UTC).timestamp(),
        "moment.now": moment.now().astimezone().timestamp(),
        "gmtime": float(datetime.datetime(*time.gmtime()[:6], tzinfo=datetime.UTC).timestamp()),
        "monotonic": monotonic(),
        "monotonic_ns": time.monotonic_ns() / 1e9,
        "perf_counter": time.perf_counter(),
        "perf_counter_ns": time.perf_counter_ns() / 1e9,
    }


def outcome(action: Callable[[], object]) -> str:
    """What comes of an attempt."""
    try:
        action()
    except (HostError, OSError) as error:
        return type(error).__name__
    return "fine"


class Told(HttpContext["ToldRoot"]):
    """One request."""

    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        headers = self.request.headers
        self.task = str(headers.pop("x-do", "nothing"))
        match self.task.split():
            case ["remove", name]:
                headers.discard(name)
            case ["timeout", milliseconds]:
                headers["x-envoy-upstream-rq-timeout-ms"] = milliseconds
            case ["answer", details]:
                return self.send_local_response(429, body=b"slow down", details=details)
            case ["reset"]:
                self.reset()
            case ["call", cluster]:
                answer = await self.http_call(cluster, "GET", "/callout")
                headers["x-answer"] = f"{answer.status} {answer.text}"
            case ["grpc", cluster]:
                await self.grpc_call(cluster, "a.Service", "Method", b"")
            case ["clocks"]:
                before = readings()
                await self.sleep(0.25)
                headers["x-clocks"] = json.dumps([before, readings()])
            case ["spaces"]:
                headers["x-space"] = SPACIOUS
            case ["attempt"]:
                headers["x-shared"] = outcome(lambda: shared_data.set("key", b"value"))
                headers["x-time"] = outcome(current_time_ns)
                headers["x-random"] = outcome(lambda: os.urandom(4))
        return Action.CONTINUE

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        assert len(self.request.body.read()) == body_size
        return Action.PAUSE if self.task == "hold-request" else Action.CONTINUE

    def on_request_trailers(self, num_trailers: int) -> Action:
        if self.task == "spaces":
            self.request.trailers["x-space"] = SPACIOUS
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.report("headers")
        self.response.headers["x-seen"] = str(self.response.status)
        match self.task:
            case "reset-response":
                self.reset()
            case "remove-status":
                self.response.headers.discard(":status")
            case "spaces":
                self.response.headers["x-space"] = SPACIOUS
        return Action.CONTINUE

    def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        assert len(self.response.body.read()) == body_size
        return Action.PAUSE if self.task == "hold-response" else Action.CONTINUE

    def on_response_trailers(self, num_trailers: int) -> Action:
        if self.task == "spaces":
            self.response.trailers["x-space"] = SPACIOUS
        return Action.CONTINUE

    def on_log(self) -> None:
        self.report("log")

    def report(self, phase: str) -> None:
        """Log the bits and the reason."""
        response = self.properties.response
        try:
            details = response.code_details
        except AttributeNotAvailable:
            details = "-"
        log(LogLevel.INFO, f"{phase} {response.flags:#x} {details}")


class ToldRoot(RootContext):
    """Ticks if its configuration says so."""

    http_context = Told

    def on_configure(self, configuration: bytes) -> bool:
        if configuration == b"tick":
            self.set_tick_period(0.5)
        return True

    def on_tick(self) -> None:
        log(LogLevel.INFO, json.dumps(readings()))
