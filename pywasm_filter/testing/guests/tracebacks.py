"""Traps of a guest in terms of its Python code."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable

from pywasm_filter.testing.guests.guest import GuestTrap

_HEADING = "Traceback (most recent call last):\n"
_FRAME = re.compile(r'^[ |+]*File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)$', re.MULTILINE)
_EXCEPTION = re.compile(r"^\w.*$", re.MULTILINE)
_INTERPRETER = "_PyEval_EvalFrameDefault"
_OWN = re.compile(r"[/\\]pywasm_filter[/\\](sdk|testing[/\\]guests)[/\\]")


def python_backtrace(error: BaseException) -> tuple[str, ...]:
    """The author's functions in which an exception was raised, innermost first; all if there is none of his."""
    frames = traceback.extract_tb(error.__traceback__)[::-1]
    authors = [frame for frame in frames if not _OWN.search(frame.filename)]
    return tuple(_named(frame.name, frame.filename, frame.lineno) for frame in authors or frames)


def in_python(trap: GuestTrap, messages: Iterable[str]) -> GuestTrap:
    """A trap of a compiled filter, as the exception that left its code; `messages` are what it logged in that callback.

    The trap as it is when that is not what happened: when Python code was being run, or nothing was logged.
    """
    told = [message for message in messages if _HEADING in message]
    if not told or any(_INTERPRETER in name for name in trap.backtrace):
        return trap
    text = told[-1].rpartition(_HEADING)[2]
    frames = [_named(match["function"], match["file"], match["line"]) for match in _FRAME.finditer(text)]
    exception = _EXCEPTION.search(text)
    if not frames or exception is None or trap.message.startswith(exception[0]):
        return trap
    return GuestTrap(f"{exception[0]} ({trap.message})", tuple(frames[::-1]))


def _named(function: str, file: str, line: object) -> str:
    return f"{function} ({file}:{line})"
