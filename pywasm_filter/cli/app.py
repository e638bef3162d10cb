"""The commands put together, and the one place where a user's mistake is shown."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from pywasm_compiler.errors import CompileError
from typer.core import TyperGroup

from pywasm_filter.cli.build import build
from pywasm_filter.cli.check import check
from pywasm_filter.cli.console import print_error
from pywasm_filter.cli.inspect import inspect
from pywasm_filter.cli.new import new
from pywasm_filter.cli.try_ import try_
from pywasm_filter.cli.version import own_version


class _Group(TyperGroup):
    """Shows a CompileError and exits with 1, in place of a traceback."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # the class that typer makes
        try:
            return super().invoke(ctx)
        except CompileError as error:
            print_error(error, ctx)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A first filter: pywasm-filter new my_filter; cd my_filter; pytest",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pywasm-filter {own_version() or 'from a checkout'}")
        raise typer.Exit


@app.callback()
def pywasm_filter(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Write Envoy (Proxy-Wasm) filters in Python: scaffold, check, try and build them.

    Exit status: 0 on success, 1 when a check or a build fails, 2 on bad usage.
    """


app.command(no_args_is_help=True)(new)
app.command(no_args_is_help=True)(check)
app.command(name="try", no_args_is_help=True)(try_)
app.command(no_args_is_help=True)(build)
app.command(no_args_is_help=True)(inspect)
