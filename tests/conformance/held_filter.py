"""The filter under the tests of what is held while a coroutine waits, and of answers whose own callbacks fail."""

from __future__ import annotations

from pywasm_filter import Action, HttpContext


class Held(HttpContext):
    """Judges bodies, and has no callback for trailers."""

    async def on_request_body(self, body_size: int, end_of_stream: bool) -> Action:
        body = self.request.body.read()
        await self.sleep(0.1)
        return self.send_local_response(403) if b"bad" in body else Action.CONTINUE

    async def on_response_body(self, body_size: int, end_of_stream: bool) -> Action:
        body = self.response.body.read()
        await self.sleep(0.1)
        if b"bad" in body:
            self.response.body.replace(b"***")
        return Action.CONTINUE

    def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.response.headers.discard("content-length")
        if self.response.status == 403:
            raise KeyError("own answer")
        return Action.CONTINUE
