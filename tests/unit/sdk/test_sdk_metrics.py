"""Metrics: defined when they are first used, with labels that no value can forge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywasm_filter import BadArgument, Counter, Gauge, Histogram, NotFound
from pywasm_filter.sdk import hostcalls, metrics
from pywasm_filter.sdk.hostcalls import Unbound
from pywasm_filter.testing.embedded.metrics import MetricValues, VmMetrics


class MetricHost(Unbound):
    """The embedded proxy's metrics, and what was defined."""

    def __init__(self) -> None:
        self.values = MetricValues()
        self.defined: list[bytes] = []
        self.logged: list[str] = []
        self._metrics = VmMetrics(self.values)

    def proxy_define_metric(self, metric_type: int, metric_name: bytes, /) -> tuple[int, int]:
        self.defined.append(metric_name)
        return self._metrics.define(metric_type, metric_name)

    def proxy_increment_metric(self, metric_id: int, offset: int, /) -> int:
        return self._metrics.increment(metric_id, offset)

    def proxy_record_metric(self, metric_id: int, value: int, /) -> int:
        return self._metrics.record(metric_id, value)

    def proxy_get_metric(self, metric_id: int, /) -> tuple[int, int]:
        return self._metrics.get(metric_id)

    def proxy_log(self, level: int, message: bytes, /) -> int:
        self.logged.append(message.decode())
        return 0


@pytest.fixture
def host() -> Iterator[MetricHost]:
    scripted = MetricHost()
    previous = hostcalls.bind(scripted)
    yield scripted
    hostcalls.bind(previous)


def test_a_counter_counts_and_is_defined_once(host: MetricHost) -> None:
    counter = Counter("requests")
    assert host.defined == []
    counter.increment()
    counter.increment(4)
    counter.increment(0)
    assert counter.value() == 5
    assert host.values.counters == {b"requests": 5}
    assert host.defined == [b"requests"]


def test_a_gauge_rises_and_falls(host: MetricHost) -> None:
    gauge = Gauge("sessions")
    gauge.set(10)
    gauge.add(5)
    gauge.add(-2)
    assert gauge.value() == 13
    assert host.values.gauges == {b"sessions": 13}


def test_a_histogram_records(host: MetricHost) -> None:
    histogram = Histogram("duration_ms", labels=["route"])
    histogram.labels(route="a").record(3)
    histogram.labels(route="a").record(7)
    assert host.values.histograms == {b"duration_ms;route=a": [3, 7]}


def test_labels_are_part_of_the_name_in_the_order_of_their_declaration(host: MetricHost) -> None:
    counter = Counter("requests", labels=("method", "status"))
    counter.labels(status=200, method="GET").increment()
    assert counter.labels(method="GET", status="200") is counter.labels(status=200, method="GET")
    counter.labels(method="", status=404).increment()
    assert host.defined == [b"requests;method=GET;status=200", b"requests;status=404"]
    assert counter.labels(method="GET", status=200).value() == 1
    assert repr(counter.labels(method="GET", status=200)) == "<Counter requests;method=GET;status=200>"


def test_another_vm_has_numbers_of_its_own(host: MetricHost) -> None:
    Counter("other").increment()
    counter = Counter("requests")
    counter.increment()
    second = MetricHost()
    hostcalls.bind(second)
    counter.increment(2)
    hostcalls.bind(host)
    counter.increment()
    assert host.values.counters == {b"other": 1, b"requests": 2}
    assert second.values.counters == {b"requests": 2}


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("example.com", "example.com"),
        ("/api/v1/~user+x-y_z", "/api/v1/~user+x-y_z"),
        ("a;status=500", "a%3Bstatus%3D500"),
        ("a:1|c", "a%3A1%7Cc"),
        ("a b\n\x00", "a%20b%0A%00"),
        ("%3B", "%253B"),
        ("é", "%C3%A9"),
        ("\udcff", "%FF"),
        ("x.", "x%2E"),
        ("a..b", "a%2E.b"),
        ("_rq_200", "%5Frq_200"),
        ("_rq_rq_200", "%5Frq%5Frq_200"),
        ('a"b\\', "a%22b%5C"),
        ("x" * 500, "x" * 120),
    ],
)
def test_label_values_are_encoded(host: MetricHost, value: str, encoded: str) -> None:
    Counter("n", labels=["l"]).labels(l=value).increment()
    assert host.defined == [f"n;l={encoded}".encode()]


