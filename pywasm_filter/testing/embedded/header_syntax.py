"""Names and values that a plugin can set and HTTP cannot carry."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pywasm_filter.testing.embedded.pairs import Pair
from pywasm_filter.testing.errors import HostMisuse

_NAME = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_IN_VALUES = re.compile(rb"[\r\n\0]")


def check_syntax(message: str, fields: Iterable[Pair]) -> None:
    """Raise HostMisuse for what is no header. `message` says what they are sent with, as in "the request"."""
    for name, value in fields:
        if _NAME.fullmatch(name) is None:
            raise HostMisuse(f"{message} has a header of the name {name!r}, which is none. {_CONSEQUENCE}")
        if _NOT_IN_VALUES.search(value):
            raise HostMisuse(f"{message} has CR, LF or NUL in the value of {name!r}: {value!r}. {_CONSEQUENCE}")


_CONSEQUENCE = "Envoy fails such a request with 503, and sends such a response as it is, for the client to misread"
