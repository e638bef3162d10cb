"""The reference of the rules of `pywasm-filter check`: `python tools/rules_reference.py [--check]`.

All of it is in `compiler/pywasm_compiler/rules.toml`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from pywasm_compiler.rules import Rule, rules

ROOT = Path(__file__).parents[1]
PAGE = Path("docs/reference/rules.md")

_SEVERITIES = {"error": "error", "warning": "warning", "both": "error or warning"}
_INTRODUCTION = """\
<!-- Generated from compiler/pywasm_compiler/rules.toml by `python tools/rules_reference.py`. Do not edit. -->
# Rules

`pywasm-filter check filter.py` looks at a filter and the modules beside it for what cannot work in a proxy, and
`pywasm-filter build` does so before it builds: an **error** cannot work, and nothing is built; a **warning** may not.
Each finding has its line, the reason, the remedy, and the name of its rule in brackets.

A comment in the line, or in a line of its own before it, silences a rule there; `--ignore RULE` does so for one run:

    text = open("greeting.txt").read()  # pywasm: ignore[file-access]

`# pywasm: ignore` without brackets silences all. A comment that silences nothing is a warning itself. `check --strict`
fails for warnings, too; `--format json` is for programs, `--format github` makes annotations in a workflow of GitHub's.

Rules tell what happens while the module is imported, that is when it is built, from what callbacks can get to later.
What only `if TYPE_CHECKING` and `if __name__ == "__main__"` run is left out, as are
branches that ask for the system (`sys.platform`, `hasattr(os, "fork")`). Of packages,
only the imports are looked at.

In the examples, a comment with the rule's name marks the line that is found.
"""


def page() -> str:
    """The page."""
    parts = [_INTRODUCTION, "| rule | | |\n|---|---|---|"]
    parts += [
        f"| [`{rule.id}`](#{rule.id}) | {rule.title} | {_SEVERITIES[rule.severity]} |" for rule in rules().values()
    ]
    for rule in rules().values():
        parts += ["", *_chapter(rule)]
    return "\n".join(parts) + "\n"


def _chapter(rule: Rule) -> Iterator[str]:
    yield f"## {rule.id}\n"
    yield f"**{rule.title}** ({_SEVERITIES[rule.severity]}). {rule.text.strip()}\n"
    yield f"**Instead**: {rule.remedy}"
    if rule.bad:
        yield f"\n```python\n{rule.bad.strip()}\n```"
    if rule.good:
        yield f"\nThis is fine:\n\n```python\n{rule.good.strip()}\n```"
    if rule.calls:
        yield "\nCalls that it knows:\n"
        for calls in rule.calls:
            names = ", ".join(f"`{name.removeprefix('builtins.')}`" for name in calls.names)
            yield f"- {names}"


def main() -> int:
    """Return the exit status: 1 when `--check` finds the page stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if the page is stale")
    target = ROOT / PAGE
    if not parser.parse_args().check:
        target.write_text(page(), encoding="utf-8")
    elif not target.is_file() or target.read_text(encoding="utf-8") != page():
        print(f"{target}: stale; run `make generate`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
