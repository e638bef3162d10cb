"""What the standard library imports only when it is called: it has to be in the snapshot as well.

A proxy has no files, so nothing can be imported later. Without this, `datetime.strptime` would
work in a test's own Python and fail in the module.
"""

from __future__ import annotations

import importlib
import sys

COMPANIONS: dict[str, tuple[str, ...]] = {
    "_pydatetime": ("_strptime",),
    "base64": ("binascii",),
    "collections": ("copy", "heapq"),
    "csv": ("re",),
    "datetime": ("_strptime",),
    "difflib": ("re",),
    "email": ("email.message", "email.parser"),
    "email.message": ("email.generator", "email.policy"),
    "email.utils": ("email.charset",),
    "gzip": ("errno",),
    "hashlib": ("_blake2", "_md5", "_sha1", "_sha2", "_sha3"),
    "hmac": ("hashlib",),
    "http.cookies": ("time",),
    "ipaddress": ("re",),
    "random": ("_sha2", "hashlib"),
    "re": ("warnings",),
    "string": ("collections", "re"),
    "traceback": ("_suggestions", "ast", "unicodedata"),
    "typing": ("contextlib", "re", "warnings"),
    "urllib.parse": ("unicodedata",),
    "uuid": ("hashlib", "random", "time"),
    "warnings": ("linecache", "re", "traceback"),
    "xml.etree.ElementTree": ("pyexpat", "xml.parsers.expat"),
    "zoneinfo": ("importlib.resources",),
}
"""Module -> what its functions import, for modules that make sense in a filter."""


def complete_standard_library() -> None:
    """Import the companions of all loaded modules."""
    done: set[str] = set()
    while loaded := (COMPANIONS.keys() & sys.modules.keys()) - done:
        for name in loaded:
            for companion in COMPANIONS[name]:
                _import(companion)
        done |= loaded


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError:
        # Not a part of this guest, such as the encodings of Windows: who calls for it gets the same error.
        return
