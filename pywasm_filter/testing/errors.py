"""What a test is told when the proxy, the filter and the test do not fit together."""

from __future__ import annotations

from collections.abc import Sequence

from pywasm_filter.testing.messages import LogLine

_SHOWN_FRAMES = 10


class ProxyTestError(Exception):
    """Base of the errors that the proxies for tests raise."""


class GuestLoadError(ProxyTestError):
    """A module that a Proxy-Wasm host refuses: a missing import, no ABI marker, a callback of the wrong type."""


class CallbackTimeout(ProxyTestError):
    """A callback of a compiled filter did not come to an end: a real Envoy would hang, with all that its worker serves.

    `callback` is its name, `backtrace` names the module's functions that were running, innermost first.
    """

    def __init__(self, callback: str, seconds: float, backtrace: Sequence[str] = ()) -> None:
        self.callback = callback
        self.seconds = seconds
        self.backtrace = tuple(backtrace)
        told = (
            f"{callback} was still running after {seconds:g} s and was ended; a real Envoy would hang. "
            "If it needs more time, say so with @pytest.mark.pywasm(callback_timeout=...)"
        )
        shown = [f"  {index}: {name}" for index, name in enumerate(self.backtrace[:_SHOWN_FRAMES])]
        super().__init__("\n".join([told, *shown]))


class HostRefusesFilter(GuestLoadError):
    """The host that a test plays (`host_profile`) does not load the filter."""

    def __init__(self, host: str, reasons: Sequence[str]) -> None:
        self.host = host
        self.reasons = list(reasons)
        said = "".join(f"\n  {reason}" for reason in reasons)
        super().__init__(f"the host {host} does not load this filter:{said}")


class ProfileNotSupported(ProxyTestError):
    """A real Envoy cannot be another host."""


class PluginConfigurationError(ProxyTestError):
    """The plugin did not start: on_vm_start or on_configure refused, or the VM trapped.

    `reason` says which in one sentence, `logs` is what the plugin logged until then.
    """

    def __init__(self, reason: str, logs: Sequence[LogLine]) -> None:
        self.reason = reason
        self.logs = list(logs)
        lines = [f"  | {text}" for line in logs for text in str(line).splitlines()]
        super().__init__("\n".join([reason, *(["its log:", *lines] if lines else ["it logged nothing"])]))


class HostcallNotSupported(ProxyTestError):
    """The filter made a hostcall that the embedded proxy does not offer."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the embedded proxy does not offer {name}; run the test with --pywasm-host=envoy")


class ForeignFunctionNotInstalled(HostcallNotSupported):
    """The embedded proxy offers a foreign function, but a package that it needs is missing."""

    def __init__(self, function: str) -> None:
        super().__init__(f"proxy_call_foreign_function({function!r})")
        self.function = function

    def __str__(self) -> str:
        return f"{self.name} needs more packages in the embedded proxy: pip install 'pywasm-filter[foreign]'"


class HostMisuse(ProxyTestError):
    """The filter did what crashes a real Envoy, or makes it send garbage."""


class ContentLengthMismatch(HostMisuse):
    """A body does not have the size that its content-length header says: Envoy cuts it off or hangs."""

    def __init__(self, message: str, declared: int, actual: int) -> None:
        self.declared = declared
        self.actual = actual
        super().__init__(
            f"the {message} has content-length {declared} and a body of {actual} bytes; Envoy cuts it off or hangs. "
            f"Remove content-length in on_{message}_headers of a filter that changes the body"
        )


class StreamStalled(ProxyTestError):
    """The filter paused the stream and nothing is left that could resume it: a real client would wait in vain."""


class ConditionNotMet(ProxyTestError):
    """What a test waited for did not come in time."""


class WrongProtocol(ProxyTestError):
    """A request through a plugin for TCP, or a connection through one for HTTP."""

    def __init__(self, asked: str, protocol: str) -> None:
        super().__init__(
            f"{asked} needs a plugin for {protocol}: @pytest.mark.pywasm(protocol={protocol!r}), or "
            f"PluginSettings(protocol={protocol!r})"
        )


class StreamReset(ProxyTestError):
    """The stream was reset, so that there is no response."""


class StepwiseNotSupported(ProxyTestError):
    """This proxy cannot be driven step by step."""


class CallBackNotSupported(ProxyTestError):
    """This proxy has no foreign function that calls back."""


class AttributesNotSupported(ProxyTestError):
    """A test sets attributes of a proxy that has its own."""


class ClientsNotSupported(ProxyTestError):
    """This proxy cannot take such a client's connections."""


class CertificatesNotInstalled(ProxyTestError):
    """A package that makes certificates is missing."""

    def __init__(self) -> None:
        super().__init__("certificates of clients need a further package: pip install 'pywasm-filter[envoy]'")


class TraceNotSupported(ProxyTestError):
    """This proxy does not show what crosses between it and the plugin."""


class TraceNotKept(ProxyTestError):
    """Too much has crossed since then."""

    def __init__(self) -> None:
        super().__init__(
            "the trace of this exchange is not kept any more: look at it earlier, or keep more with "
            "@pytest.mark.pywasm(trace_length=...)"
        )


class FaultsNotSupported(ProxyTestError):
    """This proxy lets no test between it and the plugin."""


class PropertiesNotSupported(ProxyTestError):
    """This proxy does not tell which properties a plugin has set."""
