"""Each callback has the statuses of its phase, and an async one the same."""

from dataclasses import dataclass

from pywasm_filter import (
    Action,
    FilterDataStatus,
    FilterHeadersStatus,
    FilterStatus,
    FilterTrailersStatus,
    HttpContext,
    RootContext,
    StreamContext,
)


@dataclass
class Settings:
    cluster: str
    timeout: float = 0.5


class Root(RootContext[Settings]):
    pass


class Good(HttpContext[Root]):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> FilterHeadersStatus:
        return FilterHeadersStatus.STOP_ALL_ITERATION_AND_BUFFER

    def on_request_body(self, body_size: int, end_of_stream: bool) -> Action | FilterDataStatus:
        return Action.PAUSE if end_of_stream else FilterDataStatus.STOP_ITERATION_NO_BUFFER

    def on_request_trailers(self, num_trailers: int) -> FilterTrailersStatus:
        return FilterTrailersStatus.CONTINUE

    async def on_response_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        config = self.root.config
        response = await self.http_call(config.cluster, "GET", "/", timeout=config.timeout)
        status: int = response.status
        return self.send_local_response(503) if status != 200 else Action.CONTINUE


class Tcp(StreamContext[Root]):
    def on_downstream_data(self, data_size: int, end_of_stream: bool) -> FilterStatus:
        return FilterStatus.CONTINUE


class WrongPhase(HttpContext[Root]):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> FilterDataStatus:  # mypy: override pyright: reportIncompatibleMethodOverride
        return FilterDataStatus.CONTINUE

    def on_request_body(self, body_size: int, end_of_stream: bool) -> FilterDataStatus:
        return FilterHeadersStatus.CONTINUE  # mypy: return-value pyright: reportReturnType

    async def on_request_trailers(self, num_trailers: int) -> FilterHeadersStatus:  # mypy: override pyright: reportIncompatibleMethodOverride
        return FilterHeadersStatus.CONTINUE


class MissingAwait(HttpContext[Root]):
    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        self.sleep(0.1)  # mypy: unused-coroutine pyright: reportUnusedCoroutine
        response = self.http_call("auth", "GET", "/")
        if response.status == 200:  # mypy: attr-defined pyright: reportAttributeAccessIssue
            return Action.CONTINUE
        return Action.PAUSE


class WrongConfig(HttpContext[Root]):
    async def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        await self.http_call(self.root.config.clusters, "GET", "/")  # mypy: attr-defined pyright: reportAttributeAccessIssue
        await self.http_call(self.root.config.timeout, "GET", "/")  # mypy: arg-type pyright: reportArgumentType
        await self.http_call("auth", "GET", "/", timeout="0.5s")  # mypy: arg-type pyright: reportArgumentType
        return None  # mypy: return-value pyright: reportReturnType


class NoConfig(RootContext):
    def on_configure(self, configuration: bytes) -> bool:
        return bool(self.config.cluster)  # mypy: attr-defined pyright: reportAttributeAccessIssue
