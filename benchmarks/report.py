"""What becomes of the figures: tables in Markdown, and the parts of docs/benchmarks.md that the commands write."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PLOTS = DOCUMENT.with_suffix("")
ABSENT = "-"
"""The cell of a table that has no figure."""


class DocumentError(Exception):
    """The document has no place for what is to be written."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, whose first column is the name of the row."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def replace_part(document: str, name: str, content: str) -> str:
    """The document with new content between the comments that mark a part. Raises DocumentError when it has none."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    if len(pattern.findall(document)) != 1:
        raise DocumentError(f"{DOCUMENT.name} needs `{begin}` and, behind it, `{end}`, once each")
    return pattern.sub(lambda found: f"{found[1]}{content.strip()}\n{found[2]}", document)


def write_part(name: str, content: str) -> None:
    """Put what a command found into the document. Raises DocumentError."""
    changed = replace_part(DOCUMENT.read_text(), name, content)
    partial = DOCUMENT.with_suffix(".partial")
    partial.write_text(changed)
    partial.replace(DOCUMENT)


def number(value: float, digits: int = 3) -> str:
    """So many significant digits, and at most as many behind the point; no exponent."""
    rounded = float(f"{value:.{digits}g}")
    magnitude = math.floor(math.log10(abs(rounded))) if rounded else 0
    return f"{rounded:,.{min(digits, max(0, digits - 1 - magnitude))}f}"


def microseconds(seconds: float) -> str:
    """For a cell of a table."""
    return number(seconds * 1e6)


def mebibytes(size: float) -> str:
    """For a cell of a table."""
    return f"{size / 2**20:,.0f}"


def added(value: float, rendered: str) -> str:
    """What is more than in an Envoy without a filter; no less than nothing, where the two cannot be told apart."""
    return f"+{rendered}" if value > 0 else "+0"


def file_size(size: int) -> str:
    """For a cell of a table, in units of 1000."""
    if size >= 1_000_000:
        return f"{number(size / 1e6)} MB"
    return f"{number(size / 1e3)} kB" if size >= 1000 else f"{size} B"
