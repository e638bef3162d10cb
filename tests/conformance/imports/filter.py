"""A filter that imports and reads all that one can while it is imported, and tells of it."""

from __future__ import annotations

import importlib.resources
import json
import pkgutil
from pathlib import Path

import statistics_of_ours
from plain.part import PART
from shop.rules import RATES

from pywasm_filter import LogLevel, RootContext, log, register_root_context

HERE = Path(__file__)

FOUND = {
    "words": HERE.with_name("words.txt").read_text(encoding="utf-8").split(),
    "resource": importlib.resources.files("shop").joinpath("terms.txt").read_text(encoding="utf-8"),
    "listed": sorted(entry.name for entry in importlib.resources.files("shop.data").iterdir() if "." in entry.name),
    "package data": (pkgutil.get_data("shop", "terms.txt") or b"").decode(),
    "rates": RATES,
    "part": PART,
    "ours": statistics_of_ours.WHO,
}
with HERE.with_name("words.txt").open("rb") as words:
    FOUND["bytes"] = words.read(3).hex()
try:
    HERE.with_name("none.txt").read_text(encoding="utf-8")
except OSError as error:
    FOUND["missing"] = type(error).__name__


class Root(RootContext):
    """Tells what was found."""

    def on_configure(self, configuration: bytes) -> bool:
        """Tell."""
        log(LogLevel.INFO, json.dumps(FOUND, sort_keys=True))
        return True


register_root_context(Root)
