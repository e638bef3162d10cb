"""The filter under the tests of restricted capabilities."""

from __future__ import annotations

import os

from pywasm_filter import Action, HostError, HttpContext, current_time_ns, shared_data


class Restricted(HttpContext):
    """Tells the upstream what it can do."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.request.headers["x-shared"] = self._attempt(self._share)
        self.request.headers["x-time"] = self._attempt(self._tell_time)
        self.request.headers["x-random"] = self._attempt(self._draw)
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.response.headers["x-called"] = "yes"
        return Action.CONTINUE

    def on_log(self) -> None:
        print("on_log", flush=True)

    def _share(self) -> None:
        shared_data.set("key", b"value")

    def _tell_time(self) -> None:
        current_time_ns()

    def _draw(self) -> None:
        os.urandom(4)

    def _attempt(self, action: object) -> str:
        assert callable(action)
        try:
            action()
        except (HostError, OSError) as error:
            return type(error).__name__
        return "fine"
