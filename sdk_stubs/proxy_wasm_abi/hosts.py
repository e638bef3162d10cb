"""What the hosts of Proxy-Wasm modules lack or answer otherwise than Envoy does, read from `hosts.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from proxy_wasm_abi.model import Abi, Callback, Hostcall, load

HOSTS_TABLE = Path(__file__).with_name("hosts.toml")

MISSING = "missing"
TRAPS = "traps"
ABORTS = "aborts"

Value = str | int | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostcallFact:
    """How a host answers hostcalls. `answer` is MISSING, TRAPS, ABORTS or the name of a status.

    `except_in` names the callbacks in which they work.
    """

    names: tuple[str, ...]
    answer: str
    except_in: tuple[str, ...]
    source: str

    @property
    def is_status(self) -> bool:
        """Whether the host answers with a status."""
        return self.answer not in (MISSING, TRAPS, ABORTS)


@dataclass(frozen=True, slots=True)
class NeverCalled:
    """Callbacks that a host does not know."""

    names: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class RuleFact:
    """A rule with a host's value; `text` is what the table says of it, with that value."""

    name: str
    value: Value
    text: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The values of a host's rules; where it has none, those of Envoy. What each means is in `hosts.toml`."""

    attributes: tuple[str, ...] | None = None
    attributes_are_text: bool = False
    attributes_to_set: tuple[str, ...] | None = None
    absent_attribute_is_empty: bool = False
    absent_header_is_empty: bool = False
    body_writes_up_to_size: bool = False
    clock_stands_still: bool = False
    duplicate_headers: str | None = None
    end_of_stream: tuple[str, ...] = ("proxy_on_log", "proxy_on_done", "proxy_on_delete")
    failure_policies_lacking: tuple[str, ...] = ()
    foreign_functions_lacking: tuple[str, ...] = ()
    headers_end_stream: bool | None = None
    memory_mebibytes: int | None = None
    module_mebibytes: int | None = None
    no_trailers: bool = False
    num_headers_is_zero: bool = False
    only_continue_and_pause: bool = False
    pauses_in: tuple[str, ...] | None = None
    replace_needs_header: bool = False
    request_body_in_one_piece: bool = False
    response_body_buffer: int | None = None
    response_results_ignored: bool = False
    set_pairs_keeps_others: bool = False
    settings_lacking: tuple[str, ...] = ()
    waits_for_callouts: bool = False
    writable_request_body_in: tuple[str, ...] | None = None
    writable_request_headers_in: tuple[str, ...] | None = None
    writable_response_body_in: tuple[str, ...] | None = None
    writable_response_headers_in: tuple[str, ...] | None = None

    def has_attribute(self, path: str) -> bool:
        """Whether the host has an attribute, by its path with dots, or any within it."""
        return self.attributes is None or is_among(path, self.attributes)


@dataclass(frozen=True, slots=True)
class Host:
    """One host: its own facts, beside those of the host that it is `like`."""

    name: str
    title: str
    like: Host | None
    family: str
    origin: str
    abi_versions: tuple[str, ...]
    abi_source: str
    required_exports: tuple[str, ...]
    required_exports_source: str
    hostcall_facts: tuple[HostcallFact, ...]
    never_called_facts: tuple[NeverCalled, ...]
    rule_facts: tuple[RuleFact, ...]

    @property
    def rules(self) -> Rules:
        """The values of its rules."""
        values: dict[str, Any] = {fact.name: fact.value for host in self._line for fact in host.rule_facts}
        return Rules(**values)

    @property
    def never_called(self) -> frozenset[str]:
        """Callbacks that it never makes."""
        return frozenset(name for host in self._line for fact in host.never_called_facts for name in fact.names)

    @property
    def is_plain_envoy(self) -> bool:
        """Whether it differs in nothing from Envoy of today."""
        facts = (self.hostcall_facts, self.never_called_facts, self.rule_facts, self.required_exports)
        return self.like is None and not any(facts)

    def answer(self, hostcall: str) -> HostcallFact | None:
        """How it answers a hostcall, None if as Envoy does."""
        facts = (fact for host in self._line for fact in host.hostcall_facts)
        return next((fact for fact in facts if hostcall in fact.names), None)

    def lacks(self, function: Hostcall | Callback) -> bool:
        """Whether a hostcall or a callback is of no use there, whatever the module does."""
        if isinstance(function, Callback):
            return function.name in self.never_called
        fact = self.answer(function.name)
        return fact is not None and not fact.except_in

    @property
    def _line(self) -> tuple[Host, ...]:
        """The hosts whose facts hold, the eldest first."""
        return (self,) if self.like is None else (*self.like._line, self)


def is_among(path: str, known: Iterable[str]) -> bool:
    """Whether an attribute's path is one of those that are known, or within one that ends in `.*`, or that one."""
    return any(path == name or (name.endswith(".*") and f"{path}.".startswith(name[:-1])) for name in known)


