"""Record the scenarios anew from a real Envoy: `python -m tests.conformance.record [AREA ...]`."""

from __future__ import annotations

import sys

from tests.conformance import records
from tests.conformance.areas import AREAS
from tests.conformance.hosts import Hosts
from tests.conformance.scenario import by_settings


def main(arguments: list[str]) -> int:
    if unknown := sorted(set(arguments) - set(AREAS)):
        print(f"no such area: {', '.join(unknown)}; there are {', '.join(AREAS)}", file=sys.stderr)
        return 2
    with Hosts() as hosts:
        for area in arguments or AREAS:
            recorded = {}
            for name, scenario in by_settings(AREAS[area]):
                print(f"{area}: {name}", file=sys.stderr)
                recorded[name] = records.record(hosts, scenario)
            records.write(area, recorded)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
