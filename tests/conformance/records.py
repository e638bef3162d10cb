"""The golden records: what a real Envoy does in each scenario, and the comparison with them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from pywasm_filter.testing import errors
from tests.conformance.areas import AREAS
from tests.conformance.hosts import Hosts
from tests.conformance.metadata_scenario import MetadataScenario
from tests.conformance.scenario import AnyScenario, Trace

RECORDS = Path(__file__).with_name("records")
DIFFERENCES = Path(__file__).with_name("differences.toml")
VMS = 3
"""How many are started: the canary's, the main thread's, the worker's."""
_ATTEMPTS = 3
_CROSSING = re.compile(r"(?:  |[^ ].*?: )(\w+)\(")
"""A hostcall or a callback, as the interpreter logs it."""


@cache
def read(area: str) -> dict[str, Trace]:
    """The records of an area by the scenarios' names."""
    file = RECORDS / f"{area}.json"
    records: dict[str, Trace] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return records


def crossed() -> set[str]:
    """The hostcalls and callbacks that the records tell of."""
    lines = (line for area in AREAS for record in read(area).values() for line in _log(record))
    return {f"proxy_{found[1]}" for line in lines if (found := _CROSSING.match(line))}


def _log(record: Trace) -> list[str]:
    moments = [line for moment in record.get("moments", ()) for line in moment["log"]]
    return [*record.get("start", ()), *record.get("log", ()), *moments]


def write(area: str, records: dict[str, Trace]) -> None:
    """Write the records of an area, in the order of the names."""
    RECORDS.mkdir(exist_ok=True)
    text = json.dumps({name: records[name] for name in sorted(records)}, indent=1, ensure_ascii=True)
    (RECORDS / f"{area}.json").write_text(text + "\n", "utf-8")


def perform(hosts: Hosts, host: str, scenario: AnyScenario, expected: Trace | None) -> Trace:
    """Carry out a scenario on a host, and return what is left of it in JSON."""
    if isinstance(scenario, MetadataScenario) and host == "envoy":
        return scenario.perform_over_http2(*hosts.http2(scenario.plugin_settings))
    stalls = expected is not None and "stalled" in expected.get("exchanges", ())
    with hosts.proxy(host, scenario.plugin_settings, stalls=stalls) as proxy:
        trace: Trace = json.loads(json.dumps(scenario.perform(proxy, expected, vms=VMS)))
        return trace


def record(hosts: Hosts, scenario: AnyScenario) -> Trace:
    """What Envoy does in a scenario. The embedded proxy only says whether an answer is worth waiting for."""
    try:
        stalls = "stalled" in perform(hosts, "inprocess", scenario, None).get("exchanges", ())
    except errors.ProxyTestError:
        stalls = False
    if isinstance(scenario, MetadataScenario):
        return perform(hosts, "envoy", scenario, None)
    with hosts.proxy("envoy", scenario.plugin_settings, stalls=stalls) as proxy:
        trace: Trace = json.loads(json.dumps(scenario.perform(proxy, None, vms=VMS)))
        return trace


@dataclass(frozen=True)
class Difference:
    """Where the embedded proxy raises an error instead of doing as Envoy does, or leaves out lines of the log."""

    area: str
    scenario: str
    reason: str
    raises: str = ""
    leaves_out: Sequence[str] = ()


@cache
def differences() -> dict[tuple[str, str], Difference]:
    """The known differences, by area and scenario."""
    table = tomllib.loads(DIFFERENCES.read_text("utf-8"))
    known = [Difference(**entry) for entry in table["difference"]]
    return {(difference.area, difference.scenario): difference for difference in known}


def check(hosts: Hosts, host: str, area: str, name: str) -> None:
    """Hold a scenario on a host to its record, or to what is said of its difference.

    Envoy is asked again, twice at most, when it differs: on a busy machine it may read two chunks of a body, which were
    sent one after the other, as one.
    """
    scenario, expected = AREAS[area][name], read(area).get(name)
    assert expected is not None, f"{name!r} is not recorded: python -m tests.conformance.record {area}"
    difference = differences().get((area, name))
    if difference is not None and host != "envoy":
        if difference.raises:
            with pytest.raises(getattr(errors, difference.raises)):
                perform(hosts, host, scenario, expected)
            return
        assert set(difference.leaves_out) <= set(expected["log"])
        expected = {**expected, "log": [line for line in expected["log"] if line not in difference.leaves_out]}
    for _ in range(_ATTEMPTS if host == "envoy" else 1):
        trace = perform(hosts, host, scenario, expected)
        if trace == expected:
            break
    assert trace == expected
