"""Reading Envoy's log: the message format, the plugin's own lines, a file in growth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywasm_filter.testing.envoy.config import EnvoySettings
from pywasm_filter.testing.envoy.log import (
    LEVELS,
    LogFile,
    LogLine,
    WasmLogLine,
    evidence,
    parse_line,
    parse_wasm_line,
)

TRACEBACK = 'Traceback (most recent call last):\n  File "filter.py", line 3, in on_request_headers\nValueError: a: b'


def written(line: LogLine) -> bytes:
    """The line as Envoy writes it."""
    fields = {"level": line.level, "component": line.component, "message": line.message}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


@given(level=st.sampled_from(LEVELS), component=st.text("abcdefgh_", min_size=1), message=st.text())
def test_any_text_is_read_back(level: str, component: str, message: str) -> None:
    line = LogLine(level, component, message)
    assert parse_line(written(line)) == line
    assert b"\n" not in written(line)


@given(st.binary())
def test_any_bytes_are_some_line(raw: bytes) -> None:
    line = parse_line(raw)
    line.message.encode()  # always text that can be printed
    assert line.level in ("", *LEVELS)


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        pytest.param(
            b'{"level":"error","component":"wasm","message":"wasm log: a\\nb \\"c\\" \\u0001"}',
            LogLine("error", "wasm", 'wasm log: a\nb "c" \x01'),
            id="escapes",
        ),
        pytest.param(
            b'{"level":"info","component":"wasm","message":"wasm log: \xff\xfe \xc3\xa9"}',
            LogLine("info", "wasm", "wasm log: \\xff\\xfe é"),
            id="not-utf-8",
        ),
        pytest.param(b"# Fatal error in V8", LogLine("", "", "# Fatal error in V8"), id="not-of-the-logger"),
        pytest.param(b'{"level":"loud"}', LogLine("", "", '{"level":"loud"}'), id="json-of-another-kind"),
        pytest.param(b"[1]", LogLine("", "", "[1]"), id="json-array"),
    ],
)
def test_parse_line(raw: bytes, line: LogLine) -> None:
    assert parse_line(raw) == line


@pytest.mark.parametrize(
    ("identity", "message", "expected"),
    [
        pytest.param(("plug", "root", "vm"), "wasm log plug root vm: hello", "hello", id="stream"),
        pytest.param(("plug", "root", "vm"), "wasm log root vm: hello", "hello", id="root-context"),
        pytest.param(("plug", "root", "vm"), "wasm log: hello", "hello", id="initialising"),
        pytest.param(("plug", "root", ""), "wasm log plug root: hello", "hello", id="no-vm-id"),
        pytest.param(("plug", "", ""), "wasm log plug: hello", "hello", id="no-root-id"),
        pytest.param(("plug", "", ""), "wasm log: hello", "hello", id="no-root-id-root-context"),
        pytest.param(("", "", "vm"), "wasm log vm: hello", "hello", id="vm-id-alone"),
        pytest.param(("plug", "", ""), "wasm log plug: a: b", "a: b", id="colons"),
        pytest.param(("a: b", "c d", ""), "wasm log a: b c d: hello", "hello", id="names-with-colons-and-blanks"),
        pytest.param(("plug", "", ""), f"wasm log plug: {TRACEBACK}", TRACEBACK, id="many-lines"),
        pytest.param(("plug", "", ""), "wasm log plug: ", "", id="empty"),
        pytest.param(("plug", "", ""), "wasm log other: hello", None, id="another-plugin"),
        pytest.param(("plug", "", ""), "Plugin plug failed to load", None, id="envoys-own"),
    ],
)
def test_parse_wasm_line(identity: tuple[str, str, str], message: str, expected: str | None) -> None:
    plugin_name, root_id, vm_id = identity
    settings = EnvoySettings(Path("x.wasm"), 1, plugin_name=plugin_name, root_id=root_id, vm_id=vm_id)
    found = parse_wasm_line(LogLine("warning", "wasm", message), settings)
    assert found == (None if expected is None else WasmLogLine("warning", root_id, expected))


@pytest.mark.parametrize(
    ("message", "root_id"),
    [
        ("wasm log plug root vm: hello", "root"),
        ("wasm log root vm: hello", "root"),
        ("wasm log worker vm: hello", "worker"),
        ("wasm log: hello", "root"),
    ],
)
def test_lines_of_further_roots_are_told_apart(message: str, root_id: str) -> None:
    settings = EnvoySettings(
        Path("x.wasm"), 1, plugin_name="plug", root_id="root", vm_id="vm", background_roots={"worker": b""}
    )
    assert parse_wasm_line(LogLine("info", "wasm", message), settings) == WasmLogLine("info", root_id, "hello")


def test_only_the_wasm_logger_speaks_for_the_plugin() -> None:
    assert parse_wasm_line(LogLine("info", "main", "wasm log: x"), EnvoySettings(Path("x.wasm"), 1)) is None


NOISE = LogLine("warning", "main", "There is no configured limit")
MISSING = LogLine("error", "wasm", "Failed to load Wasm module due to a missing import: env.x")
INVALID = LogLine("critical", "main", "error `Invalid path: x.wasm`")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([NOISE, MISSING, INVALID], (MISSING.message,), id="wasm-first"),
        pytest.param([MISSING, MISSING], (MISSING.message,), id="once"),
        pytest.param([NOISE, INVALID], (INVALID.message,), id="errors-else"),
        pytest.param([NOISE, LogLine("", "", "V8 died"), LogLine("", "", "")], ("V8 died",), id="last-words"),
        pytest.param([NOISE], (NOISE.message,), id="whatever-there-is"),
        pytest.param([LogLine("info", "wasm", "wasm log: hi"), MISSING], (MISSING.message,), id="no-chatter"),
        pytest.param([], (), id="nothing"),
    ],
)
def test_evidence(lines: list[LogLine], expected: tuple[str, ...]) -> None:
    assert evidence(lines) == expected


def test_evidence_is_short_and_the_latest() -> None:
    lines = [LogLine("error", "wasm", str(number)) for number in range(500)]
    assert evidence(lines) == tuple(str(number) for number in range(480, 500))


def test_growing_file_gives_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "log"
    one, two = LogLine("info", "wasm", "é one"), LogLine("error", "main", "two\nlines")
    path.write_bytes(b"")
    log = LogFile(path)
    assert log.lines() == []
    encoded = written(one)
    with path.open("ab", buffering=0) as file:
        file.write(encoded[:40])
        assert log.lines() == []
        file.write(encoded[40:] + b"\n")
        assert log.lines() == [one]
        file.write(written(two) + b"\n\n")
        assert log.lines() == [one, two]
        assert log.lines(1) == [two]
        file.write(b"cut off")
        assert log.lines(2) == []
    log.finish()
    path.unlink()
    assert log.lines() == [one, two, LogLine("", "", "cut off")]
