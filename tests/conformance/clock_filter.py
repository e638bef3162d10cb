"""Tells what Python's own clocks show, in a header of the request and in the log at each tick."""

import datetime
import json
import time
from datetime import datetime as moment
from time import monotonic, time_ns

from pywasm_filter import Action, HttpContext, LogLevel, RootContext, current_time_ns, log


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


class Clocks(HttpContext["ClocksRoot"]):
    """Reads the clocks before and after a sleep."""

    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        before = readings()
        await self.sleep(0.25)
        self.request.headers["x-clocks"] = json.dumps([before, readings()])
        return Action.CONTINUE


class ClocksRoot(RootContext):
    """Reads them in on_tick."""

    http_context = Clocks

    def on_configure(self, configuration: bytes) -> bool:
        self.set_tick_period(0.5)
        return True

    def on_tick(self) -> None:
        log(LogLevel.INFO, json.dumps(readings()))
