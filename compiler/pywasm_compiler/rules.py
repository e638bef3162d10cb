"""The rules by which a filter is checked, as data: `rules.toml` holds them all."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("rules.toml")


@dataclass(frozen=True)
class Calls:
    """Functions, by their dotted names, that all fail in a filter in the same way.

    `reason` says why, `remedy` what to do. `at_import` tells that they work while a filter is imported; `guarded`, that
    a program may well go on when they fail; `certain` is False for what need not fail.
    """

    names: tuple[str, ...]
    reason: str
    remedy: str
    at_import: bool = False
    guarded: bool = False
    certain: bool = True


@dataclass(frozen=True)
class Rule:
    """One rule: its name, and its chapter in the reference.

    `bad` and `good` are filters, or files beside one, as authors write them; the line that is found ends with a comment
    that holds the rule's name. Both are empty for a rule that needs more than one file to show.
    """

    id: str
    title: str
    severity: str
    text: str
    remedy: str
    bad: str = ""
    good: str = ""
    calls: tuple[Calls, ...] = ()


@cache
def rules() -> Mapping[str, Rule]:
    """All rules by name, in the order of the reference. The result is shared and immutable."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {entry["id"]: _rule(entry) for entry in table["rule"]}


@cache
def failing_calls() -> Mapping[str, tuple[Rule, Calls]]:
    """Dotted name of a function -> the rule that is against it."""
    return dict(_failing_calls())


def _failing_calls() -> Iterator[tuple[str, tuple[Rule, Calls]]]:
    for rule in rules().values():
        for calls in rule.calls:
            for name in calls.names:
                yield name, (rule, calls)


def _rule(entry: dict[str, Any]) -> Rule:
    calls = tuple(Calls(tuple(group.pop("names")), **group) for group in entry.pop("calls", []))
    return Rule(**entry, calls=calls)
