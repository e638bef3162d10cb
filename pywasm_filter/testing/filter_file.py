"""Which file is the filter under test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

_DEFAULT = "filter.py"


def find_filter(node: pytest.Item, named: object) -> Path:
    """The file that the marker names, the command line, filter.py beside the test, the file of the ini option.

    Fails the test when there is none. What is there may be no filter: whoever loads it tells.
    """
    directory = node.path.parent
    if named is not None:
        if not isinstance(named, (str, os.PathLike)):
            fail(f"{node.nodeid}: filter of the marker pywasm is a path, not {named!r}")
        path = directory / named
        return path if path.exists() else _no_filter(node, [path], "correct `filter` of the marker pywasm")
    chosen = node.config.getoption("--pywasm-filter")
    if chosen:
        path = node.config.invocation_params.dir / str(chosen)
        return path if path.exists() else _no_filter(node, [path], "correct --pywasm-filter")
    places = [directory / _DEFAULT]
    configured = node.config.getini("pywasm_filter")
    if configured:
        places.append((node.config.inipath or node.config.rootpath / "-").parent / str(configured))
    for place in places:
        if place.exists():
            return place
    return _no_filter(
        node, places, "name it: @pytest.mark.pywasm(filter='my_filter.py'), or pywasm_filter = ... in the ini file"
    )


def fail(reason: str) -> NoReturn:
    """Fail the test with a sentence for its author, and nothing else."""
    raise pytest.fail.Exception(reason, pytrace=False) from None


def _no_filter(node: pytest.Item, places: list[Path], remedy: str) -> NoReturn:
    looked = "".join(f"\n  not there: {place}" for place in places)
    fail(f"no filter for {node.nodeid}{looked}\n  remedy: {remedy}")
