"""What all VMs of a proxy share."""

from __future__ import annotations

from dataclasses import dataclass, field

from pywasm_filter.sdk.abi import Status
from pywasm_filter.testing.clusters import Clusters
from pywasm_filter.testing.embedded.queues import SharedQueues
from pywasm_filter.testing.grpc import GrpcServices


class SharedData:
    """Values by key, each with its compare-and-swap number."""

    def __init__(self) -> None:
        self._values: dict[bytes, tuple[bytes, int]] = {}
        self._last_cas = 0

    def get(self, key: bytes) -> tuple[bytes, int] | None:
        """The value and its number."""
        return self._values.get(key)

    def set(self, key: bytes, value: bytes, cas: int) -> Status:
        """Set a value; a `cas` other than 0 must be that of the present value."""
        present = self._values.get(key)
        if present is not None and cas not in (0, present[1]):
            return Status.CAS_MISMATCH
        self._last_cas += 1
        self._values[key] = (value, self._last_cas)
        return Status.OK


@dataclass(frozen=True)
class Shared:
    """What all VMs of a proxy share; data, those with the same vm_id."""

    queues: SharedQueues
    clusters: Clusters
    grpc: GrpcServices
    _data: dict[str, SharedData] = field(default_factory=dict)

    def data(self, vm_id: str) -> SharedData:
        """The values that VMs of this vm_id share."""
        return self._data.setdefault(vm_id, SharedData())
