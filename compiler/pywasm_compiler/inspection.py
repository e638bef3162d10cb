"""What a Proxy-Wasm module is made of, what it asks of its host, and which hosts can load it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy_wasm_abi import Abi, Host, load

from pywasm_compiler.breakdown import Share, breakdown
from pywasm_compiler.cpython.packing import unpacked
from pywasm_compiler.errors import CompileError
from pywasm_compiler.hosts import HostVerdict, judge, judge_for
from pywasm_compiler.provenance import LAYOUT, Record, record_of
from pywasm_compiler.wasm.cursor import Cursor
from pywasm_compiler.wasm.errors import MalformedModule
from pywasm_compiler.wasm.format import CORE_PREAMBLE, SectionId
from pywasm_compiler.wasm.model import ExternKind, Module
from pywasm_compiler.wasm.reader import is_component, is_core_module, read_module
from pywasm_compiler.wasm.writer import write_module

_ENTRY_POINTS = ("_initialize", "_start", "main", "__main_void")
_COMPRESSION = 6
_LARGEST = 1 << 30  # V8 refuses more
_MARKER_PREFIX = "proxy_abi_version_"


@dataclass(frozen=True)
class MemoryBounds:
    """Size of a linear memory in pages of 64 KiB; `maximum` is None when the module sets no limit."""

    minimum: int
    maximum: int | None


@dataclass(frozen=True)
class Inspection:
    """Facts about one module. Sizes are bytes.

    `imports` maps the name of the imported module to the names of its functions; `exports` holds all that is neither a
    callback, an allocator, an entry point nor the ABI's marker. `sections` maps each section's name (a custom
    section's own name behind `custom:`) to the size of its content; `data_size` counts what the data segments hold.
    `producers` is the custom section of that name: field -> tool -> version. `provenance` is what a module of this
    compiler says of its making, `bytes` what the file consists of.
    """

    abi_version: str
    size: int
    gzip_size: int
    imports: Mapping[str, tuple[str, ...]]
    callbacks: tuple[str, ...]
    allocators: tuple[str, ...]
    entry_points: tuple[str, ...]
    exports: tuple[str, ...]
    function_count: int
    code_size: int
    data_size: int
    memory: MemoryBounds | None
    sections: Mapping[str, int]
    producers: Mapping[str, Mapping[str, str]]
    has_function_names: bool
    provenance: Record
    unpacked_size: int
    """Of the module with its data as they are in memory, which `bytes` divides; `size` if they are not compressed."""
    bytes: Share
    hosts: tuple[HostVerdict, ...]

    def to_json(self) -> dict[str, object]:
        """The stable form for other programs; docs/reference/inspect.md describes it."""
        memory = self.memory
        return {
            "format": 1,
            "abi_version": self.abi_version,
            "size": self.size,
            "gzip_size": self.gzip_size,
            "unpacked_size": self.unpacked_size,
            "imports": {module: list(names) for module, names in self.imports.items()},
            "callbacks": list(self.callbacks),
            "allocators": list(self.allocators),
            "entry_points": list(self.entry_points),
            "exports": list(self.exports),
            "functions": self.function_count,
            "code_size": self.code_size,
            "data_size": self.data_size,
            "memory_pages": None if memory is None else {"minimum": memory.minimum, "maximum": memory.maximum},
            "sections": dict(self.sections),
            "producers": {field: dict(tools) for field, tools in self.producers.items()},
            "function_names": self.has_function_names,
            "provenance": {field: value for field, value in self.provenance.items() if field != LAYOUT},
            "bytes": self.bytes.to_json(),
            "hosts": {host.name: _host_json(host) for host in self.hosts},
        }


def _host_json(host: HostVerdict) -> dict[str, object]:
    return {
        "title": host.title,
        "loads": host.loads,
        "reasons": list(host.reasons),
        "never_called": list(host.never_called),
        "unimplemented": list(host.unimplemented),
        "fatal": list(host.fatal),
    }


def read_wasm(path: Path) -> bytes:
    """The bytes of a module's file. Raises CompileError when it cannot be read."""
    remedy = "name a .wasm file, such as `pywasm-filter build` writes"
    try:
        if path.is_dir():
            raise CompileError("is a directory, not a module", path, remedy=remedy)
        if path.exists() and not path.is_file():  # reading a pipe or a device might never end
            raise CompileError("is not a regular file", path, remedy=remedy)
        if (size := path.stat().st_size) > _LARGEST:
            raise CompileError(f"has {size:,} bytes: no host loads modules of more than 1 GiB", path, remedy=remedy)
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CompileError("no such file", path, remedy="check the path of the module") from error
    except OSError as error:
        raise CompileError(f"cannot be read: {error.strerror or error}", path, remedy=remedy) from error
    except ValueError as error:  # a NUL in the path
        raise CompileError(f"{str(path)!r} is no path: {error}", remedy="check the path of the module") from error


def inspect_file(path: Path, measure: Callable[[Module], Share] | None = None) -> Inspection:
    """Read and inspect a file. `measure` divides its snapshot. Raises CompileError."""
    return inspect_module(read_wasm(path), path, measure)


def read_abi_version(path: Path) -> str:
    """The ABI version that a module's file is made for, such as "0.2.1". Raises CompileError for what is no module."""
    data = read_wasm(path)
    _check_preamble(data, path)
    _section_sizes(data, path)
    return _abi_version(_read(data, path), load(), path)


def verdict_of(host: Host, path: Path, configuration_size: int = 0) -> HostVerdict:
    """Whether one host can load a file, with a configuration of so many bytes. Raises CompileError."""
    return verdict_on(host, read_wasm(path), path, configuration_size)


def verdict_on(host: Host, data: bytes, path: Path | None, configuration_size: int = 0) -> HostVerdict:
    """Whether one host can load a module with these bytes; `path` is for messages alone. Raises CompileError."""
    module = read_module_of(data, path)
    return judge_for(host, module, _abi_version(module, load(), path), len(data) + configuration_size)


def read_module_of(data: bytes, path: Path | None) -> Module:
    """The module that bytes hold; `path` is for messages alone. Raises CompileError."""
    _check_preamble(data, path)
    return _read(data, path)


def inspect_module(
    data: bytes, path: Path | None = None, measure: Callable[[Module], Share] | None = None
) -> Inspection:
    """Inspect a module's bytes; `path` is for messages alone, `measure` divides the snapshot.

    Raises CompileError for what is no WebAssembly, truncated, a component, or a module that is not Proxy-Wasm; and what
    `measure` raises.
    """
    _check_preamble(data, path)
    sections = _section_sizes(data, path)
    module, plain = _unpacked(_read(data, path), data, path)
    abi = load()
    abi_version = _abi_version(module, abi, path)
    functions = [entry.name for entry in module.exports if entry.kind is ExternKind.FUNC]
    callbacks = tuple(name for name in functions if abi.callback(name) is not None and name not in abi.allocators)
    allocators = tuple(name for name in functions if name in abi.allocators)
    entry_points = tuple(name for name in functions if name in _ENTRY_POINTS)
    named = {*callbacks, *allocators, *entry_points, *_markers(abi)}
    return Inspection(
        abi_version=abi_version,
        size=len(data),
        gzip_size=len(gzip.compress(data, _COMPRESSION, mtime=0)),
        imports=_imports(module),
        callbacks=callbacks,
        allocators=allocators,
        entry_points=entry_points,
        exports=tuple(entry.name for entry in module.exports if entry.name not in named),
        function_count=len(module.functions),
        code_size=sections.get("code", 0),
        data_size=sum(len(segment.content) for segment in module.data),
        memory=_memory(module),
        sections=sections,
        producers=_producers(module),
        has_function_names=any(custom.name == "name" for custom in module.customs),
        provenance=record_of(module),
        unpacked_size=len(plain),
        bytes=breakdown(module, _section_sizes(plain, path), len(plain), None if measure is None else measure(module)),
        hosts=judge(module, abi_version, len(data)),
    )


def _check_preamble(data: bytes, path: Path | None) -> None:
    remedy = "build it with `pywasm-filter build`"
    if not data:
        raise CompileError("is empty", path, remedy=remedy)
    if is_component(data):
        raise CompileError(
            "this is a component, not a core module: no Proxy-Wasm host loads components",
            path,
            remedy=f"{remedy}, which makes a core module",
        )
    if is_core_module(data):
        return
    if len(data) < len(CORE_PREAMBLE) and CORE_PREAMBLE.startswith(data):
        raise _truncated(path, f"only {len(data)} bytes of the preamble are there")
    if data.startswith(CORE_PREAMBLE[:4]):
        raise CompileError(f"has the unknown WebAssembly version {data[4:8].hex(' ')}", path, remedy=remedy)
    raise CompileError("is not WebAssembly: it does not begin with '\\0asm'", path, remedy=remedy)


def _section_sizes(data: bytes, path: Path | None) -> dict[str, int]:
    """Content sizes by section name. It is here that a file whose end is missing shows."""
    cursor = Cursor(data, len(CORE_PREAMBLE))
    sizes: dict[str, int] = {}
    while cursor.remaining:
        name = "a section"
        try:
            name = _section_name(cursor.byte())
            size = cursor.u32()
            if size > cursor.remaining:
                raise _truncated(path, f"section {name} has {size:,} bytes, of which {cursor.remaining:,} are there")
            content = cursor.section(size)
            if name == "custom":
                name = f"custom:{content.name()}"
        except MalformedModule as error:
            if cursor.remaining:
                raise _malformed(path, error) from error
            raise _truncated(path, f"it ends inside the header of {name}") from error
        sizes[name] = sizes.get(name, 0) + size
    return sizes


def _section_name(number: int) -> str:
    try:
        return SectionId(number).name.lower()
    except ValueError:
        return f"unknown:{number}"


def _read(data: bytes, path: Path | None) -> Module:
    try:
        module = read_module(data)
    except MalformedModule as error:
        raise _malformed(path, error) from error
    problem = _dangling(module)
    if problem:
        raise CompileError(f"is malformed: {problem}", path, remedy="build it anew with `pywasm-filter build`")
    return module


def _unpacked(module: Module, data: bytes, path: Path | None) -> tuple[Module, bytes]:
    """The module with its data as they are in memory, and its bytes."""
    try:
        plain = unpacked(module)
    except MalformedModule as error:
        raise _malformed(path, error) from error
    return plain, data if plain is module else write_module(plain)


def _dangling(module: Module) -> str:
    """The first index that points nowhere among those that an inspection follows."""
    imported = module.imported(ExternKind.FUNC)
    for entry in imported:
        if not isinstance(entry.type, int) or entry.type >= len(module.types):
            return f"the import {entry.module}.{entry.name} has no type"
    if any(function.type_index >= len(module.types) for function in module.functions):
        return "a function has no type"
    count = len(imported) + len(module.functions)
    for exported in module.exports:
        if exported.kind is ExternKind.FUNC and exported.index >= count:
            return f"the export {exported.name} points to no function"
    return ""


def _truncated(path: Path | None, evidence: str) -> CompileError:
    return CompileError(f"is truncated: {evidence}", path, remedy="copy or build the module again")


def _malformed(path: Path | None, error: MalformedModule) -> CompileError:
    return CompileError(
        f"cannot be read as a WebAssembly module: {error}", path, remedy="build it anew with `pywasm-filter build`"
    )


def _markers(abi: Abi) -> tuple[str, ...]:
    """Names of the exports that tell the ABI's version, newest first."""
    return (abi.marker, *reversed(abi.older_markers))


def _abi_version(module: Module, abi: Abi, path: Path | None) -> str:
    for marker in _markers(abi):
        found = module.export(marker)
        if found is not None and found.kind is ExternKind.FUNC:
            return _version(marker)
    named = [entry.name for entry in module.exports if entry.name.startswith(_MARKER_PREFIX)]
    others = [name for name in named if name not in _markers(abi)]
    if others:
        known = ", ".join(map(_version, _markers(abi)))
        raise CompileError(
            f"is made for the Proxy-Wasm ABI {', '.join(map(_version, others))}, which is not known; {known} are",
            path,
            remedy="build it with an SDK for one of these",
        )
    raise CompileError(
        f"is a core module, but not a Proxy-Wasm one: it exports no function {abi.marker}",
        path,
        remedy="build it with `pywasm-filter build`, or with an SDK for Proxy-Wasm",
    )


def _version(marker: str) -> str:
    return marker.removeprefix(_MARKER_PREFIX).replace("_", ".")


def _imports(module: Module) -> dict[str, tuple[str, ...]]:
    names: dict[str, list[str]] = {}
    for entry in module.imports:
        names.setdefault(entry.module, []).append(entry.name)
    return {origin: tuple(sorted(found)) for origin, found in sorted(names.items())}


def _memory(module: Module) -> MemoryBounds | None:
    if not module.memories:
        return None
    limits = module.memories[0].limits
    return MemoryBounds(limits.minimum, limits.maximum)


def _producers(module: Module) -> dict[str, dict[str, str]]:
    """The producers section; one that does not follow the convention counts as none, as tools are to treat it."""
    content = next((custom.content for custom in module.customs if custom.name == "producers"), None)
    if content is None:
        return {}
    cursor = Cursor(content)
    try:
        return {
            cursor.name(): {cursor.name(): cursor.name() for _ in range(cursor.count())} for _ in range(cursor.count())
        }
    except MalformedModule:
        return {}
