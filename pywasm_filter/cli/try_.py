"""`pywasm-filter try`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from pywasm_filter.cli.console import JsonOption, console, print_json

if TYPE_CHECKING:
    from pywasm_filter.testing import Request, Response

_OF_THE_UPSTREAM = "The upstream's answer"


def try_(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A filter's Python file, or a built module.", show_default=False)
    ],
    target: Annotated[str, typer.Argument(metavar="URL", help="Path or URL to request.")] = "/",
    method: Annotated[
        str | None, typer.Option("--request", "-X", metavar="METHOD", help="GET, or POST with -d.", show_default=False)
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="NAME: VALUE", help="A header; may be repeated.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", metavar="TEXT|@FILE", help="The request's body.", show_default=False)
    ] = None,
    config: Annotated[
        str,
        typer.Option("--config", "-c", metavar="TEXT|@FILE", help="The plugin's configuration.", show_default=False),
    ] = "",
    root_id: Annotated[str, typer.Option(help="Which root context to use.", show_default=False)] = "",
    allow_on_headers_stop_iteration: Annotated[
        bool,
        typer.Option(
            "--allow-on-headers-stop-iteration",
            help="As in Envoy's configuration: a PAUSE from a headers callback lets the body callbacks go on.",
        ),
    ] = False,
    upstream_status: Annotated[
        int, typer.Option(min=200, max=599, help="Its status.", rich_help_panel=_OF_THE_UPSTREAM)
    ] = 200,
    upstream_header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME: VALUE", help="One of its headers; may be repeated.", rich_help_panel=_OF_THE_UPSTREAM
        ),
    ] = None,
    upstream_body: Annotated[
        str,
        typer.Option(metavar="TEXT|@FILE", help="Its body.", show_default=False, rich_help_panel=_OF_THE_UPSTREAM),
    ] = "",
    json: JsonOption = False,
) -> None:
    """Send one request through a filter in an embedded proxy, and show what it changed.

    The filter runs in this process, a built module under wasmtime; an upstream that answers as told stands behind.
    Lines that the filter added, changed or removed are marked with +, ~ and -.

    **Example**: `pywasm-filter try filter.py /x -H 'user-agent: t' -d 'hello' --upstream-status 404`
    """
    from pywasm_filter.cli.trial import run_trial
    from pywasm_filter.testing import PluginSettings

    settings = PluginSettings(
        configuration=_content(config, "-c"),
        root_id=root_id,
        allow_on_headers_stop_iteration=allow_on_headers_stop_iteration,
    )
    body = b"" if data is None else _content(data, "-d")
    request = _request(method or ("GET" if data is None else "POST"), target, _headers(header, "-H"), body)
    upstream = _upstream(upstream_status, _headers(upstream_header, "--upstream-header"), upstream_body)
    trial = run_trial(path, request, upstream, settings)
    if json:
        print_json(trial.to_json())
    else:
        from pywasm_filter.cli.trial_view import print_trial

        print_trial(console(), trial)


def _request(method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> Request:
    from pywasm_filter.testing.client import outgoing_request

    if "://" in target:
        url = urlsplit(target)
        headers = [("host", url.netloc), *headers]
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    try:
        return outgoing_request(method, target, headers=headers, body=body)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _upstream(status: int, headers: list[tuple[str, str]], body: str) -> Response:
    from pywasm_filter.testing import Response
    from pywasm_filter.testing.wire import check_message

    try:
        response = Response(status, headers=headers, body=_content(body, "--upstream-body"))
        check_message("upstream's response", response)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--upstream-header") from error
    return response


def _headers(given: list[str] | None, option: str) -> list[tuple[str, str]]:
    """Pairs of `name: value`."""
    pairs = []
    for text in given or []:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise typer.BadParameter(f"{text!r} is not 'name: value'", param_hint=option)
        pairs.append((name.strip(), value.strip()))
    return pairs


def _content(given: str, option: str) -> bytes:
    """The text itself as UTF-8, or the content of the file after `@`."""
    if not given.startswith("@"):
        return given.encode("utf-8", "surrogateescape")
    try:
        return Path(given[1:]).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise typer.BadParameter(f"{given[1:]}: {reason}", param_hint=option) from error
