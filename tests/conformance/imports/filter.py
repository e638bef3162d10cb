"""A filter that imports and reads all that one can while it is imported, and tells of it."""

from __future__ import annotations

import glob
import importlib.resources
import json
import os
import pkgutil
from pathlib import Path

import markupsafe
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
DATA = HERE.parent / "shop" / "data"
FOUND["there"] = [DATA.exists(), DATA.is_dir(), HERE.is_file(), (DATA / "none").exists(), os.path.isfile(DATA)]  # noqa: PTH113 - that os.path works, too, is what is tried
FOUND["in the directory"] = sorted(path.name for path in DATA.iterdir() if path.is_file())
TEXTS = sorted(glob.glob("*.txt", root_dir=HERE.parent))  # noqa: PTH207 - that glob works, too, is what is tried
FOUND["matching"] = sorted(path.name for path in DATA.glob("*.json")) + TEXTS
FOUND["below"] = sorted(path.name for path in DATA.parent.rglob("*.json"))
FOUND["sizes"] = [(DATA / "rates.json").stat().st_size, [entry.stat().st_size for entry in os.scandir(DATA / "empty")]]
with HERE.with_name("words.txt").open("rb") as words:
    FOUND["bytes"] = words.read(3).hex()
try:
    HERE.with_name("none.txt").read_text(encoding="utf-8")
except OSError as error:
    FOUND["missing"] = type(error).__name__


class Root(RootContext):
    """Tells what was found, and what can be imported when it is needed."""

    def on_configure(self, configuration: bytes) -> bool:
        """Tell."""
        import logging  # pywasm: ignore[deferred-import] its records are those of any other import
        import stat  # pywasm: ignore[deferred-import] that is what is tried

        from shop import terms  # pywasm: ignore[deferred-import] as well

        FOUND["later"] = [terms.PLACES, stat.S_IFDIR, markupsafe.Markup("&lt;").unescape(), markupsafe.escape("<")]
        log(LogLevel.INFO, json.dumps(FOUND, sort_keys=True))
        logging.getLogger("shop").info("a record")
        return True


register_root_context(Root)
