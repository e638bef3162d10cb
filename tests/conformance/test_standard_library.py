"""The standard library answers the same in process, under wasmtime and in a real Envoy."""

import importlib.util
import json
from pathlib import Path

import pytest

from pywasm_filter.testing import Proxy

FILTER = Path(__file__).with_name("standard_library_filter.py")


@pytest.mark.pywasm(filter=FILTER.name)
def test_it_answers_as_it_does_here(proxy: Proxy) -> None:
    spec = importlib.util.spec_from_file_location("asked_here", FILTER)
    assert spec is not None
    assert spec.loader is not None
    here = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = here
    try:
        spec.loader.exec_module(here)
        rarely_used_here = here.rarely_used()
    finally:
        del sys.modules[spec.name]
    told, rarely_used = (json.loads(record.message) for record in proxy.logs[:2])
    assert told.pop("same")
    assert told == json.loads(json.dumps(here.AT_IMPORT, default=repr))
    assert rarely_used == json.loads(json.dumps(rarely_used_here))
