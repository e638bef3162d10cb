"""The custom sections `name` (what functions are called) and `producers` (which tools made the module).

Both are for people: nothing in them is needed to run a module. Offsets in errors count from the start of the content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pywasm_compiler.wasm.cursor import Cursor
from pywasm_compiler.wasm.leb128 import encode_unsigned
from pywasm_compiler.wasm.model import Module
from pywasm_compiler.wasm.writer import encode_name, encode_vector

NAME_SECTION: Final = "name"
PRODUCERS_SECTION: Final = "producers"

Producers: TypeAlias = dict[str, dict[str, str]]
"""Version by tool, for each of the fields `language`, `processed-by` and `sdk`."""

_MODULE_SUBSECTION: Final = 0
_FUNCTION_SUBSECTION: Final = 1


@dataclass(frozen=True, slots=True)
class Names:
    """The module's own name and the names of functions by their index (imports first)."""

    module: str | None = None
    functions: Mapping[int, str] = field(default_factory=dict)


def module_names(module: Module) -> Names:
    """The names in a module; empty when it has no `name` section. Raises MalformedModule."""
    content = _custom_content(module, NAME_SECTION)
    return Names() if content is None else decode_names(content)


def module_producers(module: Module) -> Producers:
    """The producers of a module; empty when it has no `producers` section. Raises MalformedModule."""
    content = _custom_content(module, PRODUCERS_SECTION)
    return {} if content is None else decode_producers(content)


def decode_names(content: bytes) -> Names:
    """Decode the content of a `name` section; other subsections (locals, types, …) are left out."""
    module = None
    functions: dict[int, str] = {}
    cursor = Cursor(content)
    while cursor.remaining:
        subsection_id = cursor.byte()
        subsection = cursor.section(cursor.u32())
        if subsection_id == _MODULE_SUBSECTION:
            module = subsection.name()
            subsection.expect_end("the module name")
        elif subsection_id == _FUNCTION_SUBSECTION:
            for _ in range(subsection.count()):
                index = subsection.u32()
                functions[index] = subsection.name()
            subsection.expect_end("the function names")
    return Names(module, functions)


def encode_names(names: Names) -> bytes:
    """Encode the content of a `name` section."""
    content = b""
    if names.module is not None:
        content += _subsection(_MODULE_SUBSECTION, encode_name(names.module))
    if names.functions:
        entries = (encode_unsigned(index) + encode_name(name) for index, name in sorted(names.functions.items()))
        content += _subsection(_FUNCTION_SUBSECTION, encode_vector(entries))
    return content


def decode_producers(content: bytes) -> Producers:
    """Decode the content of a `producers` section."""
    producers: Producers = {}
    cursor = Cursor(content)
    for _ in range(cursor.count()):
        tools = producers.setdefault(cursor.name(), {})
        for _ in range(cursor.count()):
            tool = cursor.name()
            tools[tool] = cursor.name()
    cursor.expect_end("the producers")
    return producers


def encode_producers(producers: Producers) -> bytes:
    """Encode the content of a `producers` section."""
    return encode_vector(
        encode_name(name) + encode_vector(encode_name(tool) + encode_name(version) for tool, version in tools.items())
        for name, tools in producers.items()
    )


def merge_producers(all_producers: Iterable[Producers]) -> Producers:
    """Every tool of every module, once. Where modules were made by several versions of it, all of them are listed."""
    versions: dict[str, dict[str, list[str]]] = {}
    for producers in all_producers:
        for name, tools in producers.items():
            for tool, version in tools.items():
                seen = versions.setdefault(name, {}).setdefault(tool, [])
                if version not in seen:
                    seen.append(version)
    return {name: {tool: ", ".join(seen) for tool, seen in tools.items()} for name, tools in versions.items()}


def _custom_content(module: Module, name: str) -> bytes | None:
    return next((custom.content for custom in module.customs if custom.name == name), None)


def _subsection(subsection_id: int, content: bytes) -> bytes:
    return bytes((subsection_id,)) + encode_unsigned(len(content)) + content
