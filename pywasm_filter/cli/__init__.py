"""The command line `pywasm-filter`. One module a command; `app` puts them together."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit: 0 on success, 1 on a failed check or build, 2 on bad usage."""
    from pywasm_filter.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        # Headers and file names may hold what the terminal's encoding cannot show.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    app(prog_name="pywasm-filter")
