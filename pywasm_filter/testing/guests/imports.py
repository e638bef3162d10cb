"""The functions that a module imports from `env`, made from the ABI's table around the lifted hostcalls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Protocol

import proxy_wasm_abi
from proxy_wasm_abi import Hostcall, Value

from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.testing.errors import HostMisuse
from pywasm_filter.testing.guests.memory import GuestMemory

_U32 = 0xFFFF_FFFF
_U64 = 0xFFFF_FFFF_FFFF_FFFF

# Both addresses may be 0 here: the caller then does not want the result.
_OPTIONAL_RESULTS = frozenset({"proxy_call_foreign_function"})
# The place for the result is tried before anything is done.
_PLACE_FIRST = frozenset({"proxy_http_call"})
# Their results are stored whatever the status.
_ALWAYS_STORED = _OPTIONAL_RESULTS | _PLACE_FIRST
# Values of these enums are looked at before the memory is.
_SELECTORS = frozenset({"BufferType", "LogLevel", "MapType"})


class Lender(Protocol):
    """What the imports need of their guest."""

    @property
    def memory(self) -> GuestMemory:
        """The module's memory."""
        ...

    def allocate(self, data: bytes) -> int | None:
        """Put data into memory that the module's allocator gives; its address, None if that is no good."""
        ...


CoreFunction = Callable[..., int | None]


def host_imports(host: Hostcalls, guest: Lender) -> dict[str, CoreFunction]:
    """A function for each hostcall, taking and returning core values."""
    return {entry.name: _lowered(entry, getattr(host, entry.name), guest) for entry in proxy_wasm_abi.load().hostcalls}


def _lowered(hostcall: Hostcall, method: Callable[..., object], guest: Lender) -> CoreFunction:
    limits = {entry.name: max(member.value for member in entry.members) for entry in proxy_wasm_abi.load().enums}
    selectors = [(index, limits[value.type]) for index, value in enumerate(hostcall.params) if value.type in _SELECTORS]
    place_first = hostcall.name in _PLACE_FIRST

    def call(*core: int) -> int:
        values = iter(core)
        lifted = [_lift(value, values, guest.memory) for value in hostcall.params]
        addresses = [value & _U32 for value in values]
        if None in lifted:
            unknown = any(_number(lifted[index]) > limit for index, limit in selectors)
            return Status.BAD_ARGUMENT if unknown else Status.INVALID_MEMORY_ACCESS
        if place_first and not guest.memory.write_u32(addresses[0], 0):
            return Status.INVALID_MEMORY_ACCESS
        answer = method(*lifted)
        status, *results = answer if isinstance(answer, tuple) else (answer,)
        if status != Status.OK and hostcall.name not in _ALWAYS_STORED:
            return int(status)
        stored = _store(hostcall, results, addresses, guest)
        return int(status if stored == Status.OK else stored)

    return call


@cache
def _largest(enum: str) -> int:
    """The largest value of an enum of the ABI."""
    [members] = [entry.members for entry in proxy_wasm_abi.load().enums if entry.name == enum]
    return max(member.value for member in members)


def _number(lifted: int | bytes | None) -> int:
    assert isinstance(lifted, int)
    return lifted


def _lift(value: Value, core: Iterator[int], memory: GuestMemory) -> int | bytes | None:
    """The next argument; None for a buffer outside of the memory."""
    first = next(core)
    if value.is_buffer:
        return memory.read(first & _U32, next(core) & _U32)
    match value.type:
        case "s64":
            return first
        case "u64":
            return first & _U64
        case _:
            return first & _U32


def _store(hostcall: Hostcall, results: list[object], addresses: list[int], guest: Lender) -> Status:
    """Write results to the addresses that the module gave for them: two for a buffer, one otherwise."""
    targets = iter(addresses)
    for value, result in zip(hostcall.returns, results, strict=True):
        address = next(targets)
        if isinstance(result, bytes):
            optional = hostcall.name in _OPTIONAL_RESULTS
            stored = _store_buffer(result, address, next(targets), guest, optional=optional)
        elif isinstance(result, int):
            stored = _store_integer(value, result, address, guest.memory)
        else:
            raise TypeError(f"{hostcall.name}: {value.name} is {result!r}")
        if not stored:
            return Status.INVALID_MEMORY_ACCESS
    return Status.OK


def _store_integer(value: Value, number: int, address: int, memory: GuestMemory) -> bool:
    return memory.write_u64(address, number) if value.type == "u64" else memory.write_u32(address, number)


def _store_buffer(data: bytes, address_at: int, size_at: int, guest: Lender, *, optional: bool) -> bool:
    """Store address and size. Nothing is allocated for an empty result."""
    if optional and not address_at:
        return not size_at or guest.memory.write_u32(size_at, len(data))
    address = guest.allocate(data) if data else 0
    if address is None:
        if optional:
            raise HostMisuse(
                f"the module's allocator has no memory for the {len(data)} bytes that a foreign function returns; "
                "Envoy writes them nevertheless, and crashes"
            )
        return False
    return guest.memory.write_u32(address_at, address) and guest.memory.write_u32(size_at, len(data))
