"""The trace of a proxy: every call between it and the plugin, to be read and to be asserted on."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, overload

from pywasm_filter.sdk import abi
from pywasm_filter.sdk.abi import Action, Status
from pywasm_filter.testing.embedded.pairs import read_pairs
from pywasm_filter.testing.messages import Headers
from pywasm_filter.testing.recorder import CALLBACK, INTERCEPTED, RETURN, Answer, Argument, Clipped, Entry, Raised
from pywasm_filter.testing.trace_text import answer_text, call_text, error_text, value_text

if TYPE_CHECKING:
    from proxy_wasm_abi import Abi, Value

_PATHS = frozenset({"proxy_get_property", "proxy_set_property"})
_EMPTY_MAP = b"\0\0\0\0"


@dataclass(frozen=True)
class Crossing:
    """One call between proxy and plugin.

    Arguments and results are by the names of the ABI's table. Enums are members, truth values bool, maps of headers
    and metadata `Headers`, a property's path is text with dots; other bytes are as they are, long ones cut to 16 KiB.
    """

    name: str
    """The function of the ABI."""
    direction: Literal["callback", "hostcall"]
    """A callback is made by the host, a hostcall by the plugin."""
    vm: str
    """The VM: the canary's, or the worker's."""
    context_id: int
    """The context that was called, or that the hostcall acted for."""
    arguments: Mapping[str, Any]
    status: Status | int | None
    """What a hostcall returned; None for a callback, and when the hostcall did not return."""
    results: Mapping[str, Any]
    """What a hostcall returned beside its status."""
    result: Any
    """What a callback returned; None if it has no result or did not return."""
    error: str | None
    """Why it did not return: a trap, or an error for the test."""
    intercepted: bool
    """Whether the answer was not the host's: a fault that the test has put in, say."""

    def __str__(self) -> str:
        return f"{call_text(self.name, self.arguments)}{self._outcome()}"

    def _outcome(self) -> str:
        if self.error is not None:
            return f" ✗ {self.error}"
        if self.status is None:
            return "" if self.result is None else f" → {value_text(self.result)}"
        path = self.arguments.get("path") if self.name in _PATHS else None
        return f" → {answer_text(self.status, self.results, path)}{' (not the host)' if self.intercepted else ''}"


class Trace(Sequence[Crossing]):
    """Crossings in order; a callback comes before the hostcalls that were made within it. `str()` shows them all."""

    def __init__(self, entries: Sequence[Entry], since: int = 0) -> None:
        """`since` is the number of the entry with which the trace would begin if all were kept."""
        self._entries = entries
        self._not_kept = entries[0].number - since if entries else 0
        self._crossings: list[Crossing] | None = None

    def calls(self, name: str) -> list[Crossing]:
        """The crossings of one function of the ABI, such as `proxy_http_call`. Raises ValueError for an unknown one."""
        table = _table()
        if table.hostcall(name) is None and table.callback(name) is None:
            raise ValueError(f"the ABI has no function {name!r}: see docs/reference/abi.md")
        return [crossing for crossing in self if crossing.name == name]

    @overload
    def __getitem__(self, index: int) -> Crossing: ...
    @overload
    def __getitem__(self, index: slice) -> list[Crossing]: ...
    def __getitem__(self, index: int | slice) -> Crossing | list[Crossing]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Crossing]:
        return iter(self._all())

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} crossings>"

    def text(self, last: int | None = None) -> str:
        """The trace in lines, or the `last` of them. Lines that were not kept, or are left out, are counted."""
        lines = list(_lines(self._entries))
        left_out = 0 if last is None else max(len(lines) - last, 0)
        heading = [f"… {self._not_kept} crossings before these are not kept"] if self._not_kept else []
        if left_out:
            heading.append(f"… {left_out} lines before these are left out")
        return "\n".join([*heading, *lines[left_out:]])

    def _all(self) -> list[Crossing]:
        if self._crossings is None:
            self._crossings = list(_crossings(self._entries))
        return self._crossings


def decoded_arguments(name: str, args: Iterable[Argument]) -> dict[str, Any]:
    """The arguments of a function of the ABI, as in `Crossing.arguments`."""
    table = _table()
    function = table.hostcall(name) or table.callback(name)
    params = function.params if function is not None else ()
    decoded = {param.name: _decoded(param, arg) for param, arg in zip(params, args, strict=False)}
    if name in _PATHS and isinstance(path := decoded.get("path"), bytes):
        decoded["path"] = path.decode("utf-8", "surrogateescape").replace("\0", ".")
    return decoded


def _table() -> Abi:
    import proxy_wasm_abi  # when somebody looks: all pytest runs load this module

    return proxy_wasm_abi.load()


