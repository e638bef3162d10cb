"""A compiled module under wasmtime, linked and checked as proxy-wasm-cpp-host does."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import proxy_wasm_abi
import wasmtime
from proxy_wasm_abi.generated.host_imports import HOST_IMPORTS, IMPORT_MODULE, MODULE_EXPORTS, CoreSignature

from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing.errors import CallbackTimeout, GuestLoadError, ProxyTestError
from pywasm_filter.testing.guest_coverage import GuestCoverage
from pywasm_filter.testing.guests.code_cache import CodeCache
from pywasm_filter.testing.guests.engine import SETTINGS, engine, one_line, set_deadline
from pywasm_filter.testing.guests.guest import GuestTrap
from pywasm_filter.testing.guests.imports import CoreFunction, host_imports
from pywasm_filter.testing.guests.limits import Limits
from pywasm_filter.testing.guests.memory import PAGE, GuestMemory
from pywasm_filter.testing.guests.module_image import ModuleImage, split_module
from pywasm_filter.testing.guests.recording import RecordingLayout, RecordingReader, find_recording
from pywasm_filter.testing.guests.wasi import SIGNATURES as WASI_SIGNATURES
from pywasm_filter.testing.guests.wasi import Wasi

_LEAST_KEPT = 256 << 10  # bytes of a module; less is compiled in milliseconds
_MAGIC = b"\0asm"
_MAX_TABLE = 10_000_000  # V8's
# V8 sets no such limits; these keep what a module can take within a few times the largest memory and table.
_MAX_MEMORIES = 4
_MAX_TABLES = 16

# The ABI versions whose callbacks are those of the table.
_MARKERS = ("proxy_abi_version_0_2_1", "proxy_abi_version_0_2_0")
_ALLOCATORS = ("malloc", "proxy_on_memory_allocate")  # the first that is there
_ALLOCATOR = CoreSignature(("i32",), ("i32",))
_ENTRY_POINTS = {
    "_initialize": CoreSignature((), ()),
    "_start": CoreSignature((), ()),
    "main": CoreSignature(("i32", "i32"), ("i32",)),
    "__main_void": CoreSignature((), ("i32",)),
}
_WASI_MODULES = ("wasi_snapshot_preview1", "wasi_unstable")

# What a module may call while it starts, and what its allocator may.
_ALLOWED_AT_START = frozenset(
    {
        "proxy_log",
        "fd_write",
        "args_sizes_get",
        "args_get",
        "environ_sizes_get",
        "environ_get",
        "clock_time_get",
        "random_get",
        "fd_fdstat_get",
    }
)
_ALLOWED_IN_ALLOCATOR = frozenset({"proxy_log", "fd_write", "clock_time_get"})


class WasmtimeModule:
    """A module that has been checked and compiled; makes guests of it, each in milliseconds.

    Raises GuestLoadError for what a Proxy-Wasm host refuses to load.
    """

    def __init__(
        self,
        data: bytes,
        *,
        environment: Mapping[str, str] | None = None,
        cache: CodeCache | None = None,
        coverage: GuestCoverage | None = None,
    ) -> None:
        """`coverage` gets what the module records, if it is built to record anything."""
        if not data.startswith(_MAGIC):  # wasmtime would take it for the text format
            raise GuestLoadError("not a valid module: it does not begin as WebAssembly does")
        image = split_module(data)
        self._coverage = coverage
        self._recording = None if coverage is None else find_recording(image)
        self._environment = dict(environment or {})
        cache = cache or default_cache()
        self._module = cache.module(image.code)
        self._image = replace(image, code=b"")  # megabytes that nobody needs any more
        _check_exports(self._module.exports)
        _check_imports(self._module.imports)

    @classmethod
    def read(
        cls, path: Path, *, environment: Mapping[str, str] | None = None, coverage: GuestCoverage | None = None
    ) -> WasmtimeModule:
        """Read a module's file. Raises GuestLoadError when it cannot be read."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise GuestLoadError(f"{path} cannot be read: {error.strerror}") from error
        try:
            return cls(data, environment=environment, coverage=coverage)
        except GuestLoadError as error:
            raise GuestLoadError(f"{path}: {error}") from error

    def instantiate(
        self, host: Hostcalls, limits: Limits | None = None, capabilities: Collection[str] | None = None
    ) -> WasmtimeGuest:
        """A fresh VM, which may use the WASI functions among `capabilities`, or all. A `GuestFactory`."""
        guest = WasmtimeGuest(self._module, self._image, host, self._environment, limits or Limits(), capabilities)
        if self._coverage is not None and self._recording is not None:
            guest.record(self._recording, self._coverage)
        return guest


