"""What a filter costs in a real Envoy: requests/s, added time a request, start, memory, size.

    python -m benchmarks.envoy_overhead examples/add_header/filter.py [before.wasm ...]

Filters are Python files or built modules. Envoy answers each request itself; the load comes from wrk (Debian's package
`wrk`). Rounds without a filter and with each of them alternate, and medians are reported.
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


def measure(
    modules: Sequence[tuple[str, Path]], root_id: str, configuration: bytes, rounds: int, seconds: int
) -> list[Series]:
    """Alternate rounds without and with each filter."""
    runs = [(Series("no filter"), EnvoySettings(None, None))]
    for name, module in modules:
        runs.append((Series(name), EnvoySettings(module, None, root_id=root_id, configuration=configuration)))
    with contextlib.ExitStack() as stack:
        envoys = [(series, start(stack, series, settings)) for series, settings in runs]
        for _, envoy in envoys:
            load(envoy, 1)
        for _ in range(rounds):
            for series, envoy in envoys:
                series.requests_per_second.append(load(envoy, seconds))
        for series, envoy in envoys:
            series.resident_mib = envoy.memory().resident / 2**20
    return [series for series, _ in runs]


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


def built(given: Path, directory: Path, console: Console) -> Path:
    """The module of a filter; what it is like is printed."""
    module = given
    begin = time.perf_counter()
    if given.suffix != ".wasm":
        module = directory / f"{given.parent.name}-{given.stem}.wasm"
        module.write_bytes(build(given))
    data = module.read_bytes()
    size, packed = len(data) / 1e6, len(gzip.compress(data, 6)) / 1e6
    time_taken = "" if module is given else f", built in {time.perf_counter() - begin:.1f} s"
    console.print(f"{given}: {size:.1f} MB ({packed:.1f} MB gzipped){time_taken}")
    return module


def main() -> int:
    """Measure the filters named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("filters", type=Path, nargs="+")
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
        modules = [(str(given), built(given, Path(directory), console)) for given in arguments.filters]
        measured = measure(
            modules, arguments.root_id, arguments.configuration.encode(), arguments.rounds, arguments.seconds
        )
    report(console, measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
