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
_CODE = "code"
_DATA_OF_INTERPRETER = ("static data of the interpreter", "interpreted functions")


def limit_findings(data: bytes, path: Path, inspection: Inspection, target: Target) -> list[Finding]:
    """Why hosts of a target do not load a module with these bytes, which were inspected; `path` is its place."""
    return [finding for host in target.profiles for finding in _of_host(host, data, path, inspection)]


def _of_host(host: Host, data: bytes, path: Path, inspection: Inspection) -> Iterator[Finding]:
    exceeded = dict(limits_exceeded(read_module_of(data, path), host, len(data)))
    for rule, reason in exceeded.items():
        facts = {fact.name: fact.source for fact in host.rule_facts}
        detail = [*_largest(inspection), f"known from {facts[rule]} ({host.origin})"]
        yield Finding(
            rule="host",
            message=f"{host.name} does not load it: {reason}",
            file=path,
            remedy=_remedy(host, inspection),
            detail="\n".join(detail),
        )
    for reason in verdict_on(host, data, path).reasons:
        if reason not in exceeded.values():
            message = f"{host.name} does not load it: {reason}"
            yield Finding(rule="host", message=message, file=path, remedy="build it for another host")


def _remedy(host: Host, inspection: Inspection) -> str:
    """What could make a module smaller; told as well where nothing could."""
    share, packed = inspection.bytes, _packed(inspection)
    limit = host.rules.module_mebibytes
    interpreter = _named(share, _CODE) + int(packed * sum(_named(share, name) for name in _DATA_OF_INTERPRETER))
    if limit is not None and interpreter > limit * MEBIBYTE:
        return (
            f"there is none: the interpreter alone takes {interpreter / MEBIBYTE:.1f} MiB of it; "
            "run the filter in another host"
        )
    strip = _named(share, _NAMES)
    saves = f"--strip saves {strip / MEBIBYTE:.1f} MiB; " if strip else ""
    return f"{saves}import less: `pywasm-filter inspect --deep` shows what each package takes"


def _packed(inspection: Inspection) -> float:
    """What compression makes of the data in the file."""
    return inspection.sections.get("data", 0) / inspection.data_size if inspection.data_size else 1.0


def _named(share: Share, name: str) -> int:
    """The size of a part, wherever it is."""
    return share.size if share.name == name else sum(_named(child, name) for child in share.children)


def _largest(inspection: Inspection) -> list[str]:
    """The parts of a file, and the largest parts of these."""
    lines = [f"{_sized(part)}{_parts_of(part)}" for part in inspection.bytes.children]
    if inspection.unpacked_size != inspection.size:
        packed = inspection.sections.get("data", 0) / MEBIBYTE
        lines.append(f"the data are compressed: {packed:.1f} MiB in the file")
    return lines


def _parts_of(share: Share) -> str:
    return f": {', '.join(map(_sized, share.children[:_SHOWN]))}, …" if share.children else ""


def _sized(share: Share) -> str:
    return f"{share.size / MEBIBYTE:.1f} MiB {share.name}"
