"""Faults that a test puts between plugin and proxy: hostcalls that fail, VMs that trap, memory that is exhausted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from pywasm_filter.sdk.abi import Status
from pywasm_filter.testing.recorder import Argument
from pywasm_filter.testing.trace import decoded_arguments

if TYPE_CHECKING:
    from proxy_wasm_abi import Abi, Hostcall

Condition: TypeAlias = Callable[[Mapping[str, Any]], bool]
"""Told the arguments of a call by their names in the ABI, as in `Crossing.arguments`: whether the fault strikes."""

INJECTED = "proxy.faults: a trap in "
"""How the message of a trap begins that a test has asked for."""
_SET_SHARED_DATA = "proxy_set_shared_data"


@dataclass(frozen=True)
class Fails:
    """The hostcall is not made; this is its status."""

    status: int


@dataclass(frozen=True)
class Traps:
    """The VM dies there."""


@dataclass(frozen=True)
class OutOfMemory:
    """The hostcall is made, and the guest's allocator gives no memory for what it answers."""


@dataclass(frozen=True)
class CasConflict:
    """Another VM has set the value just before; to what this says, if it is not None."""

    value: Callable[[Mapping[str, Any]], bytes] | None


Effect = Fails | Traps | OutOfMemory | CasConflict


class Fault:
    """One fault. As a context manager it strikes within the block only."""

    def __init__(
        self,
        faults: Faults,
        functions: frozenset[str],
        effect: Effect,
        description: str,
        times: int | None,
        when: Condition | None,
    ) -> None:
        self.effect = effect
        self.hits = 0
        """How often it has struck."""
        self._faults = faults
        self._functions = functions
        self._description = description
        self._times = times
        self._when = when

    @property
    def unused(self) -> bool:
        """Whether it has struck less often than it was to: never, if no number was given."""
        return self.hits < (self._times or 1)

    def cancel(self) -> None:
        """Let it not strike any more."""
        self._faults.armed = [fault for fault in self._faults.armed if fault is not self]

    def strikes(self, name: str, args: tuple[Argument, ...]) -> bool:
        """Whether it is to strike in this call. Raises what the condition raises."""
        if name not in self._functions or (self._times is not None and self.hits >= self._times):
            return False
        return self._when is None or self._when(decoded_arguments(name, args))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def __str__(self) -> str:
        to_be = "" if self._times is None else f" of {self._times}"
        return f"{self._description}: struck {self.hits}{to_be} time{'' if (self._times or self.hits) == 1 else 's'}"


