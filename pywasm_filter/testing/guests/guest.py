"""A Proxy-Wasm guest as the embedded proxy sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from pywasm_filter.sdk.hostcalls import Hostcalls


class GuestTrap(Exception):  # noqa: N818 - the term of the WebAssembly specification
    """The guest trapped: its VM is dead. `backtrace` names its functions, innermost first."""

    def __init__(self, message: str, backtrace: tuple[str, ...] = ()) -> None:
        self.message = message
        self.backtrace = backtrace
        super().__init__("\n".join([message, *(f"  {index}: {name}" for index, name in enumerate(backtrace))]))


class Guest(Protocol):
    """One VM with the filter in it."""

    @property
    def exports(self) -> frozenset[str]:
        """Names of the ABI's callbacks that the guest has."""
        ...

    def start(self) -> None:
        """Initialise the VM, before any callback. Raises GuestTrap."""
        ...

    def call(self, name: str, *args: int) -> int | None:
        """Call a callback: its result, None if it has none. Raises GuestTrap."""
        ...

    def discard(self) -> None:
        """The VM is over, without further callbacks; the host is not to hear of it again."""
        ...


@runtime_checkable
class TimedGuest(Protocol):
    """A guest that has clocks beside the hostcalls, and shows the proxy's time on them."""

    def keep_time(self, now_ns: Callable[[], int]) -> None:
        """Take over the proxy's clock: nanoseconds since the Unix epoch."""
        ...


GuestFactory = Callable[[Hostcalls], Guest]
"""Makes a fresh VM whose hostcalls go to the given host."""
