"""What keeps a finished module from loading in the hosts that it is for, its size above all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from proxy_wasm_abi import Host
from pywasm_compiler.breakdown import Share
from pywasm_compiler.findings import Finding
from pywasm_compiler.hosts import MEBIBYTE, limits_exceeded
from pywasm_compiler.inspection import Inspection, read_module_of, verdict_on

from pywasm_filter.project import Target

_SHOWN = 4
_NAMES = "names of functions"
_INTERPRETER = ("code", "static data of the interpreter")


def limit_findings(data: bytes, path: Path, inspection: Inspection, target: Target) -> list[Finding]:
    """Why hosts of a target do not load a module with these bytes, which were inspected; `path` is its place."""
    return [finding for host in target.profiles for finding in _of_host(host, data, path, inspection)]


def _of_host(host: Host, data: bytes, path: Path, inspection: Inspection) -> Iterator[Finding]:
    exceeded = dict(limits_exceeded(read_module_of(data, path), host, len(data)))
    for rule, reason in exceeded.items():
        facts = {fact.name: fact.source for fact in host.rule_facts}
        detail = [*_largest(inspection.bytes), f"known from {facts[rule]} ({host.origin})"]
        yield Finding(
            rule="host",
            message=f"{host.name} does not load it: {reason}",
            file=path,
            remedy=_remedy(host, inspection.bytes),
            detail="\n".join(detail),
        )
    for reason in verdict_on(host, data, path).reasons:
        if reason not in exceeded.values():
            message = f"{host.name} does not load it: {reason}"
            yield Finding(rule="host", message=message, file=path, remedy="build it for another host")


def _remedy(host: Host, share: Share) -> str:
    """What could make a module smaller; told as well where nothing could."""
    limit = host.rules.module_mebibytes
    interpreter = sum(_named(share, name) for name in _INTERPRETER)
    if limit is not None and interpreter > limit * MEBIBYTE:
        return (
            f"there is none: the interpreter alone takes {interpreter / MEBIBYTE:.1f} MiB of it; "
            "run the filter in another host"
        )
    strip = _named(share, _NAMES)
    saves = f"--strip saves {strip / MEBIBYTE:.1f} MiB; " if strip else ""
    return f"{saves}import less: `pywasm-filter inspect --deep` shows what each package takes"


def _named(share: Share, name: str) -> int:
    """The size of a part, wherever it is."""
    return share.size if share.name == name else sum(_named(child, name) for child in share.children)


def _largest(share: Share) -> list[str]:
    """The parts of a file, and the largest parts of these."""
    return [
        f"{part.size / MEBIBYTE:.1f} MiB {part.name}"
        + (
            f": {', '.join(f'{child.size / MEBIBYTE:.1f} MiB {child.name}' for child in part.children[:_SHOWN])}, …"
            if part.children
            else ""
        )
        for part in share.children
    ]
