"""Metrics that the proxy keeps and exports: counters, gauges and histograms, with labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Self

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import LogLevel, MetricType
from pywasm_filter.sdk.exceptions import host_error
from pywasm_filter.sdk.hostcalls import Hostcalls
from pywasm_filter.sdk.output import log

MAX_LABELLED = 1000
"""How many combinations of label values a metric has in one VM; further ones are counted together."""

MAX_LABEL_VALUE = 120
"""How many characters of a label value are kept."""

OTHER = "other"
"""The value of all labels of a metric's combinations beyond the limit."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*\Z")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# Beside what separates labels, what the protocols of Envoy's stats sinks and its own tags would take for theirs.
_ESCAPED = re.compile(rb"[^A-Za-z0-9_./+~-]|\.(?=\.|\Z)|_(?=rq_)")
_MAX_CHANGE = (1 << 63) - 1
_MAX_VALUE = (1 << 64) - 1


def _encode_label_value(value: str) -> str:
    data = value[:MAX_LABEL_VALUE].encode("utf-8", "surrogateescape")
    return _ESCAPED.sub(_percent_encode, data).decode("ascii")


def _percent_encode(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]


def _check_amount(amount: int, least: int, most: int) -> None:
    if not isinstance(amount, int):
        raise TypeError(f"a metric has integers, not {type(amount).__name__}; choose a smaller unit")
    if not least <= amount <= most:
        raise ValueError(f"{amount} is out of range for this metric")


class Metric:
    """What all metrics have in common: a name, and labels.

    Make it at the top level of the module: it is defined in the proxy when it is first used in a VM. Names consist of
    letters, digits, `_` and `-`, with dots between the parts; in Envoy `wasmcustom.` stands before them. With `labels`,
    `labels(...)` gives the metric for certain values; the names of the labels are part of the metric's name in the
    proxy, as `requests;method=GET;status=200`. Values are text or integers. Characters other than ASCII letters and
    digits and `_./+~-` are percent-encoded, values longer than 120 characters are cut, and an empty value is as good as
    none. The proxy keeps each combination of values for ever: after 1000 of them in one VM, all further ones are
    counted together, with `other` as the value of each label, and a warning is logged.

    The same metric in several VMs is one in the proxy. Raises ValueError for names that are not allowed.
    """

    _kind: MetricType

    def __init__(self, name: str, *, labels: Sequence[str] = ()) -> None:
        if not _NAME.match(name):
            raise ValueError(f"a metric's name has letters, digits, _ and -, with dots between the parts, not {name!r}")
        for label in labels:
            if not _LABEL.match(label):
                raise ValueError(f"a label's name has letters, digits and _, not {label!r}")
        if isinstance(labels, str) or len(set(labels)) != len(labels):
            raise ValueError(f"labels is a sequence of names, each given once, not {labels!r}")
        self.name = name
        """The name, as it is given."""
        self.label_names: tuple[str, ...] = tuple(labels)
        """The names of the labels."""
        self._encoded = name
        self._labelled: dict[tuple[str, ...], Self] = {}
        self._id = 0
        self._host: Hostcalls | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._encoded}>"

    def labels(self, **values: str | int) -> Self:
        """The metric for these values of its labels; the same object for the same values.

        Raises ValueError unless each label is given, and TypeError for values other than text and integers.
        """
        if not values or len(values) != len(self.label_names) or not all(name in values for name in self.label_names):
            raise ValueError(
                f"the labels of {self.name} are {self._described_labels()}, not {', '.join(values) or 'none'}"
            )
        key = tuple([_label_text(values[name]) for name in self.label_names])
        found = self._labelled.get(key)
        return self._add_labelled(key) if found is None else found

    def _add_labelled(self, key: tuple[str, ...]) -> Self:
        if len(self._labelled) >= MAX_LABELLED:
            return self._overflow()
        return self._labelled.setdefault(key, self._labelled_as(key))

    def _overflow(self) -> Self:
        key = (OTHER,) * len(self.label_names)
        found = self._labelled.get(key)
        if found is None:
            log(LogLevel.WARN, f"{self.name} has {MAX_LABELLED} combinations of labels; all others count as {OTHER!r}")
            found = self._labelled.setdefault(key, self._labelled_as(key))
        return found

    def _labelled_as(self, key: tuple[str, ...]) -> Self:
        made = type(self)(self.name)
        pairs = zip(self.label_names, key, strict=True)
        made._encoded = self.name + "".join([f";{label}={_encode_label_value(text)}" for label, text in pairs if text])
        return made

    def _described_labels(self) -> str:
        return ", ".join(self.label_names) or "none"

    def _metric_id(self) -> int:
        """The host's number of this metric. ABI: proxy_define_metric."""
        if self._host is not hostcalls.current:
            self._define_metric()
        return self._id

    def _define_metric(self) -> None:
        if self.label_names:
            raise ValueError(f"{self.name} has labels: use {self.name}.labels({self._described_labels()})")
        status, metric_id = hostcalls.current.proxy_define_metric(self._kind, self._encoded.encode("ascii"))
        if status != 0:
            raise host_error("proxy_define_metric", status)
        self._id = metric_id
        self._host = hostcalls.current


