"""print, sys.stderr, warnings and logging, led to the proxy's log."""

from __future__ import annotations

import logging
import sys
import warnings
from types import TracebackType
from typing import Any, TextIO, TypeAlias, cast

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import LogLevel
from pywasm_filter.sdk.exceptions import host_error
from pywasm_filter.sdk.failures import format_exception, source_name

_ExcInfo: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]"


def log(level: LogLevel, message: str) -> None:
    """Write a message to the proxy's log. Text that is not valid Unicode is written with escapes. ABI: proxy_log."""
    hostcalls.current.proxy_log(level, message.encode("utf-8", "backslashreplace"))


def log_level() -> LogLevel:
    """The level below which the proxy drops messages; worth asking before costly ones are put together.

    ABI: proxy_get_log_level. Raises HostError.
    """
    status, level = hostcalls.current.proxy_get_log_level()
    if status != 0:
        raise host_error("proxy_get_log_level", status)
    return LogLevel(level)


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


class ProxyLogStream:
    """A text stream whose lines go to the proxy's log. An unfinished line waits for its end, or for `flush`."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, level: LogLevel) -> None:
        self._level = level
        self._pending = ""

    def write(self, text: str) -> int:
        """Take text, and log each line that it completes."""
        *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            log(self._level, line)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each string."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log what is pending."""
        if self._pending:
            line, self._pending = self._pending, ""
            log(self._level, line)

    def isatty(self) -> bool:
        """Whether a person sits at the other end: no."""
        return False

    def readable(self) -> bool:
        """Whether it can be read: no."""
        return False

    def writable(self) -> bool:
        """Whether it can be written: yes."""
        return True


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    log(LogLevel.WARN, f"{source_name(filename)}:{lineno}: {category.__name__}: {message}")


def finish_lines() -> None:
    """Log the unfinished lines of print and sys.stderr, so that they do not wait for another stream's output."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, ProxyLogStream):
            stream.flush()


class Redirect:
    """Leads all output to the proxy's log while it is entered, and puts everything back when it is left.

    A compiled module enters it once and for all; in process it is entered around each callback. The root logger's
    handlers that write to the console, such as `logging.basicConfig` makes, would tell everything twice: the proxy's
    log takes their place, and their format.
    """

    def __init__(self) -> None:
        self._stdout = ProxyLogStream(LogLevel.INFO)
        self._stderr = ProxyLogStream(LogLevel.ERROR)
        self._handler = ProxyLogHandler()
        self._level: int | None = None
        self._replaced: list[logging.Handler] = []
        self._saved: tuple[TextIO, TextIO, Any, int] | None = None

    def __enter__(self) -> Redirect:
        root = logging.getLogger()
        self._replaced = [handler for handler in root.handlers if _writes_to_console(handler)]
        for handler in self._replaced:
            root.removeHandler(handler)
            self._handler.take_over(handler)
        self._saved = (sys.stdout, sys.stderr, warnings.showwarning, root.level)
        sys.stdout = cast("TextIO", self._stdout)
        sys.stderr = cast("TextIO", self._stderr)
        warnings.showwarning = _show_warning
        if self._level is not None:
            root.setLevel(self._level)
        elif root.level == logging.WARNING:
            # The untouched default. The proxy has a log level of its own and drops what it does not want.
            root.setLevel(logging.DEBUG)
        root.addHandler(self._handler)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self._handler)
        for handler in self._replaced:
            root.addHandler(handler)
        self._level = root.level  # the filter may have chosen another
        if self._saved is not None:
            sys.stdout, sys.stderr, warnings.showwarning, level = self._saved
            root.setLevel(level)
            self._saved = None


def _writes_to_console(handler: logging.Handler) -> bool:
    # The very class: those of test runners derive from it.
    return type(handler) is logging.StreamHandler and handler.stream in (
        sys.stdout,
        sys.stderr,
        sys.__stdout__,
        sys.__stderr__,
    )
