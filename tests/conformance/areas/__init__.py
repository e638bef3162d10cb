"""The scenarios by area, each under the name of its records."""

from __future__ import annotations

from collections.abc import Mapping

from tests.conformance.areas import (
    attributes,
    background,
    callouts,
    contexts,
    foreign,
    grpc,
    maps,
    metadata,
    misuse,
    replies,
    start,
    streams,
    tcp,
)
from tests.conformance.scenario import AnyScenario, by_settings

AREAS: Mapping[str, Mapping[str, AnyScenario]] = {
    "streams": streams.SCENARIOS,
    "replies": replies.SCENARIOS,
    "maps": maps.SCENARIOS,
    "attributes": attributes.SCENARIOS,
    "contexts": contexts.SCENARIOS,
    "start": start.SCENARIOS,
    "callouts": callouts.SCENARIOS,
    "background": background.SCENARIOS,
    "foreign": foreign.SCENARIOS,
    "grpc": grpc.SCENARIOS,
    "tcp": tcp.SCENARIOS,
    "metadata": metadata.SCENARIOS,
    "misuse": misuse.SCENARIOS,
}


def cases(*areas: str) -> list[tuple[str, str]]:
    """Areas and names of all their scenarios, in an order in which few Envoys have to be started."""
    names = {(area, name): scenario for area in areas for name, scenario in AREAS[area].items()}
    return [case for case, _ in by_settings(names)]