_KINDS: Mapping[object, type] = {"bool": bool, "bool | None": bool, "int | None": int, "str | None": str}
_INHERITED = ("family", "abi_versions", "abi_source", "required_exports", "required_exports_source")
_RULE_TYPES = {field.name: field.type for field in fields(Rules)}


@cache
def load_hosts() -> Mapping[str, Host]:
    """All hosts by name, in the order of the table. The result is shared and immutable."""
    return parse_hosts(HOSTS_TABLE.read_text(encoding="utf-8"), load())


def find_host(name: str) -> Host:
    """The host of that name. Raises ValueError, which names all there are."""
    hosts = load_hosts()
    if name not in hosts:
        raise ValueError(f"no such host profile: {name!r}; there are {', '.join(hosts)}")
    return hosts[name]


def base_hosts() -> tuple[Host, ...]:
    """The hosts that are not versions of another."""
    return tuple(host for host in load_hosts().values() if host.like is None)


def hosts_without(function: Hostcall | Callback) -> tuple[str, ...]:
    """Names of the hosts in which a hostcall or a callback is of no use; versions of another host are left out."""
    return tuple(host.name for host in base_hosts() if host.lacks(function))


def parse_hosts(text: str, abi: Abi) -> Mapping[str, Host]:
    """Read a table in TOML. Raises KeyError for what is missing, ValueError for what is not allowed."""
    table = tomllib.loads(text)
    texts: dict[str, str] = table["rules"]
    if unlike := set(texts) ^ set(_RULE_TYPES):
        raise ValueError(f"rules of the table and of the loader differ: {', '.join(sorted(unlike))}")
    hosts: dict[str, Host] = {}
    for entry in table["host"]:
        like = hosts[entry["like"]] if "like" in entry else None
        hosts[entry["name"]] = _host(entry, like, texts, abi)
    return hosts


def _host(entry: dict[str, Any], like: Host | None, texts: Mapping[str, str], abi: Abi) -> Host:
    name = entry["name"]
    base: dict[str, Any] = entry if like is None else {key: getattr(like, key) for key in _INHERITED}
    host = Host(
        name=name,
        title=entry["title"],
        like=like,
        family=base.get("family", ""),
        origin=entry["origin"],
        abi_versions=tuple(base["abi_versions"]),
        abi_source=base["abi_source"],
        required_exports=tuple(base.get("required_exports", ())),
        required_exports_source=base.get("required_exports_source", ""),
        hostcall_facts=tuple(_hostcall_fact(name, fact, abi) for fact in entry.get("hostcall", [])),
        never_called_facts=tuple(
            NeverCalled(_callbacks(name, fact["names"], abi), _source(name, fact))
            for fact in entry.get("never_called", [])
        ),
        rule_facts=tuple(_rule(name, fact, texts) for fact in entry.get("rule", [])),
    )
    _check_once(host)
    return host


def _hostcall_fact(host: str, fact: dict[str, Any], abi: Abi) -> HostcallFact:
    names = tuple(fact["names"])
    if unknown := [name for name in names if abi.hostcall(name) is None]:
        raise ValueError(f"{host}: no hostcalls of the ABI: {', '.join(unknown)}")
    statuses = [member.name for enum in abi.enums if enum.name == "Status" for member in enum.members]
    if fact["answer"] not in (MISSING, TRAPS, ABORTS, *statuses):
        raise ValueError(f"{host}: a hostcall's answer cannot be {fact['answer']!r}")
    except_in = _callbacks(host, fact.get("except_in", []), abi)
    return HostcallFact(names, fact["answer"], except_in, _source(host, fact))


def _callbacks(host: str, names: Iterable[str], abi: Abi) -> tuple[str, ...]:
    names = tuple(names)
    if unknown := [name for name in names if abi.callback(name) is None]:
        raise ValueError(f"{host}: no callbacks of the ABI: {', '.join(unknown)}")
    return names


def _rule(host: str, fact: dict[str, Any], texts: Mapping[str, str]) -> RuleFact:
    name = fact["name"]
    if name not in texts:
        raise ValueError(f"{host}: no such rule: {name}")
    value: Value = tuple(fact["value"]) if isinstance(fact["value"], list) else fact["value"]
    if type(value) is not _KINDS.get(_RULE_TYPES[name], tuple):
        raise ValueError(f"{host}: the rule {name} cannot be {value!r}")
    shown = ", ".join(f"`{part}`" for part in value) if isinstance(value, tuple) else str(value).lower()
    return RuleFact(name, value, texts[name].format(value=shown or "none"), _source(host, fact))


def _source(host: str, fact: dict[str, Any]) -> str:
    source: str = fact["source"]
    if not source:
        raise ValueError(f"{host}: a fact has no source")
    return source


def _check_once(host: Host) -> None:
    said = [name for fact in host.hostcall_facts for name in fact.names] + [fact.name for fact in host.rule_facts]
    if twice := sorted({name for name in said if said.count(name) > 1}):
        raise ValueError(f"{host.name}: said twice: {', '.join(twice)}")
