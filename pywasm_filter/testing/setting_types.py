"""Whether settings are of the types that their defaults have: a mistake is told where it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check_types(settings: DataclassInstance) -> None:
    """Raise TypeError for a field whose value is of another kind than its default. A default of None fits anything."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        if expected := _expected(default, value):
            raise TypeError(f"{field.name} is {expected}, not {value!r}")


def _expected(default: Any, value: Any) -> str:
    """What the value should be; empty if it is."""
    match default:
        case None:
            return ""
        case bool():
            return "" if isinstance(value, bool) else "True or False"
        case str():  # an enum of texts may be given by its value
            return "" if isinstance(value, str) else "a text"
        case Enum():
            kind = type(default)
            return "" if isinstance(value, kind) else f"a {kind.__name__}, such as {kind.__name__}.{default.name}"
        case int():
            return "" if isinstance(value, int) and not isinstance(value, bool) else "a whole number"
        case float():
            return "" if isinstance(value, (int, float)) and not isinstance(value, bool) else "a number"
        case bytes():
            return "" if isinstance(value, bytes) else "bytes"
        case Mapping():
            return "" if isinstance(value, Mapping) else "a dict"
        case Sequence():
            return "" if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) else "a list"
    raise AssertionError(f"no rule for a default of {type(default).__name__}")
