"""`pywasm-filter inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pywasm_filter.cli.console import JsonOption, console, print_json, printable, size

if TYPE_CHECKING:
    from pywasm_compiler.hosts import HostVerdict
    from pywasm_compiler.inspection import Inspection
    from rich.console import Console


def inspect(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A WebAssembly module.", show_default=False)],
    json: JsonOption = False,
) -> None:
    """Show what a Proxy-Wasm module asks of its host, its sizes, and which hosts can load it.

    It reads modules of any SDK.

    **Example**: `pywasm-filter inspect my_filter.wasm`
    """
    from pywasm_compiler.inspection import inspect_file

    inspection = inspect_file(path)
    if json:
        print_json(inspection.to_json())
    else:
        _print(console(), path, inspection)


def _print(shown: Console, path: Path, found: Inspection) -> None:
    shown.print(f"{path}: Proxy-Wasm ABI {found.abi_version}", style="bold")
    _row(shown, "size", f"{size(found.size)} ({size(found.gzip_size)} with gzip)")
    _row(shown, "code", f"{size(found.code_size)} in {found.function_count:,} functions")
    _row(shown, "data", size(found.data_size))
    if found.memory is not None:
        maximum = "no limit" if found.memory.maximum is None else f"at most {found.memory.maximum:,}"
        _row(shown, "memory", f"{found.memory.minimum:,} pages of 64 KiB, {maximum}")
    _row(shown, "names", "yes" if found.has_function_names else "stripped")
    for field, tools in found.producers.items():
        _row(shown, field, ", ".join(f"{tool} {version}".strip() for tool, version in tools.items()))
    for module, names in found.imports.items():
        _list(shown, f"imports of {module}", names)
    _list(shown, "callbacks", found.callbacks)
    _list(shown, "allocators", found.allocators)
    _list(shown, "entry points", found.entry_points)
    _list(shown, "other exports", found.exports)
    shown.print("hosts", style="bold")
    for host in found.hosts:
        _print_host(shown, host)


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
