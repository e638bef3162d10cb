"""The loop of edit and test: what an exchange, a fresh VM, a compilation and a changed line cost on each host.

    python -m benchmarks.loop [FILTER] [--rounds N] [--no-envoy]

The filter is copied to a project of its own, with an empty cache. Medians are reported, how many times an exchange in
process each thing takes, and the time that processors worked for it, which tells more on a busy machine (that of Envoy
is not in it). FILTER must start without a configuration; it is examples/add_header/filter.py otherwise.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import proxy_wasm_abi
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from pywasm_filter.build import cached_build
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing import PluginSettings, Proxy
from pywasm_filter.testing.guests.code_cache import CodeCache
from pywasm_filter.testing.guests.engine import SETTINGS, engine
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
from pywasm_filter.testing.session import ProxySession

_DEFAULT = Path(__file__).parents[1] / "examples" / "add_header" / "filter.py"
_TEST = """
from pywasm_filter.testing import Proxy

def test_exchange(proxy: Proxy) -> None:
    assert proxy.get("/x", headers={"user-agent": "benchmark"}).response.status == 200
"""
_BASE = "exchange, in process"


@dataclass
class Measured:
    """Seconds that one thing took each time, and seconds of processors."""

    name: str
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """In seconds."""
        return statistics.median(self.seconds)


class Loop:
    """Takes the measurements, in an order in which each finds what it needs."""

    def __init__(self, project: Path, rounds: int, hosts: tuple[str, ...], console: Console) -> None:
        self._filter = project / "filter.py"
        self._test = project / "test_filter.py"
        self._rounds = rounds
        self._hosts = hosts
        self._console = console
        self.measured: list[Measured] = []

    def run(self) -> None:
        """All of them."""
        # What runs in this process is warm from then on; processes of pytest begin anew.
        self._compilation()
        with ProxySession() as session:
            for host in self._hosts:
                self._exchanges(session, host)
        self._tests()

    def _compilation(self) -> None:
        self._time("build of a module", 1, lambda: cached_build(self._filter))
        data = cached_build(self._filter).read_bytes()
        with tempfile.TemporaryDirectory() as directory:

            def load() -> None:
                # A cache object has what it has loaded in memory: each is that of a new process.
                WasmtimeModule(data, cache=CodeCache(engine(), SETTINGS, Path(directory)))

            self._time("wasmtime: compiling the code for the first time", 1, load)
            self._time("wasmtime: loading the compiled code", self._rounds, load)

    def _exchanges(self, session: ProxySession, host: str) -> None:
        settings = PluginSettings()
        name = {"inprocess": "in process", "wasmtime": "wasmtime", "envoy": "Envoy"}[host]

        def fresh() -> Proxy:
            return session.proxy(host, [self._filter], settings)

        proxy = fresh()

        def exchange() -> None:
            assert proxy.get("/x", headers={"user-agent": "benchmark"}).response.status == 200

        for _ in range(self._rounds):
            exchange()
        self._time(f"exchange, {name}", 50 * self._rounds, exchange)
        proxy.close()
        if host != "envoy":  # there a running one is used again
            self._time(f"fresh proxy, {name}", self._rounds, lambda: fresh().close())
        if host == "wasmtime":
            self._vms()

    def _vms(self) -> None:
        module = WasmtimeModule.read(cached_build(self._filter))
        host = cast(
            "Hostcalls", SimpleNamespace(**dict.fromkeys(entry.name for entry in proxy_wasm_abi.load().hostcalls))
        )

        def start() -> None:
            guest = module.instantiate(host)
            guest.start()
            guest.discard()

        self._time("fresh VM, wasmtime", self._rounds, start)

    def _tests(self) -> None:
        self._time("pytest without a test", 3, lambda: self._pytest("--collect-only"))
        for host in self._hosts:
            self._pytest(f"--pywasm-host={host}")  # the cache has what it had before the edit
            measured = Measured(f"edit, then pytest with one test, {host}")
            for number in range(3):
                self._edit(number)
                with self._timed(measured):
                    self._pytest(f"--pywasm-host={host}")
            self._report(measured)

    def _edit(self, number: int) -> None:
        with self._filter.open("a") as file:
            file.write(f"\nedited_{time.time_ns()} = {number}\n")

    def _pytest(self, *options: str) -> None:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(self._test), *options]
        subprocess.run(command, cwd=self._test.parent, check=True, stdout=subprocess.DEVNULL)

    def _time(self, name: str, times: int, action: Callable[[], object]) -> None:
        measured = Measured(name)
        for _ in range(times):
            with self._timed(measured):
                action()
        self._report(measured)

    @contextmanager
    def _timed(self, measured: Measured) -> Iterator[None]:
        begun, worked = time.perf_counter(), _processor_time()
        yield
        measured.seconds.append(time.perf_counter() - begun)
        measured.processor_seconds.append(_processor_time() - worked)

    def _report(self, measured: Measured) -> None:
        self.measured.append(measured)
        self._console.print(f"  {measured.name}: {duration(measured.median)}", highlight=False)


def _processor_time() -> float:
    """Of this process and of those that it has waited for. Finer than os.times tells."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def duration(seconds: float) -> str:
    """For people: three digits and a unit."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def report(console: Console, measured: list[Measured]) -> None:
    """The table of medians."""
    base = next(entry.median for entry in measured if entry.name == _BASE)
    table = Table("", "median", "exchanges in process", "processors", "measured", box=MARKDOWN)
    for entry in measured:
        ratio = f"{entry.median / base:,.2g}" if entry.median < 10 * base else f"{entry.median / base:,.0f}"
        processors = duration(statistics.median(entry.processor_seconds))
        table.add_row(entry.name, duration(entry.median), ratio, processors, str(len(entry.seconds)))
    console.print(table)


def main() -> int:
    """Measure the filter named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("filter", type=Path, nargs="?", default=_DEFAULT)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--no-envoy", action="store_true", help="leave out what needs a real Envoy")
    arguments = parser.parse_args()
    hosts = ("inprocess", "wasmtime") if arguments.no_envoy else ("inprocess", "wasmtime", "envoy")
    console = Console()
    with tempfile.TemporaryDirectory() as directory:
        os.environ["XDG_CACHE_HOME"] = str(Path(directory) / "cache")
        project = Path(directory) / "project"
        project.mkdir()
        shutil.copyfile(arguments.filter, project / "filter.py")
        (project / "test_filter.py").write_text(_TEST)
        loop = Loop(project, arguments.rounds, hosts, console)
        loop.run()
    report(console, loop.measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
