"""From a filter to a VM that serves: Envoy tries a configuration out on a canary before any worker gets it."""

from __future__ import annotations

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
from pywasm_filter.testing.embedded.shared import Shared, SharedData
from pywasm_filter.testing.embedded.virtual_machine import VirtualMachine
from pywasm_filter.testing.errors import PluginConfigurationError
from pywasm_filter.testing.faults import Faults
from pywasm_filter.testing.grpc import GrpcServices
from pywasm_filter.testing.guests import GuestFactory, TimedGuest
from pywasm_filter.testing.recorder import Recorder
from pywasm_filter.testing.settings import PluginSettings


class Plugin:
    """The plugin in one proxy: what its VMs share, and the worker's VM with its root contexts.

    The base VM from which Envoy clones the others runs no callback; it is left out here.
    """

    def __init__(
        self,
        make_guest: GuestFactory,
        settings: PluginSettings,
        log: Log,
        events: EventQueue,
        recorder: Recorder,
        clusters: Clusters,
        grpc: GrpcServices,
    ) -> None:
        """Raises PluginConfigurationError when the plugin refuses to start, and what `make_guest` raises."""
        self.settings = settings
        self.log = log
        self._make_guest = make_guest
        self.events = events
        self.recorder = recorder
        self.faults = Faults()
        self._shared = Shared(SharedData(), SharedQueues(events), clusters, grpc)
        self.metric_values = MetricValues()
        roots = [(settings.root_id, settings.configuration), *settings.background_roots.items()]
        for root in roots:
            self._try_out(*root)
        self.vm = self._start_vm("the worker's VM")
        self.roots = [self._start_root(self.vm, *root, "the worker's VM") for root in roots]
        self.root = self.roots[0]

    def raise_fault(self) -> None:
        """Raise what the test must see, such as a hostcall that this proxy does not offer."""
        if self.vm.fault is not None:
            raise self.vm.fault

    def shut_down(self) -> None:
        """End the root contexts."""
        for root in self.roots:
            root.shut_down()
        self.vm.discard()

    def _try_out(self, root_id: str, configuration: bytes) -> None:
        vm = self._start_vm("the canary VM")
        try:
            self._start_root(vm, root_id, configuration, "the canary VM").discard()
        finally:
            vm.discard()

    def _start_vm(self, which: str) -> VirtualMachine:
        vm = VirtualMachine(self.settings, self.log, self.events, self._shared)
        Context(vm, 0)
        host = PlayedHost(Host(vm, VmMetrics(self.metric_values)), vm)
        boundary = Boundary(host.hostcalls(), which, self.recorder, vm.acting_context_id)
        injector = FaultInjector(self.faults, self._shared.data, vm.note_fault)
        boundary.interceptors.append(injector)
        boundary.after_hostcalls.append(injector.after_hostcall)
        boundary.before_callbacks.append(injector.before_callback)
        guest = self._make_guest(boundary.hostcalls)
        if isinstance(guest, TimedGuest):
            guest.keep_time(self.events.now_ns)
        vm.install(host.around(boundary.around(guest)))
        self._check(vm, True, f"{which} could not be initialised")
        return vm

    def _start_root(self, vm: VirtualMachine, root_id: str, configuration: bytes, which: str) -> RootContext:
        root = RootContext(vm, root_id, configuration)
        self._check(vm, root.start(), f"on_vm_start refused the VM's configuration in {which}")
        self._check(vm, root.configure(), f"on_configure refused the plugin's configuration in {which}")
        return root

    def _check(self, vm: VirtualMachine, accepted: bool, refusal: str) -> None:
        if vm.fault is not None:
            raise vm.fault
        if vm.trap is not None:
            raise PluginConfigurationError(f"the VM trapped at its start: {vm.trap}", self.log.lines)
        if not accepted:
            raise PluginConfigurationError(refusal, self.log.lines)
