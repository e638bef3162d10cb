"""Foreign functions, gRPC callouts and HTTP/2 metadata: each host does what its record says Envoy does."""

from __future__ import annotations

import pytest

from tests.conformance.areas import cases
from tests.conformance.hosts import Hosts
from tests.conformance.records import check


@pytest.mark.parametrize(("area", "name"), cases("foreign", "grpc", "metadata"))
def test_it_is_as_recorded(area: str, name: str, pywasm_host: str, hosts: Hosts) -> None:
    check(hosts, pywasm_host, area, name)
