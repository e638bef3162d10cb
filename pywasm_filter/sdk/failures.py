"""Exceptions that leave a callback, as text for the proxy's log."""

from __future__ import annotations

import linecache
import re
import sys
import traceback
from types import ModuleType

_SDK = re.compile(r"[/\\]pywasm_filter[/\\]sdk[/\\]")
_MOUNT = re.compile(r"^/\d+/")


def describe(where: str, error: BaseException) -> str:
    """`where` and the traceback, from the first frame of the author's code on."""
    return f"exception in {where}\n{format_exception(error)}"


def format_exception(error: BaseException) -> str:
    """The traceback as Python prints it, tidied: see `describe`."""
    summary = traceback.TracebackException.from_exception(error)
    _tidy(summary)
    return "".join(summary.format()).rstrip()


def source_name(filename: str) -> str:
    """A file name without the compiler's mount point in front of it."""
    return _MOUNT.sub("", filename)


def _tidy(summary: traceback.TracebackException) -> None:
    """Leave out the frames of the SDK above the author's, and the compiler's mount points in front of file names."""
    pending: list[traceback.TracebackException | None] = [summary]
    while pending:  # not by recursion: a chain of exceptions may be longer than the stack is deep
        chained = pending.pop()
        if chained is not None:
            _tidy_stack(chained.stack)
            pending += [chained.__cause__, chained.__context__, *(chained.exceptions or ())]


def _tidy_stack(stack: traceback.StackSummary) -> None:
    while len(stack) > 1 and _SDK.search(stack[0].filename):
        del stack[0]
    for frame in stack:
        frame.filename = source_name(frame.filename)


def keep_source_lines() -> list[str]:
    """Remember the source of the author's modules, so that tracebacks can quote it where there is no file system.

    Returns all of it.
    """
    kept: list[str] = []
    for module in list(sys.modules.values()):
        filename = module.__file__ if isinstance(module, ModuleType) and hasattr(module, "__file__") else None
        if filename is None or not _is_authors(filename):
            continue
        lines = _source_of(module).splitlines(keepends=True)
        # Without a modification time linecache never looks at the file again.
        linecache.cache[filename] = (sum(map(len, lines)), None, lines, filename)
        kept += lines
    return kept


def _source_of(module: ModuleType) -> str:
    """What the module's loader has of it; linecache would look for files, and bring in tokenize to read them."""
    get_source = getattr(module.__spec__ and module.__spec__.loader, "get_source", None)
    try:
        source = get_source(module.__name__) if get_source is not None else None
    except ImportError:  # of the interpreter's own start, from files that are gone
        return ""
    return source or ""


def _is_authors(filename: str) -> bool:
    return _MOUNT.match(filename) is not None and not source_name(filename).startswith("pywasm_filter/")
