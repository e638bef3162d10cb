"""The base image: CPython as all modules have it, before any filter is in it.

It is made once for a version of componentize-py and of this compiler, and kept in the user's cache in the forms that
are needed: as a component, from which modules are linked; as a module that wasmtime has compiled, with the memory that
it starts with, in which filters are imported; and linked without data, as shells for the snapshots of filters.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Final

import proxy_wasm_abi
import wasmtime

import pywasm_compiler
from pywasm_compiler.breakdown import HEAP
from pywasm_compiler.cache import CacheEntries, cache_directory
from pywasm_compiler.cpython.cold.image import ColdImage, cold_image
from pywasm_compiler.cpython.cold.selection import compiled_functions
from pywasm_compiler.cpython.componentize import componentize
from pywasm_compiler.cpython.libraries import LinkError
from pywasm_compiler.cpython.linker import LinkedModule, link
from pywasm_compiler.cpython.memory import PAGE_SIZE, fill, page_count
from pywasm_compiler.cpython.origins import GLUE, SOURCE_CODE
from pywasm_compiler.cpython.record import interpreted_sizes, layout_record
from pywasm_compiler.engine import Progress
from pywasm_compiler.errors import CompileError
from pywasm_compiler.provenance import LAYOUT, PROVENANCE_SECTION, encode_record
from pywasm_compiler.wasm.component import read_component
from pywasm_compiler.wasm.component_model import Component
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.model import CustomSection, Module
from pywasm_compiler.wasm.names import (
    NAME_SECTION,
    PRODUCERS_SECTION,
    Names,
    encode_names,
    encode_producers,
    merge_producers,
    module_producers,
)
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

_LANGUAGE: Final = {"Python": "3.14"}
_TOOLS: Final = ("componentize-py", "pywasm-filter")
_RECORDED_TOOLS: Final = (*_TOOLS, "wasmtime")
_LAST_SECTION: Final = 11
_ADDRESSES: Final = struct.Struct("<3I")
"""In front of the kept memory: where the stack begins, the heap, and the glue's page."""
_KEPT: Final = 3
_KEPT_SHELLS: Final = 12


@dataclass(frozen=True)
class Loader:
    """A compiled module in which filters are imported, and the memory that it starts with.

    The stack goes down from `stack_top`; `glue` is the address of the page that the glue has for itself.
    """

    module: wasmtime.Module
    memory: bytes
    stack_top: int
    heap: int
    glue: int
    identity: str
    """Of the component: another one has other addresses, and orders its sets otherwise."""


