"""`pywasm-filter check`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pywasm_compiler.errors import CompileError

from pywasm_filter.cli.console import (
    AllowMissingOption,
    Format,
    FormatOption,
    HostOption,
    IgnoreOption,
    JsonOption,
    RequirementsOption,
    Steps,
    console,
    made_for,
    print_finding,
    print_json,
    steps,
)

if TYPE_CHECKING:
    from pywasm_compiler.findings import Finding

    from pywasm_filter.project import Target


def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The filter's Python file.", show_default=False)],
    host: HostOption = None,
    allow_missing: AllowMissingOption = None,
    ignore: IgnoreOption = None,
    requirements: RequirementsOption = None,
    types: Annotated[bool, typer.Option(help="Run mypy in strict mode.")] = True,
    strict: Annotated[bool, typer.Option("--strict", help="Fail for warnings, too.")] = False,
    format: FormatOption = Format.TEXT,  # noqa: A002 - the option's name
    json: JsonOption = False,
) -> None:
    """Find mistakes in a filter without building it.

    What cannot work in a proxy, callbacks that are never called or cannot be, a module that does not import or does not
    say which context to use, and all that mypy finds in strict mode: each with its line and a remedy. Rules have names;
    `# pywasm: ignore[name]` in the line silences one. With a host: what that proxy lacks.

    **Example**: `pywasm-filter check filter.py --host ngx_wasm_module`
    """
    from pywasm_compiler.findings import ordered

    with steps() as progress:
        target = made_for(path, host, allow_missing)
        findings = ordered(_findings(path, target, ignore or (), requirements, progress, types=types))
    failed = any(finding.is_error or strict for finding in findings)
    if json or format is Format.JSON:
        print_json({"ok": not failed, "findings": [finding.to_json() for finding in findings]})
    elif format is Format.GITHUB:
        for finding in findings:
            typer.echo(_annotation(finding))
    else:
        _print(path, findings)
    if failed:
        raise typer.Exit(1)


def _print(path: Path, findings: list[Finding]) -> None:
    errors = console(stderr=True)
    for finding in findings:
        print_finding(errors, finding)
    if findings:
        count = sum(finding.is_error for finding in findings)
        counts = [(count, "error"), (len(findings) - count, "warning")]
        errors.print(f"{' and '.join(_counted(number, what) for number, what in counts if number)} found")
    else:
        console().print(f"{path}: no problem found")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _annotation(finding: Finding) -> str:
    """A workflow command of GitHub Actions."""
    properties = {"file": finding.file, "line": finding.line, "title": finding.rule}
    shown = ",".join(f"{key}={_escaped(str(value), ':,')}" for key, value in properties.items() if value)
    text = finding.message + (f"\n{finding.remedy}" if finding.remedy else "")
    return f"::{finding.severity} {shown}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _findings(
    path: Path,
    target: Target,
    ignored: Collection[str],
    requirements: Path | None,
    progress: Steps,
    *,
    types: bool,
) -> Iterator[Finding]:
    from pywasm_compiler.findings import Finding

    from pywasm_filter.checks.checker import check_rules, check_source
    from pywasm_filter.host_findings import host_findings

    check_rules(ignored)
    progress("Checking the source")
    try:
        checked = check_source(path, ignored, requirements)
    except CompileError as error:
        yield Finding.of(error)
        return  # there is nothing to import, and nothing for mypy to read
    found = [*checked.findings, *(found for found in host_findings(checked.tree, target) if found.rule not in ignored)]
    yield from found
    told = {(finding.file, finding.line) for finding in found if finding.is_error}
    for finding in _found_by_running(path, progress, types=types):
        # An import that fails was found in the source already; mypy, too, tells of a module that cannot be parsed.
        if finding.rule not in ignored and (finding.line is None or (finding.file, finding.line) not in told):
            told.add((finding.file, finding.line))
            yield finding


def _found_by_running(path: Path, progress: Steps, *, types: bool) -> Iterator[Finding]:
    from pywasm_compiler.findings import Finding

    from pywasm_filter.build import probe
    from pywasm_filter.cli.typecheck import type_errors

    progress("Importing the filter in a fresh interpreter")
    try:
        probe(path)
    except CompileError as error:
        yield Finding.of(error)
    if types:
        progress("Checking the types")
        try:
            yield from type_errors(path)
        except CompileError as error:
            yield Finding.of(error)
