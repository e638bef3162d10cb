"""The engine that compiles a filter together with CPython itself."""

from __future__ import annotations

from importlib import metadata

from pywasm_compiler.cpython.componentize import componentize
from pywasm_compiler.cpython.libraries import LinkError
from pywasm_compiler.cpython.linker import LinkedModule, link
from pywasm_compiler.engine import Options, Program, Progress
from pywasm_compiler.errors import CompileError
from pywasm_compiler.wasm.component import read_component
from pywasm_compiler.wasm.component_model import Component
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.model import CustomSection
from pywasm_compiler.wasm.names import (
    NAME_SECTION,
    PRODUCERS_SECTION,
    Names,
    encode_names,
    encode_producers,
    merge_producers,
    module_producers,
)
from pywasm_compiler.wasm.writer import write_module

_LANGUAGE = {"Python": "3.14"}
_TOOLS = ("componentize-py", "pywasm-filter")
_LAST_SECTION = 11


class CPythonEngine:
    """CPython 3.14 and a snapshot of its heap, made by componentize-py and linked to one core module."""

    name = "cpython"

    def compile(self, program: Program, options: Options, progress: Progress) -> bytes:
        """The module's bytes. Raises CompileError when the filter cannot be imported in the guest."""
        progress("importing the filter in CPython and taking a snapshot")
        content = componentize(program)
        try:
            progress("reading the component")
            component = read_component(content)
            progress("linking it to one module")
            linked = link(component, program.hostcalls)
        except (LinkError, MalformedModule) as error:
            raise CompileError(
                f"the component that componentize-py made cannot be linked: {error}",
                remedy="install the version of componentize-py that pywasm-filter requires",
            ) from error
        progress("writing the module")
        _describe(linked, component, None if options.strip else program.filter_module)
        return write_module(linked.module)


def _describe(linked: LinkedModule, component: Component, name: str | None) -> None:
    """Add the custom sections; the names of functions only with a name for the module."""
    producers = merge_producers(
        [
            {"language": _LANGUAGE, "processed-by": {tool: _version(tool) for tool in _TOOLS}},
            *(module_producers(core_module.module) for core_module in component.core_modules),
        ]
    )
    sections = {PRODUCERS_SECTION: encode_producers(producers)}
    if name is not None:
        sections[NAME_SECTION] = encode_names(Names(name, linked.names))
    linked.module.customs = [CustomSection(name, content, _LAST_SECTION) for name, content in sections.items()]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # run from a checkout
        return ""
