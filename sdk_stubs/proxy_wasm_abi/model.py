"""The ABI table as typed objects, read from `abi.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("abi.toml")
TEST_HOSTS = ("inprocess", "wasmtime", "envoy")

_INTEGERS = {"u32": "i32", "bool": "i32", "u64": "i64", "s64": "i64"}
_BUFFERS = ("bytes", "pairs")


@dataclass(frozen=True, slots=True)
class EnumMember:
    """One value of an enum."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class AbiEnum:
    """An enum of the ABI: our name, the specification's name and its values."""

    name: str
    abi_name: str
    summary: str
    members: tuple[EnumMember, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A parameter or a result. `type` is u32, u64, s64, bool, bytes, pairs or the name of an enum."""

    name: str
    type: str

    @property
    def is_buffer(self) -> bool:
        """Whether the value is an address and a size in the core module."""
        return self.type in _BUFFERS

    @property
    def core_types(self) -> tuple[str, ...]:
        """Core value types when passed as a parameter."""
        return ("i32", "i32") if self.is_buffer else (_INTEGERS.get(self.type, "i32"),)

    @property
    def python_type(self) -> str:
        """Type on the Python side of the raw hostcalls."""
        return "bytes" if self.is_buffer else "int"


@dataclass(frozen=True, slots=True)
class Face:
    """What authors have for a function of the ABI: a dotted path in `pywasm_filter`, and how they write it."""

    path: str
    shown: str


@dataclass(frozen=True, slots=True)
class Names:
    """A function of the ABI as the SDKs of several languages call it; none where one does not have it."""

    python: tuple[Face, ...]
    rust: tuple[str, ...]
    go: tuple[str, ...]
    cpp: tuple[str, ...]
    assemblyscript: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exercise:
    """The test of a function of the ABI: the name of a function in a file of the repository, and where it runs."""

    file: str
    function: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hostcall:
    """A function that the host offers as the import `env.<name>`. It always returns a Status."""

    name: str
    summary: str
    since: str
    names: Names
    test: Exercise | None
    params: tuple[Value, ...] = ()
    returns: tuple[Value, ...] = ()
    statuses: tuple[str, ...] = ()

    @property
    def core_params(self) -> tuple[str, ...]:
        """Core parameters: the values, then an address for each result (two for a buffer)."""
        passed = [core for value in self.params for core in value.core_types]
        out = ["i32" for value in self.returns for _ in (value.core_types if value.is_buffer else "1")]
        return (*passed, *out)

    @property
    def core_results(self) -> tuple[str, ...]:
        """Core results: the status."""
        return ("i32",)

    @property
    def python_result(self) -> str:
        """Python type of the raw hostcall: the status, followed by the results if it has any."""
        if not self.returns:
            return "int"
        return f"tuple[{', '.join(['int', *(value.python_type for value in self.returns)])}]"


@dataclass(frozen=True, slots=True)
class Callback:
    """A function that the module exports and the host calls."""

    name: str
    summary: str
    since: str
    names: Names
    test: Exercise | None
    params: tuple[Value, ...] = ()
    result: str | None = None

    @property
    def core_params(self) -> tuple[str, ...]:
        """Core parameters; callbacks take integers only."""
        return tuple(core for value in self.params for core in value.core_types)

    @property
    def core_results(self) -> tuple[str, ...]:
        """Core results."""
        return () if self.result is None else ("i32",)


@dataclass(frozen=True, slots=True)
class Abi:
    """The whole contract between a module and its host."""

    version: str
    marker: str
    older_markers: tuple[str, ...]
    allocators: tuple[str, ...]
    enums: tuple[AbiEnum, ...]
    hostcalls: tuple[Hostcall, ...]
    callbacks: tuple[Callback, ...]
    wasi_module: str
    wasi_served: tuple[str, ...]
    _hostcalls_by_name: Mapping[str, Hostcall] = field(init=False, repr=False, compare=False)
    _callbacks_by_name: Mapping[str, Callback] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hostcalls_by_name", {entry.name: entry for entry in self.hostcalls})
        object.__setattr__(self, "_callbacks_by_name", {entry.name: entry for entry in self.callbacks})

    def hostcall(self, name: str) -> Hostcall | None:
        """The hostcall of that name, if the ABI has it."""
        return self._hostcalls_by_name.get(name)

    def callback(self, name: str) -> Callback | None:
        """The callback of that name, if the ABI has it."""
        return self._callbacks_by_name.get(name)


def _values(entries: list[dict[str, str]]) -> tuple[Value, ...]:
    return tuple(Value(**entry) for entry in entries)


def _face(function: str, entry: str | dict[str, str]) -> Face:
    face = Face(entry, entry) if isinstance(entry, str) else Face(entry["face"], entry["shown"])
    if not all(part.isidentifier() for part in face.path.split(".")):
        raise ValueError(f"{function}: {face.path!r} is no dotted path")
    return face


def _names(entry: dict[str, Any]) -> Names:
    python = tuple(_face(entry["name"], face) for face in entry["python"])
    if not python:
        raise ValueError(f"{entry['name']} has no Python face")
    return Names(python, *(tuple(entry[sdk]) for sdk in ("rust", "go", "cpp", "assemblyscript")))


def _exercise(entry: dict[str, Any]) -> Exercise | None:
    if "test" not in entry:
        return None
    file, separator, function = entry["test"].partition("::")
    hosts = tuple(entry.get("test_hosts", TEST_HOSTS))
    if not separator or not function or not hosts or not set(hosts) <= set(TEST_HOSTS):
        raise ValueError(f"{entry['name']}: a test is file.py::function, and runs on some of {', '.join(TEST_HOSTS)}")
    return Exercise(file, function, hosts)


def _hostcall(entry: dict[str, Any]) -> Hostcall:
    return Hostcall(
        name=entry["name"],
        summary=entry["summary"],
        since=entry["since"],
        names=_names(entry),
        test=_exercise(entry),
        params=_values(entry.get("params", [])),
        returns=_values(entry.get("returns", [])),
        statuses=tuple(entry.get("statuses", [])),
    )


def _callback(entry: dict[str, Any]) -> Callback:
    return Callback(
        name=entry["name"],
        summary=entry["summary"],
        since=entry["since"],
        names=_names(entry),
        test=_exercise(entry),
        params=_values(entry.get("params", [])),
        result=entry.get("result"),
    )


@cache
def load() -> Abi:
    """Read the table. The result is shared and immutable."""
    return parse(TABLE.read_text(encoding="utf-8"))


def parse(text: str) -> Abi:
    """Read a table in TOML. Raises KeyError for what is missing, ValueError for what is not allowed."""
    table = tomllib.loads(text)
    return Abi(
        version=table["version"],
        marker=table["marker"],
        older_markers=tuple(table["older_markers"]),
        allocators=tuple(table["allocators"]),
        enums=tuple(
            AbiEnum(e["name"], e["abi_name"], e["summary"], tuple(EnumMember(**m) for m in e["members"]))
            for e in table["enum"]
        ),
        hostcalls=tuple(_hostcall(entry) for entry in table["hostcall"]),
        callbacks=tuple(_callback(entry) for entry in table["callback"]),
        wasi_module=table["wasi"]["module"],
        wasi_served=tuple(table["wasi"]["served"]),
    )
