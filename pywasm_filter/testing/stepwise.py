"""A request that a test drives step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pywasm_filter.testing.clusters import Answer
from pywasm_filter.testing.exchange import Exchange
from pywasm_filter.testing.messages import HeadersInput, Request, Response


class Stream(ABC):
    """A request that a test drives step by step. Each step returns when the plugin has dealt with it."""

    @abstractmethod
    def send_body(self, chunk: bytes | str, *, end_stream: bool = False) -> None:
        """Send a chunk of the request's body."""

    @abstractmethod
    def send_trailers(self, trailers: HeadersInput) -> None:
        """Send the request's trailers, which end it."""

    @abstractmethod
    def send_metadata(self, metadata: HeadersInput) -> None:
        """Send a frame of HTTP/2 metadata: on_request_metadata gets the number of its names.

        It waits while the filter has stopped everything. As in Envoy, an empty one goes unnoticed, and what comes after
        the request's end is dropped.
        """

    @abstractmethod
    def respond(self, answer: Answer) -> None:
        """Let the upstream answer: a whole response at once, or Delay, NoAnswer, Reset, Partial.

        Raises ValueError when the upstream has no request yet.
        """

    @abstractmethod
    def respond_headers(self, status: int, headers: HeadersInput | None = None, *, end_stream: bool = False) -> None:
        """Begin an answer from the upstream."""

    @abstractmethod
    def respond_body(self, chunk: bytes | str, *, end_stream: bool = False) -> None:
        """Send a chunk of the upstream's body."""

    @abstractmethod
    def respond_trailers(self, trailers: HeadersInput) -> None:
        """Send the upstream's trailers, which end its answer."""

    @abstractmethod
    def respond_metadata(self, metadata: HeadersInput) -> None:
        """Send a frame of HTTP/2 metadata from the upstream: on_response_metadata gets the number of its names.

        It may come before the answer's headers; the filter sees it after them. Raises ValueError when the upstream has
        no request yet.
        """

    @abstractmethod
    def abort(self) -> None:
        """Go away, as a client does that loses patience."""

    @property
    @abstractmethod
    def request_paused(self) -> bool:
        """Whether the plugin holds the request back."""

    @property
    @abstractmethod
    def response_paused(self) -> bool:
        """Whether the plugin holds the response back."""

    @property
    @abstractmethod
    def upstream_request(self) -> Request | None:
        """The request as far as the upstream has it; None before its headers have passed."""

    @property
    @abstractmethod
    def response(self) -> Response | None:
        """The response as far as the client has it; None before its headers have passed."""

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether the stream is over."""

    @property
    @abstractmethod
    def exchange(self) -> Exchange:
        """What has become of the request so far."""
