"""What a guest records in its memory of the lines that run in it: the host's side of `pywasm_recorder`."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

from pywasm_filter.testing.guests.memory import GuestMemory
from pywasm_filter.testing.guests.module_image import ModuleImage

_MARK = b"pywasm recording"
_HEADER = struct.Struct("<III")
_ENTRY = struct.Struct("<iii")


@dataclass(frozen=True)
class RecordedFile:
    """A file of the author's, and the name that it is imported by."""

    path: str
    module: str


Arc = tuple[int, int]
"""From one line to another; both the same for a line alone, negative for the start or end of a function."""


@dataclass(frozen=True)
class RecordingLayout:
    """Where in the memory the recording is."""

    files: tuple[RecordedFile, ...]
    capacity: int
    count_at: int
    first_at: int


def find_recording(image: ModuleImage) -> RecordingLayout | None:
    """The recording of a module that is built with one."""
    for address, content in image.runs:
        at = content.find(_MARK)
        if at >= 0:
            header = at + len(_MARK)
            capacity, _, size = _HEADER.unpack_from(content, header)
            table = header + _HEADER.size
            files = json.loads(content[table : table + size])
            return RecordingLayout(
                tuple(RecordedFile(*entry) for entry in files), capacity, address + header + 4, address + table + size
            )
    return None


class RecordingReader:
    """Reads what one VM has recorded since the last time."""

    def __init__(self, layout: RecordingLayout, memory: GuestMemory) -> None:
        self._layout = layout
        self._memory = memory
        self._count = 0

    def news(self) -> list[tuple[RecordedFile, Arc]]:
        """The entries that are new. A guest that has written over them has none."""
        layout, before = self._layout, self._count
        count = self._memory.read_u32(layout.count_at) or 0
        if not before < count <= layout.capacity:
            return []
        content = self._memory.read(layout.first_at + _ENTRY.size * before, _ENTRY.size * (count - before))
        if content is None:
            return []
        self._count = count
        return [
            (layout.files[file], (source, target))
            for file, source, target in _ENTRY.iter_unpack(content)
            if 0 <= file < len(layout.files)
        ]
