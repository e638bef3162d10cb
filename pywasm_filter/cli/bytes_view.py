"""Where the bytes of a module are, as bars on a terminal and as a drawing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pywasm_compiler.breakdown import Share
from pywasm_compiler.errors import CompileError

from pywasm_filter.build import write_module
from pywasm_filter.cli import treemap
from pywasm_filter.cli.console import printable, size

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 8
"""So many parts of a whole are shown, if they are large enough."""
_LEAST = 0.002
"""A smaller part of the file is shown with the others."""
_DEEP = 4
"""So deep, and deeper, small parts are left out even where there are few."""
_BAR = 30
_NAME = 44
_DRAWINGS = {".svg": treemap.svg, ".html": treemap.page}


def print_bytes(shown: Console, share: Share) -> None:
    """A bar for each part, and for the parts of those."""
    shown.print(f"bytes ({size(share.size)})", style="bold")
    _print_parts(shown, share, share.size, 1)


def _print_parts(shown: Console, share: Share, total: int, depth: int) -> None:
    large = [child for child in share.children if child.size >= _LEAST * total][:_SHOWN]
    if len(share.children) <= _SHOWN and depth < _DEEP:
        large = list(share.children)
    for child in large:
        _print_bar(shown, child.name, child.size, total, depth)
        _print_parts(shown, child, total, depth + 1)
    others = share.children[len(large) :]
    if others and large:
        _print_bar(shown, f"{len(others)} more", sum(child.size for child in others), total, depth)


def _print_bar(shown: Console, name: str, count: int, total: int, depth: int) -> None:
    from rich.bar import Bar
    from rich.table import Table

    label = printable("  " * depth + name)
    if not shown.is_terminal:
        shown.print(f"{label:<{_NAME}}{size(count):>9}{count / total:>7.1%}")
        return
    row = Table.grid(padding=(0, 1))
    row.add_column(width=_NAME, no_wrap=True)
    row.add_column(width=9, justify="right")
    row.add_column(width=6, justify="right")
    row.add_column(width=_BAR)
    row.add_row(label, size(count), f"{count / total:.1%}", Bar(total, 0, count, width=_BAR, color=_colour(depth)))
    shown.print(row)


def _colour(depth: int) -> str:
    return ("cyan", "blue", "magenta", "green")[(depth - 1) % 4]


def check_chart(path: Path) -> None:
    """Raise CompileError when a drawing of that name cannot be made."""
    if path.suffix not in _DRAWINGS:
        raise CompileError("is no name of a chart", path, remedy="name a .svg or a .html file")


def write_chart(share: Share, title: str, path: Path) -> None:
    """A treemap in a file. Raises CompileError when it cannot be written."""
    write_module(_DRAWINGS[path.suffix](share, title).encode(), path)
