"""The page that tells what the hosts are held to: `python -m tests.conformance.page [--check]`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from tests.conformance.areas import AREAS
from tests.conformance.records import Difference, differences
from tests.conformance.scenario import Scenario
from tests.conformance.test_coverage import ELSEWHERE

PAGE = Path(__file__).parents[2] / "docs/reference/conformance.md"
_INTRODUCTION = """\
# Conformance

<!-- Made by `python -m tests.conformance.page` from the scenarios in tests/conformance. Do not edit. -->

{total} scenarios hold the embedded proxy to a real Envoy. A plugin that does nothing but what a scenario says makes its
hostcalls and logs their raw statuses and results. A record made by Envoy has all that can be seen of it: what client
and upstream got, each callback with its arguments, each hostcall with what it returned, the callouts as they arrived,
the metrics. The scenario has to leave the same trace in process, under wasmtime and in Envoy.

Traps, which take an Envoy with them, are compared by tests of their own (`tests/conformance/test_traps.py` and
`test_tcp_traps.py`), and so are several plugins and workers (`tests/conformance/several`).

## Known differences

Where Envoy would break the exchange without a word, the embedded proxy mostly raises an error that says what to do.

| scenario | embedded proxy | what Envoy does |
| --- | --- | --- |"""
_CHANCE = """
## Left to chance

What is not compared, since Envoy does now this, now that.

| scenario | part | why |
| --- | --- | --- |"""
_NOT_CROSSED = """
## Not crossed by a scenario

| function | why |
| --- | --- |"""
_REMEDY = "docs/reference/conformance.md is not what the scenarios make it: python -m tests.conformance.page"


def render() -> str:
    """The page's text."""
    parts = [
        _INTRODUCTION.format(total=sum(map(len, AREAS.values()))),
        *(f"| {known.scenario} | {_instead(known)} | {known.reason} |" for known in differences().values()),
        _CHANCE,
        *_chances(),
        _NOT_CROSSED,
        *(f"| `{name}` | {reason} |" for name, reason in ELSEWHERE.items()),
    ]
    for area, scenarios in AREAS.items():
        about = (importlib.import_module(f"tests.conformance.areas.{area}").__doc__ or "").strip()
        parts += ["", f"## {area}: {len(scenarios)}", "", about, "", *(f"- {name}" for name in scenarios)]
    return "\n".join(parts) + "\n"


def _instead(known: Difference) -> str:
    return f"`{known.raises}`" if known.raises else f"no `{'`, `'.join(known.leaves_out)}`"


def _chances() -> list[str]:
    return [
        f"| {name} | {part} | {reason} |"
        for scenarios in AREAS.values()
        for name, scenario in scenarios.items()
        if isinstance(scenario, Scenario)
        for part, reason in scenario.left_out.items()
    ]


def main(arguments: list[str]) -> int:
    text = render()
    if arguments == ["--check"]:
        if not PAGE.is_file() or PAGE.read_text("utf-8") != text:
            print(_REMEDY, file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