class Faults:
    """The faults of one proxy. Each method adds one, which strikes from now on in all VMs; the first that fits does.

    `times` is how often it strikes, None for always; `when` is told the arguments of a call and says whether it does.
    """

    def __init__(self) -> None:
        self.armed: list[Fault] = []
        """Those that have not been cancelled, in order."""
        self._all: list[Fault] = []

    @property
    def unused(self) -> list[Fault]:
        """Those that struck less often than they were to; in strict mode each is a failure of the test."""
        return [fault for fault in self._all if fault.unused]

    def fail(
        self,
        hostcall: str,
        status: Status | int,
        *,
        times: int | None = None,
        when: Condition | None = None,
        force: bool = False,
    ) -> Fault:
        """Have a hostcall return a status without being made: `fail("proxy_get_property", Status.NOT_FOUND)`.

        Raises ValueError for an unknown hostcall, and for a status that Envoy never returns from this one unless
        `force` is set.
        """
        entry = _hostcall(hostcall)
        if not force:
            _check_status(entry, status)
        name = next((member.name for member in Status if member == status), f"status {int(status)}")
        return self._add({hostcall}, Fails(int(status)), f"{hostcall} fails with {name}", times, when)

    def trap(self, function: str, *, times: int | None = 1, when: Condition | None = None) -> Fault:
        """Have the VM trap in a hostcall or callback: `trap("proxy_on_request_body")`. It is dead from then on.

        Raises ValueError for a function that the ABI does not have.
        """
        table = _table()
        if table.hostcall(function) is None and table.callback(function) is None:
            raise ValueError(f"the ABI has no function {function!r}: see docs/reference/abi.md")
        return self._add({function}, Traps(), f"trap in {function}", times, when)

    def out_of_memory(
        self, hostcall: str | None = None, *, times: int | None = 1, when: Condition | None = None
    ) -> Fault:
        """Have the guest's allocator refuse: a hostcall is made, but its answer finds no room in the module's memory.

        The hostcall returns INVALID_MEMORY_ACCESS (`InvalidMemoryAccess` in Python) and what it did is done: an item
        is out of its queue. Without a name this happens in any hostcall that answers bytes. Raises ValueError for one
        that never does.
        """
        functions = {entry.name for entry in _table().hostcalls if any(value.is_buffer for value in entry.returns)}
        if hostcall is not None:
            if _hostcall(hostcall).name not in functions:
                raise ValueError(f"{hostcall} answers no bytes, so that it needs no memory of the guest")
            functions = {hostcall}
        description = f"no memory for what {hostcall or 'a hostcall'} answers"
        return self._add(functions, OutOfMemory(), description, times, when)

    def cas_conflict(
        self,
        key: str | bytes | None = None,
        *,
        value: bytes | Callable[[Mapping[str, Any]], bytes] | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Have another VM set a shared value between this one's reading it and setting it with compare-and-swap.

        The host answers CAS_MISMATCH by itself. `value` is what the other VM has set, or a function that makes it of
        the arguments of this VM's call: `lambda call: call["value"]` sets the same. None leaves the value as it was.
        A set without compare-and-swap (cas 0) always wins, and is not struck.
        """
        wanted = None if key is None else _bytes(key)

        def compares(arguments: Mapping[str, Any]) -> bool:
            return arguments["cas"] != 0 and wanted in (None, arguments["key"])

        effect = CasConflict((lambda call: value) if isinstance(value, bytes) else value)
        of_key = "" if key is None else f" of {key!r}"
        return self._add({_SET_SHARED_DATA}, effect, f"compare-and-swap conflict{of_key}", times, compares)

    def clear(self) -> None:
        """Take all faults back, and forget which were unused."""
        self.armed = []
        self._all = []

    def strike(self, name: str, args: tuple[Argument, ...], effects: tuple[type[object], ...]) -> Fault | None:
        """The fault of such an effect that strikes in a call, which counts. Raises what a condition raises."""
        for fault in self.armed:
            if isinstance(fault.effect, effects) and fault.strikes(name, args):
                fault.hits += 1
                return fault
        return None

    def _add(
        self, functions: set[str], effect: Effect, description: str, times: int | None, when: Condition | None
    ) -> Fault:
        if times is not None and times < 1:
            raise ValueError(f"a fault strikes at least once, not {times} times")
        fault = Fault(self, frozenset(functions), effect, description, times, when)
        self.armed.append(fault)
        self._all.append(fault)
        return fault


def _table() -> Abi:
    import proxy_wasm_abi  # with the first fault: all pytest runs load this module

    return proxy_wasm_abi.load()


def _hostcall(name: str) -> Hostcall:
    hostcall = _table().hostcall(name)
    if hostcall is None:
        raise ValueError(f"the ABI has no hostcall {name!r}: see docs/reference/abi.md")
    return hostcall


def _check_status(hostcall: Hostcall, status: int) -> None:
    """Any hostcall returns INTERNAL_FAILURE where capability restrictions forbid it."""
    possible = [*hostcall.statuses, *({Status.INTERNAL_FAILURE.name} - set(hostcall.statuses))]
    name = next((member.name for member in Status if member == status), str(int(status)))
    if name not in possible:
        raise ValueError(
            f"Envoy never returns {name} from {hostcall.name}, but {', '.join(possible)}; if that is what is to be "
            "tested, say force=True"
        )


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
