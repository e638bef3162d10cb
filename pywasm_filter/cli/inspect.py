"""`pywasm-filter inspect`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pywasm_filter.cli.console import JsonOption, console, print_json, printable, size, steps

if TYPE_CHECKING:
    from pywasm_compiler.breakdown import Share
    from pywasm_compiler.hosts import HostVerdict
    from pywasm_compiler.inspection import Inspection
    from pywasm_compiler.provenance import Record
    from pywasm_compiler.wasm.model import Module
    from rich.console import Console


def inspect(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A WebAssembly module.", show_default=False)],
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Measure what each Python package takes, in a module that this version built."),
    ] = False,
    chart: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw where the bytes are: a .svg or .html file.", show_default=False),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show what a Proxy-Wasm module asks of its host, how it was made, where its bytes are, and which hosts load it.

    It reads modules of any SDK.

    **Example**: `pywasm-filter inspect my_filter.wasm --deep --chart bytes.html`
    """
    from pywasm_compiler.inspection import inspect_file

    from pywasm_filter.cli.bytes_view import check_chart, write_chart

    if chart is not None:
        check_chart(chart)
    inspection = inspect_file(path, _measure(path) if deep else None)
    if chart is not None:
        write_chart(inspection.bytes, path.name, chart)
    if json:
        print_json(inspection.to_json())
    else:
        _print(console(), path, inspection)


def _measure(path: Path) -> Callable[[Module], Share]:
    def measure(module: Module) -> Share:
        from pywasm_compiler.cpython.snapshot import snapshot_shares

        with steps() as progress:
            return snapshot_shares(module, path, progress)

    return measure


def _print(shown: Console, path: Path, found: Inspection) -> None:
    from pywasm_filter.cli.bytes_view import print_bytes

    shown.print(f"{path}: Proxy-Wasm ABI {found.abi_version}", style="bold")
    _row(shown, "size", f"{size(found.size)} ({size(found.gzip_size)} with gzip)")
    _row(shown, "code", f"{size(found.code_size)} in {found.function_count:,} functions")
    compressed = ", compressed in the file" if found.unpacked_size > found.size else ""
    _row(shown, "data", f"{size(found.data_size)}{compressed}")
    if found.memory is not None:
        maximum = "no limit" if found.memory.maximum is None else f"at most {found.memory.maximum:,}"
        _row(shown, "memory", f"{found.memory.minimum:,} pages of 64 KiB, {maximum}")
    _row(shown, "names", "yes" if found.has_function_names else "stripped")
    _print_provenance(shown, found.provenance)
    for field, tools in found.producers.items():
        _row(shown, field, ", ".join(f"{tool} {version}".strip() for tool, version in tools.items()))
    _list(shown, "packages", tuple(map(_package, found.provenance.get("packages", ()))))
    for module, names in found.imports.items():
        _list(shown, f"imports of {module}", names)
    _list(shown, "callbacks", found.callbacks)
    _list(shown, "allocators", found.allocators)
    _list(shown, "entry points", found.entry_points)
    _list(shown, "other exports", found.exports)
    print_bytes(shown, found.bytes)
    shown.print("hosts", style="bold")
    for host in found.hosts:
        _print_host(shown, host)


def _print_provenance(shown: Console, record: Record) -> None:
    """What a module of this compiler says of its making."""
    if build := record.get("build"):
        tools = ", ".join(f"{tool} {version}".strip() for tool, version in build["tools"].items())
        _row(shown, "built by", f"{tools}; {build['engine']} {build['python']}")
    if options := record.get("options"):
        _row(shown, "options", ", ".join(f"{name} {value}" for name, value in options.items()))
    if (target := record.get("target")) and target["hosts"]:
        allowed = f", without {', '.join(target['allow_missing'])}" if target["allow_missing"] else ""
        _row(shown, "built for", ", ".join(target["hosts"]) + allowed)
    if source := record.get("filter"):
        _row(shown, "sources", f"{source['module']}: {_count(source['files'])}, sha256 {source['sha256']}")
    if (data := record.get("data")) and data["files"]:
        _row(shown, "data read", f"{_count(data['files'])}, sha256 {data['sha256']}")


def _package(package: Mapping[str, Any]) -> str:
    name = f"{package['name']} {package['version']}".strip()
    return f"{name}: {_count(package['files'])}, sha256 {package['sha256']}"


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"


def _row(shown: Console, name: str, value: str) -> None:
    shown.print(printable(f"  {name:<13} {value}"))


def _list(shown: Console, title: str, names: tuple[str, ...]) -> None:
    if names:
        shown.print(printable(f"{title} ({len(names)})"), style="bold")
        for name in names:
            shown.print(printable(f"  {name}"))


def _print_host(shown: Console, host: HostVerdict) -> None:
    shown.print(f"  {'loads  ' if host.loads else 'refuses'}  {host.title}", style="green" if host.loads else "red")
    for reason in host.reasons:
        shown.print(printable(f"           {reason}"))
    if host.never_called:
        shown.print(f"           never calls {', '.join(host.never_called)}", style="dim")
    if host.unimplemented:
        shown.print(f"           does nothing for {', '.join(host.unimplemented)}", style="dim")
    if host.fatal:
        shown.print(f"           fails when it is asked for {', '.join(host.fatal)}", style="yellow")
