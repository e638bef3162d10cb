"""One exchange through the embedded proxy, with the filter and without it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pywasm_compiler.errors import CompileError
from pywasm_compiler.inspection import inspect_module, read_wasm

from pywasm_filter.checks.checker import check_source, refuse_errors
from pywasm_filter.cli.message_diff import MessageDiff, request_diff, response_diff
from pywasm_filter.testing import (
    CallbackTimeout,
    EmbeddedProxy,
    Exchange,
    GuestLoadError,
    HostcallNotSupported,
    LogLine,
    PluginConfigurationError,
    PluginSettings,
    ProxyTestError,
    Request,
    Response,
    StreamReset,
    StreamStalled,
)
from pywasm_filter.testing.guests import GuestFactory
from pywasm_filter.testing.guests.inprocess import InProcessGuest

_OF_THE_PROXY = ("date", "server", "content-length")


@dataclass(frozen=True)
class Trial:
    """What came of an exchange.

    `request` is None when the request did not reach the upstream, `response` when the stream was reset before the
    client got one. `answered_by_upstream` tells whether the response has its origin there. `start_logs` is what the
    filter logged before the exchange: Envoy, and the embedded proxy with it, starts one VM to try the configuration out
    and one that serves. `notes` are the proxy's own remarks, such as a trap of the VM.
    """

    sent: Request
    request: MessageDiff | None
    response: MessageDiff | None
    answered_by_upstream: bool
    reset: bool
    start_logs: tuple[LogLine, ...]
    logs: tuple[LogLine, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The stable form for other programs."""
        return {
            "sent": {"method": self.sent.method, "path": self.sent.path, "headers": self.sent.headers.items()},
            "request": None if self.request is None else self.request.to_json(),
            "response": None if self.response is None else self.response.to_json(),
            "answered_by_upstream": self.answered_by_upstream,
            "reset": self.reset,
            "start_logs": [_line_json(line) for line in self.start_logs],
            "logs": [_line_json(line) for line in self.logs],
            "notes": list(self.notes),
        }


def _line_json(line: LogLine) -> dict[str, str]:
    return {"level": line.level.name.lower(), "message": line.message}


class _NoFilter:
    """A guest that lets everything pass."""

    exports: frozenset[str] = frozenset()

    def start(self) -> None:
        """Nothing to do."""

    def call(self, name: str, *args: int) -> int | None:
        """Never called: there are no exports."""
        raise AssertionError(f"{name}{args} called")

    def discard(self) -> None:
        """Nothing is left."""


def run_trial(path: Path, request: Request, upstream: Response, settings: PluginSettings) -> Trial:
    """Send one request through a filter, a Python file or a built module.

    Raises CompileError when the filter cannot be loaded, refuses its configuration, or breaks the exchange, and
    ValueError for a request or a response of the upstream that HTTP/1.1 cannot say.
    """
    unfiltered = _exchange(EmbeddedProxy(lambda host: _NoFilter()), request, upstream)
    try:
        proxy = EmbeddedProxy(_guest_factory(path, settings), settings)
    except PluginConfigurationError as error:
        raise CompileError(error.reason, path, remedy="see the filter's log", detail=_lines(error.logs)) from error
    except GuestLoadError as error:
        remedy = f"see `pywasm-filter inspect {path}`"
        raise CompileError(f"cannot be loaded: {error}", path, remedy=remedy) from error
    except ProxyTestError as error:
        raise CompileError(str(error), path, remedy=_remedy(error)) from error
    start_logs = proxy.logs
    try:
        exchange = _exchange(proxy, request, upstream)
    except ProxyTestError as error:
        raise CompileError(str(error), path, remedy=_remedy(error), detail=_lines(proxy.logs)) from error
    received = _response(exchange)
    return Trial(
        sent=request,
        request=_request_diff(request, unfiltered, exchange),
        response=None if received is None else _response_diff(upstream, unfiltered, exchange, received),
        answered_by_upstream=exchange.reached_upstream,
        reset=exchange.reset,
        start_logs=tuple(start_logs),
        logs=tuple(proxy.logs[len(start_logs) :]),
        notes=tuple(proxy.notes),
    )


def _exchange(proxy: EmbeddedProxy, request: Request, upstream: Response) -> Exchange:
    with proxy:
        proxy.upstream = upstream
        return proxy.send(request)


def _remedy(error: ProxyTestError) -> str:
    match error:
        case StreamStalled():
            return (
                "return Action.CONTINUE, or answer with send_local_response; if Envoy's configuration sets "
                "allow_on_headers_stop_iteration, pass --allow-on-headers-stop-iteration"
            )
        case HostcallNotSupported():
            return "build the filter and run it in a real Envoy"
        case CallbackTimeout():
            return f"look in {error.callback} for a loop that does not end"
        case _:
            return "correct what the filter does to the message"


def _lines(logs: Iterable[LogLine]) -> str:
    return "\n".join(str(line) for line in logs)


def _guest_factory(path: Path, settings: PluginSettings) -> GuestFactory:
    if path.suffix != ".wasm":
        refuse_errors(check_source(path).findings, lambda warning: None)  # what the guest lacks must not seem to work
        return lambda host: InProcessGuest(path, host)
    data = read_wasm(path)
    inspect_module(data, path)
    return _wasmtime_factory(data, settings)


def _wasmtime_factory(data: bytes, settings: PluginSettings) -> GuestFactory:
    from pywasm_filter.testing.guests.limits import Limits
    from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule

    module, limits = WasmtimeModule(data), Limits.of(settings)
    return lambda host: module.instantiate(host, limits)


def _request_diff(sent: Request, unfiltered: Exchange, exchange: Exchange) -> MessageDiff | None:
    if exchange.upstream_request is None:
        return None
    assert unfiltered.upstream_request is not None  # there is nothing that could hold it back
    return request_diff(sent, unfiltered.upstream_request, exchange.upstream_request)


def _response(exchange: Exchange) -> Response | None:
    try:
        return exchange.response
    except StreamReset:
        return None


def _response_diff(upstream: Response, unfiltered: Exchange, exchange: Exchange, received: Response) -> MessageDiff:
    if exchange.reached_upstream:
        return response_diff(upstream, unfiltered.response, received)
    # The filter made all of it, but for what the proxy puts on any response.
    own = [(name, value) for name, value in received.headers.items() if name in _OF_THE_PROXY]
    return response_diff(Response(), Response(received.status, headers=own), received)
