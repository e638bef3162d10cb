"""Free memory of libc's allocator in a snapshot: zeroed where all accounts of it agree, and left alone otherwise."""

import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pywasm_compiler.cpython.heap import zero_free_memory
from pywasm_compiler.cpython.libraries import LinkError

STATIC = 0x400
STATE = 0x500
HEAP = 0x800
TOP_SIZE = 0x200
JUNK = 0xA5

USED, FREE = True, False


class Heap:
    """A memory with an allocator's state and chunks of these sizes; what they hold is junk."""

    def __init__(self, chunks: Sequence[tuple[int, bool]], designated: int | None = None) -> None:
        size = HEAP + 16 + sum(size for size, _ in chunks) + TOP_SIZE + 0x40
        self.memory = bytearray([JUNK]) * size
        self.memory[STATIC:HEAP] = bytes(HEAP - STATIC)
        self.chunks: list[tuple[int, int, bool]] = []
        small: dict[int, list[int]] = {}
        trees: dict[int, list[int]] = {}
        address, before_in_use, before = HEAP + 8, True, 0
        for number, (size, used) in enumerate(chunks):
            self.chunks.append((address, size, used))
            if not before_in_use:
                self.word(address, before)
            self.word(address + 4, size | used << 1 | before_in_use)
            if not used and number != designated:
                (small if size < 256 else trees).setdefault(size, []).append(address)
            address, before_in_use, before = address + size, used, size
        if not before_in_use:
            self.word(address, before)
        self.word(address + 4, TOP_SIZE | before_in_use)
        self.top = address
        for index in range(32):
            head = STATE + 40 + 8 * index
            self.ring([head, *small.get(8 * index, [])])
        for index, ring in enumerate(trees.values()):
            self.word(STATE + (76 + index) * 4, ring[0])
            self.ring(ring)
            for node in ring:
                self.word(node + 16, 0)
                self.word(node + 20, 0)
        fields = {3: TOP_SIZE, 4: HEAP, 6: self.top, 112: HEAP, 113: len(self.memory) - HEAP, 114: 0}
        if designated is not None:
            fields |= {2: chunks[designated][0], 5: self.chunks[designated][0]}
        for field, value in fields.items():
            self.word(STATE + 4 * field, value)

    def ring(self, chunks: Sequence[int]) -> None:
        for before, after in zip(chunks, [*chunks[1:], chunks[0]], strict=True):
            self.word(before + 8, after)
            self.word(after + 12, before)

    def word(self, address: int, value: int) -> None:
        struct.pack_into("<I", self.memory, address, value)

    def zero(self) -> int:
        return zero_free_memory(self.memory, STATIC, HEAP)


MIXED = [(48, USED), (32, FREE), (16, USED), (512, FREE), (64, USED), (512, FREE), (16, USED), (128, FREE), (32, USED)]


@st.composite
def chunks(draw: st.DrawFn) -> list[tuple[int, bool]]:
    """No two free ones are neighbours, as the allocator joins them; nor is one the top's."""
    sizes = st.integers(1, 40).map(lambda units: units * 16)
    made = [(draw(sizes), USED)]
    for free in draw(st.lists(st.booleans(), max_size=20)):
        if free and made[-1][1] is USED:
            made.append((draw(sizes), FREE))
        made.append((draw(sizes), USED))
    return made


@given(chunks())
def test_what_is_free_is_zeroed_and_nothing_else(made: list[tuple[int, bool]]) -> None:
    heap = Heap(made)
    before = bytes(heap.memory)
    expected = bytearray(before)
    for address, size, used in heap.chunks:
        if not used:
            kept = 32 if size >= 256 else 16
            expected[address + kept : address + size] = bytes(size - kept)
    expected[heap.top + 8 : heap.top + TOP_SIZE] = bytes(TOP_SIZE - 8)
    count = heap.zero()
    assert heap.memory == expected
    assert count >= TOP_SIZE - 8


def test_the_chunk_that_is_taken_from_first() -> None:
    heap = Heap(MIXED, designated=7)
    heap.zero()
    address, size, _ = heap.chunks[7]
    assert heap.memory[address + 8 : address + size] == bytes(size - 8)


def forget_a_free_chunk(heap: Heap) -> None:
    heap.ring([STATE + 40 + 8 * 4])


def list_one_in_use(heap: Heap) -> None:
    heap.ring([STATE + 40 + 8 * 2, heap.chunks[2][0]])


def go_around(heap: Heap) -> None:
    first, last = heap.chunks[3][0], heap.chunks[5][0]
    heap.word(last + 8, last)
    heap.word(first + 8, last)


CORRUPTIONS: dict[str, Callable[[Heap], None]] = {
    "a size that is none": lambda heap: heap.word(heap.chunks[2][0] + 4, 0),
    "a size beyond the end": lambda heap: heap.word(heap.chunks[2][0] + 4, 0x100003),
    "a chunk that is both": lambda heap: heap.word(heap.chunks[2][0] + 4, 16 | 3),
    "a size that the next does not know": lambda heap: heap.word(heap.chunks[2][0], 16),
    "a free chunk in no bin": forget_a_free_chunk,
    "a chunk of a bin that is in use": list_one_in_use,
    "a ring without an end": go_around,
    "another top": lambda heap: heap.word(STATE + 12, TOP_SIZE + 16),
    "a segment outside of the memory": lambda heap: heap.word(STATE + 4 * 113, len(heap.memory)),
    "a segment after itself": lambda heap: heap.word(STATE + 4 * 114, STATE + 4 * 112),
    "an address that is none": lambda heap: heap.word(STATE + 4 * 76, 0x7FFF_FFFF),
    "no allocator": lambda heap: heap.word(STATE + 4 * 4, HEAP + 16),
}


@pytest.mark.parametrize("corrupt", CORRUPTIONS.values(), ids=CORRUPTIONS)
def test_nothing_is_written_when_accounts_differ(corrupt: Callable[[Heap], None]) -> None:
    heap = Heap(MIXED)
    corrupt(heap)
    before = bytes(heap.memory)
    with pytest.raises(LinkError, match="0 places"):
        heap.zero()
    assert heap.memory == before
