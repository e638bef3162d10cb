"""What a filter costs in a real Envoy: requests/s, added time a request, start, memory, size.

    python -m benchmarks.envoy_overhead examples/add_header/filter.py

Envoy answers each request itself; the load comes from wrk (Debian's package `wrk`). Rounds with and without the filter
alternate, and medians are reported.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pywasm_filter.build import build
from pywasm_filter.testing.envoy import EnvoyProcess, EnvoySettings

_CONNECTIONS = 16


@dataclass
class Series:
    """What was measured of one Envoy."""

    name: str
    requests_per_second: list[float] = field(default_factory=list)
    start_seconds: list[float] = field(default_factory=list)
    resident_mib: float = 0.0


def load(envoy: EnvoyProcess, seconds: int) -> float:
    """Requests/s that wrk reaches. Raises RuntimeError when an answer is not 2xx."""
    host, port = envoy.address
    command = ["wrk", "--threads", "1", "--connections", str(_CONNECTIONS), "--duration", f"{seconds}s"]
    output = subprocess.run([*command, f"http://{host}:{port}/"], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output:
        raise RuntimeError(f"the filter answers with errors:\n{output}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found is not None, output
    return float(found.group(1))


def start(stack: contextlib.ExitStack, series: Series, settings: EnvoySettings) -> EnvoyProcess:
    """An Envoy that is ready, with the time that it took."""
    begin = time.perf_counter()
    envoy = stack.enter_context(EnvoyProcess(settings))
    series.start_seconds.append(time.perf_counter() - begin)
    return envoy


def measure(module: Path, root_id: str, configuration: bytes, rounds: int, seconds: int) -> list[Series]:
    """Alternate rounds without and with the filter."""
    bare, filtered = Series("no filter"), Series("with the filter")
    with_filter = EnvoySettings(module, None, root_id=root_id, configuration=configuration)
    with contextlib.ExitStack() as stack:
        envoys = [
            (bare, start(stack, bare, EnvoySettings(None, None))),
            (filtered, start(stack, filtered, with_filter)),
        ]
        for _, envoy in envoys:
            load(envoy, 1)
        for _ in range(rounds):
            for series, envoy in envoys:
                series.requests_per_second.append(load(envoy, seconds))
        for series, envoy in envoys:
            series.resident_mib = envoy.memory().resident / 2**20
    return [bare, filtered]


def report(console: Console, measured: Sequence[Series]) -> None:
    """The table of medians."""
    base = statistics.median(measured[0].requests_per_second)
    table = Table("", "requests/s", "of no filter", "added µs/request", "start s", "resident MiB")
    for series in measured:
        rate = statistics.median(series.requests_per_second)
        table.add_row(
            series.name,
            f"{rate:,.0f}",
            f"{rate / base:.2f}",
            f"{(1 / rate - 1 / base) * 1e6:.1f}",
            f"{statistics.median(series.start_seconds):.2f}",
            f"{series.resident_mib:.0f}",
        )
    console.print(table)


def main() -> int:
    """Measure the filter named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("filter", type=Path)
    parser.add_argument("--root-id", default="")
    parser.add_argument("--configuration", default="")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="length of a round")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed; on Debian: apt-get install wrk", file=sys.stderr)
        return 2
    console = Console()
    with tempfile.TemporaryDirectory() as directory:
        begin = time.perf_counter()
        data = build(arguments.filter)
        built = time.perf_counter() - begin
        size, packed = len(data) / 1e6, len(gzip.compress(data, 6)) / 1e6
        console.print(f"module: {size:.1f} MB ({packed:.1f} MB gzipped), built in {built:.1f} s")
        module = Path(directory, "filter.wasm")
        module.write_bytes(data)
        measured = measure(
            module, arguments.root_id, arguments.configuration.encode(), arguments.rounds, arguments.seconds
        )
    report(console, measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
