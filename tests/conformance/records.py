"""The golden records: what a real Envoy does in each scenario, and the comparison with them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from pywasm_filter.testing.errors import ProxyTestError
from tests.conformance.areas import AREAS
from tests.conformance.hosts import Hosts
from tests.conformance.scenario import AnyScenario, Trace

RECORDS = Path(__file__).with_name("records")
VMS = 3
"""How many are started: the canary's, the main thread's, the worker's."""
_ATTEMPTS = 3


@cache
def read(area: str) -> dict[str, Trace]:
    """The records of an area by the scenarios' names."""
    file = RECORDS / f"{area}.json"
    records: dict[str, Trace] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return records


def write(area: str, records: dict[str, Trace]) -> None:
    """Write the records of an area, in the order of the names."""
    RECORDS.mkdir(exist_ok=True)
    text = json.dumps({name: records[name] for name in sorted(records)}, indent=1, ensure_ascii=True)
    (RECORDS / f"{area}.json").write_text(text + "\n", "utf-8")


def perform(hosts: Hosts, host: str, scenario: AnyScenario, expected: Trace | None) -> Trace:
    """Carry out a scenario on a host, and return what is left of it in JSON."""
    stalls = expected is not None and "stalled" in expected.get("exchanges", ())
    with hosts.proxy(host, scenario.plugin_settings, stalls=stalls) as proxy:
        trace: Trace = json.loads(json.dumps(scenario.perform(proxy, expected, vms=VMS)))
        return trace


def record(hosts: Hosts, scenario: AnyScenario) -> Trace:
    """What Envoy does in a scenario. The embedded proxy only says whether an answer is worth waiting for."""
    try:
        stalls = "stalled" in perform(hosts, "inprocess", scenario, None).get("exchanges", ())
    except ProxyTestError:
        stalls = False
    with hosts.proxy("envoy", scenario.plugin_settings, stalls=stalls) as proxy:
        trace: Trace = json.loads(json.dumps(scenario.perform(proxy, None, vms=VMS)))
        return trace


def check(hosts: Hosts, host: str, area: str, name: str) -> None:
    """Hold a scenario on a host to its record.

    Envoy is asked again, twice at most, when it differs: on a busy machine it may read two chunks of a body, which were
    sent one after the other, as one.
    """
    scenario, expected = AREAS[area][name], read(area).get(name)
    assert expected is not None, f"{name!r} is not recorded: python -m tests.conformance.record {area}"
    for _ in range(_ATTEMPTS if host == "envoy" else 1):
        trace = perform(hosts, host, scenario, expected)
        if trace == expected:
            break
    assert trace == expected
