"""From filters to VMs that serve: Envoy tries each plugin out on a canary before any thread gets it."""

from __future__ import annotations

from collections.abc import Sequence

from pywasm_filter.testing.clusters import Clusters
from pywasm_filter.testing.embedded.boundary import Boundary
from pywasm_filter.testing.embedded.contexts import Context, RootContext
from pywasm_filter.testing.embedded.events import EventQueue
from pywasm_filter.testing.embedded.fault_injector import FaultInjector
from pywasm_filter.testing.embedded.host import Host
from pywasm_filter.testing.embedded.log import Log
from pywasm_filter.testing.embedded.metrics import MetricValues, VmMetrics
from pywasm_filter.testing.embedded.played_host import PlayedHost
from pywasm_filter.testing.embedded.queues import SharedQueues
from pywasm_filter.testing.embedded.shared import Shared
from pywasm_filter.testing.embedded.threads import LoadedPlugin, PluginHandle, Thread
from pywasm_filter.testing.embedded.virtual_machine import VirtualMachine
from pywasm_filter.testing.errors import PluginConfigurationError
from pywasm_filter.testing.faults import Faults
from pywasm_filter.testing.grpc import GrpcServices
from pywasm_filter.testing.guests import GuestFactory, TimedGuest
from pywasm_filter.testing.recorder import Recorder
from pywasm_filter.testing.settings import PluginSettings


class Plugins:
    """The plugins of one proxy: what their VMs share, and the threads with the VMs.

    As in Envoy the main thread has VMs as well, which no stream meets: ticks, callouts and queues are theirs. The base
    VM from which Envoy clones the others runs no callback; it is left out here.
    """

    def __init__(
        self,
        make_guests: Sequence[GuestFactory],
        settings: PluginSettings,
        log: Log,
        events: EventQueue,
        recorder: Recorder,
        clusters: Clusters,
        grpc: GrpcServices,
    ) -> None:
        """`make_guests` has one for each plugin of the settings' chain; plugins of one module have the same.

        Raises PluginConfigurationError when a plugin refuses to start, and what `make_guests` raise.
        """
        self.settings = settings
        self.log = log
        self.events = events
        self.recorder = recorder
        self.faults = Faults()
        self.metric_values = MetricValues()
        self._shared = Shared(SharedQueues(events), clusters, grpc)
        self._vms: list[VirtualMachine] = []
        self._chain = [LoadedPlugin(*each) for each in zip(settings.chain, make_guests, strict=True)]
        background = [LoadedPlugin(plugin, make_guests[0]) for plugin in settings.background]
        self._names_plugins = len({loaded.vm_key for loaded in self._chain}) > 1
        workers = [_worker_name(index, settings.concurrency) for index in range(settings.concurrency)]
        self._main, *self._workers = [Thread(name, self._start_vm, events.now_ns) for name in ("main thread", *workers)]
        # Envoy's order: bootstrap extensions, then the listener's filters; the workers begin when all is there.
        for loaded in (*background, *self._chain):
            self._try_out(loaded)
            self._main.load(loaded)
        for worker in self._workers:
            for loaded in (*background, *self._chain):
                worker.load(loaded)
        self.raise_fault()
        self._turn = 0

    def stream_handles(self, worker: int | None) -> list[PluginHandle]:
        """The plugins for a new stream, in the order of the chain. Raises ValueError when there is no such worker.

        None is the worker whose turn it is.
        """
        if worker is None:
            worker, self._turn = self._turn, (self._turn + 1) % len(self._workers)
        if not 0 <= worker < len(self._workers):
            raise ValueError(f"there are workers 0 to {len(self._workers) - 1} (see concurrency), not {worker}")
        handles = (self._workers[worker].handle_for_stream(loaded) for loaded in self._chain)
        return [handle for handle in handles if handle is not None]

    def call_back_foreign_function(self, function_id: int, arguments: bytes) -> None:
        """on_foreign_function of the first plugin in the first worker."""
        handle = self._workers[0].handle(self._chain[0])
        if handle is not None:
            handle.root.on_foreign_function(function_id, arguments)

    def raise_fault(self) -> None:
        """Raise what the test must see, such as a hostcall that this proxy does not offer."""
        for vm in self._vms:
            if vm.fault is not None:
                raise vm.fault

    def shut_down(self) -> None:
        """End the root contexts."""
        for thread in (*self._workers, self._main):
            thread.shut_down()

    def _try_out(self, loaded: LoadedPlugin) -> None:
        vm = self._start_vm(loaded, "canary")
        try:
            self._check(vm, True, "the canary VM could not be initialised")
            root = RootContext(vm, loaded.plugin)
            self._check(vm, root.start(), "on_vm_start refused the VM's configuration in the canary VM")
            self._check(vm, root.configure(), "on_configure refused the plugin's configuration in the canary VM")
            root.discard()
        finally:
            vm.discard()

    def _start_vm(self, loaded: LoadedPlugin, owner: str) -> VirtualMachine:
        vm = VirtualMachine(loaded.plugin, self.settings, self.log, self.events, self._shared)
        self._vms.append(vm)
        Context(vm, 0)
        name = f"{owner} VM" if owner == "canary" else f"{owner}'s VM"
        if self._names_plugins:
            name += f" of {loaded.plugin.plugin_name!r}"
        host = PlayedHost(Host(vm, VmMetrics(self.metric_values)), vm)
        boundary = Boundary(host.hostcalls(), f"the {name}", self.recorder, vm.acting_context_id)
        injector = FaultInjector(self.faults, self._shared.data(loaded.plugin.vm_id), vm.note_fault)
        boundary.interceptors.append(injector)
        boundary.after_hostcalls.append(injector.after_hostcall)
        boundary.before_callbacks.append(injector.before_callback)
        guest = loaded.make_guest(boundary.hostcalls)
        if isinstance(guest, TimedGuest):
            guest.keep_time(self.events.now_ns)
        vm.install(host.around(boundary.around(guest)))
        return vm

    def _check(self, vm: VirtualMachine, accepted: bool, refusal: str) -> None:
        if vm.fault is not None:
            raise vm.fault
        if vm.trap is not None:
            raise PluginConfigurationError(f"the VM trapped at its start: {vm.trap}", self.log.lines)
        if not accepted:
            raise PluginConfigurationError(refusal, self.log.lines)


def _worker_name(index: int, concurrency: int) -> str:
    return "worker" if concurrency == 1 else f"worker {index}"
