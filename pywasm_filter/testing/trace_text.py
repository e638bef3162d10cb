"""Crossings between proxy and plugin in words: values, calls, answers. Whatever the bytes are, nothing here raises."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from functools import cache

from pywasm_filter.sdk.abi import Status
from pywasm_filter.testing.messages import Headers
from pywasm_filter.testing.recorder import Clipped

_SHOWN_CHARACTERS = 160
_SHOWN_HEADERS = 1000
_MANY_PARAMETERS = 4
_NO_GRPC_STATUS = 0xFFFF_FFFF
_NUMBERS = {"int": True, "uint": False, "duration": True, "timestamp": True}  # whether they have a sign
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}


def call_text(name: str, arguments: Mapping[str, object]) -> str:
    """A call in the manner of Python: enums and texts as they come, numbers and all behind them with their names."""
    parts: list[str] = []
    named = len(arguments) > _MANY_PARAMETERS
    for parameter, value in arguments.items():
        named = named or not isinstance(value, (IntEnum, bytes, str, Headers))
        shown = "-1" if parameter == "grpc_status" and value == _NO_GRPC_STATUS else value_text(value)
        parts.append(f"{parameter}={shown}" if named else shown)
    return f"{name}({', '.join(parts)})"


def answer_text(status: int, results: Mapping[str, object], path: str | None = None) -> str:
    """A hostcall's answer: its status, and its results unless it failed. `path` is that of a property."""
    words = [_status_text(status)]
    if status == Status.OK:
        words += [
            _property_text(path, value) if path is not None and isinstance(value, bytes) else value_text(value)
            for value in results.values()
        ]
    return f"{words[0]} {', '.join(words[1:])}".rstrip()


def value_text(value: object) -> str:
    """One value: enums by their names, bytes as text if they are, long ones clipped with their size."""
    match value:
        case None:
            return ""
        case IntEnum():
            return value.name
        case bool():
            return "true" if value else "false"
        case Headers():
            return _headers_text(value)
        case bytes():
            return _bytes_text(value)
        case str():
            return _quoted(value)
        case _:
            return str(value)


def error_text(kind: str, text: str) -> str:
    """Why a call did not return. The text may be of several lines."""
    return "".join(char if char in "\n\t'\"\\" else _escaped(char, escape_all=False) for char in f"{kind}: {text}")


def _status_text(status: int) -> str:
    return status.name if isinstance(status, IntEnum) else f"status {status}"


def _bytes_text(data: bytes) -> str:
    size = data.size if isinstance(data, Clipped) else len(data)
    beginning = data[:_SHOWN_CHARACTERS]
    text = _as_text(beginning)
    shown = f"b{_quoted(beginning.decode('latin-1'), escape_all=True)}" if text is None else _quoted(text)
    return shown if size <= _SHOWN_CHARACTERS else f"{shown}… {size} bytes"


def _as_text(data: bytes) -> str | None:
    """The text, if these bytes are one; a character that is cut off at their end is left out."""
    for end in range(len(data), max(len(data) - 4, -1), -1):
        try:
            text = data[:end].decode("utf-8")
        except UnicodeDecodeError:
            if len(data) < _SHOWN_CHARACTERS:
                return None
        else:
            return text if all(char.isprintable() or char in "\n\r\t" for char in text) else None
    return None


def _quoted(text: str, *, escape_all: bool = False) -> str:
    return f'"{"".join(_escaped(char, escape_all=escape_all) for char in text)}"'


def _escaped(char: str, *, escape_all: bool) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable() and (char.isascii() or not escape_all):
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8 (PEP 383)
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _headers_text(headers: Headers) -> str:
    pairs = headers.items()
    parts: list[str] = []
    room = _SHOWN_HEADERS
    for name, value in pairs:
        part = f"{_quoted(name)}: {_short(value)}"
        room -= len(part)
        if room < 0:
            return f"{{{', '.join(parts)}, … {len(pairs)} pairs}}"
        parts.append(part)
    return f"{{{', '.join(parts)}}}"


def _short(text: str) -> str:
    if len(text) <= _SHOWN_CHARACTERS:
        return _quoted(text)
    return f"{_quoted(text[:_SHOWN_CHARACTERS])}… {len(text)} characters"


def _property_text(path: str | None, data: bytes) -> str:
    """A property's value after its type in the table of attributes."""
    kind = _attribute_types().get(path or "", "")
    if kind in _NUMBERS and len(data) == 8:
        return str(int.from_bytes(data, "little", signed=_NUMBERS[kind]))
    if kind == "bool" and len(data) == 1:
        return value_text(data != b"\0")
    return _bytes_text(data)


@cache
def _attribute_types() -> dict[str, str]:
    from proxy_wasm_abi.attributes import load_attributes  # when somebody looks: all pytest runs load this module

    return {".".join(entry.path): entry.type for group in load_attributes().groups for entry in group.attributes}
