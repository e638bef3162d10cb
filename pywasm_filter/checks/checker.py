"""All checks of a filter's source, which take some milliseconds and execute nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from pywasm_compiler.errors import CompileError
from pywasm_compiler.findings import Finding, errors_of, ordered
from pywasm_compiler.requirements import outdated, unmet
from pywasm_compiler.rules import rules
from pywasm_compiler.source import SourceTree, survey

from pywasm_filter.checks.callbacks import callback_findings
from pywasm_filter.checks.calls import failing
from pywasm_filter.checks.coroutines import unawaited
from pywasm_filter.checks.names import Project
from pywasm_filter.checks.other_sdks import names_of_others
from pywasm_filter.checks.reach import Reach


@dataclass(frozen=True)
class Checked:
    """A filter's source, and what was found in it, in order."""

    tree: SourceTree
    findings: tuple[Finding, ...]


def check_source(path: Path, ignored: Collection[str] = (), requirements: Path | None = None) -> Checked:
    """Check a filter and the author's modules that it imports. Rules in `ignored` do not count.

    The `requirements` of that file have to be met, whether the filter needs them or not.

    Raises CompileError when the file itself cannot be read or parsed, and for a rule that does not exist.
    """
    check_rules(ignored)
    tree, found = survey(path)
    found += _findings(tree)
    found += outdated(path, tree.installed_modules) if requirements is None else unmet(requirements)
    return Checked(tree, tuple(ordered(finding for finding in found if finding.rule not in ignored)))


def check_rules(names: Collection[str]) -> None:
    """Raise CompileError for a rule that does not exist."""
    for name in names:
        if name not in rules():
            raise CompileError(f"there is no rule {name!r}", remedy=f"choose among: {', '.join(rules())}")


def refuse_errors(findings: Collection[Finding], warn: Callable[[Finding], None]) -> None:
    """Tell `warn` the warnings. Raises CompileError with all errors, if there are any."""
    for finding in findings:
        if not finding.is_error:
            warn(finding)
    if error := errors_of(findings):
        raise error


def _findings(tree: SourceTree) -> Iterator[Finding]:
    project = Project(tree.sources)
    ignores = {source.shown: source.ignores for source in tree.sources}
    reach = Reach(project)
    for found in (
        failing(project, reach),
        unawaited(project),
        callback_findings(project),
        names_of_others(project),
    ):
        for finding in found:
            if finding.file is None or not ignores[finding.file].silence(finding):
                yield finding
    for each in ignores.values():
        yield from each.complaints(frozenset(rules()))
