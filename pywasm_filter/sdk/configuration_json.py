"""The JSON of a plugin's configuration, duplicate keys and numbers that do not fit included."""

from __future__ import annotations

import json
import re
from typing import Any

_MAX_DEPTH = 64
_MAX_DIGITS = 400
_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]', re.DOTALL)


class NotJsonError(Exception):
    """The configuration as a whole cannot be read."""


class Object:
    """A JSON object, with its duplicates."""

    __slots__ = ("members",)

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        self.members = members


class Number:
    """A number that Python cannot hold, and what it is."""

    __slots__ = ("description",)

    def __init__(self, description: str) -> None:
        self.description = description


def decode_text(data: bytes) -> str:
    """The text of a configuration. Raises NotJsonError when it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJsonError(f"is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}") from None


def load_json(text: str) -> Any:
    """None, bool, int, float, str, list, Object or Number. Raises NotJsonError."""
    depth = deepest = 0
    for token in _BRACKETS.finditer(text):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "]}":
            depth -= 1
    if deepest > _MAX_DEPTH:
        raise NotJsonError(f"is nested more than {_MAX_DEPTH} deep")
    try:
        return json.loads(
            text,
            object_pairs_hook=Object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=Number,
        )
    except json.JSONDecodeError as error:
        raise NotJsonError(f"is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None


def _integer(digits: str) -> Any:
    return int(digits) if len(digits) <= _MAX_DIGITS else Number(f"a number of {len(digits)} digits")


def _float(digits: str) -> Any:
    value = float(digits)
    return Number("a number out of range") if value - value != 0 else value
