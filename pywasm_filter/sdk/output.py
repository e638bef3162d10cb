"""print, sys.stderr and warnings, led to the proxy's log; and `logging`, where something has imported it."""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import TYPE_CHECKING, Any, TextIO, cast

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import LogLevel
from pywasm_filter.sdk.exceptions import host_error
from pywasm_filter.sdk.failures import source_name

if TYPE_CHECKING:
    from pywasm_filter.sdk.log_records import LogRecords


def log(level: LogLevel, message: str) -> None:
    """Write a message to the proxy's log. Text that is not valid Unicode is written with escapes. ABI: proxy_log."""
    try:
        data = message.encode()
    except UnicodeEncodeError:
        data = message.encode("utf-8", "backslashreplace")
    hostcalls.current.proxy_log(level, data)


def log_level() -> LogLevel:
    """The level below which the proxy drops messages; worth asking before costly ones are put together.

    ABI: proxy_get_log_level. Raises HostError.
    """
    status, level = hostcalls.current.proxy_get_log_level()
    if status != 0:
        raise host_error("proxy_get_log_level", status)
    return LogLevel(level)


unfinished = 0
"""How many streams hold a line that has begun. To ask is quicker than to call `finish_lines`."""


class ProxyLogStream:
    """A text stream whose lines go to the proxy's log. An unfinished line waits for its end, or for `flush`."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, level: LogLevel) -> None:
        self._level = level
        self._pending = ""

    def write(self, text: str) -> int:
        """Take text, and log each line that it completes."""
        if text == "\n":  # as print writes it
            line = self._pending
            self._hold("")
            log(self._level, line)
        elif "\n" not in text:
            self._hold(self._pending + text)
        else:
            *lines, pending = (self._pending + text).split("\n")
            self._hold(pending)
            for line in lines:
                log(self._level, line)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write each string."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log what is pending."""
        line = self._pending
        if line:
            self._hold("")
            log(self._level, line)

    def _hold(self, pending: str) -> None:
        global unfinished
        if (pending == "") != (self._pending == ""):
            unfinished += 1 if pending else -1
        self._pending = pending

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

    A compiled module enters it once and for all; in process it is entered around each callback.
    """

    def __init__(self) -> None:
        self._stdout = ProxyLogStream(LogLevel.INFO)
        self._stderr = ProxyLogStream(LogLevel.ERROR)
        self._records: LogRecords | None = None
        self._saved: tuple[TextIO, TextIO, Any] | None = None

    def __enter__(self) -> Redirect:
        if self._records is None and "logging" in sys.modules:
            self._records = importlib.import_module("pywasm_filter.sdk.log_records").LogRecords()
        if self._records is not None:
            self._records.redirect()
        self._saved = (sys.stdout, sys.stderr, warnings.showwarning)
        sys.stdout = cast("TextIO", self._stdout)
        sys.stderr = cast("TextIO", self._stderr)
        warnings.showwarning = _show_warning
        return self

    def __exit__(self, *_: object) -> None:
        if self._records is not None:
            self._records.restore()
        if self._saved is not None:
            sys.stdout, sys.stderr, warnings.showwarning = self._saved
            self._saved = None
