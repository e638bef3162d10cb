"""Plots, as small SVG files. Needs the extra `benchmarks`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_OURS, _OTHERS = "#3572a5", "#b9c4d0"

matplotlib.use("svg")
matplotlib.rcParams.update(
    {
        "font.size": 8,
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "pywasm-filter",  # the same figures make the same file
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def bars(path: Path, panels: Mapping[str, tuple[str, Mapping[str, float]]], highlighted: str) -> None:
    """Horizontal bars on logarithmic scales. A panel for each key: its unit, and the bars by name."""
    figure = _figure(len(panels))
    for position, (title, (unit, values)) in enumerate(panels.items(), 1):
        axes: Axes = figure.add_subplot((len(panels) + 1) // 2, 2, position)
        shown = {name: value for name, value in values.items() if value > 0}
        colours = [_OURS if name == highlighted else _OTHERS for name in shown]
        drawn = axes.barh([name.strip("*") for name in shown], list(shown.values()), color=colours)
        axes.bar_label(drawn, fmt="{:,.3g}", padding=3)
        axes.set_xscale("log")
        axes.minorticks_off()
        if shown:
            axes.set_xlim(10 ** math.floor(math.log10(min(shown.values()) / 1.5)), max(shown.values()) * 4)
        axes.invert_yaxis()
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel(unit)
    _save(figure, path)


def lines(
    path: Path, panels: Mapping[str, tuple[str, Sequence[int], Mapping[str, Sequence[float]]]], unit: str
) -> None:
    """Lines over numbers, a panel for each key: what the numbers are, the numbers, and the lines by name."""
    figure = _figure(len(panels))
    for position, (title, (dimension, numbers, drawn)) in enumerate(panels.items(), 1):
        axes: Axes = figure.add_subplot((len(panels) + 1) // 2, 2, position)
        for name, values in drawn.items():
            axes.plot(numbers[: len(values)], values, marker="o", markersize=3, label=name)
        axes.set_ylim(bottom=0)
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel(dimension)
        axes.set_ylabel(unit)
        axes.legend(frameon=False)
    _save(figure, path)


def _figure(panels: int) -> Figure:
    """Room for two panels side by side in each row."""
    return Figure(figsize=(8, 1 + 2 * ((panels + 1) // 2)), layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
