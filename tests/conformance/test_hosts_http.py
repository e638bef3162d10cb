"""HTTP streams, their maps, buffers, attributes and contexts: each host does what its record says Envoy does."""

from __future__ import annotations

import pytest

from tests.conformance.areas import cases
from tests.conformance.hosts import Hosts
from tests.conformance.records import check


@pytest.mark.parametrize(
    ("area", "name"), cases("streams", "replies", "maps", "contexts", "attributes", "start", "misuse")
)
def test_it_is_as_recorded(area: str, name: str, pywasm_host: str, hosts: Hosts) -> None:
    check(hosts, pywasm_host, area, name)
