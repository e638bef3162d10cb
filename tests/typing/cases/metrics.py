"""Metrics have integers, and labels of text or integers."""

from pywasm_filter import Counter, Gauge, Histogram

requests = Counter("requests", labels=("method", "status"))
sessions = Gauge("sessions")
durations = Histogram("duration_ms")

requests.labels(method="GET", status=200).increment()
child: Counter = requests.labels(method="GET", status="200")
count: int = child.value()
sessions.set(5)
sessions.add(-1)
durations.record(12)

requests.increment(1.5)  # mypy: arg-type pyright: reportArgumentType
requests.labels(method=b"GET")  # mypy: arg-type pyright: reportArgumentType
requests.set(5)  # mypy: attr-defined pyright: reportAttributeAccessIssue
sessions.increment()  # mypy: attr-defined pyright: reportAttributeAccessIssue
durations.record("12")  # mypy: arg-type pyright: reportArgumentType
durations.value()  # mypy: attr-defined pyright: reportAttributeAccessIssue
Counter("requests", ("method",))  # mypy: call-arg pyright: reportCallIssue
wrong: Gauge = requests.labels(method="GET", status=200)  # mypy: assignment pyright: reportAssignmentType