def _crossings(entries: Iterable[Entry]) -> Iterator[Crossing]:
    """A callback's end is found by counting: callbacks of all VMs are nested, as they run in one thread."""
    sequence = list(entries)
    ends: dict[int, Entry] = {}
    begun: list[int] = []
    for entry in sequence:
        if entry.kind == CALLBACK:
            begun.append(entry.number)
        elif entry.kind == RETURN and begun:
            ends[begun.pop()] = entry
    for entry in sequence:
        if entry.kind == CALLBACK:
            yield _callback(entry, ends.get(entry.number))
        elif entry.kind != RETURN:
            yield _hostcall(entry)


def _callback(entry: Entry, end: Entry | None) -> Crossing:
    answer = None if end is None else end.answer
    return Crossing(
        entry.name,
        "callback",
        entry.vm_name,
        int(entry.args[0]),
        decoded_arguments(entry.name, entry.args),
        None,
        {},
        _result(entry.name, answer),
        _error(answer),
        False,
    )


def _hostcall(entry: Entry) -> Crossing:
    status, results = _split(entry.answer)
    hostcall = _table().hostcall(entry.name)
    returns = hostcall.returns if hostcall is not None else ()
    return Crossing(
        entry.name,
        "hostcall",
        entry.vm_name,
        entry.moment,
        decoded_arguments(entry.name, entry.args),
        None if status is None else _member(Status, status),
        {value.name: _decoded(value, result) for value, result in zip(returns, results, strict=False)},
        None,
        _error(entry.answer),
        entry.kind == INTERCEPTED,
    )


def _split(answer: Answer | Raised | None) -> tuple[int | None, tuple[Argument, ...]]:
    match answer:
        case int():
            return answer, ()
        case (int(status), *results):
            return status, tuple(results)
        case _:
            return None, ()


def _error(answer: object) -> str | None:
    return error_text(answer.kind, answer.text) if isinstance(answer, Raised) else None


def _result(name: str, answer: object) -> Any:
    callback = _table().callback(name)
    if not isinstance(answer, int) or callback is None or callback.result is None:
        return None
    if callback.result == "bool":
        return bool(answer)
    return Action(answer) if answer in (Action.CONTINUE, Action.PAUSE) else _member(_statuses(name), answer)


def _statuses(callback: str) -> type[IntEnum]:
    """Envoy's own statuses of a callback, of which Action is the portable part."""
    for suffix, statuses in (("_headers", abi.FilterHeadersStatus), ("_body", abi.FilterDataStatus)):
        if callback.endswith(suffix):
            return statuses
    return abi.FilterTrailersStatus if callback.endswith("_trailers") else abi.FilterStatus


def _member(kind: type[IntEnum], number: int) -> Any:
    """The member, or the number if the enum has none."""
    return next((member for member in kind if member == number), number)


def _decoded(value: Value, argument: Argument) -> Any:
    if isinstance(argument, bytes):
        return _map(argument) if value.type == "pairs" else argument
    if value.type == "bool":
        return bool(argument) if argument in (0, 1) else argument
    kind = getattr(abi, value.type, None)
    return _member(kind, argument) if isinstance(kind, type) and issubclass(kind, IntEnum) else argument


def _map(data: bytes) -> Headers | bytes:
    """A serialised map, its beginning if it is cut; the bytes when they are none, which a host reads as empty."""
    pairs = _whole_pairs(data) if isinstance(data, Clipped) else read_pairs(data)
    return Headers.of_wire(pairs) if pairs or data in (b"", _EMPTY_MAP) else data


def _whole_pairs(data: bytes) -> list[tuple[bytes, bytes]]:
    """The pairs of which all is there."""
    (count,) = struct.unpack_from("<I", data)
    position = 4 + 8 * count
    texts: list[bytes] = []
    for index in range(2 * count):
        if 8 + 4 * index > len(data):
            break
        (size,) = struct.unpack_from("<I", data, 4 + 4 * index)
        if position + size >= len(data):
            break
        texts.append(data[position : position + size])
        position += size + 1
    return list(zip(texts[::2], texts[1::2], strict=False))


def _lines(entries: Sequence[Entry]) -> Iterator[str]:
    several = len({entry.vm_name for entry in entries}) > 1
    vm_name, time_ns = "", 0
    for entry in entries:
        news = []
        if several and entry.vm_name != vm_name:
            news.append(entry.vm_name)
        if entry.kind == CALLBACK:
            if time_ns and entry.moment != time_ns:
                news.append(f"{(entry.moment - time_ns) / 1e9:.6f}".rstrip("0").rstrip(".") + " s later")
            time_ns = entry.moment
        vm_name = entry.vm_name
        if news:
            yield f"── {', '.join(news)} ──"
        line = _line(entry)
        if line:
            yield line


def _line(entry: Entry) -> str:
    if entry.kind == CALLBACK:
        return f"host → vm   {call_text(entry.name, decoded_arguments(entry.name, entry.args))}"
    if entry.kind != RETURN:
        return f"  vm → host   {_hostcall(entry)}"
    if isinstance(entry.answer, Raised):
        return f"host ✗ vm   {_error(entry.answer)}"
    result = _result(entry.name, entry.answer)
    return "" if result is None else f"host ← vm   {value_text(result)}"
