"""The standard library and the language answer the same in process, under wasmtime and in a real Envoy."""

import contextlib
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pywasm_filter.testing import Proxy

HERE = Path(__file__).parent


@contextlib.contextmanager
def imported_here(name: str) -> Iterator[ModuleType]:
    """A filter, imported in this interpreter, where it is known as long as it is asked."""
    spec = importlib.util.spec_from_file_location("asked_here", HERE / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[spec.name]


@pytest.mark.pywasm(filter="standard_library_filter.py")
def test_the_standard_library_answers_as_it_does_here(proxy: Proxy) -> None:
    with imported_here("standard_library_filter.py") as here:
        rarely_used_here = here.rarely_used()
    told, rarely_used = (json.loads(record.message) for record in proxy.logs[:2])
    assert told.pop("same")
    assert told == json.loads(json.dumps(here.AT_IMPORT, default=repr))
    assert rarely_used == json.loads(json.dumps(rarely_used_here))


@pytest.mark.pywasm(filter="language_filter.py")
def test_the_language_does_what_it_does_here(proxy: Proxy) -> None:
    with imported_here("language_filter.py") as module:
        here = module.results()
    told = dict(json.loads(line.message) for line in proxy.logs)
    different = [pair for name in here for pair in zip(told[name], here[name], strict=True) if pair[0] != pair[1]]
    assert not different
