"""Modules of several steps side by side, all of which do the job of `examples/add_header`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.envoys import NO_FILTER, Deployment
from benchmarks.jobs import headers_job
from benchmarks.report import ABSENT, file_size, mebibytes, microseconds, number, table
from benchmarks.rounds import Pace, Progress, Series, Subject, measure
from benchmarks.sizes import sizes
from pywasm_filter.testing.envoy import EnvoySettings


def compare_modules(modules: Mapping[str, Path], pace: Pace, progress: Progress) -> list[Series]:
    """Measure modules by their labels, after an Envoy without a filter."""
    job = headers_job()
    subjects = [Subject("no filter", job, NO_FILTER)]
    for label, module in modules.items():
        settings = EnvoySettings(module, None, configuration=job.configuration.encode())
        subjects.append(Subject(label, job, Deployment(settings)))
    [measured] = measure([subjects], pace, progress)
    return measured


def steps_table(measured: list[Series]) -> str:
    """One row a module. The start is without that of Envoy itself, the memory is that of all of its VMs."""
    head = ["step", "code", "data", "module", "gzipped", "start s", "resident MiB", "added µs/request", "processor µs"]
    rows = []
    for series in measured[1:]:
        module = series.subject.deployment.module
        assert module is not None
        size = sizes(module)
        row = [series.subject.title, *map(file_size, (size.code, size.data, size.total, size.packed))]
        if series.failure is not None:
            rows.append([*row, f"fails: {series.failure}", ABSENT, ABSENT, ABSENT])
            continue
        rows.append(
            [
                *row,
                number(series.added_start_seconds),
                f"+{mebibytes(series.added_resident_bytes)}",
                microseconds(series.added_seconds),
                microseconds(series.added_processor_seconds),
            ]
        )
    base = measured[0]
    without = (
        f"Without a filter: {base.rate:,.0f} requests/s, start {number(base.start_seconds, 2)} s, "
        f"{mebibytes(base.resident_bytes)} MiB. The columns of start and memory are what a module adds to that."
    )
    return f"{table(head, rows)}\n\n{without}"
