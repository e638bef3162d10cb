"""A trial on the screen: each message with a mark before each line that the filter changed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.text import Text

from pywasm_filter.cli.console import printable, size
from pywasm_filter.cli.message_diff import Field, Kind, MessageDiff
from pywasm_filter.cli.trial import Trial
from pywasm_filter.testing import LogLine

_MARKS = {
    Kind.UNCHANGED: ("  ", ""),
    Kind.ADDED: ("+ ", "green"),
    Kind.CHANGED: ("~ ", "yellow"),
    Kind.REMOVED: ("- ", "red"),
    Kind.PROXY: ("  ", "dim"),
}
_LEVEL_STYLES = {"warn": "yellow", "error": "red", "critical": "red"}
_LONGEST_BODY = 4096


def print_trial(output: Console, trial: Trial) -> None:
    """Show it all."""
    _title(output, "Request", "from the client to the upstream")
    if trial.request is None:
        output.print(_marked(Kind.REMOVED, f"{trial.sent.method} {trial.sent.path}"))
        output.print("  the upstream got nothing")
    else:
        _print_message(output, trial.request)
    if trial.response is None:
        _title(output, "Response", "none: the stream was reset")
    else:
        origin = "from the upstream" if trial.answered_by_upstream else "made by the filter"
        _title(output, "Response", f"{origin}, to the client" + (", then reset" if trial.reset else ""))
        _print_message(output, trial.response)
    _print_logs(output, trial)


def _title(output: Console, title: str, what: str) -> None:
    output.print(Text.assemble((title, "bold"), f"  {what}"))


def _print_message(output: Console, message: MessageDiff) -> None:
    for field in (*message.first_line, *message.headers):
        _print_field(output, field)
    for line in _body_lines(message):
        output.print(line)
    for field in message.trailers:
        _print_field(output, field, "trailer ")


def _print_field(output: Console, field: Field, prefix: str = "") -> None:
    before, after = ", ".join(field.before), ", ".join(field.after)
    match field.kind:
        case Kind.CHANGED:
            value = f"{after}   (was: {before})"
        case Kind.REMOVED:
            value = before
        case Kind.PROXY:
            value = f"{after}   (by the proxy)"
        case _:
            value = after
    output.print(_marked(field.kind, f"{prefix}{field.name}: {value}"))


def _marked(kind: Kind, text: str) -> Text:
    mark, style = _MARKS[kind]
    return Text(mark + printable(text), style=style)


def _body_lines(message: MessageDiff) -> Iterator[Text]:
    before, after = message.body_before, message.body_after
    if before == after and not after:
        return
    yield Text()
    texts = [_as_text(body) for body in (before, after)]
    if before == after and texts[1] is not None:
        yield from (_marked(Kind.UNCHANGED, line) for line in texts[1].splitlines())
    elif before == after:
        yield _marked(Kind.UNCHANGED, f"body of {size(len(after))}")
    elif texts[0] is None or texts[1] is None:
        yield _marked(Kind.CHANGED, f"body of {size(len(after))}   (was: {size(len(before))})")
    else:
        yield from _text_diff(texts[0], texts[1])


def _text_diff(before: str, after: str) -> Iterator[Text]:
    kinds = {"  ": Kind.UNCHANGED, "+ ": Kind.ADDED, "- ": Kind.REMOVED}
    for line in difflib.ndiff(before.splitlines(), after.splitlines()):
        if line[:2] in kinds:
            yield _marked(kinds[line[:2]], line[2:])


def _as_text(body: bytes) -> str | None:
    """The body if a person can read it."""
    if len(body) > _LONGEST_BODY:
        return None
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if all(character.isprintable() or character in "\n\r\t" for character in text) else None


def _print_logs(output: Console, trial: Trial) -> None:
    if trial.start_logs:
        _title(output, "Log", "of the start: one VM tries the configuration out, one serves")
        _print_lines(output, trial.start_logs)
    if trial.logs:
        _title(output, "Log", "of the exchange")
        _print_lines(output, trial.logs)
    if trial.notes:
        _title(output, "Proxy", "")
        for note in trial.notes:
            output.print(Text(printable(f"  {note}"), style="red"))


def _print_lines(output: Console, lines: Iterable[LogLine]) -> None:
    for line in lines:
        level = line.level.name.lower()
        output.print(Text(printable(f"  [{level}] {line.message}"), style=_LEVEL_STYLES.get(level, "")))
