"""The records of `logging`, led to the proxy's log. Filters that do not import `logging` do without this."""

from __future__ import annotations

import logging
import sys
from types import TracebackType
from typing import TypeAlias

from pywasm_filter.sdk.abi import LogLevel
from pywasm_filter.sdk.failures import format_exception
from pywasm_filter.sdk.output import log

_ExcInfo: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]"


def proxy_level(level: int) -> LogLevel:
    """The proxy's level for a level of the `logging` module."""
    if level >= logging.CRITICAL:
        return LogLevel.CRITICAL
    if level >= logging.ERROR:
        return LogLevel.ERROR
    if level >= logging.WARNING:
        return LogLevel.WARN
    if level >= logging.INFO:
        return LogLevel.INFO
    return LogLevel.DEBUG if level >= logging.DEBUG else LogLevel.TRACE


class TidyFormatter(logging.Formatter):
    """Formats as any formatter does, with tracebacks that name the author's files as the author knows them."""

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - the name that logging calls
        """The traceback of a record's exception."""
        return super().formatException(ei) if ei[1] is None else format_exception(ei[1])


class ProxyLogHandler(logging.Handler):
    """Hands records to the proxy's log; the message and, if there is one, the traceback."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(TidyFormatter())

    def take_over(self, other: logging.Handler) -> None:
        """Format and filter as a handler did that wrote to the console."""
        self.setLevel(other.level)
        self.filters = list(other.filters)
        if other.formatter is not None:
            self.setFormatter(other.formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            message = self.format(record)
        except Exception:  # noqa: BLE001 - a bad format string must not take the callback down
            self.handleError(record)
            return
        log(proxy_level(record.levelno), message)


class LogRecords:
    """Leads the records that reach the root logger to the proxy's log, from `redirect` until `restore`.

    The root logger's handlers that write to the console, such as `logging.basicConfig` makes, would tell everything
    twice: the proxy's log takes their place, and their format.
    """

    def __init__(self) -> None:
        self._handler = ProxyLogHandler()
        self._level: int | None = None
        self._replaced: list[logging.Handler] = []
        self._level_before: int | None = None

    def redirect(self) -> None:
        """Put the proxy's log in the place of the console."""
        root = logging.getLogger()
        self._replaced = [handler for handler in root.handlers if _writes_to_console(handler)]
        for handler in self._replaced:
            root.removeHandler(handler)
            self._handler.take_over(handler)
        self._level_before = root.level
        if self._level is not None:
            root.setLevel(self._level)
        elif root.level == logging.WARNING:
            # The untouched default. The proxy has a log level of its own and drops what it does not want.
            root.setLevel(logging.DEBUG)
        root.addHandler(self._handler)

    def restore(self) -> None:
        """Put everything back."""
        root = logging.getLogger()
        root.removeHandler(self._handler)
        for handler in self._replaced:
            root.addHandler(handler)
        self._level = root.level  # the filter may have chosen another
        if self._level_before is not None:
            root.setLevel(self._level_before)
            self._level_before = None


def _writes_to_console(handler: logging.Handler) -> bool:
    # The very class: those of test runners derive from it.
    return type(handler) is logging.StreamHandler and handler.stream in (
        sys.stdout,
        sys.stderr,
        sys.__stdout__,
        sys.__stderr__,
    )
