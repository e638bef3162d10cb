"""What a filter imports and reads while it is imported is in the module."""

import json

from pywasm_filter import LogLevel
from pywasm_filter.testing import Proxy

FOUND = {
    "words": ["ärger", "one", "two"],
    "resource": "net 30\n",
    "listed": ["__init__.py", "rates.json"],
    "package data": "net 30\n",
    "rates": {"eur": 1.5},
    "part": "of a package without __init__.py",
    "ours": "a module of ours",
    "bytes": "c3a472",
    "missing": "FileNotFoundError",
    "there": [True, True, True, False, False],
    "in the directory": ["__init__.py", "rates.json"],
    "matching": ["rates.json", "words.txt"],
    "below": ["rates.json"],
    "sizes": [13, [3]],
    "later": [["eur"], 0o40000, "<", "&lt;"],
}


def test_files_and_packages(proxy: Proxy) -> None:
    assert json.loads(proxy.logs[0].message) == FOUND
    assert (proxy.logs[1].level, proxy.logs[1].message) == (LogLevel.INFO, "a record")
