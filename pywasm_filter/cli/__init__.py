"""The command line `pywasm-filter`. One module a command; `app` puts them together."""

from __future__ import annotations

import io
import os
import sys


def main() -> None:
    """Run the command line and exit: 0 on success, 1 on a failed check or build, 2 on bad usage."""
    from pywasm_filter.cli.app import app

    for name in ("stdout", "stderr"):
        _prepare(name)
    sys.dont_write_bytecode = True  # commands leave nothing beside the author's files
    try:
        try:
            app(prog_name="pywasm-filter")
        finally:
            sys.stdout.flush()
    except OSError as error:  # a full disk, most likely, behind stdout or in the directory for temporary files
        place = "" if error.filename is None else f"{error.filename}: "
        print(f"{place}error: {error.strerror or error}", file=sys.stderr)
        sys.stdout = _nowhere()  # what it still holds would fail again at exit
        sys.exit(1)


def _prepare(name: str) -> None:
    stream = getattr(sys, name)
    if stream is None:  # closed by the caller
        setattr(sys, name, _nowhere())
    elif isinstance(stream, io.TextIOWrapper):
        # Headers and file names may hold what the terminal's encoding cannot show.
        stream.reconfigure(errors="backslashreplace")


def _nowhere() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(os.devnull, "w"), write_through=True)
