"""Which Proxy-Wasm hosts can load a module, by the ABI table and by what each host insists on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from proxy_wasm_abi import Abi, Host, load
from proxy_wasm_abi.generated.host_imports import HOST_IMPORTS, IMPORT_MODULE, MODULE_EXPORTS, CoreSignature
from proxy_wasm_abi.hosts import ABORTS, MISSING, TRAPS, base_hosts

from pywasm_compiler.wasm.model import ExternKind, FuncType, Import, Module

_CPP_FAMILY = "proxy-wasm-cpp-host"
MEBIBYTE = 1 << 20
_PAGES_PER_MEBIBYTE = 16
# proxy-wasm-cpp-host serves these to modules of the ABI 0.1.0; later versions of the ABI no longer have them.
_OF_0_1_0 = ("proxy_get_configuration", "proxy_continue_request", "proxy_continue_response", "proxy_clear_route_cache")
# Emscripten's glue, which proxy-wasm-cpp-host serves in `env`.
_OF_EMSCRIPTEN = ("emscripten_notify_memory_growth", "pthread_equal")
_WASI_ALIASES = ("wasi_unstable",)


@dataclass(frozen=True)
class HostVerdict:
    """Whether a host can load a module.

    `reasons` say why it cannot, one sentence each; it can when there are none. `never_called` lists the callbacks that
    the module exports and this host never makes, `unimplemented` the imports that it only pretends to have, `fatal`
    those that end the VM, or the host, when they are called.
    """

    name: str
    title: str
    reasons: tuple[str, ...]
    never_called: tuple[str, ...]
    unimplemented: tuple[str, ...]
    fatal: tuple[str, ...]

    @property
    def loads(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


def judge(module: Module, abi_version: str, size: int) -> tuple[HostVerdict, ...]:
    """The verdict for each host of the table of hosts on a module of `size` bytes; versions of one are left out."""
    return tuple(judge_for(host, module, abi_version, size) for host in base_hosts())


def judge_for(host: Host, module: Module, abi_version: str, size: int) -> HostVerdict:
    """One host's verdict on a module of `size` bytes."""
    abi = load()
    reasons = (
        *_general_reasons(module, abi),
        *_host_reasons(module, abi, host, abi_version),
        *(reason for _, reason in limits_exceeded(module, host, size)),
    )
    never_called = [callback.name for callback in abi.callbacks if callback.name in host.never_called]
    facts = {entry.name: host.answer(entry.name) for entry in module.imported(ExternKind.FUNC)}
    useless = {name: fact.answer for name, fact in facts.items() if fact is not None and not fact.except_in}
    return HostVerdict(
        name=host.name,
        title=host.title,
        reasons=reasons,
        never_called=tuple(name for name in never_called if module.export(name)),
        unimplemented=tuple(name for name, answer in useless.items() if answer not in (MISSING, TRAPS, ABORTS)),
        fatal=tuple(name for name, answer in useless.items() if answer in (TRAPS, ABORTS)),
    )


def is_wasi(entry: Import, abi: Abi) -> bool:
    """Whether an import is a WASI function."""
    return entry.module in (abi.wasi_module, *_WASI_ALIASES)


def _general_reasons(module: Module, abi: Abi) -> Iterator[str]:
    """What no host accepts."""
    for entry in module.imports:
        if entry.kind is not ExternKind.FUNC:
            yield f"the import {entry.module}.{entry.name} is a {entry.kind.name.lower()}; hosts offer functions"
    if not any(entry.kind is ExternKind.MEMORY for entry in module.exports):
        yield "the memory is not exported"
    if not any(_exports_function(module, name) for name in abi.allocators):
        yield f"no allocator is exported: neither {' nor '.join(abi.allocators)}"
    for entry in module.imported(ExternKind.FUNC):
        if entry.module == IMPORT_MODULE and entry.name in HOST_IMPORTS:
            yield from _mismatch(f"the import {entry.name}", HOST_IMPORTS[entry.name], _type_of_import(module, entry))
    for exported in module.exports:
        if exported.kind is ExternKind.FUNC and exported.name in MODULE_EXPORTS:
            signature = module.function_type(exported.index)
            yield from _mismatch(f"the export {exported.name}", MODULE_EXPORTS[exported.name], signature)


def _host_reasons(module: Module, abi: Abi, host: Host, abi_version: str) -> Iterator[str]:
    if not any(_exports_function(module, f"proxy_abi_version_{v.replace('.', '_')}") for v in host.abi_versions):
        yield f"it is made for the ABI {abi_version}; the host loads {' and '.join(host.abi_versions)}"
    for entry in module.imported(ExternKind.FUNC):
        if is_wasi(entry, abi):
            if entry.name not in abi.wasi_served:
                yield f"it imports {entry.name} of WASI, which not every version of the host serves"
        elif not _offers(abi, host, entry, abi_version):
            yield f"it imports {entry.module}.{entry.name}, which the host does not offer"
    for name in host.required_exports:
        if not _exports_function(module, name):
            yield f"it does not export {name}, which the host requires"


def limits_exceeded(module: Module, host: Host, size: int) -> Iterator[tuple[str, str]]:
    """The rules of a host that a module of `size` bytes is too large for, each with a sentence about the module."""
    module_limit, memory_limit = host.rules.module_mebibytes, host.rules.memory_mebibytes
    if module_limit is not None and size > module_limit * MEBIBYTE:
        yield (
            "module_mebibytes",
            f"it has {size / MEBIBYTE:.1f} MiB; the host takes modules of {module_limit} MiB",
        )
    pages = max((memory.limits.minimum for memory in module.memories), default=0)
    if memory_limit is not None and pages > memory_limit * _PAGES_PER_MEBIBYTE:
        yield (
            "memory_mebibytes",
            f"it needs {pages / _PAGES_PER_MEBIBYTE:.1f} MiB of memory; the host gives a VM {memory_limit} MiB",
        )


def _offers(abi: Abi, host: Host, entry: Import, abi_version: str) -> bool:
    if entry.module != IMPORT_MODULE:
        return False
    hostcall = abi.hostcall(entry.name)
    if hostcall is not None:
        fact = host.answer(hostcall.name)
        return fact is None or fact.answer != MISSING
    if host.family != _CPP_FAMILY:
        return False
    return entry.name in _OF_EMSCRIPTEN or (abi_version == "0.1.0" and entry.name in _OF_0_1_0)


def _exports_function(module: Module, name: str) -> bool:
    found = module.export(name)
    return found is not None and found.kind is ExternKind.FUNC


def _type_of_import(module: Module, entry: Import) -> FuncType:
    assert isinstance(entry.type, int)
    return module.types[entry.type]


def _mismatch(what: str, wanted: CoreSignature, found: FuncType) -> Iterator[str]:
    params = tuple(value.name.lower() for value in found.params)
    results = tuple(value.name.lower() for value in found.results)
    if (params, results) != (wanted.params, wanted.results):
        yield f"{what} has the type {found}, not ({', '.join(wanted.params)}) -> ({', '.join(wanted.results)})"
