"""What the module does instead of calling WASI, run under wasmtime."""

import pytest
import wasmtime
from pywasm_compiler.cpython.glue import Code
from pywasm_compiler.cpython.wasi import (
    ERROR_CODES,
    STDERR,
    STDOUT,
    WASI,
    Fails,
    Platform,
    is_wasi,
    wasi_function,
)
from pywasm_compiler.wasm.model import FuncType, ValType

from tests.unit.cpython.glue_host import GlueHost, HostFunction

I32, I64 = ValType.I32, ValType.I64
INFO, ERROR = 2, 4
AT = 0x400
NOW = 1_700_000_000_123_456_789


class WasiHost:
    """One WASI function of the table over host functions that record."""

    def __init__(self, key: str, signature: FuncType) -> None:
        self.calls: list[tuple[object, ...]] = []
        platform = Platform(current_time=0, monotonic=1, write=2, flush=3, levels={STDOUT: INFO, STDERR: ERROR})
        code = Code(signature)
        WASI[key](code, platform)
        imports: list[HostFunction] = [
            (FuncType((I32,), (I32,)), self._current_time),
            (FuncType((), (I64,)), lambda: NOW),
            (FuncType((I32, I32, I32)), lambda *arguments: self.calls.append(arguments)),
            (FuncType(), lambda: self.calls.append(("flush",))),
        ]
        self.glue = GlueHost(imports, [code.function("f")])
        self.glue.write(AT, b"\xee" * 32)

    def _current_time(self, address: int) -> int:
        self.glue.write(address, NOW.to_bytes(8, "little"))
        return 0

    def call(self, *arguments: int) -> object:
        return self.glue.call("f", *arguments)


def test_wall_clock() -> None:
    host = WasiHost("wasi:clocks/wall-clock now", FuncType((I32,)))
    host.call(AT)
    assert (host.glue.read_int(AT, 8), host.glue.read_int(AT + 8, 4)) == divmod(NOW, 10**9)


def test_monotonic_clock() -> None:
    assert WasiHost("wasi:clocks/monotonic-clock now", FuncType((), (I64,))).call() == NOW
    assert WasiHost("wasi:clocks/monotonic-clock resolution", FuncType((), (I64,))).call() == 1


def test_wall_clock_resolution_is_a_nanosecond() -> None:
    host = WasiHost("wasi:clocks/wall-clock resolution", FuncType((I32,)))
    host.call(AT)
    assert (host.glue.read_int(AT, 8), host.glue.read_int(AT + 8, 4)) == (0, 1)


@pytest.mark.parametrize(("stream", "level"), [(STDOUT, INFO), (STDERR, ERROR)])
def test_write_goes_to_the_log(stream: int, level: int) -> None:
    host = WasiHost("wasi:io/streams [method]output-stream.write", FuncType((I32, I32, I32, I32)))
    host.call(stream, 0x700, 12, AT)
    assert host.calls == [(level, 0x700, 12)]
    assert host.glue.read(AT, 1) == b"\0"


def test_check_write_permits() -> None:
    host = WasiHost("wasi:io/streams [method]output-stream.check-write", FuncType((I32, I32)))
    host.call(STDOUT, AT)
    assert host.glue.read(AT, 1) == b"\0"
    assert host.glue.read_int(AT + 8, 8) > 2**20


def test_stdin_is_at_its_end() -> None:
    host = WasiHost("wasi:io/streams [method]input-stream.read", FuncType((I32, I64, I32)))
    host.call(1, 10, AT)
    assert host.glue.read(AT, 1) == b"\1"
    assert host.glue.read(AT + 4, 1) == bytes([ERROR_CODES["closed"]])


@pytest.mark.parametrize("key", ["wasi:cli/environment get-environment", "wasi:filesystem/preopens get-directories"])
def test_empty_lists(key: str) -> None:
    host = WasiHost(key, FuncType((I32,)))
    host.call(AT)
    assert host.glue.read_int(AT, 4) not in (0, 0xEEEE_EEEE)
    assert host.glue.read_int(AT + 4, 4) == 0


def test_no_terminal() -> None:
    host = WasiHost("wasi:cli/terminal-stdout get-terminal-stdout", FuncType((I32,)))
    host.call(AT)
    assert host.glue.read(AT, 1) == b"\0"


def test_exit_shows_what_was_printed_and_traps() -> None:
    host = WasiHost("wasi:cli/exit exit", FuncType((I32,)))
    with pytest.raises(wasmtime.Trap):
        host.call(1)
    assert host.calls == [("flush",)]


@pytest.mark.parametrize("key", [key for key, builder in WASI.items() if isinstance(builder, Fails)])
def test_failing_functions_store_their_error(key: str) -> None:
    builder = WASI[key]
    assert isinstance(builder, Fails)
    host = WasiHost(key, FuncType((I32, I64, I32)))
    host.call(0, 0, AT)
    assert host.glue.read(AT, 1) == b"\1"
    assert host.glue.read(AT + builder.offset, 1) == bytes([ERROR_CODES[builder.error]])


def test_functions_are_found_whatever_the_version() -> None:
    assert wasi_function("wasi:clocks/wall-clock@0.2.0", "now") is WASI["wasi:clocks/wall-clock now"]
    assert wasi_function("wasi:clocks/wall-clock@0.2.9", "now") is WASI["wasi:clocks/wall-clock now"]
    assert wasi_function("wasi:clocks/wall-clock@0.2.0", "then") is None


@pytest.mark.parametrize(
    ("module", "expected"), [("wasi:io/poll@0.2.0", True), ("wasi_snapshot_preview1", True), ("env", False)]
)
def test_is_wasi(module: str, expected: bool) -> None:
    assert is_wasi(module) is expected
