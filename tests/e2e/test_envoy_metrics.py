"""The names that the SDK gives to metrics with labels, in a real Envoy: its stats_tags find the labels again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime

from pywasm_filter import Counter, Gauge, Histogram
from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.hostcalls import Unbound
from pywasm_filter.testing.envoy import EnvoyProcess, EnvoySettings

ROOT = Path(__file__).parents[2]


class Recorder(Unbound):
    """Notes the calls that the SDK makes, to be made again by a module."""

    def __init__(self) -> None:
        self.names: list[tuple[int, bytes]] = []
        self.changes: list[tuple[str, int, int]] = []

    def proxy_define_metric(self, metric_type: int, metric_name: bytes, /) -> tuple[int, int]:
        self.names.append((metric_type, metric_name))
        return 0, len(self.names) - 1

    def proxy_increment_metric(self, metric_id: int, offset: int, /) -> int:
        self.changes.append(("increment", metric_id, offset))
        return 0

    def proxy_record_metric(self, metric_id: int, value: int, /) -> int:
        self.changes.append(("record", metric_id, value))
        return 0

    def module(self) -> bytes:
        """A module that makes all of the calls when it is configured; the id of metric n is kept at 4n."""
        code, segments, end = "", "", 4096
        for index, (kind, name) in enumerate(self.names):
            code += f"(drop (call $define (i32.const {kind}) (i32.const {end}) (i32.const {len(name)})"
            code += f" (i32.const {4 * index})))"
            segments += f'(data (i32.const {end}) "{"".join(f"{chr(92)}{byte:02x}" for byte in name)}")'
            end += len(name)
        for call, index, value in self.changes:
            code += f"(drop (call ${call} (i32.load (i32.const {4 * index})) (i64.const {value})))"
        return bytes(
            wasmtime.wat2wasm(f"""
            (module
             (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
             (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
             (import "env" "proxy_record_metric" (func $record (param i32 i64) (result i32)))
             (memory (export "memory") 2)
             {segments}
             (func (export "proxy_abi_version_0_2_1"))
             (func (export "malloc") (param i32) (result i32) (i32.const 120000))
             (func (export "proxy_on_context_create") (param i32 i32))
             (func (export "proxy_on_configure") (param $root i32) (param i32) (result i32)
              {code} (i32.const 1)))
            """)
        )


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recording = Recorder()
    previous = hostcalls.bind(recording)
    yield recording
    hostcalls.bind(previous)


def stats_tags() -> dict[str, str]:
    """The tags of the example in the manual, for its labels."""
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    return dict(re.findall(r"tag_name: (\w+), regex: '([^']*)'", page))


def prometheus(process: EnvoyProcess) -> dict[str, str]:
    text = process.admin("/stats/prometheus")
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith(("#", "envoy_"))]
    return {name: value for name, _, value in lines}


def with_histograms(process: EnvoyProcess, name: str, expected: str) -> dict[str, str]:
    """Envoy merges the histograms of its threads every five seconds."""
    deadline = time.monotonic() + 15
    shown = prometheus(process)
    while shown.get(name) != expected and time.monotonic() < deadline:
        time.sleep(0.1)
        shown = prometheus(process)
    return shown


HOSTILE = [
    'a;status=500;x="',
    "a.b..c.",
    "x_rq_200",
    "x_rq_5xx",
    "..",
    " \r\n\t\0",
    "\udcff\udcfe",
    "grün",
    "a:1|c|#x:y",
    "%3Bstatus=1",
    "y" * 5000,
    ";" * 5000,
]


def test_envoy_shows_labels_as_tags(recorder: Recorder, tmp_path: Path) -> None:
    requests = Counter("requests", labels=("method", "status"))
    requests.labels(method="GET", status=200).increment(3)
    requests.labels(method="GET", status=404).increment()
    requests.labels(method="", status=404).increment(5)
    Gauge("pool.sessions", labels=["method"]).labels(method="POST").set(7)
    Histogram("duration_ms", labels=["status"]).labels(status=200).record(12)
    Counter("plain_total").increment(2)
    for value in HOSTILE:
        Counter("hostile", labels=("method",)).labels(method=value).increment()
    module = tmp_path / "metrics.wasm"
    module.write_bytes(recorder.module())
    tags = stats_tags()
    assert set(tags) == {"method", "status"}
    with EnvoyProcess(EnvoySettings(module, None, stats_tags=tags)) as process:
        shown = with_histograms(process, 'duration_ms_count{status="200"}', "3")
        raw = process.stats("wasmcustom.")
    # The VMs of the main thread, of the worker and the canary each count once.
    assert shown['requests{method="GET",status="200"}'] == "9"
    assert shown['requests{method="GET",status="404"}'] == "3"
    assert shown['requests{status="404"}'] == "15"
    assert shown['pool_sessions{method="POST"}'] == "7"
    assert shown["plain_total{}"] == "6"
    assert shown['duration_ms_count{status="200"}'] == "3"
    hostile = [name for name in shown if name.startswith("hostile")]
    assert len(hostile) == len(HOSTILE)
    assert all(re.fullmatch(r'hostile\{method="[A-Za-z0-9_./+~%-]+"\}', name) for name in hostile)
    assert raw["wasmcustom.requests;method=GET;status=200"] == 9


def test_without_tags_labels_are_in_the_name(recorder: Recorder, tmp_path: Path) -> None:
    Counter("requests", labels=("method", "status")).labels(method="GET", status=200).increment()
    module = tmp_path / "metrics.wasm"
    module.write_bytes(recorder.module())
    with EnvoyProcess(EnvoySettings(module, None)) as process:
        assert prometheus(process)["requests_method_GET_status_200{}"] == "3"