class WasmtimeGuest:
    """One VM of a compiled filter."""

    def __init__(
        self,
        module: wasmtime.Module,
        image: ModuleImage,
        host: Hostcalls,
        environment: Mapping[str, str],
        limits: Limits,
        capabilities: Collection[str] | None = None,
    ) -> None:
        """Raises GuestLoadError when the module cannot be instantiated, CallbackTimeout when that does not end."""
        self._limits = limits
        self._running = "the module's start function"
        self._depth = 0
        self._discarded = False
        self._check_memory(image.pages)
        self._store = wasmtime.Store(engine())
        self._store.set_limits(
            memory_size=limits.memory_bytes, table_elements=_MAX_TABLE, tables=_MAX_TABLES, memories=_MAX_MEMORIES
        )
        set_deadline(self._store, limits.callback_seconds)
        self._allowed: frozenset[str] | None = frozenset()  # nothing while a core start function runs
        self._imports = {**host_imports(host, self), **Wasi(host, self, environment, capabilities).functions()}
        try:
            self._exports = self._linker(module).instantiate(self._store, module).exports(self._store)
            memory = self._exports.get("memory")
            assert isinstance(memory, wasmtime.Memory)  # checked with the module
            self.memory = GuestMemory(self._store, memory)
            self.memory.ensure_pages(image.pages)
        except wasmtime.Trap as trap:
            raise self._timeout(trap) or GuestLoadError(f"the module cannot be instantiated: {_reason(trap)}") from trap
        except (wasmtime.WasmtimeError, GuestTrap) as error:
            raise GuestLoadError(f"the module cannot be instantiated: {one_line(error)}") from error
        self._allowed = None
        self.memory.expect_filling()
        for address, content in image.runs:
            if not self.memory.write(address, content):
                raise GuestLoadError(f"the module's data at {address:#x} is outside of its memory")
        self._allocator = next(entry for name in _ALLOCATORS if (entry := self._function(name)) is not None)
        self.exports = frozenset(name for name in MODULE_EXPORTS if self._function(name) is not None)
        self._tell_coverage: Callable[[], None] = lambda: None

    def start(self) -> None:
        """_initialize and main, or _start."""
        with_main = self._function("_initialize") is not None
        calls: tuple[tuple[str, tuple[int, ...]], ...] = (
            (("_initialize", ()), ("main", (0, 0)) if self._function("main") else ("__main_void", ()))
            if with_main
            else (("_start", ()),)
        )
        self._allowed = _ALLOWED_AT_START
        try:
            for name, args in calls:
                function = self._function(name)
                if function is not None:
                    self._enter(name, function, *args)
        finally:
            self._allowed = None

    def call(self, name: str, *args: int) -> int | None:
        """Call a callback. Raises GuestTrap, CallbackTimeout, and what a hostcall raises that means the test."""
        if self._discarded:
            raise ProxyTestError(f"{name} cannot be called: the proxy has been closed")
        function = self._function(name)
        assert function is not None
        return self._enter(name, function, *args)

    def record(self, layout: RecordingLayout, coverage: GuestCoverage) -> None:
        """Tell what has run, of which there is something from before the snapshot, after each callback."""
        reader = RecordingReader(layout, self.memory)
        self._tell_coverage = lambda: coverage.add(reader.news())
        self._tell_coverage()

    def discard(self) -> None:
        """Give the memory back, once the call that runs has returned: the garbage collector would not hurry for it."""
        self._discarded = True
        if not self._depth:
            self._store.close()

    def allocate(self, data: bytes) -> int | None:
        """Put data into memory that the module's allocator gives; None if that is no memory of the module's."""
        before, self._allowed = self._allowed, _ALLOWED_IN_ALLOCATOR
        try:
            address = (self._call(self._allocator, len(data)) or 0) & 0xFFFF_FFFF
        finally:
            self._allowed = before
        return address if address and self.memory.write(address, data) else None

    def _enter(self, name: str, function: wasmtime.Func, *args: int) -> int | None:
        """Call a function of the module's from outside: what it calls in turn shares its time."""
        self._running = name
        set_deadline(self._store, self._limits.callback_seconds)
        self._depth += 1
        try:
            return self._call(function, *args)
        finally:
            self._tell_coverage()
            self._depth -= 1
            if self._discarded and not self._depth:
                self._store.close()

    def _call(self, function: wasmtime.Func, *args: int) -> int | None:
        try:
            result = function(self._store, *args)
        except wasmtime.Trap as trap:
            raise self._timeout(trap) or GuestTrap(self._reason(trap), _frames(trap)) from trap
        except wasmtime.WasmtimeError as error:
            raise GuestTrap(str(error)) from error
        return result & 0xFFFF_FFFF if isinstance(result, int) else None

    def _timeout(self, trap: wasmtime.Trap) -> CallbackTimeout | None:
        if trap.trap_code is not wasmtime.TrapCode.INTERRUPT:
            return None
        return CallbackTimeout(self._running, self._limits.callback_seconds, _frames(trap))

    def _reason(self, trap: wasmtime.Trap) -> str:
        """Why the module trapped; what has no memory left traps in many ways."""
        if self.memory.size + PAGE <= self._limits.memory_bytes:
            return _reason(trap)
        return f"{_reason(trap)} (its memory had come to the limit: {self._limits.memory_text})"

    def _check_memory(self, pages: int) -> None:
        if pages * PAGE > self._limits.memory_bytes:
            raise GuestLoadError(
                f"the module cannot be instantiated: it starts with {pages * PAGE >> 20} MiB of memory, "
                f"and the limit is {self._limits.memory_text}"
            )

    def _function(self, name: str) -> wasmtime.Func | None:
        export = self._exports.get(name)
        return export if isinstance(export, wasmtime.Func) else None

    def _linker(self, module: wasmtime.Module) -> wasmtime.Linker:
        linker = wasmtime.Linker(engine())
        linker.allow_shadowing = True  # a module may import a function more than once
        for entry in module.imports:
            assert entry.name is not None
            assert isinstance(entry.type, wasmtime.FuncType)
            linker.define_func(entry.module, entry.name, entry.type, _import(weakref.ref(self), entry.name))
        return linker

    def _called(self, name: str, args: tuple[int, ...]) -> int | None:
        if self._allowed is not None and name not in self._allowed:
            raise GuestTrap(f"{name} must not be called while the module starts or allocates memory")
        return self._imports[name](*args)


