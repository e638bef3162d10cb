"""One VM with the plugin in it: calls into it, what they defer, and its death."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pywasm_filter.testing.embedded.events import EventQueue
from pywasm_filter.testing.embedded.log import Log
from pywasm_filter.testing.embedded.shared import Shared
from pywasm_filter.testing.guests import GuestTrap
from pywasm_filter.testing.plugin import Plugin
from pywasm_filter.testing.settings import PluginSettings

if TYPE_CHECKING:
    from pywasm_filter.testing.embedded.contexts import Context
    from pywasm_filter.testing.guests import Guest


CALLOUT_STEP = 4


class VirtualMachine:
    """The host's bookkeeping for one guest.

    `trap` is what killed it, None while it lives. `fault` is the first error of the test itself, such as a hostcall
    that this proxy does not offer: it is kept because the guest may well swallow the exception.
    """

    def __init__(self, plugin: Plugin, settings: PluginSettings, log: Log, events: EventQueue, shared: Shared) -> None:
        """`plugin` is the one for which it is made; others may share it."""
        from proxy_wasm_abi import find_host  # with the first VM: all pytest runs load this module

        self.plugin = plugin
        self.settings = settings
        self.profile = find_host(settings.host_profile)
        """The host that is played."""
        self.rules = self.profile.rules
        """What is special about it."""
        self.log = log
        self.events = events
        self.shared = shared
        self.contexts: dict[int, Context] = {}
        self.trap: GuestTrap | None = None
        self.fault: Exception | None = None
        self.running: str | None = None
        """Name of the callback that is being run."""
        self.iteration_stopped = False
        """Whether the running callback has sent a local response."""
        self._guest: Guest | None = None
        self._next_context_id = 1
        self._last_http_call_token = 0
        self._last_grpc_ids: dict[int, int] = {}
        self._current_id = 0
        self._effective_id = 0
        self._deferred: list[Callable[[], None]] = []

    @property
    def failed(self) -> bool:
        """Whether the VM is dead."""
        return self.trap is not None

    def install(self, guest: Guest) -> None:
        """Put the guest into the VM and initialise it."""
        self._guest = guest
        self._run(0, "start", guest.start)

    def allocate_context_id(self) -> int:
        """The number of the next context."""
        allocated = self._next_context_id
        self._next_context_id += 1
        return allocated

    def allocate_http_call_token(self) -> int:
        """The token of the next HTTP callout: those of gRPC have other low bits."""
        self._last_http_call_token += CALLOUT_STEP
        return self._last_http_call_token

    def allocate_grpc_id(self, kind: int) -> int:
        """The id of the next gRPC callout, of which `kind` is the low bits."""
        last = self._last_grpc_ids.get(kind, kind)
        self._last_grpc_ids[kind] = last + CALLOUT_STEP
        return last + CALLOUT_STEP

    def context(self) -> Context:
        """The context that hostcalls act for: the effective one, otherwise the one that was called."""
        effective = self.contexts.get(self._effective_id) if self._effective_id else None
        return effective or self.contexts[self._current_id]

    def acting_context_id(self) -> int:
        """The number of the context that hostcalls act for; 0 before there is one."""
        return self._effective_id or self._current_id

    def called_context(self) -> Context:
        """The context whose callback is running, whatever is the effective one."""
        return self.contexts[self._current_id]

    def set_effective_context(self, context_id: int) -> bool:
        """Act for another context until the running callback returns; false if there is no such context."""
        if context_id not in self.contexts:
            return False
        self._effective_id = context_id
        return True

    def has(self, callback: str) -> bool:
        """Whether the plugin has a callback."""
        return self._guest is not None and callback in self._guest.exports

    def call(self, context_id: int, callback: str, *args: int) -> int:
        """Call a callback for a context, its id first; 0 if it has no result or the VM traps."""
        guest = self._guest
        assert guest is not None
        return self._run(context_id, callback, lambda: guest.call(callback, context_id, *args)) or 0

    def discard(self) -> None:
        """The VM is over."""
        if self._guest is not None:
            self._guest.discard()

    def defer(self, action: Callable[[], None]) -> None:
        """Run an action when the running callback has returned."""
        self._deferred.append(action)

    def finish_call(self) -> None:
        """Run what the callback has deferred."""
        self.iteration_stopped = False
        while self._deferred:
            self._deferred.pop(0)()

    def note_fault(self, fault: Exception) -> None:
        """Remember an error that the test must see."""
        if self.fault is None:
            self.fault = fault

    def _run(self, context_id: int, name: str, function: Callable[[], int | None]) -> int | None:
        saved = (self._current_id, self._effective_id, self.running)
        self._current_id, self._effective_id, self.running = context_id, 0, name
        try:
            return function()
        except GuestTrap as trap:
            self.trap = trap
            self.log.note_trap(f"the VM trapped in {name}: {trap}")
            return None
        except BaseException as error:
            # Neither the guest's nor the host's state can be trusted any more: an interrupt, an error of the test.
            self.trap = GuestTrap(f"{name} was left by {type(error).__name__}")
            raise
        finally:
            self._current_id, self._effective_id, self.running = saved
