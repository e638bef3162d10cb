"""How the costs grow: with headers, the size of bodies, filters in a chain, workers.

Requests and starts are told in time of processors: several workers wait for each other where there are few.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.envoys import NO_FILTER, Deployment
from benchmarks.jobs import Job, headers_job, json_job
from benchmarks.peers.ours import FILTERS, built, source
from benchmarks.report import ABSENT, mebibytes, microseconds, number, table
from benchmarks.rounds import Pace, Progress, Series, Subject, measure
from pywasm_filter.testing.envoy import BuiltPlugin, EnvoySettings
from pywasm_filter.testing.plugin import Plugin

EXTRA_HEADERS = (0, 40, 80)
BODY_BYTES = (1_000, 10_000, 100_000)
CHAIN = (1, 4, 8)
SEPARATE_CHAIN = (1, 4)
WORKERS = (1, 2, 4)


@dataclass(frozen=True)
class Growth:
    """Figures along one dimension."""

    title: str
    dimension: str
    """What the numbers in `values` are."""
    values: Sequence[int]
    lines: dict[str, list[Series]]
    """By what was measured, a series for each value, or for the first of them."""

    def plotted(self) -> dict[str, list[float]]:
        """Microseconds of processors for a request; not a number where there are no figures."""
        return {
            title: [math.nan if series.failure else series.added_processor_seconds * 1e6 for series in line]
            for title, line in self.lines.items()
        }


def grow(pace: Pace, progress: Progress) -> list[Growth]:
    """Measure each dimension in a run of its own."""
    found = []
    for measured in (_headers, _bodies, _chain, _workers):
        found.append(measured(pace, progress))
    return found


def _headers(pace: Pace, progress: Progress) -> Growth:
    progress("Growth with headers")
    jobs = [headers_job(count) for count in EXTRA_HEADERS]
    filters = {"set a header each way": source(jobs[0]), "read all headers": FILTERS / "read_headers.py"}
    counts = [len(job.cases[0].request.headers) + 4 for job in jobs]  # and :authority, :method, :path, :scheme
    lines = _grow(jobs, filters, pace, progress)
    return Growth("Headers of the request", "headers", counts, lines)


def _bodies(pace: Pace, progress: Progress) -> Growth:
    progress("Growth with bodies")
    jobs = [json_job(size) for size in BODY_BYTES]
    filters = {"rewrite JSON": source(jobs[0]), "take the body and put it back": FILTERS / "copy_body.py"}
    return Growth(
        "Size of a JSON body", "bytes", [len(job.answer) for job in jobs], _grow(jobs, filters, pace, progress)
    )


def _grow(jobs: Sequence[Job], filters: dict[str, Path], pace: Pace, progress: Progress) -> dict[str, list[Series]]:
    """Each filter at each job; only the first is the one that does it, and is checked."""
    modules = {title: built(path) for title, path in filters.items()}
    groups = []
    for job in jobs:
        group = [Subject("no filter", job, NO_FILTER)]
        for title, module in modules.items():
            settings = EnvoySettings(module, None, configuration=job.configuration.encode())
            does_the_job = module is modules[next(iter(modules))]
            group.append(Subject(title, job, Deployment(settings, does_the_job=does_the_job)))
        groups.append(group)
    measured = measure(groups, pace, progress)
    return {title: [group[position] for group in measured] for position, title in enumerate(filters, 1)}


def _chain(pace: Pace, progress: Progress) -> Growth:
    progress("Growth with filters in a chain")
    job = headers_job()
    module = built(source(job))

    def settings(count: int, vm_id: Callable[[int], str]) -> EnvoySettings:
        first = EnvoySettings(module, None, configuration=job.configuration.encode(), vm_id=vm_id(0))
        plugin = Plugin(configuration=job.configuration)
        further = [
            BuiltPlugin(module, replace(plugin, plugin_name=f"plugin-{index}", vm_id=vm_id(index)))
            for index in range(1, count)
        ]
        return replace(first, further_plugins=further)

    group = [Subject("no filter", job, NO_FILTER)]
    group += [Subject("in one VM", job, Deployment(settings(count, lambda _: "shared"))) for count in CHAIN]
    group += [
        Subject("each in a VM of its own", job, Deployment(settings(count, lambda index: f"vm-{index}")))
        for count in SEPARATE_CHAIN
    ]
    [[_, *measured]] = measure([group], pace, progress)
    lines = {"in one VM": measured[: len(CHAIN)], "each in a VM of its own": measured[len(CHAIN) :]}
    return Growth("Filters in a chain", "filters", CHAIN, lines)


def _workers(pace: Pace, progress: Progress) -> Growth:
    progress("Growth with workers")
    job = headers_job()
    module = built(source(job))
    groups = []
    for count in WORKERS:
        without = EnvoySettings(None, None, concurrency=count)
        settings = replace(without, module=module, configuration=job.configuration.encode())
        groups.append(
            [
                Subject("no filter", job, Deployment(without, does_the_job=False)),
                Subject("set a header each way", job, Deployment(settings)),
            ]
        )
    measured = measure(groups, pace, progress)
    return Growth("Workers", "workers", WORKERS, {"set a header each way": [group[1] for group in measured]})


def growth_table(growth: Growth) -> str:
    """A row for each figure."""
    rows = []
    for title, line in growth.lines.items():
        for value, series in zip(growth.values, line, strict=False):
            if series.failure is not None:
                rows.append([title, f"{value:,}", f"fails: {series.failure}", ABSENT, ABSENT])
                continue
            rows.append(
                [
                    title,
                    f"{value:,}",
                    microseconds(series.added_processor_seconds),
                    number(max(0.0, series.added_start_processor_seconds), 2),
                    mebibytes(series.added_resident_bytes),
                ]
            )
    head = ["", growth.dimension, "processor µs", "start, processor s", "resident MiB"]
    return f"### {growth.title}\n\n{table(head, rows)}"
