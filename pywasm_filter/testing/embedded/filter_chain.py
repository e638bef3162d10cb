"""One direction of a stream: frames pass the filters, in order, on their way to the router or the client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

from pywasm_filter.testing.embedded.buffers import BodyBuffer
from pywasm_filter.testing.embedded.filter_iteration import Filter, FilterIteration, HeadersT, Sink
from pywasm_filter.testing.embedded.header_map import HeaderMap


class FilterChain(Generic[HeadersT]):
    """The filters of one direction, the first of which the source meets first.

    `name` is "request" or "response"; `too_large` is called when a body that a filter holds exceeds the limit,
    `when_aborted` when a callback returns in which the direction was aborted.
    """

    def __init__(
        self,
        name: str,
        filters: Sequence[Filter[HeadersT]],
        sink: Sink[HeadersT],
        limit: int,
        too_large: Callable[[], None],
        when_aborted: Callable[[], None],
    ) -> None:
        self.name = name
        self.started = False
        """Whether the headers have arrived."""
        self.aborted = False
        """Whether a local reply, or the end of the stream, has made the rest of this direction moot."""
        self._first = sink
        self._waiting: list[tuple[BodyBuffer, bool] | HeaderMap] = []
        iterations: list[FilterIteration[HeadersT]] = []
        for filter_ in reversed(filters):
            iteration = FilterIteration(name, filter_, self._first, limit, too_large, when_aborted, self._unblock)
            iterations.append(iteration)
            self._first = iteration
        self.iterations = tuple(reversed(iterations))
        """In the order of the filters."""

    # --- from the source ---

    def receive_headers(self, headers: HeadersT, end_stream: bool) -> None:
        """The headers have arrived."""
        self.started = True
        self._first.take_headers(headers, end_stream)

    def receive_body(self, data: BodyBuffer, end_stream: bool) -> None:
        """A frame of the body has arrived. It waits while a filter holds too much."""
        if self._blocked:
            self._waiting.append((data, end_stream))
        elif not self.aborted:
            self._first.take_body(data, end_stream)

    def receive_trailers(self, trailers: HeaderMap) -> None:
        """The trailers have arrived. They wait while a filter holds too much."""
        if self._blocked:
            self._waiting.append(trailers)
        elif not self.aborted:
            self._first.take_trailers(trailers)

    def receive_metadata(self, num_elements: int) -> None:
        """HTTP/2 metadata has arrived."""
        self._first.take_metadata(num_elements)

    # --- what the stream asks and says ---

    @property
    def calling(self) -> bool:
        """Whether a callback of a filter is being run."""
        return any(iteration.calling for iteration in self.iterations)

    @property
    def paused(self) -> FilterIteration[HeadersT] | None:
        """The filter that holds the direction back; the one nearest to the source if several do."""
        return next((iteration for iteration in self.iterations if iteration.paused), None)

    def abort(self) -> None:
        """Let nothing pass any more."""
        self.aborted = True
        for iteration in self.iterations:
            iteration.aborted = True

    @property
    def _blocked(self) -> bool:
        return any(iteration.source_blocked for iteration in self.iterations)

    def _unblock(self) -> None:
        """Let in what waits, until a filter holds too much again."""
        while self._waiting and not self._blocked:
            frame = self._waiting.pop(0)
            if isinstance(frame, HeaderMap):
                self._first.take_trailers(frame)
            else:
                self._first.take_body(*frame)
