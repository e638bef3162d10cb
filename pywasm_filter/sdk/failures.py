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
    summary = traceback.TracebackException.from_exception(error)
    _tidy(summary)
    return f"exception in {where}\n{''.join(summary.format()).rstrip()}"


def _tidy(summary: traceback.TracebackException) -> None:
    """Leave out the frames of the SDK above the author's, and the compiler's mount points in front of file names."""
    frames = list(summary.stack)
    while len(frames) > 1 and _SDK.search(frames[0].filename):
        del frames[0]
    for frame in frames:
        frame.filename = _MOUNT.sub("", frame.filename)
    summary.stack[:] = frames
    for chained in (summary.__cause__, summary.__context__):
        if chained is not None:
            _tidy(chained)


def keep_source_lines() -> None:
    """Remember the source of all loaded modules, so that tracebacks can quote it where there is no file system."""
    for module in list(sys.modules.values()):
        filename = module.__file__ if isinstance(module, ModuleType) and hasattr(module, "__file__") else None
        if filename is None or not _is_authors(filename):
            continue
        lines = linecache.getlines(filename)
        # Without a modification time linecache never looks at the file again.
        linecache.cache[filename] = (sum(map(len, lines)), None, lines, filename)


def _is_authors(filename: str) -> bool:
    return _MOUNT.match(filename) is not None and not _SDK.search(filename)
