"""One filter in one direction of a stream: frames pass it, and may be held back by it, on their way to a sink.

This is the iteration of Envoy's filter manager as it concerns one filter: the same states, in the same order, since
what authors trip over lies in their details.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Generic, Protocol, TypeVar

from pywasm_filter.sdk.abi import FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus
from pywasm_filter.testing.embedded.buffers import BodyBuffer
from pywasm_filter.testing.embedded.header_map import HeaderMap
from pywasm_filter.testing.errors import HostMisuse

HeadersT_contra = TypeVar("HeadersT_contra", bound=HeaderMap, contravariant=True)
HeadersT = TypeVar("HeadersT", bound=HeaderMap)


class Filter(Protocol[HeadersT_contra]):
    """The plugin's callbacks of one direction."""

    def on_headers(self, headers: HeadersT_contra, end_stream: bool) -> FilterHeadersStatus:
        """The headers."""
        ...

    def on_body(self, data: BodyBuffer, end_stream: bool) -> FilterDataStatus:
        """A frame of the body."""
        ...

    def on_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        """The trailers."""
        ...

    def on_metadata(self, num_elements: int) -> None:
        """HTTP/2 metadata, which a filter cannot hold back."""
        ...


class Sink(Protocol[HeadersT_contra]):
    """What lies behind the filter."""

    def take_headers(self, headers: HeadersT_contra, end_stream: bool) -> None:
        """The headers."""
        ...

    def take_body(self, data: BodyBuffer, end_stream: bool) -> None:
        """A frame of the body, to be emptied."""
        ...

    def take_trailers(self, trailers: HeaderMap) -> None:
        """The trailers."""
        ...

    def take_metadata(self, num_elements: int) -> None:
        """HTTP/2 metadata."""
        ...


class Iteration(Enum):
    """Where the filter has left the direction."""

    CONTINUE = auto()
    STOPPED = auto()
    """Headers are held back, or data; further data still reaches the filter."""
    STOPPED_ALL_BUFFER = auto()
    """Nothing reaches the filter; too much data ends the stream."""
    STOPPED_ALL_WATERMARK = auto()
    """Nothing reaches the filter; too much data stops the source."""


_STOPPED_ALL = (Iteration.STOPPED_ALL_BUFFER, Iteration.STOPPED_ALL_WATERMARK)

_AFTER_HEADERS = {
    FilterHeadersStatus.STOP_ITERATION: Iteration.STOPPED,
    FilterHeadersStatus.STOP_ALL_ITERATION_AND_BUFFER: Iteration.STOPPED_ALL_BUFFER,
    FilterHeadersStatus.STOP_ALL_ITERATION_AND_WATERMARK: Iteration.STOPPED_ALL_WATERMARK,
}


