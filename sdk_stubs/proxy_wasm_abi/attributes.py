"""The attributes that hosts offer through proxy_get_property, read from `attributes.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ATTRIBUTES_TABLE = Path(__file__).with_name("attributes.toml")

PYTHON_TYPES: Mapping[str, str] = {
    "str": "str",
    "int": "int",
    "uint": "int",
    "bool": "bool",
    "duration": "timedelta",
    "timestamp": "datetime",
    "headers": "HeadersAttribute",
    "state": "StateAttribute",
    "metadata": "dict[str, dict[str, Any]]",
    "struct": "dict[str, Any]",
}
"""Type in the table -> what the SDK makes of it; other types name a group."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: where it is, what it is and when. `availability` is empty for a group."""

    name: str
    type: str
    path: tuple[str, ...]
    availability: str
    summary: str
    field: int = 0

    @property
    def is_group(self) -> bool:
        """Whether this leads to further attributes."""
        return self.type not in PYTHON_TYPES


@dataclass(frozen=True, slots=True)
class AttributeGroup:
    """A class of the SDK. `name` is how authors reach it, empty for the outermost."""

    name: str
    class_name: str
    summary: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class AttributeTable:
    """All groups, those within others first, and the texts of all availabilities."""

    availability: Mapping[str, str]
    groups: tuple[AttributeGroup, ...]

    def class_of(self, group: str) -> str:
        """Name of a group's class. Raises KeyError."""
        return {entry.name: entry.class_name for entry in self.groups}[group]


def _attribute(entry: dict[str, Any], group_path: list[str]) -> Attribute:
    return Attribute(
        name=entry["name"],
        type=entry["type"],
        path=tuple(entry.get("path", [*group_path, entry["name"]])),
        availability=entry.get("availability", ""),
        summary=entry["summary"],
        field=entry.get("field", 0),
    )


def _group(entry: dict[str, Any]) -> AttributeGroup:
    name: str = entry["name"]
    path = entry.get("path", name.split(".") if name else [])
    attributes = tuple(_attribute(attribute, path) for attribute in entry["attributes"])
    return AttributeGroup(name, entry["class"], entry["summary"], attributes)


@cache
def load_attributes() -> AttributeTable:
    """Read the table. The result is shared and immutable."""
    table = tomllib.loads(ATTRIBUTES_TABLE.read_text(encoding="utf-8"))
    groups = [_group(entry) for entry in table["group"]]
    groups.sort(key=lambda group: -(group.name.count(".") + (group.name != "")))
    return AttributeTable(dict(table["availability"]), tuple(groups))
