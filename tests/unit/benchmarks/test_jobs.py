"""The jobs: what they ask of each peer is right, and the filters in Python do it."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.jobs import DEFAULT_ROUTE, ROUTE_HEADER, all_jobs, json_job, routing_job, rules
from benchmarks.peers.ours import source
from pywasm_filter.testing import PluginSettings, Response
from pywasm_filter.testing.session import ProxySession

JOBS = {job.name: job for job in all_jobs()}


def test_documents_have_the_size_that_they_are_asked_for() -> None:
    for size in (1_000, 10_000, 100_000):
        assert size <= len(json_job(size).answer) < size + 500
    assert json_job().cases == json_job().cases


def test_rules_are_told_apart_by_the_paths_of_the_job() -> None:
    assert len({rule.regex for rule in rules()}) == len(rules()) == 200
    for case in routing_job().cases:
        fitting = [rule.route for rule in rules() if re.fullmatch(rule.regex, case.request.path)]
        assert case.headers[f"x-upstream-{ROUTE_HEADER}"] == (fitting or [DEFAULT_ROUTE])[0]
    assert sum(rule.lua_pattern.count("%-") for rule in rules()) == 50


@pytest.mark.parametrize("name", JOBS)
def test_our_filters_do_the_jobs(name: str) -> None:
    job = JOBS[name]
    settings = PluginSettings(configuration=job.configuration.encode())
    with ProxySession() as session:
        proxy = session.proxy("inprocess", [source(job)], settings)
        proxy.upstream = Response(200, headers={"content-type": job.content_type}, body=job.answer)
        for case in job.cases:
            request = case.request
            exchange = proxy.get(request.path, headers=dict(request.headers))
            assert exchange.response.status in case.statuses
            for header, expected in case.headers.items():
                told = header.removeprefix("x-upstream-")
                upstream = exchange.upstream_request
                assert upstream is not None
                message = exchange.response if told == header else upstream
                assert message.headers.get(told) == expected
            if case.document is not None:
                assert json.loads(exchange.response.body) == case.document


def test_load_is_what_is_let_pass() -> None:
    assert [request.path for request in JOBS["jwt"].load] == ["/orders"]
    assert [case.statuses[0] for case in JOBS["jwt"].cases] == [200, *(401,) * 7]
    assert len(JOBS["routing"].load) == 6