def _import(guest: weakref.ref[WasmtimeGuest], name: str) -> CoreFunction:
    """A function for wasmtime, which keeps it as long as the store: it must not keep the store in turn."""

    def call(*args: int) -> int | None:
        alive = guest()
        assert alive is not None
        return alive._called(name, args)

    return call


@cache
def default_cache() -> CodeCache:
    """The cache in the user's cache directory."""
    return CodeCache(engine(), SETTINGS, least_size=_LEAST_KEPT)


@atexit.register
def _forget() -> None:
    # wasmtime's objects complain when they are still there once the interpreter takes its modules down.
    default_cache.cache_clear()


# --- checks ---


def _check_exports(exports: Iterable[wasmtime.ExportType]) -> None:
    by_name = {entry.name: entry.type for entry in exports}
    functions = {name: kind for name, kind in by_name.items() if isinstance(kind, wasmtime.FuncType)}
    if not any(marker in functions for marker in _MARKERS):
        raise GuestLoadError(_no_marker(functions))
    if not isinstance(by_name.get("memory"), wasmtime.MemoryType):
        raise GuestLoadError("the module exports no memory under the name 'memory'")
    allocator = next((name for name in _ALLOCATORS if name in functions), None)
    if allocator is None:
        raise GuestLoadError(f"the module exports no allocator: {' or '.join(_ALLOCATORS)}")
    for name, signature in {allocator: _ALLOCATOR, **_ENTRY_POINTS, **MODULE_EXPORTS}.items():
        if name in functions and _signature(functions[name]) != signature:
            raise GuestLoadError(
                f"the module exports {name} as {_text(_signature(functions[name]))}, not as {_text(signature)}"
            )


def _no_marker(functions: Iterable[str]) -> str:
    older = [name for name in proxy_wasm_abi.load().older_markers if name in functions]
    if older:
        return (
            f"the module is made for an ABI that the embedded proxy does not offer: {older[0]}; run the test with "
            "--pywasm-host=envoy"
        )
    return f"not a Proxy-Wasm module: it exports no function {_MARKERS[0]}"


def _check_imports(imports: Iterable[wasmtime.ImportType]) -> None:
    offered = {(IMPORT_MODULE, name): signature for name, signature in HOST_IMPORTS.items()}
    offered |= {(module, name): entry for module in _WASI_MODULES for name, entry in WASI_SIGNATURES.items()}
    for entry in imports:
        name = f"{entry.module}.{entry.name}"
        if not isinstance(entry.type, wasmtime.FuncType):
            raise GuestLoadError(f"the module imports {name}, which is no function; hosts offer functions only")
        signature = offered.get((entry.module, entry.name or ""))
        if signature is None:
            raise GuestLoadError(f"the module imports {name}, which Proxy-Wasm hosts do not offer")
        if _signature(entry.type) != signature:
            raise GuestLoadError(
                f"the module imports {name} as {_text(_signature(entry.type))}; it is {_text(signature)}"
            )


def _signature(kind: wasmtime.FuncType) -> CoreSignature:
    return CoreSignature(tuple(map(str, kind.params)), tuple(map(str, kind.results)))


def _text(signature: CoreSignature) -> str:
    return f"({', '.join(signature.params)}) -> ({', '.join(signature.results)})"


def _reason(trap: wasmtime.Trap) -> str:
    """What happened, without wasmtime's own rendering of the backtrace."""
    lines = [line.strip() for line in trap.message.splitlines() if line.strip()]
    return (lines or ["trap"])[-1].removeprefix("wasm trap: ")


def _frames(trap: wasmtime.Trap) -> tuple[str, ...]:
    """The functions it happened in, innermost first."""
    return tuple(frame.func_name or f"function {frame.func_index}" for frame in trap.frames)
