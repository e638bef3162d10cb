"""What the tests of the scenarios share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.hosts import Hosts


@pytest.fixture(scope="session")
def hosts() -> Iterator[Hosts]:
    with Hosts() as running:
        yield running
