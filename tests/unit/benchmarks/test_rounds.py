"""Differences are those within a round."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from benchmarks.comparison import Result, details, overview
from benchmarks.envoys import Deployment, Started, Used
from benchmarks.jobs import headers_job
from benchmarks.load import Traffic
from benchmarks.peers import all_peers
from benchmarks.rounds import Series, Subject
from benchmarks.steps import steps_table
from pywasm_filter.testing.envoy import EnvoySettings


def used(microseconds: float, processor_microseconds: float) -> Used:
    return Used(Traffic(1000, microseconds / 1e3, 1e-3, 2e-3), processor_microseconds / 1e3)


def series(title: str, base: Series | None, *rounds: Used) -> Series:
    return Series(
        Subject(title, headers_job(), Deployment()),
        base,
        rounds=list(rounds),
        starts=[Started(1.0, 1.5) if base else Started(0.25, 0.125)],
        resident_bytes=(300 if base else 60) << 20,
    )


@pytest.fixture
def base() -> Series:
    # The second round was disturbed, for all alike.
    return series("no filter", None, used(10, 9), used(110, 90), used(10, 9))


@pytest.fixture
def filtered(base: Series) -> Series:
    return series("ours", base, used(22, 20), used(125, 100), used(24, 21))


def test_disturbed_rounds_do_not_count_as_costs_of_the_filter(filtered: Series) -> None:
    assert filtered.added_seconds == pytest.approx(14e-6)
    assert filtered.added_processor_seconds == pytest.approx(11e-6)
    assert filtered.added_start_seconds == pytest.approx(0.75)
    assert filtered.added_start_processor_seconds == pytest.approx(1.375)
    assert filtered.added_resident_bytes == 240 << 20


def test_tables_name_who_is_there_and_who_is_not(base: Series, filtered: Series) -> None:
    peers = all_peers()
    absent, failed = {"go": "`go` is not installed"}, {"lua": "GET /: status 503"}
    result = Result(headers_job(), base, {"ours": filtered}, absent, failed)
    lines = overview([result], peers).splitlines()
    assert lines[2] == "| **pywasm-filter** | 11.0 |"
    assert "| Go SDK | - |" in lines
    text = details(result, peers)
    assert "| **pywasm-filter** | 41,667 | 14.0 | 11.0 | 2.0 | 1.0 | 1.5 | 300 (+240) | - | - |" in text
    assert "- Go SDK: `go` is not installed.\n- Lua filter (LuaJIT) failed: GET /: status 503." in text


def test_steps_are_compared_with_the_first(tmp_path: Path, base: Series) -> None:
    def module(label: str, data: int, cost: float) -> Series:
        path = tmp_path / f"{label}.wasm"
        path.write_bytes(wasmtime.wat2wasm(f'(module (memory 1) (func) (data (i32.const 0) "{"x" * data}"))'))
        subject = Subject(label, headers_job(), Deployment(EnvoySettings(path, None)))
        return Series(
            subject,
            base,
            [used(10 + cost, 9), used(110, 90), used(10 + cost, 9 + cost)],
            [Started(2.25, 3.125)],
            160 << 20,
        )

    broken = module("broken", 100, 1)
    broken.failure = "GET /hello: status 503"
    rows = steps_table([base, module("before", 200, 20), module("after", 100, 5), broken]).splitlines()
    assert rows[2].startswith("| before | 2 B (1.0) | 200 B (1.0) |")
    assert rows[2].endswith("| 2.00 (1.0) | 3.00 (1.0) | 100 (1.0) | 20.0 (1.0) | 0.00 |")
    assert rows[3].startswith("| after | 2 B (1.0) | 100 B (0.50) |")
    assert rows[3].endswith("| 2.00 (1.0) | 3.00 (1.0) | 100 (1.0) | 5.00 (0.25) | 0.00 |")
    assert rows[4].endswith("| fails: GET /hello: status 503 | - | - | - | - |")