def _label_text(value: str | int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"the value of a label is text or an integer, not {type(value).__name__}")


def _increment_metric(metric_id: int, offset: int) -> None:
    status = hostcalls.current.proxy_increment_metric(metric_id, offset)
    if status != 0:
        raise host_error("proxy_increment_metric", status)


def _record_metric(metric_id: int, value: int) -> None:
    status = hostcalls.current.proxy_record_metric(metric_id, value)
    if status != 0:
        raise host_error("proxy_record_metric", status)


def _metric_value(metric_id: int) -> int:
    status, value = hostcalls.current.proxy_get_metric(metric_id)
    if status != 0:
        raise host_error("proxy_get_metric", status)
    return value


class Counter(Metric):
    """A number that only grows: requests, errors, bytes."""

    _kind = MetricType.COUNTER

    def increment(self, amount: int = 1) -> None:
        """Add `amount`, which is not negative.

        ABI: proxy_increment_metric, and proxy_define_metric at first. Raises HostError; ValueError and TypeError for
        amounts out of range and of other types.
        """
        _check_amount(amount, 0, _MAX_CHANGE)
        if amount:
            _increment_metric(self._metric_id(), amount)

    def value(self) -> int:
        """What has been counted in all VMs. ABI: proxy_get_metric. Raises HostError."""
        return _metric_value(self._metric_id())


class Gauge(Metric):
    """A number that rises and falls, never below zero: sessions, sizes."""

    _kind = MetricType.GAUGE

    def set(self, value: int) -> None:
        """Make it `value`. ABI: proxy_record_metric. Raises as `Counter.increment` does."""
        _check_amount(value, 0, _MAX_VALUE)
        _record_metric(self._metric_id(), value)

    def add(self, amount: int) -> None:
        """Change it by `amount`, which may be negative; below zero Envoy wraps around.

        ABI: proxy_increment_metric. Raises as `Counter.increment` does.
        """
        _check_amount(amount, -_MAX_CHANGE, _MAX_CHANGE)
        if amount:
            _increment_metric(self._metric_id(), amount)

    def value(self) -> int:
        """Its value in all VMs. ABI: proxy_get_metric. Raises HostError."""
        return _metric_value(self._metric_id())


class Histogram(Metric):
    """Many numbers, of which the proxy shows the distribution: durations in milliseconds, sizes. It cannot be read."""

    _kind = MetricType.HISTOGRAM

    def record(self, value: int) -> None:
        """Add `value`, which is not negative. ABI: proxy_record_metric. Raises as `Counter.increment` does."""
        _check_amount(value, 0, _MAX_VALUE)
        _record_metric(self._metric_id(), value)
