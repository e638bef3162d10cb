"""A new filter project, rendered from the templates that this package ships."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pywasm_compiler.errors import CompileError

from pywasm_filter.cli.version import own_version

TEMPLATES = Path(__file__).with_name("templates")

_COMMON = "_common"
_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_LONGEST_NAME = 40


@dataclass(frozen=True)
class Template:
    """One kind of project. `configuration` is what the README shows as the plugin's; empty if it takes none."""

    summary: str
    configuration: str = ""


KINDS: Mapping[str, Template] = {
    "http": Template(
        "Sets headers on requests and responses, as its configuration says.",
        '{"response_headers": {"x-frame-options": "DENY"}}',
    ),
    "minimal": Template("Sets a header on each request."),
}


def create_project(directory: Path, template: str) -> list[Path]:
    """Write a project into a new or an empty directory: all of it, or nothing. Returns the files.

    Raises CompileError for an unknown template, a name that makes no project, and a directory that cannot be used.
    """
    if template not in KINDS:
        raise CompileError(f"there is no template named {template!r}", remedy=f"choose one of: {', '.join(KINDS)}")
    try:
        target = directory.resolve()
        _check_directory(directory)
        name = _project_name(directory, target)
        rendered = render_project(name, template)
        _write(rendered, target)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise CompileError(f"cannot be made: {reason}", directory, remedy="choose another directory") from error
    return [directory / name for name in rendered]


def render_project(name: str, template: str) -> dict[Path, str]:
    """The files of a project by their path in it."""
    environment = Environment(  # delimiters that neither Python, TOML nor GitHub's YAML use
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        autoescape=False,  # the results are source files, not HTML
    )
    words = re.split(r"[._-]+", name)
    class_name = "".join(word[:1].upper() + word[1:] for word in words)
    variables = {
        "project": name,
        "root_id": "_".join(words).lower(),
        "class_name": class_name if class_name.endswith("Filter") else f"{class_name}Filter",
        "summary": KINDS[template].summary,
        "configuration": KINDS[template].configuration,
        "version": own_version(),
    }
    files: dict[Path, str] = {}
    for kind in (_COMMON, template):
        for source in sorted((TEMPLATES / kind).rglob("*.j2")):
            relative = source.relative_to(TEMPLATES)
            files[_target_name(source.relative_to(TEMPLATES / kind))] = environment.get_template(
                relative.as_posix()
            ).render(variables)
    return files


def _target_name(template: Path) -> Path:
    """`dot_github/test.yml.j2` -> `.github/test.yml`: hidden files would be overlooked among the templates."""
    parts = [f".{part.removeprefix('dot_')}" if part.startswith("dot_") else part for part in template.parts]
    return Path(*parts).with_suffix("")


def _check_directory(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise CompileError("is a file", directory, remedy="name a directory that does not exist yet")
    if directory.is_dir() and any(directory.iterdir()):
        raise CompileError("is not empty", directory, remedy="name a new directory, or an empty one")
    if not directory.is_dir() and not directory.parent.is_dir():
        raise CompileError(
            "cannot be made: its parent directory does not exist",
            directory,
            remedy=f"mkdir -p {shlex.quote(str(directory.parent))}",
        )


def _project_name(directory: Path, target: Path) -> str:
    if not _NAME.fullmatch(target.name) or len(target.name) > _LONGEST_NAME:
        raise CompileError(
            f"{target.name!r} is no name for a project",
            directory,
            remedy="take up to 40 letters, digits, '-', '_' and '.'; the first a letter, the last a letter or digit",
        )
    return target.name


def _write(files: Mapping[Path, str], target: Path) -> None:
    scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        for name, content in files.items():
            path = scratch / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        _move(scratch, target)
    finally:
        _remove(scratch)


def _move(scratch: Path, target: Path) -> None:
    """Rename the directory; into one that is there (and may be somebody's working directory) rename each entry."""
    if not target.exists():
        scratch.rename(target)
        return
    moved: list[Path] = []
    try:
        for entry in sorted(scratch.iterdir()):
            moved.append(entry.rename(target / entry.name))
    except OSError:
        for path in moved:
            _remove(path)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        for entry in path.iterdir():
            _remove(entry)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
