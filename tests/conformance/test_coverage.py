"""Every hostcall and every callback of the ABI is crossed by a scenario that a real Envoy has recorded."""

from __future__ import annotations

import re

import pytest
from proxy_wasm_abi import Callback, Hostcall, load

from tests.conformance.areas import AREAS
from tests.conformance.records import RECORDS, crossed, differences, read

ELSEWHERE = {
    "proxy_on_foreign_function": "no foreign function of Envoy's calls back",
}
"""What no scenario crosses, and why."""
LEAST = 120
ENTRIES: tuple[Hostcall | Callback, ...] = (*load().hostcalls, *load().callbacks)
NAMES = [entry.name for entry in ENTRIES]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_crossed(name: str) -> None:
    assert (name in crossed()) != (name in ELSEWHERE)


def test_the_records_are_those_of_the_scenarios() -> None:
    assert {file.stem for file in RECORDS.iterdir()} == set(AREAS)
    for area, scenarios in AREAS.items():
        assert set(read(area)) == set(scenarios), area
    assert sum(map(len, AREAS.values())) >= LEAST


def test_what_is_crossed_is_of_the_abi() -> None:
    assert crossed() <= set(NAMES)
    assert all(re.fullmatch(r"proxy_\w+", name) for name in ELSEWHERE)


def test_the_known_differences_are_those_of_scenarios() -> None:
    assert all(name in AREAS[area] for area, name in differences())
