"""`pywasm-filter build`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pywasm_filter.cli.console import (
    AllowMissingOption,
    HostOption,
    IgnoreOption,
    JsonOption,
    RequirementsOption,
    console,
    made_for,
    print_finding,
    print_json,
    size,
    steps,
)

if TYPE_CHECKING:
    from pywasm_compiler.findings import Finding
    from pywasm_compiler.inspection import Inspection


def build(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The filter's Python file.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to write the module; by default filter.wasm here for filter.py.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[str, typer.Option(help="What compiles the filter.")] = "cpython",
    strip: Annotated[
        bool, typer.Option("--strip", help="Leave out what only people need: a smaller file, barer stack traces.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Keep all that helps people: a larger file.")] = False,
    host: HostOption = None,
    allow_missing: AllowMissingOption = None,
    ignore: IgnoreOption = None,
    requirements: RequirementsOption = None,
    types: Annotated[bool, typer.Option("--types", help="Run mypy in strict mode, too, as check does.")] = False,
    compile_all: Annotated[
        bool,
        typer.Option(
            "--compile-all",
            help="Compile what rarely runs as well, instead of interpreting it: Envoy takes longer to load the module.",
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Build a filter into one WebAssembly module that Envoy loads.

    The source is checked and imported before it is compiled, so that a mistake shows at once; what may not work is a
    warning. Nothing is written unless all of it succeeds.

    **Example**: `pywasm-filter build filter.py -o my_filter.wasm --host envoy`
    """
    from pywasm_compiler.engine import DebugInfo, Options
    from pywasm_compiler.inspection import inspect_module

    from pywasm_filter.build import build as build_module
    from pywasm_filter.build import check_output, write_module
    from pywasm_filter.checks.checker import refuse_errors
    from pywasm_filter.cli.typecheck import refuse_type_errors
    from pywasm_filter.host_limits import limit_findings

    if strip and debug:
        raise typer.BadParameter("--strip and --debug exclude each other")
    debug_info = DebugInfo.NONE if strip else DebugInfo.FULL if debug else DebugInfo.DEFAULT
    hosts = made_for(path, host, allow_missing)
    target = Path(f"{path.stem}.wasm") if output is None else output
    warnings: list[Finding] = []
    began = time.monotonic()
    check_output(target)
    with steps() as progress:
        if types:
            refuse_type_errors(path, progress)
        data = build_module(
            path,
            engine=engine,
            options=Options(debug_info, compile_all),
            target=hosts,
            ignored=ignore or (),
            requirements=requirements,
            warn=warnings.append,
            progress=progress,
        )
        progress("Saving it")
        inspection = inspect_module(data, target)
        refuse_errors(limit_findings(data, target, inspection, hosts), warnings.append)
        write_module(data, target)
    seconds = time.monotonic() - began
    for warning in warnings:
        print_finding(console(stderr=True), warning)
    if json:
        print_json(_summary_json(target, inspection, seconds))
    else:
        _print_summary(target, inspection, seconds)


def _summary_json(target: Path, inspection: Inspection, seconds: float) -> dict[str, object]:
    return {
        "path": str(target),
        "size": inspection.size,
        "gzip_size": inspection.gzip_size,
        "imports": {module: list(names) for module, names in inspection.imports.items()},
        "hosts": [host.name for host in inspection.hosts if host.loads],
        "seconds": round(seconds, 3),
    }


def _print_summary(target: Path, inspection: Inspection, seconds: float) -> None:
    shown = console()
    shown.print(str(target), style="bold")
    shown.print(f"  size     {size(inspection.size)} ({size(inspection.gzip_size)} with gzip)")
    for module, names in inspection.imports.items():
        shown.print(f"  imports  {len(names)} of {module}: {', '.join(names)}")
    shown.print(f"  hosts    {', '.join(host.name for host in inspection.hosts if host.loads) or 'none'}")
    shown.print(f"  time     {seconds:.1f} s")
