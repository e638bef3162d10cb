"""Record the scenarios anew from a real Envoy: `python -m tests.conformance.record [--missing] [AREA ...]`.

With `--missing` those that have no record yet; records without a scenario go in any case.
"""

from __future__ import annotations

import argparse
import sys

from tests.conformance import records
from tests.conformance.areas import AREAS
from tests.conformance.hosts import Hosts
from tests.conformance.scenario import by_settings


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--missing", action="store_true", help="only the scenarios that have no record yet")
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"all by default; {', '.join(AREAS)}")
    chosen = parser.parse_args()
    if unknown := sorted(set(chosen.areas) - set(AREAS)):
        parser.error(f"no such area: {', '.join(unknown)}; there are {', '.join(AREAS)}")
    with Hosts() as hosts:
        for area in chosen.areas or AREAS:
            kept = records.read(area) if chosen.missing else {}
            recorded = {name: record for name, record in kept.items() if name in AREAS[area]}
            for name, scenario in by_settings(AREAS[area]):
                if name not in recorded:
                    print(f"{area}: {name}", file=sys.stderr)
                    recorded[name] = records.record(hosts, scenario)
            records.write(area, recorded)
    return 0


if __name__ == "__main__":
    sys.exit(main())