STATS_TAGS = {"method": r"^wasmcustom\..*?(;method=([^;]*))", "status": r"^wasmcustom\..*?(;status=([^;]*))"}
TEXT = st.text(max_size=130) | st.text("ab;=._rq0123456789xx%", max_size=40)


@given(TEXT, TEXT)
def test_no_value_forges_a_label(method: str, status: str) -> None:
    method = method.encode("utf-8", "replace").decode()
    status = status.encode("utf-8", "replace").decode()
    child = Counter("requests", labels=("method", "status")).labels(method=method, status=status)
    name = f"wasmcustom.{child._encoded}"
    assert not re.search(r"_rq_\d{3}$|_rq_\dxx$|\.\.|\.$", name)
    for label, value in (("method", method), ("status", status)):
        match = re.search(STATS_TAGS[label], name)
        assert (match is None) == (value == "")
        if match is not None:
            assert unquote_to_bytes(match[2]).decode() == value[:120]
            name = name.replace(match[1], "", 1)
    assert name == "wasmcustom.requests"


def test_what_is_beyond_the_limit_is_counted_together(host: MetricHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_LABELLED", 3)
    counter = Counter("requests", labels=("path", "method"))
    for index in range(10):
        counter.labels(path=f"/{index}", method="GET").increment()
    assert host.values.counters == {
        b"requests;path=/0;method=GET": 1,
        b"requests;path=/1;method=GET": 1,
        b"requests;path=/2;method=GET": 1,
        b"requests;path=other;method=other": 7,
    }
    assert host.logged == ["requests has 3 combinations of labels; all others count as 'other'"]
    counter.labels(path="/1", method="GET").increment()
    assert host.values.counters[b"requests;path=/1;method=GET"] == 2


@pytest.mark.parametrize("name", ["", ".a", "a.", "a..b", "a b", "a;b=c", "a=b", "é", "a\n", "1a", "a:b"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a metric's name has"):
        Counter(name)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["a-b"], "a label's name"), ([""], "a label's name"), (["a", "a"], "each given once"), ("ab", "each given once")],
)
def test_label_names_that_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Counter("name", labels=labels)


@pytest.mark.parametrize(
    "values", [{}, {"method": "GET"}, {"method": "GET", "code": 1}, {"method": "", "status": "", "x": ""}]
)
def test_all_labels_must_be_given(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the labels of requests are method, status, not"):
        Counter("requests", labels=("method", "status")).labels(**values)


def test_labels_where_there_are_none_and_none_where_there_are(host: MetricHost) -> None:
    with pytest.raises(ValueError, match="the labels of requests are none, not method"):
        Counter("requests").labels(method="GET")
    with pytest.raises(ValueError, match=r"requests has labels: use requests\.labels\(method\)"):
        Counter("requests", labels=["method"]).increment()
    with pytest.raises(TypeError, match="text or an integer, not bytes"):
        Counter("requests", labels=["method"]).labels(method=b"GET")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda: Counter("n").increment(-1), ValueError),
        (lambda: Counter("n").increment(1 << 63), ValueError),
        (lambda: Counter("n").increment(cast("Any", 1.0)), TypeError),
        (lambda: Gauge("n").set(-1), ValueError),
        (lambda: Gauge("n").set(1 << 64), ValueError),
        (lambda: Gauge("n").add(-(1 << 63)), ValueError),
        (lambda: Histogram("n").record(cast("Any", 0.5)), TypeError),
    ],
)
def test_amounts_out_of_range(host: MetricHost, change: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        change()
    assert host.defined == []


def test_statuses_become_exceptions(host: MetricHost, monkeypatch: pytest.MonkeyPatch) -> None:
    counter, gauge, histogram = Counter("c"), Gauge("g"), Histogram("h")
    monkeypatch.setattr(MetricHost, "proxy_define_metric", lambda *_: (0, 4444))
    with pytest.raises(NotFound, match="proxy_increment_metric"):
        counter.increment()
    with pytest.raises(NotFound, match="proxy_record_metric"):
        histogram.record(1)
    with pytest.raises(NotFound, match="proxy_get_metric"):
        gauge.value()
    monkeypatch.setattr(MetricHost, "proxy_define_metric", lambda *_: (2, 0))
    with pytest.raises(BadArgument, match="proxy_define_metric"):
        Counter("d").increment()


def test_nothing_is_called_at_the_top_of_a_module() -> None:
    counter = Counter("requests", labels=["method"]).labels(method="GET")
    with pytest.raises(RuntimeError, match="no proxy is running"):
        counter.increment()
