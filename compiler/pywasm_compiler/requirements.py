"""Requirements that a project states, compared with what is installed: it is from there that packages go into a module.

Files have the form that pip reads (https://pip.pypa.io/en/stable/reference/requirements-file-format/): requirements by
PEP 508, `-r` for another file, comments, continued lines. What has no name, such as a path, is passed over, as are
options.
"""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from pywasm_compiler.distributions import distribution_of, normalised
from pywasm_compiler.errors import CompileError
from pywasm_compiler.findings import Finding, Severity

_COMMENT = re.compile(r"(^|\s)#.*")
_OPTION_BEHIND = re.compile(r"\s--?[a-z].*")
_OTHER_FILE = re.compile(r"(?:-r|--requirement)[\s=]*(?P<file>\S.*)")
_BESIDE = "requirements.txt"
_PROJECT = "pyproject.toml"


@dataclass(frozen=True)
class Stated:
    """One requirement, and where it is."""

    requirement: Requirement
    file: Path
    line: int


def unmet(file: Path) -> list[Finding]:
    """An error for each requirement of a file that is not met. Raises CompileError for a file that cannot be read."""
    return [finding for stated in read_requirements(file) for finding in _compare(stated)]


def outdated(filter_file: Path, modules: Iterable[str]) -> list[Finding]:
    """A warning for each module that a filter imports in another version than its project states.

    The project states it in a requirements.txt beside the filter, or in the dependencies of the nearest pyproject.toml.
    What is not imported does not count: it may be for something else. Nor does a file that pip could not read.
    """
    try:
        stated = [*_beside(filter_file), *_of_project(filter_file)]
    except CompileError:  # it was not asked for, and may be for another tool
        return []
    wrong = {normalised(each.requirement.name): finding for each in stated for finding in _compare(each, missing=False)}
    if not wrong:
        return []
    imported = {found[0] for module in modules if (found := distribution_of(module))}
    return [finding for name, finding in wrong.items() if name in imported]


def read_requirements(file: Path, _above: Collection[Path] = ()) -> list[Stated]:
    """All of a file's. Raises CompileError, with the line, for what is no requirement."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CompileError(
            f"cannot be read: {reason}", file, remedy="name a requirements file", rule="requirement"
        ) from error
    stated: list[Stated] = []
    for number, line in _logical_lines(text):
        if other := _OTHER_FILE.fullmatch(line):
            path = file.parent / other["file"]
            if path.resolve() in {*_above, file.resolve()}:
                raise CompileError(f"includes itself, by {line}", file, number, "remove the line", rule="requirement")
            stated += read_requirements(path, {*_above, file.resolve()})
        elif not line.startswith("-") and not _is_place(line):
            stated.append(_stated(_OPTION_BEHIND.sub("", line), file, number))
    return stated


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, those that end with a backslash joined; with the number of the first."""
    kept, first = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if not kept:
            first = number
        content = _COMMENT.sub("", line).rstrip()
        if content.endswith("\\"):
            kept += content[:-1] + " "
            continue
        if whole := (kept + content).strip():
            yield first, whole
        kept = ""
    if kept.strip():
        yield first, kept.strip()


def _is_place(line: str) -> bool:
    """Whether it names a file or an address instead of a distribution."""
    start = line.partition(" ")[0]
    return "://" in start.partition("@")[0] or start.startswith((".", "/", "~")) or start.endswith((".whl", ".tar.gz"))


def _stated(line: str, file: Path, number: int) -> Stated:
    try:
        return Stated(Requirement(line), file, number)
    except InvalidRequirement as error:
        message = f"is no requirement: {line!r}: {str(error).splitlines()[0]}"
        raise CompileError(
            message, file, number, "write a name and a version: jinja2>=3.1", rule="requirement"
        ) from error


def _beside(filter_file: Path) -> list[Stated]:
    file = filter_file.parent / _BESIDE
    return read_requirements(file) if file.is_file() else []


def _of_project(filter_file: Path) -> list[Stated]:
    directories = [filter_file.parent, *filter_file.resolve().parent.parents]
    file = next((found for directory in directories if (found := directory / _PROJECT).is_file()), None)
    if file is None:
        return []
    try:
        text = file.read_text(encoding="utf-8")
        dependencies = tomllib.loads(text).get("project", {}).get("dependencies", [])
    except (OSError, ValueError, AttributeError):  # other tools tell of it
        return []
    lines = [entry for entry in dependencies if isinstance(entry, str)] if isinstance(dependencies, list) else []
    return [_stated(line, file, text[: text.find(line)].count("\n") + 1) for line in lines]


def _compare(stated: Stated, *, missing: bool = True) -> Iterator[Finding]:
    """What is wrong with a requirement; `missing` tells whether it is an error for it not to be there."""
    wanted = stated.requirement
    if wanted.marker is not None and not wanted.marker.evaluate():
        return
    plain = Requirement(str(wanted))
    plain.marker = None
    remedy = f"install it: {shlex.quote(sys.executable)} -m pip install {shlex.quote(str(plain))}"
    try:
        installed = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        if missing:
            message = f"the package {wanted.name} is not installed in {sys.prefix}"
            yield Finding("requirement", message, stated.file, stated.line, remedy)
        return
    if not wanted.specifier.contains(installed, prereleases=True):
        message = f"the package {wanted.name} is installed in version {installed}, not {wanted.specifier}"
        severity = Severity.ERROR if missing else Severity.WARNING
        yield Finding("requirement", message, stated.file, stated.line, remedy, severity)
