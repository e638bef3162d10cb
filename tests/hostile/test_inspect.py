"""`pywasm-filter inspect` and `try`, and the reader of the binary format, take whatever a file has in it."""

from __future__ import annotations

import json
import time
import tracemalloc
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pywasm_compiler.errors import CompileError
from pywasm_compiler.inspection import inspect_module
from typer.testing import CliRunner

from pywasm_filter.cli.app import app
from pywasm_filter.cli.trial import run_trial
from pywasm_filter.testing import PluginSettings, Request, Response
from pywasm_filter.testing.guests.module_image import split_module
from tests.hostile.corpus import Hostile, hostile_modules
from tests.hostile.programs import module
from tests.hostile.wat import binary

CORPUS = list(hostile_modules())
WHOLE = binary(module())


def refusal(code: bytes) -> str:
    """Why a module is refused; empty if it is not."""
    try:
        inspect_module(code)
    except CompileError as error:
        return error.message
    return ""


@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile.name)
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_command_shows_or_refuses(hostile: Hostile, options: list[str], tmp_path: Path) -> None:
    file = tmp_path / "hostile.wasm"
    file.write_bytes(hostile.code)
    result = CliRunner().invoke(app, ["inspect", str(file), *options], prog_name="pywasm-filter")
    assert result.exit_code in (0, 1)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    if options:
        told = json.loads(result.stderr if result.exit_code else result.stdout)
        assert told["error"]["remedy"] if result.exit_code else told["size"] == len(hostile.code)
    elif result.exit_code:
        assert "error:" in result.stderr
        assert "remedy:" in result.stderr
    shown = result.stdout + result.stderr
    assert all(character.isprintable() or character == "\n" for character in shown), shown


@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile.name)
def test_little_time_and_memory(hostile: Hostile) -> None:
    tracemalloc.start()
    begun = time.monotonic()
    try:
        refusal(hostile.code)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert time.monotonic() - begun < 2
    assert peak < 8 << 20


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8), st.data())
@settings(max_examples=150, deadline=None)
def test_damage_of_any_kind(changes: list[tuple[int, int]], data: st.DataObject) -> None:
    damaged = bytearray(WHOLE)
    for position, byte in changes:
        damaged[position] = byte
    code = bytes(damaged[: data.draw(st.integers(len(WHOLE) // 2, len(WHOLE)))])
    split_module(code)
    assert "\n" not in refusal(code)


@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile.name)
def test_one_exchange_is_shown_or_refused(hostile: Hostile, tmp_path: Path) -> None:
    file = tmp_path / "hostile.wasm"
    file.write_bytes(hostile.code)
    limits = PluginSettings(callback_timeout=0.1, memory_limit_bytes=64 << 20)
    shown = hostile.end.startswith(("answers", "trap"))
    with nullcontext() if shown else pytest.raises(CompileError) as refused:
        trial = run_trial(file, Request("POST", "/", body=b"body"), Response(200), limits)
        assert trial.response is not None
    assert refused is None or refused.value.remedy


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "huge.wasm"
    with file.open("wb") as sparse:
        sparse.write(WHOLE)
        sparse.truncate(64 << 30)
    result = CliRunner().invoke(app, ["inspect", str(file)], prog_name="pywasm-filter")
    assert result.exit_code == 1
    assert "68,719,476,736 bytes: no host loads modules of more than 1 GiB" in result.stderr.replace("\n", " ")
