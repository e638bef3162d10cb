"""However deep a recursion goes, compiled or interpreted: it ends in an exception, and the VM lives on."""

import pytest

from pywasm_filter.testing import Proxy
from tests.conformance.recursion_filter import RECURSIONS

HARMLESS = {"match": "nothing", "sql": "nothing", "sql sum": "OperationalError"}


@pytest.mark.pywasm(filter="recursion_filter.py", hosts=["wasmtime", "envoy"])
def test_a_recursion_ends_in_an_exception(proxy: Proxy) -> None:
    outcomes = {}
    for name in RECURSIONS:
        response = proxy.get("/", headers={"x-recursion": name}).response
        assert response.status == 200, name
        outcomes[name] = response.body.decode()
    deep = {name: outcome for name, outcome in outcomes.items() if name not in HARMLESS}
    assert set(deep.values()) == {"RecursionError", "MemoryError"}, deep
    assert {name: outcomes[name] for name in HARMLESS} == HARMLESS
