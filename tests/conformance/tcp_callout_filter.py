"""A filter that asks a service by HTTP: whether a client may connect, and what becomes of each line it sends."""

from __future__ import annotations

from pywasm_filter import Action, StreamContext


class Asking(StreamContext):
    async def on_new_connection(self) -> Action:
        answer = await self.http_call("service", "GET", "/connect")
        if answer.status != 200:
            self.close_downstream()
            return Action.PAUSE
        return Action.CONTINUE

    async def on_downstream_data(self, data_size: int, end_of_stream: bool) -> Action:
        data = bytes(self.downstream_data)
        if data:
            answer = await self.http_call("service", "POST", "/line", body=data)
            self.downstream_data.replace(answer.body)
        return Action.CONTINUE
