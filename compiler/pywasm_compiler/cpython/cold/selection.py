"""Which functions are compiled: those that run in filters, as was found by running some that use much of Python.

Any choice is sound, for what is not chosen is interpreted. The names are those of the libraries' own functions, of
which static ones may share a name.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

COMPILED_FUNCTIONS: Final = Path(__file__).with_name("compiled_functions.txt")
"""A name on each line. Written by tools/compiled_functions.py."""

_COMMENT: Final = "#"


@cache
def compiled_functions() -> frozenset[str]:
    """The names of the functions that are compiled."""
    lines = COMPILED_FUNCTIONS.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith(_COMMENT))
