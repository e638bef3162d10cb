"""The one error type that reaches a user: what is wrong, where, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(eq=False)
class CompileError(Exception):
    """A problem in the user's input.

    `message` says what is wrong in one sentence, `file` and `line` (1-based) say where, `remedy` what to do.
    `detail` holds longer evidence, such as the author's own traceback. `rule` is the check that found it, if one did
    (docs/reference/rules.md); `others` are further errors in the same input.
    """

    message: str
    file: Path | None = None
    line: int | None = None
    remedy: str = ""
    detail: str = ""
    rule: str = ""
    others: tuple[CompileError, ...] = ()

    def __str__(self) -> str:
        where = "" if self.file is None else f"{self.file}: " if self.line is None else f"{self.file}:{self.line}: "
        text = where + self.message
        if self.remedy:
            text += f"\n  remedy: {self.remedy}"
        if self.detail:
            text += "\n" + "\n".join(f"  | {line}" for line in self.detail.rstrip().splitlines())
        return "\n".join([text, *map(str, self.others)])
