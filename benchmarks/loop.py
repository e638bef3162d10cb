"""The loop of edit and test: what an exchange, a fresh VM, a compilation and a changed line cost on each host.

The filter is copied to a project of its own, with an empty cache. Processes that have run something else before would
find things in their memory: the first build is to be the first of the process.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import proxy_wasm_abi

from benchmarks.growth import BODY_BYTES, CHAIN, EXTRA_HEADERS, WORKERS
from benchmarks.jobs import Job, headers_job, json_job
from benchmarks.peers.ours import source
from benchmarks.report import table
from benchmarks.rounds import Progress
from benchmarks.timing import Timed, duration, timed
from pywasm_filter.build import build, cached_build
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing import Plugin, PluginSettings, Proxy, Response
from pywasm_filter.testing.guests.code_cache import CodeCache
from pywasm_filter.testing.guests.engine import SETTINGS, engine
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
from pywasm_filter.testing.session import ProxySession

_TEST = """
from pywasm_filter.testing import Proxy

def test_exchange(proxy: Proxy) -> None:
    assert proxy.get("/x", headers={"user-agent": "benchmark"}).response.status == 200
"""
_HOSTS = {"inprocess": "in process", "wasmtime": "wasmtime", "envoy": "Envoy"}
_BASE = "exchange, in process"
_MODULES = (0, 20, 100)
_MODULE_LINES = 50


class Loop:
    """Takes the measurements, in an order in which each finds what it needs."""

    def __init__(self, project: Path, rounds: int, hosts: Sequence[str], progress: Progress) -> None:
        self._filter = project / "filter.py"
        self._test = project / "test_filter.py"
        self._rounds = rounds
        self._hosts = hosts
        self._progress = progress
        self.measured: list[Timed] = []
        self.builds: list[tuple[int, Timed]] = []
        """By the number of the filter's own modules."""
        self.exchanges: dict[str, list[tuple[int, list[Timed]]]] = {}
        """By dimension and size, for each host."""

    def run(self) -> None:
        """All of them."""
        # What runs in this process is warm from then on; processes of pytest begin anew.
        self._compilation()
        with ProxySession() as session:
            for host in self._hosts:
                self._exchanges(session, host)
            self._growth(session)
        self._tests()
        self._build_growth()

    def _compilation(self) -> None:
        self._time("first build: base image and module", 1, lambda: cached_build(self._filter))
        warm = Timed("build after an edit")
        for _ in range(3):
            self._edit()
            with warm.once():
                cached_build(self._filter)
        self._add(warm)
        data = cached_build(self._filter).read_bytes()
        with tempfile.TemporaryDirectory() as directory:

            def load() -> None:
                # A cache object has what it has loaded in memory: each is that of a new process.
                WasmtimeModule(data, cache=CodeCache(engine(), SETTINGS, Path(directory)))

            self._time("wasmtime: compiling the code for the first time", 1, load)
            self._time("wasmtime: loading the compiled code", self._rounds, load)

    def _exchanges(self, session: ProxySession, host: str) -> None:
        def fresh() -> Proxy:
            return session.proxy(host, [self._filter], PluginSettings())

        proxy = fresh()

        def exchange() -> None:
            assert proxy.get("/x", headers={"user-agent": "benchmark"}).response.status == 200

        for _ in range(self._rounds):
            exchange()
        self._time(f"exchange, {_HOSTS[host]}", 50 * self._rounds, exchange)
        proxy.close()
        if host != "envoy":  # there a running one is used again
            self._time(f"fresh proxy, {_HOSTS[host]}", self._rounds, lambda: fresh().close())
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

    def _growth(self, session: ProxySession) -> None:
        def measure(dimension: str, size: int, job: Job, chain: int = 1, workers: int = 1) -> None:
            found = [self._exchange_of(session, host, job, chain, workers) for host in self._hosts]
            self.exchanges.setdefault(dimension, []).append((size, found))

        for count in EXTRA_HEADERS:
            job = headers_job(count)
            measure("headers", len(job.cases[0].request.headers), job)
        for size in BODY_BYTES:
            job = json_job(size)
            measure("bytes of JSON", len(job.answer), job)
        for count in CHAIN:
            measure("filters in a chain", count, headers_job(), chain=count)
        for count in WORKERS:
            measure("workers", count, headers_job(), workers=count)

    def _exchange_of(self, session: ProxySession, host: str, job: Job, chain: int, workers: int) -> Timed:
        plugins = [Plugin(configuration=job.configuration, plugin_name=f"plugin-{number}") for number in range(chain)]
        proxy = session.proxy(host, [source(job)] * chain, PluginSettings(plugins=plugins, concurrency=workers))
        request = job.cases[0].request
        proxy.upstream = Response(200, headers={"content-type": job.content_type}, body=job.answer)

        def exchange() -> None:
            assert proxy.get(request.path, headers=dict(request.headers)).response.status == 200

        for _ in range(workers):
            exchange()
        measured = timed(f"{job.title}, {_HOSTS[host]}", 5 * self._rounds, exchange)
        proxy.close()
        return measured

    def _tests(self) -> None:
        self._time("pytest without a test", 3, lambda: self._pytest("--collect-only"))
        for host in self._hosts:
            self._pytest(f"--pywasm-host={host}")  # the cache has what it had before the edit
            measured = Timed(f"edit, then pytest with one test, {_HOSTS[host]}")
            for _ in range(3):
                self._edit()
                with measured.once():
                    self._pytest(f"--pywasm-host={host}")
            self._add(measured)

    def _build_growth(self) -> None:
        for count in _MODULES:
            project = self._filter.parent / f"with_{count}"
            project.mkdir()
            names = [f"part_{number}" for number in range(count)]
            for name in names:
                functions = [f"def function_{n}(value):\n    return value + {n}\n" for n in range(_MODULE_LINES // 2)]
                (project / f"{name}.py").write_text("".join(functions))
            main = project / "filter.py"
            main.write_text("".join(f"import {name}\n" for name in names) + self._filter.read_text())
            build(main)
            self.builds.append((count, timed(f"build with {count} modules", 3, partial(build, main))))

    def _edit(self) -> None:
        with self._filter.open("a") as file:
            file.write(f"\nedited = {time.time_ns()}\n")

    def _pytest(self, *options: str) -> None:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(self._test), *options]
        subprocess.run(command, cwd=self._test.parent, check=True, stdout=subprocess.DEVNULL)

    def _time(self, name: str, times: int, action: Callable[[], object]) -> None:
        self._add(timed(name, times, action))

    def _add(self, measured: Timed) -> None:
        self.measured.append(measured)
        self._progress(f"  {measured.name}: {duration(measured.median)}")


def run_loop(filter_: Path, rounds: int, hosts: Sequence[str], progress: Progress) -> Loop:
    """Measure a filter that starts without a configuration."""
    kept = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as directory:
        os.environ["XDG_CACHE_HOME"] = str(Path(directory) / "cache")
        try:
            project = Path(directory) / "project"
            project.mkdir()
            shutil.copyfile(filter_, project / "filter.py")
            (project / "test_filter.py").write_text(_TEST)
            loop = Loop(project, rounds, hosts, progress)
            loop.run()
        finally:
            if kept is None:
                del os.environ["XDG_CACHE_HOME"]
            else:
                os.environ["XDG_CACHE_HOME"] = kept
    return loop


def loop_table(loop: Loop) -> str:
    """The table of medians."""
    base = next(entry.median for entry in loop.measured if entry.name == _BASE)
    rows = []
    for entry in loop.measured:
        ratio = f"{entry.median / base:,.2g}" if entry.median < 10 * base else f"{entry.median / base:,.0f}"
        processors = duration(statistics.median(entry.processor_seconds))
        rows.append([entry.name, duration(entry.median), ratio, processors, str(len(entry.seconds))])
    return table(["", "median", "exchanges in process", "processors", "measured"], rows)


def loop_growth_tables(loop: Loop, hosts: Sequence[str]) -> str:
    """How exchanges and builds grow."""
    parts = []
    for dimension, found in loop.exchanges.items():
        rows = [[f"{size:,}", *(duration(entry.median) for entry in entries)] for size, entries in found]
        parts.append(table([f"an exchange by {dimension}", *(_HOSTS[host] for host in hosts)], rows))
    rows = [
        [f"{count}", duration(entry.median), duration(statistics.median(entry.processor_seconds))]
        for count, entry in loop.builds
    ]
    parts.append(table([f"a build by further modules of {_MODULE_LINES} lines", "median", "processors"], rows))
    return "\n\n".join(parts)
