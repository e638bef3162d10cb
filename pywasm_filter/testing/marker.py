"""The marker `pywasm`: its arguments, and what `pytest --markers` tells of them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from enum import IntEnum
from typing import Any

from pywasm_filter.testing.settings import PluginSettings

OF_THE_TEST: Mapping[str, tuple[Any, str]] = {
    "filter": (
        None,
        (
            "The filter's file, or a built module, relative to the test's file. Default: what --pywasm-filter names, "
            "filter.py beside the test, what pywasm_filter in the ini file names."
        ),
    ),
    "hosts": (None, "A list of the hosts to which the test is limited: inprocess, wasmtime, envoy."),
    "strict": (
        False,
        (
            "Whether an error in the log, a trap, a callout or a fault that the test does not expect fails it; for all "
            "tests: the option --pywasm-strict, or pywasm_strict in the ini file."
        ),
    ),
}
"""The arguments that are no settings of the plugin: default and meaning."""

# The marker takes more than the settings hold.
_ALSO_TAKEN = {
    "configuration": "Bytes, str, or a dict, which becomes JSON.",
    "vm_configuration": "Bytes, str, or a dict, which becomes JSON.",
    "background_roots": "A dict, or a list of root ids without configuration.",
}
_SUMMARY = (
    "what the fixtures `proxy` and `make_proxy` run, and how. The nearest marker's arguments win over those of its "
    "class and module, those of `make_proxy` over all of them. Names and defaults are those of Envoy's PluginConfig "
    "and VmConfig."
)
_INDENTED = textwrap.TextWrapper(100, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def argument_names() -> list[str]:
    """All arguments that the marker takes."""
    return [*OF_THE_TEST, *(field.name for field in fields(PluginSettings))]


def unknown_argument(name: str) -> str:
    """What to tell about an argument that the marker does not take."""
    known = argument_names()
    similar = get_close_matches(name, known, 1)
    meant = f"did you mean {similar[0]!r}? " if similar else ""
    return f"pywasm has no argument {name!r}; {meant}it has {', '.join(known)}"


def marker_help() -> str:
    """The marker's line in pytest's ini file, which `pytest --markers` shows: signature, summary, each argument."""
    signature = ", ".join(f"{name}={_shown(default)}" for name, default, _ in _arguments())
    lines = [f"pywasm({signature}): {_SUMMARY}"]
    for name, _, text in _arguments():
        lines += _INDENTED.wrap(f"{name}: {text}")
    return "\n".join(lines)


def _arguments() -> Iterator[tuple[str, Any, str]]:
    for name, (default, text) in OF_THE_TEST.items():
        yield name, default, text
    texts = _texts(PluginSettings)
    for field in fields(PluginSettings):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        yield field.name, default, " ".join([*texts[field.name].split(), *_ALSO_TAKEN.get(field.name, "").split()])


def _shown(default: Any) -> str:
    match default:
        case Mapping():
            return repr(dict(default))
        case tuple():
            return repr(list(default))
        case IntEnum():
            return f"{type(default).__name__}.{default.name}"
        case str():
            return repr(str(default))
    return repr(default)


def _texts(described: type) -> dict[str, str]:
    """The strings beneath the fields of a class, which Python itself does not keep."""
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(described))).body
    assert isinstance(definition, ast.ClassDef)
    texts = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(value))):
                texts[name] = value
    return texts
