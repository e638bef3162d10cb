"""What is wrong with a plugin's configuration, in words."""

from __future__ import annotations

import json
import re
from typing import Any

from pywasm_filter.sdk.configuration_json import Number, Object
from pywasm_filter.sdk.exceptions import ConfigurationError

_SHOWN_PROBLEMS = 5
_SHOWN_TEXT = 60
_SHOWN_REASON = 300
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


class Problems:
    """What is wrong with a configuration; only the first few are told in full."""

    def __init__(self) -> None:
        self.count = 0
        self._lines: list[str] = []

    @property
    def is_full(self) -> bool:
        """Whether further problems are only counted."""
        return self.count >= _SHOWN_PROBLEMS

    def add(self, path: str, reason: str) -> None:
        """Note a problem at a path; the empty path is the whole configuration."""
        if not self.is_full:
            self._lines.append(f"{path}: {reason}" if path else reason)
        self.count += 1

    def expected(self, path: str, what: str, value: Any) -> None:
        """Note a value that is not what was expected."""
        self.add(path, f"expected {what}, got {show(value)}")

    def check(self) -> None:
        """Raises ConfigurationError when there is a problem."""
        if self.count:
            more = self.count - len(self._lines)
            lines = [*self._lines, f"and {more} more"] if more else self._lines
            raise ConfigurationError("configuration: " + "; ".join(lines))


def show(value: Any) -> str:
    """A JSON value in a few words."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return "an array"
    if isinstance(value, Object):
        return "an object"
    if isinstance(value, Number):
        return value.description
    return _shorten(json.dumps(value))


def quote(text: str) -> str:
    """A text in quotes, without what could break the line, cut where it is long."""
    return json.dumps(text) if len(text) <= _SHOWN_TEXT else json.dumps(text[:_SHOWN_TEXT])[:-1] + '…"'


def _shorten(text: str) -> str:
    return text if len(text) <= _SHOWN_TEXT else text[:_SHOWN_TEXT] + "…"


def one_line(error: BaseException) -> str:
    """The message of an exception, without what would break the line or could not be encoded."""
    text = " ".join(str(error)[:_SHOWN_REASON].split())
    shown = "".join(part if part.isprintable() else repr(part)[1:-1] for part in text)
    return shown or type(error).__name__


def member_path(path: str, key: str) -> str:
    """The path of a member of an object."""
    if _PLAIN_KEY.match(key) and len(key) <= _SHOWN_TEXT:
        return f"{path}.{key}" if path else key
    return f"{path}[{quote(key)}]"


def suggest(word: str, known: list[str]) -> str:
    """ "; did you mean …?" where a known word is like it, or nothing."""
    if len(word) > _SHOWN_TEXT:
        return ""
    limit = min(1 + len(word) // 5, len(word) - 1)
    near = [(_edits(word, other), other) for other in known if abs(len(other) - len(word)) <= limit]
    edits, nearest = min(near, default=(len(word), ""))
    return f"; did you mean {quote(nearest)}?" if edits <= limit else ""


def _edits(one: str, other: str) -> int:
    """How many characters to insert, remove or replace to come from one word to the other."""
    row = list(range(len(other) + 1))
    for index, character in enumerate(one, 1):
        diagonal, row[0] = row[0], index
        for column, wanted in enumerate(other, 1):
            diagonal, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, diagonal + (character != wanted)),
            )
    return row[-1]


def join_words(words: list[str]) -> str:
    """ "a, b or c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
