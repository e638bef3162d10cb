"""Calls of what fails in a filter: files, sockets, threads, waiting. `rules.toml` has their names."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pywasm_compiler.findings import Finding, Severity
from pywasm_compiler.rules import Calls, Rule, failing_calls

from pywasm_filter.checks.names import External, Method, Project
from pywasm_filter.checks.reach import Reach
from pywasm_filter.checks.scopes import ELSEWHERE, Site, Unit

_CATCHES = frozenset(
    {
        "*",
        "Exception",
        "BaseException",
        "OSError",
        "IOError",
        "EnvironmentError",
        "FileNotFoundError",
        "PermissionError",
    }
    | {"RuntimeError", "AttributeError", "NotImplementedError"}
)
_WRITING = frozenset("wax+")


def failing(project: Project, reach: Reach) -> Iterator[Finding]:
    """What is called that cannot work, or may not."""
    for unit in project.units:
        for site in unit.sites:
            if not isinstance(site.node, ast.Call) or ELSEWHERE in site.guards:
                continue
            name = _called(project, site.node, site)
            if name is None:
                continue
            known = failing_calls().get(name)
            if known is None:
                continue
            rule, calls = _writing(name, site.node) or known
            severity = _severity(reach, unit, site, calls)
            if severity is not None:
                shown = name.removeprefix("builtins.")
                yield Finding(
                    rule.id,
                    calls.reason.format(name=shown) + _where(reach, unit, severity),
                    unit.module.source.shown,
                    site.node.lineno,
                    calls.remedy,
                    severity,
                )


def _called(project: Project, node: ast.Call, site: Site) -> str | None:
    match project.meaning(node.func, site.scope):
        case External(name=name) | Method(name=name):
            return name
        case _:
            return None


def _writing(name: str, call: ast.Call) -> tuple[Rule, Calls] | None:
    """The rule for a file that is opened for writing."""
    if name.rpartition(".")[2] != "open":
        return None
    place = 0 if name == "pathlib.Path.open" else 1
    given = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] or call.args[place : place + 1]
    if given and isinstance(given[0], ast.Constant) and isinstance(mode := given[0].value, str):
        return failing_calls()["pathlib.Path.write_text"] if _WRITING & set(mode) else None
    return None


def _severity(reach: Reach, unit: Unit, site: Site, calls: Calls) -> Severity | None:
    """Error where it certainly fails, warning where it may, None where it works."""

    def catches(place: Site) -> bool:
        return ELSEWHERE in place.guards or (calls.guarded and is_caught(place))

    def is_caught(place: Site) -> bool:
        return not _CATCHES.isdisjoint(place.guards)

    if not calls.certain:
        return Severity.WARNING
    fails = unit in reach.in_proxy_past(catches) and not catches(site)
    if calls.at_import:
        if fails and not (site.conditional and unit in reach.at_import):
            return Severity.ERROR
        return None if unit in reach.maybe_at_import and unit not in reach.in_proxy else Severity.WARNING
    if fails or (unit in reach.at_import and not is_caught(site)):
        return Severity.ERROR
    return Severity.WARNING


def _where(reach: Reach, unit: Unit, severity: Severity) -> str:
    unsure = severity is Severity.WARNING and unit not in reach.in_proxy and unit not in reach.at_import
    return ", if a callback gets here" if unsure else ""
