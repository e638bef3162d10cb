"""`pywasm-filter check`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from pywasm_compiler.errors import CompileError

from pywasm_filter.cli.console import JsonOption, Steps, console, error_to_json, print_finding, print_json, steps


def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The filter's Python file.", show_default=False)],
    json: JsonOption = False,
) -> None:
    """Find mistakes in a filter without building it.

    Imports that no proxy has, a module that does not import or does not say which context to use, and all that mypy
    finds in strict mode: each with its line and a remedy.

    **Example**: `pywasm-filter check filter.py`
    """
    with steps() as progress:
        findings = list(_findings(path, progress))
    if json:
        print_json({"ok": not findings, "findings": [error_to_json(finding) for finding in findings]})
    else:
        errors = console(stderr=True)
        for finding in findings:
            print_finding(errors, finding)
        if findings:
            errors.print(f"{len(findings)} {'problem' if len(findings) == 1 else 'problems'} found")
        else:
            console().print(f"{path}: no problem found")
    if findings:
        raise typer.Exit(1)


def _findings(path: Path, progress: Steps) -> Iterator[CompileError]:
    from pywasm_compiler.parsing import parse_source, read_source

    progress("Checking the source")
    try:
        parse_source(read_source(path), path)
    except CompileError as error:
        yield error
        return  # there is nothing to import, and nothing for mypy to read
    told = set()
    for finding in _import_errors(path, progress):
        told.add((finding.file, finding.line))
        yield finding
    for finding in _type_errors(path, progress):
        if (finding.file, finding.line) not in told:  # mypy, too, tells of a module that cannot be found or parsed
            yield finding


def _import_errors(path: Path, progress: Steps) -> Iterator[CompileError]:
    from pywasm_compiler.source import read_source_tree

    from pywasm_filter.build import probe

    try:
        read_source_tree(path)
        progress("Importing the filter in a fresh interpreter")
        probe(path)
    except CompileError as error:
        yield error


def _type_errors(path: Path, progress: Steps) -> Iterator[CompileError]:
    from pywasm_filter.cli.typecheck import type_errors

    progress("Checking the types")
    try:
        yield from type_errors(path)
    except CompileError as error:
        yield error
