"""What goes into a module, as its record has it: the author's files, packages with their versions, the target."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from pywasm_compiler.distributions import distribution_of
from pywasm_compiler.source import SourceTree

from pywasm_filter.project import Target

SDK = "pywasm-filter"
"""The distribution that this package belongs to."""


def ingredients(tree: SourceTree, sdk: Mapping[str, Path], target: Target) -> dict[str, Any]:
    """The part of a module's record that tells what was compiled: names, versions and hashes, no paths.

    `sdk` are the files of this package that go in, by name.
    """
    packages: dict[tuple[str, str], dict[str, Path]] = {(SDK, _own_version()): dict(sdk)}
    for file in tree.installed:
        name = _name_of(file, tree.search_path)
        packages.setdefault(distribution_of(_top(name)) or (_top(name), ""), {})[name] = file
    return {
        "filter": {
            "module": tree.filter.stem,
            **_digest({_name_of(file, tree.search_path): file for file in tree.modules}),
        },
        "packages": [
            {"name": name, "version": version, "modules": sorted(set(map(_top, files))), **_digest(files)}
            for (name, version), files in sorted(packages.items())
        ],
        "target": {"hosts": list(target.hosts), "allow_missing": list(target.allow_missing)},
    }


def _own_version() -> str:
    try:
        return metadata.version(SDK)
    except metadata.PackageNotFoundError:  # run from a checkout
        return ""


def _name_of(file: Path, roots: Iterable[Path]) -> str:
    """A file's name below the directory that it is imported from."""
    relative = [file.relative_to(root).as_posix() for root in roots if file.is_relative_to(root)]
    return min(relative, key=len, default=file.name)


def _top(name: str) -> str:
    """The top-level module or package that a file belongs to, by the file's name."""
    return name.partition("/")[0].removesuffix(".py")


def _digest(files: Mapping[str, Path]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        for part in (name.encode(), file.read_bytes()):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return {"files": len(files), "sha256": digest.hexdigest()}
