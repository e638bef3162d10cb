"""Peers of the benchmarks that need no toolchain do their jobs in a real Envoy, and one that does not is found out."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.envoys import Deployment, RunningEnvoy, WrongAnswerError
from benchmarks.jobs import all_jobs
from benchmarks.peers import Peer, UnavailableError, peer
from benchmarks.peers.floor import Floor
from benchmarks.peers.go import Go
from benchmarks.peers.lua import Lua
from benchmarks.peers.native import Native
from benchmarks.peers.rust import Rust

JOBS = {job.name: job for job in all_jobs()}


@pytest.mark.parametrize(
    ("does_it", "name"),
    [
        (Native(), "headers"),
        (Native(), "jwt"),
        (Native(), "routing"),
        (Lua(), "headers"),
        (Lua(), "routing"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_peers_answer_all_cases(does_it: Peer, name: str) -> None:
    with RunningEnvoy(JOBS[name], does_it.prepare(JOBS[name])) as envoy:
        envoy.check()
        assert envoy.start.seconds > 0
        assert envoy.resident_bytes > 10 << 20


def test_the_module_that_does_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "WORKSPACE", tmp_path)
    with RunningEnvoy(JOBS["json"], Floor().prepare(JOBS["json"])) as envoy:
        envoy.check()


@pytest.mark.parametrize("name", JOBS)
def test_an_envoy_without_a_filter_is_found_out(name: str) -> None:
    with pytest.raises(WrongAnswerError), RunningEnvoy(JOBS[name], Deployment()):
        pass


def test_who_cannot_do_a_job_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnavailableError, match="no filter that edits JSON"):
        Native().prepare(JOBS["json"])
    monkeypatch.setattr(peer, "WORKSPACE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    for absent in (Rust(), Go()):
        with pytest.raises(UnavailableError, match=r"`go` is not installed|no rustc with the target"):
            absent.prepare(JOBS["headers"])
