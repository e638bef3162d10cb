"""A treemap: rectangles whose areas are the sizes of what they stand for, one within the other."""

from __future__ import annotations

import colorsys
import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pywasm_compiler.breakdown import Share

from pywasm_filter.cli.console import printable, size

_WIDTH: Final = 1200.0
_HEIGHT: Final = 760.0
_FONT: Final = 'font-family="system-ui, sans-serif" font-size="11"'
_HEADING: Final = 16.0
_GAP: Final = 1.5
_LETTER: Final = 6.4
"""Width of a letter, roughly, in the font of the labels."""
_LEAST_LABEL: Final = 5
_COLOURED: Final = 2
"""Down to this level, parts have colours of their own; those below have that of their whole."""
_HUES: Final = (212, 152, 32, 280, 348, 92, 252, 12)


@dataclass(frozen=True)
class Rectangle:
    """A part of the plane; units are those of the drawing."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Its area."""
        return self.width * self.height

    def inner(self) -> Rectangle:
        """What is left for the children below a heading."""
        return Rectangle(
            self.x + _GAP,
            self.y + _HEADING,
            max(self.width - 2 * _GAP, 0.0),
            max(self.height - _HEADING - _GAP, 0.0),
        )


def arrange(sizes: Sequence[float], whole: Rectangle) -> list[Rectangle]:
    """Rectangles of these relative sizes that fill a whole one and are as square as can be.

    The sizes are positive and descend. This is the squarified layout of Bruls, Huizing and van Wijk (2000).
    """
    total = sum(sizes)
    placed: list[Rectangle] = []
    rest = whole
    scaled = [entry / total * whole.area for entry in sizes]
    while len(placed) < len(scaled):
        row = _next_row(scaled[len(placed) :], min(rest.width, rest.height))
        rectangles, rest = _lay(row, rest)
        placed += rectangles
    return placed


def _next_row(areas: Sequence[float], side: float) -> Sequence[float]:
    count = 1
    while count < len(areas) and _worst(areas[: count + 1], side) <= _worst(areas[:count], side):
        count += 1
    return areas[:count]


def _worst(row: Sequence[float], side: float) -> float:
    """The worst ratio of the sides of the rectangles in a row along a side."""
    total = sum(row)
    if not total or not side:
        return float("inf")
    return max(side**2 * row[0] / total**2, total**2 / (side**2 * row[-1]))


def _lay(row: Sequence[float], whole: Rectangle) -> tuple[list[Rectangle], Rectangle]:
    """A row along the shorter side, and what it leaves."""
    total = sum(row)
    placed: list[Rectangle] = []
    if whole.width >= whole.height:
        width = total / whole.height if whole.height else 0.0
        y = whole.y
        for area in row:
            height = area / width if width else 0.0
            placed.append(Rectangle(whole.x, y, width, height))
            y += height
        return placed, Rectangle(whole.x + width, whole.y, max(whole.width - width, 0.0), whole.height)
    height = total / whole.width
    x = whole.x
    for area in row:
        width = area / height if height else 0.0
        placed.append(Rectangle(x, whole.y, width, height))
        x += width
    return placed, Rectangle(whole.x, whole.y + height, whole.width, max(whole.height - height, 0.0))


def svg(share: Share, title: str) -> str:
    """The drawing as an SVG document. What a rectangle stands for shows where the pointer rests on it."""
    heading = f"{_text(title)}: {size(share.size)}"
    whole = Rectangle(0.0, 24.0, _WIDTH, _HEIGHT - 24.0)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" {_FONT}>',
            f'<rect width="{_WIDTH:g}" height="{_HEIGHT:g}" fill="white"/>',
            f'<text x="4" y="16" font-size="14" font-weight="bold">{heading}</text>',
            *_children(share, whole, share.size, "", None, 0),
            "</svg>\n",
        ]
    )


def page(share: Share, title: str) -> str:
    """The drawing in an HTML page of its own."""
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{_text(title)}</title>\n'
        "<style>body { margin: 1rem } svg { width: 100%; height: auto } rect:hover { stroke: black }</style>\n"
        f"{svg(share, title)}</html>\n"
    )


def _children(share: Share, whole: Rectangle, total: int, path: str, hue: int | None, depth: int) -> Iterator[str]:
    places = arrange([child.size for child in share.children], whole)
    for index, (child, place) in enumerate(zip(share.children, places, strict=True)):
        own_hue = _HUES[index % len(_HUES)] if hue is None else hue
        name = f"{path}{child.name}"
        label = child.name.removeprefix(f"{share.name}.")
        yield from _one(replace(child, name=label), place, total, name, own_hue, depth)
        inner = place.inner()
        if child.children and inner.width > 2 * _GAP and inner.height > 2 * _GAP:
            coloured = own_hue if depth >= _COLOURED else None
            yield from _children(child, inner, total, f"{name} / ", coloured, depth + 1)


def _one(share: Share, place: Rectangle, total: int, name: str, hue: int, depth: int) -> Iterator[str]:
    x, y = f"{place.x:.1f}", f"{place.y:.1f}"
    told = f"{_text(name)}: {size(share.size)} ({share.size / total:.1%})"
    yield (
        f'<rect x="{x}" y="{y}" width="{place.width:.1f}" height="{place.height:.1f}" '
        f'fill="{_colour(hue, depth)}" stroke="white" stroke-width="0.7"><title>{told}</title></rect>'
    )
    label = _label(f"{share.name} {size(share.size)}", share.name, place)
    if label:
        yield f'<text x="{place.x + 3:.1f}" y="{place.y + 12:.1f}" pointer-events="none">{_text(label)}</text>'


def _text(text: str) -> str:
    return html.escape(printable(text))


def _colour(hue: int, depth: int) -> str:
    """Lighter with each level, in the notation that all viewers know."""
    parts = colorsys.hls_to_rgb(hue / 360, min(0.58 + 0.09 * depth, 0.9), 0.55)
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)


def _label(long: str, short: str, place: Rectangle) -> str:
    room = int((place.width - 6) / _LETTER)
    if place.height < _HEADING - 2 or room < min(len(short), _LEAST_LABEL):
        return ""
    return next((text for text in (long, short) if len(text) <= room), f"{short[: room - 1]}…")
