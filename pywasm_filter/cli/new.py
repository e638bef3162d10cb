"""`pywasm-filter new`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from pywasm_filter.cli.console import console


def new(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The directory to make; its name is the project's.", show_default=False),
    ],
    template: Annotated[str, typer.Option(help="http: headers, with configuration. minimal: a single class.")] = "http",
) -> None:
    """Start a project: a filter, its test, pyproject.toml, README and a workflow for GitHub Actions.

    The directory must be new or empty.

    **Example**: `pywasm-filter new my_filter`
    """
    from pywasm_filter.cli.scaffold import create_project

    files = create_project(directory, template)
    shown = console()
    for file in files:
        shown.print(str(file))
    shown.print(f"\nNext:  cd {shlex.quote(str(directory))}; pytest; pywasm-filter try filter.py /")
