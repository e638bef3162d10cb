"""The clock and the log of the glue, run under wasmtime."""

import pytest
from pywasm_compiler.cpython.platform import LINE_CAPACITY, PAGE_SIZE, Scratch, flush, monotonic, write
from pywasm_compiler.wasm.model import FuncType, ValType

from tests.unit.cpython.glue_host import GlueHost

I32 = ValType.I32
INFO, ERROR = 2, 4
SCRATCH = Scratch(PAGE_SIZE)
TEXT_AT = 0x100


class LogHost:
    """proxy_log over `flush` and `write`."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, bytes]] = []
        glue = [flush(SCRATCH, log=0), write(SCRATCH, flush=1)]
        self.glue = GlueHost([(FuncType((I32, I32, I32), (I32,)), self._log)], glue)

    def _log(self, level: int, address: int, size: int) -> int:
        self.lines.append((level, self.glue.read(address, size)))
        return 0

    def write(self, level: int, text: bytes) -> None:
        self.glue.write(TEXT_AT, text)
        self.glue.call("write", level, TEXT_AT, len(text))

    def flush(self) -> None:
        self.glue.call("flush")


@pytest.fixture
def log() -> LogHost:
    return LogHost()


def test_a_line_is_written_at_its_end(log: LogHost) -> None:
    log.write(INFO, b"hel")
    assert log.lines == []
    log.write(INFO, b"lo\nwor")
    assert log.lines == [(INFO, b"hello")]
    log.write(INFO, b"ld\n")
    assert log.lines == [(INFO, b"hello"), (INFO, b"world")]


def test_empty_lines_are_left_out(log: LogHost) -> None:
    log.write(INFO, b"\n\na\n\n")
    assert log.lines == [(INFO, b"a")]


def test_a_write_of_nothing(log: LogHost) -> None:
    log.write(INFO, b"")
    log.flush()
    assert log.lines == []


def test_another_level_ends_the_line(log: LogHost) -> None:
    log.write(INFO, b"begun")
    log.write(ERROR, b"bad\n")
    log.write(INFO, b"on\n")
    assert log.lines == [(INFO, b"begun"), (ERROR, b"bad"), (INFO, b"on")]


def test_flush_writes_what_has_begun_once(log: LogHost) -> None:
    log.write(ERROR, b"no end")
    log.flush()
    log.flush()
    assert log.lines == [(ERROR, b"no end")]


@pytest.mark.parametrize("size", [LINE_CAPACITY - 1, LINE_CAPACITY, LINE_CAPACITY + 1, 2 * LINE_CAPACITY])
def test_a_long_line_is_cut(log: LogHost, size: int) -> None:
    text = bytes(33 + n % 90 for n in range(size))
    for start in range(0, size, 1000):
        log.write(INFO, text[start : start + 1000])
    log.write(INFO, b"\n")
    assert b"".join(line for _, line in log.lines) == text
    assert [len(line) for _, line in log.lines] == [
        min(LINE_CAPACITY, size - start) for start in range(0, size, LINE_CAPACITY)
    ]


def test_the_glue_stays_in_its_page() -> None:
    assert SCRATCH.line + LINE_CAPACITY <= SCRATCH.base + PAGE_SIZE
    assert SCRATCH.instant % 8 == SCRATCH.latest % 8 == 0


def test_monotonic_never_goes_back() -> None:
    times = iter([5, 2**63 + 9, 7, 2**63 + 10])

    def current_time(address: int) -> int:
        host.write(address, next(times).to_bytes(8, "little"))
        return 0

    host = GlueHost([(FuncType((I32,), (I32,)), current_time)], [monotonic(SCRATCH, current_time=0)])
    shown = [host.call("monotonic") % 2**64 for _ in range(4)]
    assert shown == [5, 2**63 + 9, 2**63 + 9, 2**63 + 10]


def test_monotonic_stands_still_when_the_host_has_no_time() -> None:
    statuses = iter([0, 1])

    def current_time(address: int) -> int:
        status = next(statuses)
        if status == 0:
            host.write(address, (99).to_bytes(8, "little"))
        return status

    host = GlueHost([(FuncType((I32,), (I32,)), current_time)], [monotonic(SCRATCH, current_time=0)])
    assert [host.call("monotonic") for _ in range(2)] == [99, 99]
