"""One request through the proxy, as a test looks back on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pywasm_filter.testing.errors import PropertiesNotSupported, StreamReset
from pywasm_filter.testing.messages import LogLine, Request, Response

if TYPE_CHECKING:
    from pywasm_filter.testing.trace import Trace


class Exchange:
    """What became of a request.

    `logs` has what the plugin logged from the first callback of the stream to the last, `trace` what crossed between
    proxy and plugin in that time: see `Proxy.trace`. `reset` tells whether the
    stream was broken off: by the filter, by a trap, or by a local reply that came too late.
    """

    upstream_request: Request | None
    """The request as the upstream got it; None when it got none, or not all of it: the filter answered, say."""

    cluster: str | None
    """The cluster that the request was routed to, `upstream` by default (see `routes` of the settings); None when the
    upstream got none."""

    def __init__(
        self,
        *,
        response: Response | None,
        upstream_request: Request | None,
        cluster: str | None,
        logs: Sequence[LogLine],
        trace: Callable[[], Trace],
        properties: Mapping[str, bytes] | None,
        reset: bool = False,
    ) -> None:
        self._response = response
        self.upstream_request = upstream_request
        self.cluster = cluster
        self.logs = list(logs)
        self._trace = trace
        self._properties = properties
        self.reset = reset

    @property
    def reached_upstream(self) -> bool:
        """Whether the upstream got the whole request."""
        return self.upstream_request is not None

    @property
    def response(self) -> Response:
        """The response as the client got it; what came of it when the stream was reset in its middle.

        Raises StreamReset when the client got nothing.
        """
        if self._response is None:
            raise StreamReset("the stream was reset before a response (exchange.reset tells without raising)")
        return self._response

    @property
    def trace(self) -> Trace:
        """What crossed between proxy and plugin meanwhile. Raises TraceNotSupported as `Proxy.trace` does.

        Raises TraceNotKept when more than `trace_length` crossings have come since.
        """
        return self._trace()

    @property
    def properties(self) -> Mapping[str, bytes]:
        """What the plugin has set of the stream with proxy_set_property, by path, parts joined with dots.

        Raises PropertiesNotSupported in a real Envoy, which does not tell.
        """
        if self._properties is None:
            raise PropertiesNotSupported(
                "a real Envoy does not tell which properties a plugin has set; read them back in the filter, or limit "
                "the test with @pytest.mark.pywasm(hosts=['inprocess', 'wasmtime'])"
            )
        return self._properties

    def __repr__(self) -> str:
        reached = "" if self.reached_upstream else ", answered by the proxy"
        return f"<Exchange {self._response!r}{reached}{', reset' if self.reset else ''}>"
