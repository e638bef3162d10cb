"""Modules of several steps side by side, all of which do the job of `examples/add_header`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.envoys import NO_FILTER, Deployment
from benchmarks.jobs import headers_job
from benchmarks.report import ABSENT, file_size, mebibytes, microseconds, number, table
from benchmarks.rounds import Pace, Progress, Series, Subject, measure
from benchmarks.sizes import Sizes, sizes
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


def steps_table(measured: Sequence[Series]) -> str:
    """One row a module, each figure with its ratio to that of the first module."""
    base, *modules = measured
    rows = [_row(series, modules[0]) for series in modules]
    without = (
        f"Without a filter: {base.rate:,.0f} requests/s, start {number(base.start_seconds, 2)} s, "
        f"{mebibytes(base.resident_bytes)} MiB. What a module adds to that is in the table; in parentheses, how many "
        "times that of the first module."
    )
    size = ["code", "data", "module", "gzipped"]
    head = ["step", *size, "start s", "processor s", "resident MiB", "added µs/request", "processor µs"]
    return f"{table(head, rows)}\n\n{without}"


def _row(series: Series, first: Series) -> list[str]:
    size, first_size = _sizes(series), _sizes(first)
    cells = [
        _cell(file_size(size.code), size.code, first_size.code),
        _cell(file_size(size.data), size.data, first_size.data),
        _cell(file_size(size.total), size.total, first_size.total),
        _cell(file_size(size.packed), size.packed, first_size.packed),
    ]
    if series.failure is not None:
        return [series.subject.title, *cells, f"fails: {series.failure}", *[ABSENT] * (len(_FIGURES) - 1)]
    for figure, rendered in _FIGURES:
        compared = figure(first) if first.failure is None else 0
        cells.append(_cell(rendered(figure(series)), figure(series), compared))
    return [series.subject.title, *cells]


_FIGURES: list[tuple[Callable[[Series], float], Callable[[float], str]]] = [
    (lambda series: series.added_start_seconds, number),
    (lambda series: series.added_start_processor_seconds, number),
    (lambda series: series.added_resident_bytes, mebibytes),
    (lambda series: series.added_seconds, microseconds),
    (lambda series: series.added_processor_seconds, microseconds),
]


def _cell(rendered: str, value: float, first: float) -> str:
    return f"{rendered} ({number(value / first, 2)})" if first > 0 else rendered


def _sizes(series: Series) -> Sizes:
    module = series.subject.deployment.module
    assert module is not None
    return sizes(module)
