"""Which lines run, for coverage: recorded in the guest's memory, where a host that knows of it reads them.

Only modules that are built for coverage have this. Nothing of it shows at the module's border: no import, no export, no
hostcall. What runs before the snapshot is in the snapshot.

In memory is a mark, then three little-endian numbers of 32 bits: how many entries there can be, how many there are,
and the size of the table of files. The table is JSON. Then the entries, each written once: the number of the
file, and the lines that execution came from and went to, the same for a line alone; negative for the start and end of
the code that begins in that line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from opcode import opmap
from types import CodeType, FrameType
from typing import Any

_INVERTED_MARK = bytes.fromhex("8f86889e8c92df8d9a9c908d9b969198")
"""The mark with all bits turned: itself it must be nowhere in memory but in front of the entries."""

_ENTRY = 12
_ENTRIES_A_LINE = 16


class _Entries:
    """The memory, and what is in it already."""

    def __init__(self, files: Mapping[str, tuple[str, str]]) -> None:
        """`files`: name in the guest -> what the table is to say of it."""
        self.numbers = {name: number for number, name in enumerate(files)}
        table = json.dumps(list(files.values())).encode()
        self._capacity = _ENTRIES_A_LINE * sum(map(_count_lines, files))
        self._count_at = len(_INVERTED_MARK) + 4
        self._first_at = len(_INVERTED_MARK) + 12 + len(table)
        self._memory = memoryview(bytearray(self._first_at + _ENTRY * self._capacity))  # so that it stays where it is
        for position, number in enumerate(_INVERTED_MARK):
            self._memory[position] = 255 - number
        self._write(len(_INVERTED_MARK), self._capacity, 0, len(table))
        self._memory[self._first_at - len(table) : self._first_at] = table
        self._known: set[tuple[int, int, int]] = set()

    def add(self, file: int, source: int, target: int) -> None:
        """Write an entry, unless it is there or there is no room."""
        entry = (file, source, target)
        count = len(self._known)
        if entry in self._known or count == self._capacity:
            return
        self._known.add(entry)
        self._write(self._first_at + _ENTRY * count, *entry)
        self._write(self._count_at, count + 1)

    def _write(self, position: int, *numbers: int) -> None:
        for number in numbers:
            self._memory[position : position + 4] = number.to_bytes(4, "little", signed=True)
            position += 4


def record_lines(files: Mapping[str, tuple[str, str]]) -> None:
    """Record each line of the files once, when it runs first."""
    entries = _Entries(files)
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined] # of the guest's Python, 3.14; the types are those of 3.11

    def on_line(code: CodeType, line: int) -> object:
        file = entries.numbers.get(code.co_filename)
        if file is not None:
            entries.add(file, line, line)
        return monitoring.DISABLE

    tool = monitoring.COVERAGE_ID
    monitoring.use_tool_id(tool, "pywasm-filter")
    monitoring.register_callback(tool, monitoring.events.LINE, on_line)
    monitoring.set_events(tool, monitoring.events.LINE)


def record_arcs(files: Mapping[str, tuple[str, str]]) -> None:
    """Record each way from one line of the files to another, when it is taken first."""
    entries = _Entries(files)
    yields = (opmap["YIELD_VALUE"],)

    def on_call(frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
        code = frame.f_code
        file = entries.numbers.get(code.co_filename)
        if file is None:
            return None
        instructions = code.co_code
        resumed = frame.f_lasti >= 0 and instructions[frame.f_lasti + 1] != 0
        last = frame.f_lineno if resumed else -code.co_firstlineno

        def on_event(frame: FrameType, event: str, _argument: object) -> Callable[..., Any]:
            nonlocal last
            if event == "line":
                entries.add(file, last, frame.f_lineno)
                last = frame.f_lineno
            elif event == "return" and instructions[frame.f_lasti] not in yields:
                entries.add(file, last, -code.co_firstlineno)
            return on_event

        return on_event

    sys.settrace(on_call)


def _count_lines(file: str) -> int:
    with open(file, "rb") as source:
        return source.read().count(b"\n") + 1