class FilterIteration(Generic[HeadersT]):
    """One filter's place in a direction, and the sink of the filter before it.

    `name` is "request" or "response"; `too_large` is called when a held body exceeds the limit, `when_aborted` when a
    callback returns in which the direction was aborted, `unblocked` when the source may send again. `calling` names
    the callback that is being run, `paused_by` the one that stopped the direction last.
    """

    def __init__(
        self,
        name: str,
        filter: Filter[HeadersT],  # noqa: A002 - Envoy's term
        sink: Sink[HeadersT],
        limit: int,
        too_large: Callable[[], None],
        when_aborted: Callable[[], None],
        unblocked: Callable[[], None],
    ) -> None:
        self.name = name
        self.headers: HeadersT | None = None
        self.trailers: HeaderMap | None = None
        self.iteration = Iteration.CONTINUE
        self.calling = ""
        self.paused_by = ""
        self.has_body = False
        """Whether anything followed the headers."""
        self.resumed_within = ""
        """The callback that was running when the direction was resumed last."""
        self.aborted = False
        """Whether a local reply or the end of the stream has made the rest of this direction moot."""
        self.source_blocked = False
        """Whether so much is held back that the source must not send."""
        self._filter = filter
        self._sink = sink
        self._limit = limit
        self._too_large = too_large
        self._when_aborted = when_aborted
        self._unblocked = unblocked
        self._held: BodyBuffer | None = None
        self._streaming = False
        self._source_ended = False
        self._headers_continued = False
        self._trailers_continued = False
        self._filter_ended = False
        self._resume_at_filter = False
        self._waiting_metadata: list[int] = []

    # --- from the source, or the filter before ---

    def take_headers(self, headers: HeadersT, end_stream: bool) -> None:
        """The headers have arrived."""
        self.headers = headers
        self._source_ended = self._filter_ended = end_stream
        self.has_body = not end_stream
        self.calling = f"on_{self.name}_headers"
        status = self._filter.on_headers(headers, end_stream)
        self.calling = ""
        if self.aborted:
            self._when_aborted()
        elif status in _AFTER_HEADERS:
            self.iteration = _AFTER_HEADERS[status]
            self.paused_by = f"on_{self.name}_headers"
            self._metadata_to_filter()
        else:
            self._continue_headers()
            self._metadata_to_filter()
            if not self.aborted:
                self._sink.take_headers(headers, end_stream)

    def take_body(self, data: BodyBuffer, end_stream: bool) -> None:
        """A frame of the body has arrived."""
        self._source_ended = end_stream
        self._data_to_filter(data, end_stream)

    def take_trailers(self, trailers: HeaderMap) -> None:
        """The trailers have arrived."""
        self.trailers = trailers
        self._source_ended = True
        self._trailers_to_filter(trailers)

    def take_metadata(self, num_elements: int) -> None:
        """HTTP/2 metadata has arrived. It waits for the headers, and while nothing reaches the filter."""
        if not self._source_ended:
            self._waiting_metadata.append(num_elements)
            if self.headers is not None:
                self._metadata_to_filter()

    # --- from the filter ---

    def resume(self) -> None:
        """Let pass what is held back. What the filter has not seen yet goes through it."""
        if self.aborted:
            return
        self.resumed_within = self.calling
        if self.headers is None:
            raise HostMisuse(
                f"continue_{self.name}() was called before the {self.name} has begun: Envoy crashes. "
                f"Call it when on_{self.name}_headers has paused"
            )
        self._resume_at_filter = self.iteration in _STOPPED_ALL
        self.iteration = Iteration.CONTINUE
        if not self._headers_continued:
            self._headers_to_sink(self.headers, self._source_ended and self._held is None and self.trailers is None)
        self._metadata_to_filter()
        had_trailers = self.trailers
        if self._held is not None and not self.aborted:
            self._resume_data(self._held, self._source_ended and had_trailers is None)
        if had_trailers is not None and not self.aborted:
            self._resume_trailers(had_trailers)
        self._resume_at_filter = False
        self._unblock_source()

    def hold(self, data: BodyBuffer) -> BodyBuffer:
        """Add data to what is held back, from within on_body; returns all of it."""
        self._streaming = False
        return self._hold(data)

    @property
    def held(self) -> BodyBuffer:
        """What is held back; an empty buffer if nothing is."""
        return BodyBuffer() if self._held is None else self._held

    def create_trailers(self) -> HeaderMap:
        """Give trailers to a message that has none, from within on_body with `end_stream`."""
        self.trailers = HeaderMap()
        return self.trailers

    @property
    def paused(self) -> bool:
        """Whether the filter holds the direction back."""
        return self.iteration is not Iteration.CONTINUE and not self.aborted

    # --- iteration ---

    def _data_to_filter(self, data: BodyBuffer, end_stream: bool) -> None:
        if self.aborted:
            return
        if self.iteration in _STOPPED_ALL:
            self._streaming = self.iteration is Iteration.STOPPED_ALL_WATERMARK
            self._hold(data)
            if self.aborted:
                self._when_aborted()
            return
        if self._filter_ended:
            return
        had_trailers = self.trailers is not None
        self._filter_ended = end_stream and not had_trailers
        self.calling = f"on_{self.name}_body"
        status = self._filter.on_body(data, self._filter_ended)
        self.calling = ""
        if self.aborted:
            self._when_aborted()
            return
        new_trailers = None if had_trailers else self.trailers
        if self._goes_on_after_data(status, data):
            self._sink.take_body(data, end_stream and new_trailers is None)
        if new_trailers is not None and not self.aborted:
            self._trailers_to_sink(new_trailers)

    def _goes_on_after_data(self, status: FilterDataStatus, data: BodyBuffer) -> bool:
        if status is FilterDataStatus.CONTINUE:
            if self.iteration is Iteration.CONTINUE:
                return True
            self._hold(data)
            self.resume()
            return False
        self.iteration = Iteration.STOPPED
        self.paused_by = f"on_{self.name}_body"
        if status is not FilterDataStatus.STOP_ITERATION_NO_BUFFER:
            self._streaming = status is FilterDataStatus.STOP_ITERATION_AND_WATERMARK
            self._hold(data)
        elif self._source_ended and self.trailers is None and self._held is None:
            # So that a later resume ends the message.
            self._held = BodyBuffer()
        if self.aborted:
            self._when_aborted()
        return False

    def _trailers_to_filter(self, trailers: HeaderMap) -> None:
        if self.aborted or self.iteration in _STOPPED_ALL:
            return
        self.calling = f"on_{self.name}_trailers"
        status = self._filter.on_trailers(trailers)
        self.calling = ""
        self._filter_ended = True
        if self.aborted:
            self._when_aborted()
        elif status is FilterTrailersStatus.STOP_ITERATION:
            self.iteration = Iteration.STOPPED
            self.paused_by = f"on_{self.name}_trailers"
        elif self.iteration is Iteration.STOPPED:
            self.resume()
        else:
            self._trailers_to_sink(trailers)

    def _metadata_to_filter(self) -> None:
        while self._waiting_metadata and not self.aborted and self.iteration not in _STOPPED_ALL:
            self.calling = f"on_{self.name}_metadata"
            num_elements = self._waiting_metadata.pop(0)
            self._filter.on_metadata(num_elements)
            self.calling = ""
            if self.aborted:
                self._when_aborted()
            else:
                self._sink.take_metadata(num_elements)

    def _headers_to_sink(self, headers: HeadersT, end_stream: bool) -> None:
        self._continue_headers()
        self._sink.take_headers(headers, end_stream)

    def _continue_headers(self) -> None:
        if self._headers_continued:
            raise HostMisuse(
                f"continue_{self.name}() was called in on_{self.name}_headers, which then returned CONTINUE: Envoy "
                f"sends the {self.name} twice. Return CONTINUE without the call, or PAUSE and continue later"
            )
        self._headers_continued = True

    def _trailers_to_sink(self, trailers: HeaderMap) -> None:
        if self._trailers_continued:
            return
        if self.iteration is not Iteration.CONTINUE:
            raise HostMisuse(
                f"on_{self.name}_body created trailers and paused: Envoy sends the trailers and loses the body. "
                f"Return CONTINUE from the call that creates trailers"
            )
        self._trailers_continued = True
        self._sink.take_trailers(trailers)

    def _resume_data(self, data: BodyBuffer, end_stream: bool) -> None:
        if self._resume_at_filter:
            self._data_to_filter(data, end_stream)
        else:
            self._sink.take_body(data, end_stream)

    def _resume_trailers(self, trailers: HeaderMap) -> None:
        if self._resume_at_filter:
            self._trailers_to_filter(trailers)
        else:
            self._trailers_to_sink(trailers)

    # --- held data ---

    def _hold(self, data: BodyBuffer) -> BodyBuffer:
        if self._held is None:
            self._held = BodyBuffer()
        if data is not self._held:
            self._held.move_from(data)
        if len(self._held) > self._limit and not self.source_blocked:
            if self._streaming:
                self.source_blocked = True
            else:
                self._too_large()
        return self._held

    def _unblock_source(self) -> None:
        if self._held is None or len(self._held) <= self._limit:
            self.source_blocked = False
            self._unblocked()
