"""Envoy's threads: each has VMs of its own, and in them the root contexts of the plugins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pywasm_filter.testing.embedded.contexts import RootContext
from pywasm_filter.testing.embedded.virtual_machine import VirtualMachine
from pywasm_filter.testing.guests import GuestFactory
from pywasm_filter.testing.plugin import FailurePolicy, Plugin

# Envoy waits a second and up to half of one more, at random: after the longest it has done so in any case.
_RELOAD_INTERVAL_NS = 1_500_000_000


@dataclass(frozen=True, eq=False)
class LoadedPlugin:
    """A plugin and the module that it runs in."""

    plugin: Plugin
    make_guest: GuestFactory

    @property
    def vm_key(self) -> tuple[object, ...]:
        """What plugins have in common that share a VM in each thread."""
        return (id(self.make_guest), self.plugin.vm_id, self.plugin.vm_configuration_bytes)

    @property
    def key(self) -> tuple[object, ...]:
        """What plugins have in common that share a root context in each thread."""
        plugin = self.plugin
        return (self.vm_key, plugin.plugin_name, plugin.root_id, plugin.configuration_bytes)


@dataclass(frozen=True)
class PluginHandle:
    """A plugin in one thread."""

    vm: VirtualMachine
    root: RootContext


StartVm = Callable[[LoadedPlugin, str], VirtualMachine]
"""Makes a VM and initialises it; the name says whose it is."""


class Thread:
    """The main thread or a worker.

    What Envoy does when a plugin that its canary has accepted refuses in a thread is to let the streams of the thread
    pass without it, whatever the failure policy says.
    """

    def __init__(self, name: str, start_vm: StartVm, now_ns: Callable[[], int]) -> None:
        self._name = name
        self._start_vm = start_vm
        self._now_ns = now_ns
        self._vms: dict[tuple[object, ...], VirtualMachine] = {}
        self._handles: dict[tuple[object, ...], PluginHandle | None] = {}
        self._loaded_at: dict[LoadedPlugin, int] = {}

    def load(self, loaded: LoadedPlugin) -> None:
        """Start a plugin, and configure it; once for plugins that are the same."""
        self._loaded_at[loaded] = self._now_ns()
        handle = self._handles.get(loaded.key)
        if handle is None or handle.vm.failed:
            self._handles[loaded.key] = self._start(loaded)

    def handle(self, loaded: LoadedPlugin) -> PluginHandle | None:
        """The plugin as it is, however it is; None if it could not be started."""
        return self._handles[loaded.key]

    def handle_for_stream(self, loaded: LoadedPlugin) -> PluginHandle | None:
        """The plugin for a new stream, None when the stream passes without it. The VM may be dead: the stream fails."""
        handle = self._handles[loaded.key]
        if handle is None or not handle.vm.failed:
            return handle
        match loaded.plugin.failure_policy:
            case FailurePolicy.FAIL_OPEN:
                return None
            case FailurePolicy.FAIL_RELOAD:
                return self._reload(loaded, handle)
        return handle

    def shut_down(self) -> None:
        """End the root contexts, then the VMs."""
        handles = {id(handle): handle for handle in self._handles.values() if handle is not None}
        for handle in handles.values():
            handle.root.shut_down()
        for handle in handles.values():
            handle.vm.discard()

    def _reload(self, loaded: LoadedPlugin, failed: PluginHandle) -> PluginHandle:
        if self._now_ns() - self._loaded_at[loaded] < _RELOAD_INTERVAL_NS:
            return failed
        self._loaded_at[loaded] = self._now_ns()
        fresh = self._start(loaded)
        if fresh is None:
            return failed
        failed.root.discard()
        failed.vm.discard()
        self._handles[loaded.key] = fresh
        return fresh

    def _start(self, loaded: LoadedPlugin) -> PluginHandle | None:
        vm = self._vms.get(loaded.vm_key)
        if vm is None or vm.failed:
            vm = self._start_vm(loaded, self._name)
        if not vm.failed:
            root = RootContext(vm, loaded.plugin)
            if root.start() and root.configure() and not vm.failed:
                self._vms[loaded.vm_key] = vm
                return PluginHandle(vm, root)
            root.discard()
        if self._vms.get(loaded.vm_key) is not vm:
            vm.discard()
        vm.log.note(
            f"the plugin {loaded.plugin.plugin_name!r} did not start in the {self._name}, though it did in the canary "
            "VM: as in Envoy, streams of this thread pass without it"
        )
        return None
