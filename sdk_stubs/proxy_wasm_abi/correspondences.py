"""What SDKs call the things that are no function of the ABI, read from `correspondences.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CORRESPONDENCES_TABLE = Path(__file__).with_name("correspondences.toml")


@dataclass(frozen=True, slots=True)
class Correspondence:
    """One thing in several SDKs, as Markdown; empty where an SDK has nothing for it."""

    topic: str
    rust: str
    go: str
    cpp: str
    assemblyscript: str
    python: str


@cache
def load_correspondences() -> tuple[Correspondence, ...]:
    """Read the table. The result is shared and immutable."""
    table = tomllib.loads(CORRESPONDENCES_TABLE.read_text(encoding="utf-8"))
    return tuple(Correspondence(**row) for row in table["row"])
