"""Text derived from the tables with Jinja2: raw hostcalls, import table, typed attributes, references."""

from __future__ import annotations

import textwrap
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from proxy_wasm_abi.attributes import PYTHON_TYPES, Attribute, load_attributes
from proxy_wasm_abi.correspondences import load_correspondences
from proxy_wasm_abi.hosts import base_hosts, hosts_without, load_hosts
from proxy_wasm_abi.model import load

GENERATED = {
    "host_imports.py.j2": "sdk_stubs/proxy_wasm_abi/generated/host_imports.py",
    "enums.py.j2": "pywasm_filter/sdk/abi.py",
    "hostcalls.py.j2": "pywasm_filter/sdk/hostcalls.py",
    "reference.md.j2": "docs/reference/abi.md",
    "names.md.j2": "docs/reference/names.md",
    "coverage.md.j2": "docs/reference/coverage.md",
    "attributes.py.j2": "pywasm_filter/sdk/attributes.py",
    "attributes.md.j2": "docs/reference/attributes.md",
    "hosts.md.j2": "docs/reference/hosts.md",
}
"""Template -> file in the repository that is generated from it."""

_NUL = "\\0"
_DOCSTRING_WIDTH = 108

_READERS = {
    "str": "read_text",
    "int": "read_int",
    "uint": "read_uint",
    "bool": "read_bool",
    "duration": "read_duration",
    "timestamp": "read_timestamp",
    "headers": "HeadersAttribute",
    "state": "StateAttribute",
    "metadata": "read_metadata",
    "struct": "read_struct",
}


def _reader(attribute: Attribute) -> str:
    """The expression of the SDK that reads an attribute."""
    path = f'b"{_NUL.join(attribute.path)}"'
    arguments = [path, *([str(attribute.field)] if attribute.field else []), f"_{attribute.availability.upper()}"]
    return f"{_READERS[attribute.type]}({', '.join(arguments)})"


def _wrap(text: str) -> str:
    """Text in a docstring of a method."""
    return textwrap.fill(text, _DOCSTRING_WIDTH).replace("\n", "\n        ")


def _lines(text: str) -> str:
    """A Python string, over several lines if need be."""
    parts = textwrap.wrap(text, _DOCSTRING_WIDTH, drop_whitespace=False)
    if len(parts) == 1:
        return f'"{text}"'
    return "(\n" + "".join(f'    "{part}"\n' for part in parts) + ")"


def _anchor(path: str) -> str:
    """The link to a heading `path` in the SDK's reference."""
    return path.lower().replace(".", "")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("proxy_wasm_abi"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the output is source text, not HTML
    )
    environment.filters["anchor"] = _anchor
    environment.filters["reader"] = _reader
    environment.filters["wrap"] = _wrap
    environment.filters["lines"] = _lines
    environment.filters["hosts_without"] = hosts_without
    return environment


def render_repository_files() -> dict[str, str]:
    """Path in the repository -> content, for every generated file."""
    abi = load()
    environment = _environment()
    values = {
        "abi": abi,
        "attributes": load_attributes(),
        "hosts": load_hosts(),
        "base_hosts": base_hosts(),
        "correspondences": load_correspondences(),
        "python_types": PYTHON_TYPES,
        "hostcalls": abi.hostcalls,
        "callbacks": abi.callbacks,
    }
    return {path: environment.get_template(template).render(values) for template, path in GENERATED.items()}


def stale_files(root: Path) -> list[Path]:
    """Generated files below `root` that do not hold what the table says."""
    stale = []
    for path, content in render_repository_files().items():
        target = root / path
        if not target.is_file() or target.read_text(encoding="utf-8") != content:
            stale.append(target)
    return stale
