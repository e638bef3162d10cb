"""The proxy's log."""

from __future__ import annotations

from pywasm_filter.sdk.abi import LogLevel
from pywasm_filter.testing.messages import LogLine


class Log:
    """What the plugin logged, and apart from it what the proxy has to say for a failing test."""

    def __init__(self, level: LogLevel) -> None:
        self.level = level
        self.lines: list[LogLine] = []
        self.notes: list[str] = []
        self.traps: list[str] = []

    def write(self, level: LogLevel, message: bytes, root_id: str) -> None:
        """Keep a line of the plugin's if its level is high enough."""
        if level >= self.level:
            self.lines.append(LogLine(level, message.decode("utf-8", "backslashreplace"), root_id))

    def note(self, text: str) -> None:
        """Keep a message of the proxy's own."""
        self.notes.append(text)

    def note_trap(self, text: str) -> None:
        """Keep the message of a trap, which is a note as well."""
        self.note(text)
        self.traps.append(text)
