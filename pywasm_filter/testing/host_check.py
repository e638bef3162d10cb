"""Whether the host that a test plays would load the filter at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from proxy_wasm_abi import Host, find_host
from proxy_wasm_abi.hosts import MISSING
from pywasm_compiler.hosts import MEBIBYTE
from pywasm_compiler.inspection import verdict_of
from pywasm_compiler.source import read_source_tree

from pywasm_filter.host_findings import ABI_VERSION, EXPORTED
from pywasm_filter.needed_by import uses_of
from pywasm_filter.testing.errors import HostRefusesFilter
from pywasm_filter.testing.guests.inprocess import filter_needs
from pywasm_filter.testing.settings import PluginSettings


def check_filter(filter_path: Path, settings: PluginSettings) -> None:
    """Raise HostRefusesFilter when the module that is built of a filter would not load, as far as its source tells."""
    host = find_host(settings.host_profile)
    if not host.is_plain_envoy:
        _raise_for(host, [*_reasons(host, filter_path, settings)])


def check_module(module: Path, filter_path: Path, settings: PluginSettings) -> None:
    """Raise HostRefusesFilter when a module would not load. `filter_path` is the module, or its source.

    Raises CompileError for what is no module.
    """
    host = find_host(settings.host_profile)
    if host.is_plain_envoy:
        return
    verdict = verdict_of(host, module, len(settings.configuration))
    if verdict.reasons and module != filter_path:
        _raise_for(host, [*_missing_hostcalls(host, filter_path), *_other_reasons(verdict.reasons)])
    _raise_for(host, list(verdict.reasons))


def _reasons(host: Host, filter_path: Path, settings: PluginSettings) -> Iterator[str]:
    if ABI_VERSION not in host.abi_versions:
        yield f"it is made for the ABI {ABI_VERSION}; the host loads {' and '.join(host.abi_versions)}"
    yield from _missing_hostcalls(host, filter_path)
    exported = {*filter_needs(filter_path).callbacks, *EXPORTED}
    for name in host.required_exports:
        if name not in exported:
            yield f"it does not export {name}, which the host requires"
    limit = host.rules.module_mebibytes
    if limit is not None and len(settings.configuration) > limit * MEBIBYTE:
        yield f"its configuration has {len(settings.configuration):,} bytes; with the module, {limit} MiB is the limit"


def _missing_hostcalls(host: Host, filter_path: Path) -> Iterator[str]:
    for name in filter_needs(filter_path).hostcalls:
        fact = host.answer(name)
        if fact is not None and fact.answer == MISSING:
            tree = read_source_tree(filter_path)
            places = ", ".join(map(str, uses_of((*tree.modules, *tree.installed), name)))
            yield f"it imports {name}, which the host does not offer; needed by {places or 'every filter'}"


def _other_reasons(reasons: tuple[str, ...]) -> list[str]:
    return [reason for reason in reasons if "which the host does not offer" not in reason]


def _raise_for(host: Host, reasons: list[str]) -> None:
    if reasons:
        raise HostRefusesFilter(host.name, reasons)
