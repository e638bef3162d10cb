"""Reads a file beside it."""

import json
from importlib.resources import files

RATES = json.loads((files("shop.data") / "rates.json").read_text(encoding="utf-8"))
