"""The context of a TCP connection."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias

from pywasm_filter.sdk.abi import Action, BufferType, FilterStatus, PeerType, StreamType
from pywasm_filter.sdk.body import Body
from pywasm_filter.sdk.contexts import Context, RootContext
from pywasm_filter.sdk.http_context import RootT
from pywasm_filter.sdk.quoted import ignore_quoted_argument
from pywasm_filter.sdk.streams import close_stream, continue_stream

if TYPE_CHECKING:
    from pywasm_filter.sdk.flow import DownstreamFlow

NetworkResult: TypeAlias = Action | FilterStatus | Coroutine[Any, Any, Action | FilterStatus]
"""What a callback of a connection returns."""

UpstreamResult: TypeAlias = Action | FilterStatus
"""What `on_upstream_data` returns. It cannot be async: proxies have no way to resume it."""


class StreamContext(Context, Generic[RootT]):
    """One TCP connection, of a network filter (`envoy.filters.network.wasm`).

    `on_new_connection` and `on_downstream_data` may be `async def`: what comes from the client is held meanwhile. When
    more comes while `on_downstream_data` awaits, it is called once more afterwards, as after PAUSE: it sees all that is
    held, what it has seen before included.
    """

    downstream_data: Final = Body(BufferType.DOWNSTREAM_DATA)
    """What has arrived from the client, in `on_downstream_data`."""

    upstream_data: Final = Body(BufferType.UPSTREAM_DATA)
    """What has arrived from the server, in `on_upstream_data`."""

    root: RootT
    """The root context that created this one."""

    _downstream_flow: DownstreamFlow | None = None
    _downstream_paused: bool = False

    def __init__(self, context_id: int, root: RootT) -> None:
        super().__init__(context_id)
        self.root = root

    def on_new_connection(self) -> NetworkResult:
        """A client has connected.

        PAUSE keeps the host from connecting upstream, and from reading, until `continue_downstream`. ABI:
        proxy_on_new_connection.
        """
        return Action.CONTINUE

    def on_downstream_data(self, data_size: int, end_of_stream: bool) -> NetworkResult:
        """Data has arrived from the client; `data_size` counts the bytes that `downstream_data` holds.

        PAUSE makes the host keep it: the next call sees all of it so far, and `continue_downstream` passes it on. ABI:
        proxy_on_downstream_data.
        """
        return Action.CONTINUE

    def on_upstream_data(self, data_size: int, end_of_stream: bool) -> UpstreamResult:
        """Data has arrived from the server; `data_size` counts the bytes that `upstream_data` holds.

        PAUSE makes the host keep it: the next call sees all of it so far. Nothing else resumes it, so answer CONTINUE
        when `end_of_stream` is set: Envoy loses what is held then. ABI: proxy_on_upstream_data.
        """
        return Action.CONTINUE

    def on_downstream_close(self, peer_type: PeerType) -> None:
        """The client's connection is closed. ABI: proxy_on_downstream_connection_close."""

    def on_upstream_close(self, peer_type: PeerType) -> None:
        """The server's connection is closed. ABI: proxy_on_upstream_connection_close."""

    def continue_downstream(self) -> None:
        """Resume what `on_new_connection` or `on_downstream_data` paused. ABI: proxy_continue_stream."""
        self._downstream_paused = False
        continue_stream(StreamType.DOWNSTREAM)

    def continue_upstream(self) -> None:
        """Resume what `on_upstream_data` paused, where the host can. ABI: proxy_continue_stream.

        Raises Unimplemented in Envoy.
        """
        continue_stream(StreamType.UPSTREAM)

    def close_downstream(self) -> None:
        """Close the client's connection, and with it the server's, once what was sent before has left.

        The data of the running callback is dropped. ABI: proxy_close_stream.
        """
        close_stream(StreamType.DOWNSTREAM)

    def close_upstream(self) -> None:
        """Close the server's connection; in Envoy the same as `close_downstream`. ABI: proxy_close_stream."""
        close_stream(StreamType.UPSTREAM)

    def _plugin(self) -> RootContext[Any]:
        return self.root

    def _fail_closed(self) -> None:
        self.close_downstream()

    def _let_pass(self) -> None:
        if self._downstream_paused:
            self.continue_downstream()


ignore_quoted_argument(StreamContext)
