"""Differences are those within a round."""

from __future__ import annotations

import pytest

from benchmarks.comparison import Result, details, overview
from benchmarks.envoys import Deployment, Used
from benchmarks.jobs import headers_job
from benchmarks.load import Traffic
from benchmarks.peers import all_peers
from benchmarks.rounds import Series, Subject


def used(microseconds: float, processor_microseconds: float) -> Used:
    return Used(Traffic(1000, microseconds / 1e3, 1e-3, 2e-3), processor_microseconds / 1e3)


def series(title: str, base: Series | None, *rounds: Used) -> Series:
    return Series(
        Subject(title, headers_job(), Deployment()),
        base,
        rounds=list(rounds),
        starts=[1.0 if base else 0.25],
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
    assert filtered.added_resident_bytes == 240 << 20


def test_tables_name_who_is_there_and_who_is_not(base: Series, filtered: Series) -> None:
    peers = all_peers()
    absent, failed = {"go": "`go` is not installed"}, {"lua": "GET /: status 503"}
    result = Result(headers_job(), base, {"ours": filtered}, absent, failed)
    lines = overview([result], peers).splitlines()
    assert lines[2] == "| **pywasm-filter** | 14.0 |"
    assert "| Go SDK | - |" in lines
    text = details(result, peers)
    assert "| **pywasm-filter** | 41,667 | 14.0 | 11.0 | 2.0 | 1.0 (+0.75) | 300 (+240) | - | - |" in text
    assert "- Go SDK: `go` is not installed.\n- Lua filter (LuaJIT) failed: GET /: status 503." in text
