"""pywasm-filter beside its peers: the same jobs, in one run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.envoys import NO_FILTER
from benchmarks.jobs import Job
from benchmarks.peers import Peer, UnavailableError
from benchmarks.report import ABSENT, added, file_size, mebibytes, microseconds, number, table
from benchmarks.rounds import Pace, Progress, Series, Subject, measure
from benchmarks.sizes import sizes

_OURS = "ours"


@dataclass
class Result:
    """What was found of one job."""

    job: Job
    base: Series
    """Without a filter."""
    figures: dict[str, Series]
    """By the name of the peer."""
    absent: dict[str, str]
    """Why other peers take no part."""
    failed: dict[str, str]
    """What else they did instead of the job."""


def compare(jobs: Sequence[Job], peers: Sequence[Peer], pace: Pace, progress: Progress) -> list[Result]:
    """Measure the peers at each job."""
    return [_compare(job, peers, pace, progress) for job in jobs]


def _compare(job: Job, peers: Sequence[Peer], pace: Pace, progress: Progress) -> Result:
    progress(f"{job.title}: building")
    subjects, absent = {}, {}
    for peer in peers:
        try:
            subjects[peer.name] = Subject(peer.title, job, peer.prepare(job))
        except UnavailableError as reason:
            absent[peer.name] = str(reason)
            progress(f"  {peer.title} is left out: {reason}")
    progress(f"{job.title}: measuring")
    without = Subject("no filter", job, NO_FILTER)
    [[base, *others]] = measure([[without, *subjects.values()]], pace, progress)
    found = dict(zip(subjects, others, strict=True))
    failed = {name: series.failure for name, series in found.items() if series.failure is not None}
    figures = {name: series for name, series in found.items() if name not in failed}
    return Result(job, base, figures, absent, failed)


def overview(results: Sequence[Result], peers: Sequence[Peer]) -> str:
    """One table of what a request takes, and how many times that of ours."""
    rows = [[peer.title, *(_overview_cell(result, peer.name) for result in results)] for peer in peers]
    return table(["processor µs/request (times ours)", *(result.job.title for result in results)], rows)


def _overview_cell(result: Result, name: str) -> str:
    series, ours = result.figures.get(name), result.figures.get(_OURS)
    if series is None:
        return ABSENT
    cost = microseconds(series.added_processor_seconds)
    if ours is None or series is ours:
        return cost
    return f"{cost} ({number(series.added_processor_seconds / ours.added_processor_seconds, 2)})"


def details(result: Result, peers: Sequence[Peer]) -> str:
    """All figures of a job, and why some are not there."""
    traffic = ["requests/s", "added µs/request", "processor µs", "p99 ms"]
    head = ["", *traffic, "start s", "processor s", "resident MiB", "module", "gzipped"]
    rows = [_row("no filter", result.base)]
    rows += [_row(peer.title, result.figures[peer.name]) for peer in peers if peer.name in result.figures]
    titles = {peer.name: peer.title for peer in peers}
    words = [f"- {titles[name]}: {reason}." for name, reason in result.absent.items()]
    words += [f"- {titles[name]} failed: {failure}." for name, failure in result.failed.items()]
    parts = [f"### {result.job.title}", f"The task: {result.job.task}.", table(head, rows), "\n".join(words)]
    return "\n\n".join(parts).rstrip()


def _row(title: str, series: Series) -> list[str]:
    memory = mebibytes(series.resident_bytes)
    if series.base is not None:
        memory += f" ({added(series.added_resident_bytes, mebibytes(series.added_resident_bytes))})"
    module = series.subject.deployment.module
    size = sizes(module) if module else None
    return [
        title,
        f"{series.rate:,.0f}",
        microseconds(series.added_seconds) if series.base else ABSENT,
        microseconds(series.added_processor_seconds) if series.base else ABSENT,
        number(series.p99 * 1e3, 2),
        number(series.start_seconds, 2),
        number(series.start_processor_seconds, 2),
        memory,
        file_size(size.total) if size else ABSENT,
        file_size(size.packed) if size else ABSENT,
    ]


def panels(results: Sequence[Result], peers: Sequence[Peer]) -> dict[str, tuple[str, dict[str, float]]]:
    """What to plot: unit and figures of each job, then start and memory at the first of them."""
    drawn = {result.job.title: ("processor µs/request", _by_title(result, peers, _added)) for result in results}
    first = results[0]
    drawn[f"Start: {first.job.title.lower()}"] = ("processor s", _by_title(first, peers, _start))
    drawn[f"Memory: {first.job.title.lower()}"] = ("resident MiB", _by_title(first, peers, _resident))
    return drawn


def _by_title(result: Result, peers: Sequence[Peer], figure: Callable[[Series], float]) -> dict[str, float]:
    return {peer.title: figure(result.figures[peer.name]) for peer in peers if peer.name in result.figures}


def _added(series: Series) -> float:
    return series.added_processor_seconds * 1e6


def _start(series: Series) -> float:
    return series.start_processor_seconds


def _resident(series: Series) -> float:
    return series.resident_bytes / 2**20
