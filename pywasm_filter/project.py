"""What the project of a filter says of it: the table `[tool.pywasm-filter]` of the nearest pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

from proxy_wasm_abi import Host, find_host
from proxy_wasm_abi.hosts import load_hosts
from pywasm_compiler.errors import CompileError

from pywasm_filter.needs import Needs

_FILE = "pyproject.toml"
_TABLE = "pywasm-filter"
_HOSTS = "hosts"
_ALLOW_MISSING = "allow-missing"


@dataclass(frozen=True)
class Target:
    """The hosts that a module is made for, and what its author does without where one of them lacks it.

    `hosts` are names of docs/reference/hosts.md. `allow_missing` are hostcalls, callbacks, foreign functions and
    statuses of callbacks, as messages about hosts name them, or patterns such as `proxy_grpc_*`.
    """

    hosts: tuple[str, ...] = ()
    allow_missing: tuple[str, ...] = ()

    @property
    def profiles(self) -> tuple[Host, ...]:
        """What the hosts lack and answer otherwise."""
        return tuple(map(find_host, self.hosts))

    def allows(self, name: str) -> bool:
        """Whether a function, or whatever else has a name, may be missing."""
        return any(fnmatchcase(name, pattern) for pattern in self.allow_missing)

    def module_needs(self, needed: Needs) -> Needs:
        """What the module has of what its filter needs.

        It does without the hostcalls that are allowed to be missing, if a host would not survive them. What a host
        answers by itself is left to it: another may do more.
        """
        left_out = {
            name
            for name in needed.hostcalls
            if self.allows(name) and any(_is_fatal(host, name) for host in self.profiles)
        }
        return replace(
            needed,
            hostcalls=tuple(name for name in needed.hostcalls if name not in left_out),
            unimplemented=tuple(name for name in needed.hostcalls if name in left_out),
        )


def _is_fatal(host: Host, hostcall: str) -> bool:
    fact = host.answer(hostcall)
    return fact is not None and not fact.is_status and not fact.except_in


def target_of(source: Path, hosts: Iterable[str] = (), allow_missing: Iterable[str] = ()) -> Target:
    """The target that a filter's project names. `hosts`, if there are any, take the place of the project's.

    What is in `allow_missing` adds to the project's. Raises CompileError for a table that cannot be read or says what
    there is not, and for names of no host.
    """
    said = _read(source)
    given = tuple(dict.fromkeys(hosts))
    allowed = tuple(dict.fromkeys((*said.allow_missing, *allow_missing)))
    for name in given:
        check_host(name)
    return replace(said, hosts=given or said.hosts, allow_missing=allowed)


def check_host(name: str, file: Path | None = None, line: int | None = None) -> None:
    """Raise CompileError when there is no such host."""
    known = load_hosts()
    if name not in known:
        raise CompileError(f"there is no host {name!r}", file, line, _choose(name, known))


def _read(source: Path) -> Target:
    file = next((directory / _FILE for directory in source.resolve().parents if (directory / _FILE).is_file()), None)
    if file is None:
        return Target()
    try:
        text = file.read_text(encoding="utf-8")
        table = tomllib.loads(text).get("tool", {}).get(_TABLE, {})
    except (OSError, ValueError, AttributeError) as error:
        raise CompileError(f"cannot be read: {error}", file, remedy="correct it") from error
    if not isinstance(table, dict):
        raise CompileError(f"[tool.{_TABLE}] is no table", file, remedy=f"write [tool.{_TABLE}] and its keys below")
    values = {key: _names(value, key, file, _line(text, key)) for key, value in table.items()}
    for name in values.get(_HOSTS, ()):
        check_host(name, file, _line(text, _HOSTS))
    return Target(values.get(_HOSTS, ()), values.get(_ALLOW_MISSING, ()))


def _names(value: object, key: str, file: Path, line: int | None) -> tuple[str, ...]:
    if key not in (_HOSTS, _ALLOW_MISSING):
        raise CompileError(f"[tool.{_TABLE}] has no key {key!r}", file, line, _choose(key, (_HOSTS, _ALLOW_MISSING)))
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise CompileError(f"{key} is not a list of names", file, line, f'write {key} = ["…"]')
    return tuple(value)


def _choose(name: str, known: Iterable[str]) -> str:
    known = list(known)
    similar = get_close_matches(name, known, 1)
    return f"did you mean {similar[0]}?" if similar else f"choose of {', '.join(known)}"


def _line(text: str, key: str) -> int | None:
    """Where a key of the table is, as far as a look at the lines tells."""
    heading = re.search(rf"^\s*\[\s*tool\s*\.\s*[\"']?{_TABLE}[\"']?\s*\]", text, re.MULTILINE)
    found = heading and re.compile(rf"^\s*[\"']?{re.escape(key)}[\"']?\s*=", re.MULTILINE).search(text, heading.end())
    return text.count("\n", 0, found.end()) + 1 if found else None
