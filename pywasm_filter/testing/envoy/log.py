"""Envoy's log: the format it is told to write, and how to read it back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pywasm_filter.testing.envoy.config import EnvoySettings

# One JSON object a message (%j escapes it, so that a traceback of many lines stays one line of the file).
LOG_FORMAT = '{"level":"%l","component":"%n","message":"%j"}'

_EVIDENCE_MESSAGES = 20

LEVELS = ("trace", "debug", "info", "warning", "error", "critical")


@dataclass(frozen=True)
class LogLine:
    """One message of Envoy's log, which may hold several lines of text.

    `level` is one of LEVELS and `component` the name of Envoy's logger ("wasm", "main", "http", …); both are empty
    for what does not come through the logger, such as V8's last words. Bytes that are not UTF-8 read as \\xNN.
    """

    level: str
    component: str
    message: str

    def is_at_least(self, level: str) -> bool:
        """Whether the message is of this level or above it. What did not come through the logger always is."""
        return not self.level or LEVELS.index(self.level) >= LEVELS.index(level)


@dataclass(frozen=True)
class WasmLogLine:
    """One message that the plugin itself logged (proxy_log, or fd_write to stdout and stderr)."""

    level: str
    root_id: str
    message: str


def parse_line(raw: bytes) -> LogLine:
    """Read one line of the log file, without its newline."""
    # Surrogates carry foreign bytes through the JSON reader; a \xNN there would not be JSON.
    text = raw.decode("utf-8", "surrogateescape")
    try:
        fields = json.loads(text)
    except ValueError:
        return LogLine("", "", _readable(text))
    match fields:
        case {"level": str(level), "component": str(component), "message": str(message)} if level in LEVELS:
            return LogLine(level, component, _readable(message))
        case _:
            return LogLine("", "", _readable(text))


def parse_wasm_line(line: LogLine, settings: EnvoySettings) -> WasmLogLine | None:
    """Return the plugin's own message in a line of the log, None for a message of Envoy's.

    Envoy writes "wasm log<prefix>: <message>". The prefix is " <plugin_name> <root_id> <vm_id>" in a stream's context,
    " <root_id> <vm_id>" in the root context and nothing while the module initialises; empty parts are left out.
    """
    if line.component != "wasm":
        return None
    said = [built.plugin for built in settings.plugins]
    prefixes: list[tuple[tuple[str, ...], str]] = [
        ((plugin.plugin_name, plugin.root_id, plugin.vm_id), plugin.root_id) for plugin in said
    ]
    prefixes += [((plugin.root_id, plugin.vm_id), plugin.root_id) for plugin in said]
    prefixes += [((root_id, settings.vm_id), root_id) for root_id in settings.background_roots]
    for parts, root_id in [*prefixes, ((), settings.root_id)]:
        prefix = "wasm log" + "".join(f" {part}" for part in parts if part) + ": "
        if line.message.startswith(prefix):
            return WasmLogLine(line.level, root_id, line.message.removeprefix(prefix))
    return None


def evidence(lines: list[LogLine]) -> tuple[str, ...]:
    """Return the messages that explain why Envoy did not start: the wasm-related ones, otherwise any errors."""
    serious = [line for line in lines if line.is_at_least("warning")]
    chosen = (
        [line for line in serious if line.component == "wasm"]
        or [line for line in serious if line.is_at_least("error")]
        or lines
    )
    messages = dict.fromkeys(line.message for line in chosen if line.message.strip())  # once each, in order
    return tuple(messages)[-_EVIDENCE_MESSAGES:]


class LogFile:
    """A log file that another process writes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._finished = False
        self._lines: list[LogLine] = []

    def lines(self, since: int = 0) -> list[LogLine]:
        """Return the lines written so far, without the first `since` of them."""
        self._take(self._unread().rpartition(b"\n")[0])
        return self._lines[since:]

    def finish(self) -> None:
        """Take over the rest, an unfinished last line included. The file is not read again and may go."""
        self._take(self._unread())
        self._finished = True

    def _unread(self) -> bytes:
        if self._finished:
            return b""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            return file.read()

    def _take(self, text: bytes) -> None:
        self._offset += len(text)
        self._lines += [parse_line(raw) for raw in text.split(b"\n") if raw]


def _readable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
