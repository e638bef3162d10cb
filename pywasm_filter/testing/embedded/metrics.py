"""Metrics that the plugin defines."""

from __future__ import annotations

from collections import defaultdict

from pywasm_filter.sdk.abi import MetricType, Status
from pywasm_filter.testing.metrics import Metrics

_TYPE_MASK = 3
_ID_STEP = 4
_U64 = 0xFFFF_FFFF_FFFF_FFFF


class MetricValues:
    """Values of all metrics by type and name, shared by all VMs. A histogram keeps what was recorded."""

    def __init__(self) -> None:
        self.counters: dict[bytes, int] = defaultdict(int)
        self.gauges: dict[bytes, int] = defaultdict(int)
        self.histograms: dict[bytes, list[int]] = defaultdict(list)

    def touch(self, kind: MetricType, name: bytes) -> None:
        """Have a metric among those that a test sees, be it used or not."""
        match kind:
            case MetricType.COUNTER:
                self.counters.setdefault(name, 0)
            case MetricType.GAUGE:
                self.gauges.setdefault(name, 0)
            case MetricType.HISTOGRAM:
                self.histograms.setdefault(name, [])

    def snapshot(self) -> Metrics:
        """What a test sees of them now."""
        return Metrics(
            counters={_text(name): value for name, value in self.counters.items()},
            gauges={_text(name): value for name, value in self.gauges.items()},
            histograms={_text(name): len(values) for name, values in self.histograms.items()},
        )


class VmMetrics:
    """The metrics of one VM by id; the low two bits of an id tell its type."""

    def __init__(self, values: MetricValues) -> None:
        self._values = values
        self._names: dict[int, bytes] = {}
        self._last_id = {kind: int(kind) for kind in MetricType}

    def define(self, kind: int, name: bytes) -> tuple[Status, int]:
        """Define a metric; the id is new even if the name is known, the value is not."""
        if kind not in self._last_id:
            return Status.BAD_ARGUMENT, 0
        metric_type = MetricType(kind)
        self._last_id[metric_type] += _ID_STEP
        metric_id = self._last_id[metric_type]
        self._names[metric_id] = name
        self._values.touch(metric_type, name)
        return Status.OK, metric_id

    def increment(self, metric_id: int, offset: int) -> Status:
        """Change a counter (upwards only) or a gauge."""
        kind = metric_id & _TYPE_MASK
        if kind not in (MetricType.COUNTER, MetricType.GAUGE):
            return Status.BAD_ARGUMENT
        name = self._names.get(metric_id)
        if name is None:
            return Status.NOT_FOUND
        if kind == MetricType.GAUGE:
            self._values.gauges[name] = (self._values.gauges[name] + offset) & _U64
            return Status.OK
        if offset <= 0:
            return Status.BAD_ARGUMENT
        self._values.counters[name] = (self._values.counters[name] + offset) & _U64
        return Status.OK

    def record(self, metric_id: int, value: int) -> Status:
        """Add to a counter, set a gauge, or record a value in a histogram."""
        name = self._names.get(metric_id)
        if name is None:
            return Status.NOT_FOUND
        match metric_id & _TYPE_MASK:
            case MetricType.COUNTER:
                self._values.counters[name] = (self._values.counters[name] + value) & _U64
            case MetricType.GAUGE:
                self._values.gauges[name] = value
            case _:
                self._values.histograms[name].append(value)
        return Status.OK

    def get(self, metric_id: int) -> tuple[Status, int]:
        """Value of a counter or a gauge."""
        kind = metric_id & _TYPE_MASK
        if kind not in (MetricType.COUNTER, MetricType.GAUGE):
            return Status.BAD_ARGUMENT, 0
        name = self._names.get(metric_id)
        if name is None:
            return Status.NOT_FOUND, 0
        return Status.OK, (self._values.counters if kind == MetricType.COUNTER else self._values.gauges)[name]


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
