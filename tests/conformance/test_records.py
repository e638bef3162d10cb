"""The comparison with the records can fail."""

from __future__ import annotations

import copy

import pytest

from tests.conformance import records
from tests.conformance.areas import AREAS
from tests.conformance.hosts import Hosts
from tests.conformance.records import Difference, check, differences, perform, read
from tests.conformance.scenario import Scenario, Trace

AREA, NAME = "contexts", "metrics: counter"


def with_record(monkeypatch: pytest.MonkeyPatch, record: Trace) -> None:
    monkeypatch.setattr(records, "read", lambda area: {NAME: record})


@pytest.mark.parametrize("part", ["exchanges", "log", "metrics"])
def test_each_part_of_a_trace_counts(part: str, hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    record = copy.deepcopy(read(AREA)[NAME])
    check(hosts, "inprocess", AREA, NAME)
    record[part] = "altered"
    with_record(monkeypatch, record)
    with pytest.raises(AssertionError):
        check(hosts, "inprocess", AREA, NAME)


def test_a_raw_status_counts(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    record = copy.deepcopy(read(AREA)[NAME])
    [line] = [line for line in record["log"] if line.endswith("increment_metric(metric 4, -1) = 2")]
    record["log"][record["log"].index(line)] = line.replace("= 2", "= 0")
    with_record(monkeypatch, record)
    with pytest.raises(AssertionError):
        check(hosts, "inprocess", AREA, NAME)


def test_a_scenario_without_a_record_fails(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "read", lambda area: {})
    with pytest.raises(AssertionError, match=r"python -m tests\.conformance\.record contexts"):
        check(hosts, "inprocess", AREA, NAME)


def test_a_difference_that_is_none_any_longer_fails(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {(AREA, NAME): Difference(AREA, NAME, "it was one once", raises="HostMisuse")}
    monkeypatch.setattr(records, "differences", lambda: known)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        check(hosts, "inprocess", AREA, NAME)


def test_a_line_that_is_no_longer_left_out_fails(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    line = read(AREA)[NAME]["log"][0]
    known = {(AREA, NAME): Difference(AREA, NAME, "it was one once", leaves_out=[line])}
    monkeypatch.setattr(records, "differences", lambda: known)
    with pytest.raises(AssertionError):
        check(hosts, "inprocess", AREA, NAME)


def test_known_differences_are_made_in_envoy_all_the_same() -> None:
    for area, name in differences():
        assert read(area)[name]["exchanges"]


def test_what_a_vm_did_before_does_not_show(hosts: Hosts) -> None:
    """Numbers of contexts, callouts and metrics, and names, are told as in a fresh VM."""
    scenario = AREAS[AREA][NAME]
    assert isinstance(scenario, Scenario)
    with hosts.proxy("inprocess", scenario.plugin_settings) as proxy:
        first, second = (scenario.perform(proxy, None, vms=records.VMS) for _ in range(2))
    assert first == second
    assert perform(hosts, "inprocess", scenario, None) == first
