"""Which installed distributions modules come from, and whether those that are asked for are there."""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata


def normalised(name: str) -> str:
    """The name of a distribution as package indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distribution_of(module: str) -> tuple[str, str] | None:
    """Normalised name and version of the distribution that brought a module; None for what none did."""
    names = _by_top_level().get(module.partition(".")[0])
    if not names:
        return None
    return normalised(names[0]), metadata.version(names[0])


@cache
def _by_top_level() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())
