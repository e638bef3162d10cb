"""What other SDKs call methods of contexts, used where ours have other names."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pywasm_compiler.findings import Finding

from pywasm_filter.checks import sdk
from pywasm_filter.checks.names import SDK, Instance, Method, Project
from pywasm_filter.checks.scopes import ClassScope, Scope


def names_of_others(project: Project) -> Iterator[Finding]:
    """Attributes of contexts that ours do not have, and other SDKs do."""
    for unit in project.units:
        for site in unit.sites:
            if not isinstance(site.node, ast.Attribute):
                continue
            found = project.meaning(site.node, site.scope)
            if not isinstance(found, Method) or _is_others(project, site.node.value, site.scope):
                continue
            package, _, path = found.name.partition(".")
            context, _, name = path.partition(".")
            if package != SDK or context not in sdk.CONTEXTS or sdk.has_member(context, name):
                continue
            if ours := sdk.hostcalls_elsewhere().get(sdk.snake_case(name)):
                yield Finding(
                    "other-sdk",
                    f"{context} has no '{name}': that is what another SDK calls it",
                    unit.module.source.shown,
                    site.node.lineno,
                    f"use {' or '.join(ours)}",
                )


def _is_others(project: Project, node: ast.expr, scope: Scope) -> bool:
    """Whether an object may have methods from elsewhere."""
    meaning = project.meaning(node, scope)
    return (
        isinstance(meaning, Instance)
        and isinstance(meaning.cls, ClassScope)
        and project.has_others_methods(meaning.cls)
    )
