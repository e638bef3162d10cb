"""What happened in a test without the test having said that it may: strict mode fails on it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pywasm_filter.sdk.abi import LogLevel
from pywasm_filter.testing.errors import FaultsNotSupported
from pywasm_filter.testing.faults import INJECTED

if TYPE_CHECKING:
    from pywasm_filter.testing.faults import Fault
    from pywasm_filter.testing.proxy import Proxy


def unexpected(proxy: Proxy, patterns: Sequence[re.Pattern[str]]) -> list[str]:
    """A sentence for each thing; `patterns` are those of the log lines and traps that the test expects."""
    return [
        *_log_lines(proxy, patterns),
        *_traps(proxy, patterns),
        *_callouts(proxy),
        *(f"fault that was not used: {fault}" for fault in _unused_faults(proxy)),
    ]


def _log_lines(proxy: Proxy, patterns: Sequence[re.Pattern[str]]) -> Iterator[str]:
    lines = proxy.logs
    for line in lines:
        if line.level >= LogLevel.ERROR and not any(pattern.search(line.message) for pattern in patterns):
            yield f"log line: {line}"
    texts = [*(line.message for line in lines), *proxy.notes]
    for pattern in patterns:
        if not any(pattern.search(text) for text in texts):
            yield f"log line that was expected and did not come: {pattern.pattern!r}"


def _traps(proxy: Proxy, patterns: Sequence[re.Pattern[str]]) -> Iterator[str]:
    for trap in proxy.traps:
        if INJECTED not in trap and not any(pattern.search(trap) for pattern in patterns):
            yield f"trap: {trap}"


def _callouts(proxy: Proxy) -> Iterator[str]:
    for callout in proxy.callouts:
        declared = callout.cluster in proxy.clusters
        if callout.cluster not in proxy.clusters.answered if declared else not proxy.upstream_scripted:
            request = callout.request
            remedy = f"proxy.clusters[{callout.cluster!r}]" if declared else "proxy.upstream"
            yield (
                f"callout: {request.method} {request.path} to {callout.cluster!r}; say what answers it: {remedy} = ..."
            )
    for call in proxy.grpc_calls:
        if call.cluster not in proxy.grpc.answered:
            yield (
                f"gRPC callout: {call.service}/{call.method} to {call.cluster!r}; "
                f"say what answers it: proxy.grpc[{call.cluster!r}] = ..."
            )


def _unused_faults(proxy: Proxy) -> list[Fault]:
    try:
        return proxy.faults.unused
    except FaultsNotSupported:
        return []
