"""What the command line prints, and how: results on stdout, errors and progress on stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pywasm_compiler.errors import CompileError
from pywasm_compiler.findings import Finding

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from pywasm_filter.project import Target

_JSON = "pywasm_filter.json"


def _remember_json(context: typer.Context, value: bool) -> bool:
    """Let the error handler know that a machine reads."""
    context.meta[_JSON] = value or context.meta.get(_JSON, False)
    return value


class Format(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def _remember_format(context: typer.Context, value: Format) -> Format:
    _remember_json(context, value is Format.JSON)
    return value


JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON, errors included.", callback=_remember_json, show_default=False)
]

FormatOption = Annotated[
    Format,
    typer.Option("--format", help="For people, for programs, or as annotations of GitHub.", callback=_remember_format),
]
IgnoreOption = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="RULE", help="Do not apply a rule. May be repeated.", show_default=False),
]

RequirementsOption = Annotated[
    Path | None,
    typer.Option(
        "--requirements",
        metavar="FILE",
        help="Packages that have to be installed, as pip reads them.",
        show_default=False,
    ),
]


def _check_host(names: list[str] | None) -> list[str] | None:
    from pywasm_filter.project import check_host

    for name in names or ():
        try:
            check_host(name)
        except CompileError as error:
            raise typer.BadParameter(f"{error.message}: {error.remedy}") from None
    return names


HostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="HOST",
        help="Refuse what this proxy lacks, such as ngx_wasm_module. May be repeated; by default: the project's.",
        callback=_check_host,
        show_default=False,
    ),
]
AllowMissingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-missing",
        metavar="NAME",
        help="A hostcall, callback, … that hosts may lack: Unimplemented is raised there. May be repeated.",
        show_default=False,
    ),
]


def made_for(path: Path, hosts: list[str] | None, allow_missing: list[str] | None) -> Target:
    """The hosts that a filter is for, by its project and by options."""
    from pywasm_filter.project import target_of

    target = target_of(path, hosts or (), allow_missing or ())
    if allow_missing and not target.hosts:
        raise typer.BadParameter("--allow-missing needs --host, or hosts in the project's [tool.pywasm-filter]")
    return target


def console(*, stderr: bool = False) -> Console:
    """A console that writes no control codes unless a person sits at it."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def printable(text: str) -> str:
    """Text in which control characters show as escapes, line breaks apart: what comes from a filter may hold any."""
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1] for character in text
    )


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def error_to_json(error: CompileError) -> dict[str, object]:
    """The stable form of an error for other programs."""
    described = Finding.of(error).to_json()
    if error.others:
        described["others"] = [error_to_json(other) for other in error.others]
    return described


def print_error(error: CompileError, context: typer.Context) -> None:
    """Show a user's mistake on stderr, as JSON when `--json` was given."""
    if context.meta.get(_JSON):
        sys.stderr.write(json.dumps({"error": error_to_json(error)}, indent=2) + "\n")
    else:
        for each in (error, *error.others):
            print_finding(console(stderr=True), Finding.of(each))


def print_finding(output: Console, finding: Finding) -> None:
    """One finding: where, what, by which rule, the evidence and the remedy."""
    from rich.text import Text

    file, number = finding.file, finding.line
    place = "" if file is None else str(file) if number is None else f"{file}:{number}"
    line = Text()
    line.append(f"{printable(place)}: " if place else "", style="bold")
    line.append(f"{finding.severity}: ", style="bold red" if finding.is_error else "bold yellow")
    line.append(printable(finding.message))
    if finding.rule and not finding.message.endswith("]"):  # mypy has names of its own
        line.append(f" [{finding.rule}]", style="dim")
    output.print(line)
    for evidence in finding.detail.rstrip().splitlines():
        output.print(Text(f"  | {printable(evidence)}", style="dim"))
    if finding.remedy:
        output.print(Text.assemble("  ", ("remedy: ", "green"), printable(finding.remedy)))


class Steps:
    """Progress through named steps: a spinner on a terminal, plain lines otherwise."""

    def __init__(self, output: Console) -> None:
        self._output = output
        self._status: Status | None = None
        self._current = ""
        self._began = 0.0

    def __call__(self, step: str) -> None:
        """A step begins; the one before is over."""
        self._finish()
        step = step[:1].upper() + step[1:]
        self._current, self._began = step, time.monotonic()
        if not self._output.is_terminal:
            self._output.print(step)
        elif self._status is None:
            self._status = self._output.status(step)
            self._status.start()
        else:
            self._status.update(step)

    def close(self, *, completed: bool) -> None:
        """End the display; `completed` tells whether the last step is done."""
        if completed:
            self._finish()
        if self._status is not None:
            self._status.stop()

    def _finish(self) -> None:
        from rich.text import Text

        if self._current and self._output.is_terminal:
            self._output.print(Text(f"{self._current} ({time.monotonic() - self._began:.1f} s)", style="dim"))
        self._current = ""


@contextmanager
def steps() -> Iterator[Steps]:
    """Show progress on stderr while the block runs."""
    shown = Steps(console(stderr=True))
    completed = False
    try:
        yield shown
        completed = True
    finally:
        shown.close(completed=completed)


def size(count: int) -> str:
    """A number of bytes for people: 17.5 MB."""
    for unit, factor in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"