class BaseImage:
    """The base image in its forms. Each is made when it is first asked for, by one process while others wait.

    Methods raise CompileError: when componentize-py fails, when what it makes cannot be linked, when the cache cannot
    be written.
    """

    def __init__(self, progress: Progress, compiled: Collection[str] | None = None) -> None:
        """`compiled` names the functions that are not interpreted; there is a list for the default."""
        self._progress = progress
        self._compiled = compiled_functions() if compiled is None else frozenset(compiled)
        self._key = _key()
        self._directory = cache_directory("images")

    @property
    def identity(self) -> str:
        """What the base image is made of, as a hash: memories of images that agree in it fit each other's code."""
        return self._key

    def loader(self, engine: wasmtime.Engine) -> Loader:
        """What imports filters, compiled for an engine with wasmtime's default configuration."""
        code_key = f"{self._form('code')}-wasmtime-{metadata.version('wasmtime')}"
        codes = self._entries(".code")
        if codes.find(code_key) is None:
            _ = self._linked_loader  # which both sides below are made of
        with ThreadPoolExecutor(1) as side:
            code = side.submit(codes.get, code_key, lambda: self._machine_code(engine))
            memory, (stack_top, heap, glue) = self._memory
        module = wasmtime.Module.deserialize_file(engine, str(code.result()))
        return Loader(module, memory, stack_top, heap, glue, self._form("loader"))

    def shell(self, hostcalls: Collection[str], callbacks: Collection[str], *, compile_all: bool = False) -> Module:
        """A module without data that imports and exports just these; with a name section and producers.

        What rarely runs is interpreted, unless the module is to `compile_all`.
        """
        wanted = hashlib.sha256(repr((sorted(hostcalls), sorted(callbacks), compile_all)).encode()).hexdigest()[:16]
        entries = CacheEntries(self._directory, ".shell", _KEPT_SHELLS)
        shell = entries.get(
            f"{self._chosen_form('shell')}-{wanted}",
            lambda: self._make_shell(hostcalls, callbacks, None if compile_all else self._cold),
        )
        return read_module(shell.read_bytes())

    def cold_code(self) -> range:
        """Where in memory the code is that is interpreted."""
        return self._cold.addresses

    def standard_library(self) -> zipfile.ZipFile:
        """The source of CPython's standard library."""
        _ = self._component_file  # which brings it
        return zipfile.ZipFile(
            self._entries(".stdlib").get(f"stdlib-{self._key}", lambda: componentize().standard_library)
        )

    # --- making ---

    def _entries(self, suffix: str) -> CacheEntries:
        return CacheEntries(self._directory, suffix, _KEPT)

    @cached_property
    def _component_file(self) -> Path:
        """The component. Each one has a hash seed of its own, so what is made of it goes by its checksum."""
        return self._entries(".component").get(f"component-{self._key}", self._make_component)

    def _make_component(self) -> bytes:
        """Returns the component, and keeps the standard library that comes with it."""
        self._progress("making the base image of CPython, once for this version")
        made = componentize()
        self._entries(".stdlib").get(f"stdlib-{self._key}", lambda: made.standard_library)
        return made.component

    def _form(self, name: str) -> str:
        """The key of something that is made of the component."""
        return f"{name}-{self._component_file.stem.removeprefix('component-')}"

    def _chosen_form(self, name: str) -> str:
        """The key of something that also depends on what is compiled."""
        chosen = hashlib.sha256(repr(sorted(self._compiled)).encode()).hexdigest()[:8]
        return f"{self._form(name)}-{chosen}"

    @cached_property
    def _component(self) -> Component:
        try:
            return read_component(self._component_file.read_bytes())
        except MalformedModule as error:
            raise unlinkable(error) from error

    def _link(
        self,
        hostcalls: Collection[str],
        callbacks: Collection[str],
        *,
        runs_source: bool = False,
        cold: ColdImage | None = None,
    ) -> LinkedModule:
        try:
            return link(self._component, hostcalls, callbacks, runs_source=runs_source, cold=cold)
        except (LinkError, MalformedModule) as error:
            raise unlinkable(error) from error

    @cached_property
    def _linked_loader(self) -> LinkedModule:
        self._progress("linking the base image")
        return self._link([hostcall.name for hostcall in proxy_wasm_abi.load().hostcalls], (), runs_source=True)

    @cached_property
    def _memory(self) -> tuple[bytes, tuple[int, int, int]]:
        """The memory, and in it the top of the stack, the begin of the heap and the glue's page."""
        content = self._entries(".memory").get(self._chosen_form("memory"), self._make_memory).read_bytes()
        return content[_ADDRESSES.size :], _ADDRESSES.unpack_from(content)

    def _make_memory(self) -> bytes:
        linked = self._linked_loader
        cold = self._made_cold.content
        pages = page_count(linked.module)
        memory = bytearray(pages * PAGE_SIZE)
        fill(memory, linked.module.data)
        padding = bytes(-len(cold) % PAGE_SIZE)
        return b"".join(
            (_ADDRESSES.pack(linked.stack_top, linked.regions[HEAP], (pages - 1) * PAGE_SIZE), memory, cold, padding)
        )

    @cached_property
    def _made_cold(self) -> ColdImage:
        linked = self._linked_loader
        self._progress("setting aside what rarely runs")
        parts = (*(GLUE for _ in linked.module.imports), *linked.parts)
        candidates = [
            index
            for index, (definition, part) in enumerate(zip(linked.definitions, parts, strict=True))
            if definition is not None and (part in SOURCE_CODE or linked.names.get(index) not in self._compiled)
        ]
        return cold_image(linked.module, linked.definitions, candidates, page_count(linked.module) * PAGE_SIZE)

    @cached_property
    def _cold(self) -> ColdImage:
        file = self._entries(".cold").get(self._chosen_form("cold"), lambda: self._made_cold.to_json())
        return ColdImage.from_json(file.read_bytes(), self._memory[0])

    def _machine_code(self, engine: wasmtime.Engine) -> bytes:
        module = replace(self._linked_loader.module, data=[], customs=[])
        self._progress("compiling the base image")
        return bytes(wasmtime.Module(engine, write_module(module)).serialize())

    def _make_shell(self, hostcalls: Collection[str], callbacks: Collection[str], cold: ColdImage | None) -> bytes:
        self._progress("linking the base image")
        linked = self._link(hostcalls, callbacks, cold=cold)
        if linked.pointers != self._linked_loader.pointers:
            raise unlinkable(LinkError("the modules of a component differ in what lies behind their table"))
        producers = merge_producers(
            [
                {"language": _LANGUAGE, "processed-by": {tool: _version(tool) for tool in _TOOLS}},
                *(module_producers(core_module.module) for core_module in self._component.core_modules),
            ]
        )
        interpreted = {} if cold is None else interpreted_sizes(cold, self._linked_loader)
        sections = {
            PRODUCERS_SECTION: encode_producers(producers),
            NAME_SECTION: encode_names(Names(functions=linked.names)),
            PROVENANCE_SECTION: encode_record({LAYOUT: layout_record(linked, interpreted)}),
        }
        customs = [CustomSection(name, content, _LAST_SECTION) for name, content in sections.items()]
        return write_module(replace(linked.module, data=[], customs=customs))


def tool_versions() -> dict[str, str]:
    """The versions of all tools that have a part in a module; empty for one that runs from a checkout."""
    return {tool: _version(tool) for tool in _RECORDED_TOOLS}


def unlinkable(error: Exception) -> CompileError:
    """What a user is told of a component that is not what was expected."""
    return CompileError(
        f"the component that componentize-py made cannot be linked: {error}",
        remedy="install the version of componentize-py that pywasm-filter requires",
    )


def _key() -> str:
    """A hash over all that the base is made of: the tool's version, this package and the ABI."""
    digest = hashlib.sha256(_version("componentize-py").encode())
    for file in _sources():
        content = file.read_bytes()
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()[:24]


def _sources() -> Iterable[Path]:
    for package in (pywasm_compiler, proxy_wasm_abi):
        assert package.__file__ is not None
        yield from sorted(
            path for path in Path(package.__file__).parent.rglob("*") if path.is_file() and path.suffix != ".pyc"
        )


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # run from a checkout
        return ""
