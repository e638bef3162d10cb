"""The allocator's free memory in a snapshot: what is left of objects that are gone is zeroed.

libc's allocator is Doug Lea's malloc. Its memory is a row of chunks, each with its size and two flags in front: whether
it is in use, and whether the one before it is. Free ones are also listed, by size, in bins. Nothing is written before
both accounts of all the memory agree.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from pywasm_compiler.cpython.libraries import LinkError

_ALIGNMENT: Final = 16
_WORD: Final = 4
_HEADER: Final = 2 * _WORD
"""Of each chunk: the size of the one before it, if that is free, and its own size with the flags."""

_LISTED: Final = _HEADER + 2 * _WORD
"""Of a free chunk in a bin: the header, and its neighbours there."""

_TREE: Final = _HEADER + 6 * _WORD
"""Of a large one: these, its children, its parent and the number of its bin."""

_SMALLEST_TREE: Final = 256
_PREVIOUS_IN_USE, _IN_USE = 1, 2
_FLAGS: Final = 7

# Words of the allocator's state.
_DV_SIZE, _TOP_SIZE, _LEAST_ADDRESS, _DV, _TOP = 2, 3, 4, 5, 6
_SMALL_BINS, _SMALL_BIN_COUNT = 10, 32
_TREE_BINS, _TREE_BIN_COUNT = 76, 32
_SEGMENT: Final = 112
_STATE_SIZE: Final = (_SEGMENT + 4) * _WORD


class _InconsistentError(Exception):
    """What is looked at is not the allocator's memory."""


def zero_free_memory(memory: bytearray, static: int, heap: int) -> int:
    """Zero what is free, and return how many bytes that are. `static` is where data begin, `heap` where the heap does.

    Raises LinkError when the allocator's memory is not what it is taken for.
    """
    found = []
    pattern = heap.to_bytes(_WORD, "little")
    position = memory.find(pattern, static, heap)
    while position >= 0:
        with contextlib.suppress(_InconsistentError):
            found.append(list(_Allocator(memory, position - _LEAST_ADDRESS * _WORD).free_ranges()))
        position = memory.find(pattern, position + 1, heap)
    if len(found) != 1:
        raise LinkError(f"{len(found)} places in the snapshot look like the state of libc's allocator")
    for start, end in found[0]:
        memory[start:end] = bytes(end - start)
    return sum(end - start for start, end in found[0])


class _Allocator:
    def __init__(self, memory: bytearray, state: int) -> None:
        self._words = memoryview(memory).cast("I")
        self._size_of_memory = len(memory)
        self._state = state

    def free_ranges(self) -> Iterator[tuple[int, int]]:
        """Where nothing of use is, as begin and end."""
        free = dict(self._walk())
        designated, top = self._field(_DV), self._field(_TOP)
        expected = {top: self._field(_TOP_SIZE)}
        if self._field(_DV_SIZE):
            expected[designated] = self._field(_DV_SIZE)
        listed = list(expected)
        for chunk in self._listed():
            expected[chunk] = self._size(chunk)
            listed.append(chunk)
        if expected != free or len(listed) != len(free):
            raise _InconsistentError
        for chunk, size in free.items():
            used = _HEADER if chunk in (designated, top) else _TREE if size >= _SMALLEST_TREE else _LISTED
            yield chunk + used, chunk + size

    def _walk(self) -> Iterator[tuple[int, int]]:
        """The free chunks and their sizes, by way of all chunks of all segments."""
        segment = self._state + _SEGMENT * _WORD
        seen = set()
        while segment:
            if segment in seen:
                raise _InconsistentError
            seen.add(segment)
            base, size, following = (self._word(segment + index * _WORD) for index in range(3))
            if not 0 < base < base + size <= self._size_of_memory:
                raise _InconsistentError
            yield from self._walk_segment(base, base + size)
            segment = following

    def _walk_segment(self, base: int, end: int) -> Iterator[tuple[int, int]]:
        top = self._field(_TOP)
        chunk = base + -(base + _HEADER) % _ALIGNMENT
        in_use = True
        while True:
            head = self._word(chunk + _WORD)
            size = head & ~_FLAGS
            if bool(head & _PREVIOUS_IN_USE) != in_use:
                raise _InconsistentError
            if chunk == top:
                yield chunk, size
                return
            if head == _FLAGS:  # what stands behind the last chunk of a segment
                return
            if size < _LISTED or size % _ALIGNMENT or chunk + size + _HEADER > end:
                raise _InconsistentError
            if not head & _IN_USE:
                if not in_use or self._word(chunk + size) != size:
                    raise _InconsistentError
                yield chunk, size
            in_use = bool(head & _IN_USE)
            chunk += size

    def _listed(self) -> Iterator[int]:
        """The free chunks of all bins."""
        for index in range(_SMALL_BIN_COUNT):
            yield from self._ring(self._state + (_SMALL_BINS + 2 * index) * _WORD)
        for index in range(_TREE_BIN_COUNT):
            pending = [self._field(_TREE_BINS + index)]
            while pending:
                if node := pending.pop():
                    yield node
                    yield from self._ring(node)
                    pending += (self._word(node + offset) for offset in (_LISTED, _LISTED + _WORD))

    def _ring(self, start: int) -> Iterator[int]:
        """The others of a ring of chunks."""
        chunk = self._word(start + _HEADER)
        for _ in range(self._size_of_memory // _LISTED):
            if chunk == start:
                return
            yield chunk
            chunk = self._word(chunk + _HEADER)
        raise _InconsistentError

    def _size(self, chunk: int) -> int:
        return self._word(chunk + _WORD) & ~_FLAGS

    def _field(self, index: int) -> int:
        return self._word(self._state + index * _WORD)

    def _word(self, address: int) -> int:
        if address % _WORD or not 0 <= address < self._size_of_memory:
            raise _InconsistentError
        return self._words[address // _WORD]
