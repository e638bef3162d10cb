"""What a check has found, and the comments by which an author silences it."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from io import StringIO
from pathlib import Path

from pywasm_compiler.errors import CompileError

_COMMENT = re.compile(r"#\s*pywasm:\s*ignore(?P<rules>\[[^\]]*\])?")


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """It cannot work."""

    WARNING = "warning"
    """It may not work: that depends on what is not in the source."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a filter: by which rule, where, why, and what to do about it.

    `line` counts from 1. `detail` holds longer evidence.
    """

    rule: str
    message: str
    file: Path | None = None
    line: int | None = None
    remedy: str = ""
    severity: Severity = Severity.ERROR
    detail: str = ""

    @classmethod
    def of(cls, error: CompileError) -> Finding:
        """The finding that an error stands for."""
        return cls(error.rule, error.message, error.file, error.line, error.remedy, detail=error.detail)

    @property
    def is_error(self) -> bool:
        """Whether it keeps a filter from being built."""
        return self.severity is Severity.ERROR

    def as_error(self) -> CompileError:
        """The error that a finding leads to."""
        return CompileError(self.message, self.file, self.line, self.remedy, self.detail, self.rule)

    def to_json(self) -> dict[str, object]:
        """The stable form for other programs."""
        return {
            "rule": self.rule,
            "severity": str(self.severity),
            "message": self.message,
            "file": None if self.file is None else str(self.file),
            "line": self.line,
            "remedy": self.remedy,
            "detail": self.detail,
        }


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """By file and line; what belongs to no file first."""
    return sorted(set(findings), key=lambda one: (str(one.file or ""), one.line or 0, one.rule, one.message))


def errors_of(findings: Iterable[Finding]) -> CompileError | None:
    """The errors among them as one: the first, which holds the others. None if there is none."""
    errors = [finding.as_error() for finding in ordered(findings) if finding.is_error]
    return replace(errors[0], others=tuple(errors[1:])) if errors else None


@dataclass
class Ignores:
    """The comments of a source file that silence rules: `# pywasm: ignore[rule, other]`, or without brackets all.

    A comment holds for its own line; one that has a line for itself, for the next line with code.
    """

    file: Path
    comments: Mapping[int, frozenset[str]]
    """Line of the comment -> rules, none for all."""

    targets: Mapping[int, tuple[int, ...]]
    """Line of code -> lines of the comments that hold for it."""

    used: set[tuple[int, str]] = field(default_factory=set)

    def silence(self, finding: Finding) -> bool:
        """Whether a comment silences it."""
        for line in self.targets.get(finding.line or 0, ()):
            rules = self.comments[line]
            if not rules or finding.rule in rules:
                self.used.add((line, finding.rule if rules else ""))
                return True
        return False

    def complaints(self, known: frozenset[str]) -> Iterator[Finding]:
        """Comments that name no rule, and those that have silenced nothing."""
        for line, rules in self.comments.items():
            for rule in sorted(rules) or [""]:
                if rule and rule not in known:
                    message = f"there is no rule '{rule}' to ignore"
                    remedy = "correct the name: docs/reference/rules.md lists them"
                elif (line, rule) not in self.used:
                    message = f"nothing is found here to ignore{f' by the rule {rule}' if rule else ''}"
                    remedy = "remove the comment"
                else:
                    continue
                yield Finding("ignore-comment", message, self.file, line, remedy, Severity.WARNING)


def read_ignores(text: str, file: Path) -> Ignores:
    """The comments of a source text, which has been parsed before."""
    if "pywasm:" not in text:
        return Ignores(file, {}, {})
    comments: dict[int, frozenset[str]] = {}
    targets: dict[int, list[int]] = {}
    waiting: list[int] = []
    code_on: set[int] = set()
    for token in tokenize.generate_tokens(StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            if found := _COMMENT.search(token.string):
                line = token.start[0]
                comments[line] = frozenset(filter(None, re.split(r"[\s,]+", (found["rules"] or "")[1:-1])))
                if line in code_on:
                    targets.setdefault(line, []).append(line)
                else:
                    waiting.append(line)
        elif token.type not in _NO_CODE:
            code_on.update(range(token.start[0], token.end[0] + 1))
            if waiting:
                targets.setdefault(token.start[0], []).extend(waiting)
                waiting = []
    return Ignores(file, comments, {line: tuple(lines) for line, lines in targets.items()})


_NO_CODE = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
