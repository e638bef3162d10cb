"""Envoy's admin interface: is it ready, where does it listen, what did it count."""

from __future__ import annotations

import http.client
import json
import re
from urllib.parse import quote


class Admin:
    """Envoy's admin interface at `address` (host, port).

    Every method raises OSError or http.client.HTTPException when Envoy does not answer.
    """

    def __init__(self, address: tuple[str, int], timeout: float = 10.0) -> None:
        self._address = address
        self._timeout = timeout

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of a GET."""
        # http.client and not urllib: a proxy named in the environment must not stand between us and our own child.
        connection = http.client.HTTPConnection(*self._address, timeout=self._timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def is_live(self) -> bool:
        """Whether Envoy has initialised and its workers serve."""
        return self.get("/ready")[0] == http.client.OK and self.stats("listener_manager.workers_started") == {
            "listener_manager.workers_started": 1
        }

    def listener_address(self, name: str) -> tuple[str, int]:
        """Return host and port that a listener has bound. Raises KeyError when there is no such listener."""
        statuses = json.loads(self.get("/listeners?format=json")[1])["listener_statuses"]
        bound = {status["name"]: status["local_address"]["socket_address"] for status in statuses}
        return bound[name]["address"], bound[name]["port_value"]

    def stats(self, prefix: str = "", kind: str = "All") -> dict[str, int]:
        """Return the counters and gauges whose names start with `prefix`, in Envoy's order.

        `kind` is Counters or Gauges for one of them.
        """
        body = self.get(f"/stats?format=json&type={kind}&filter={_beginning(prefix)}")[1]
        return {
            stat["name"]: stat["value"]
            for stat in json.loads(body)["stats"]
            if isinstance(stat.get("value"), int)  # the histograms come as one entry without a name
        }

    def histogram_counts(self, prefix: str = "") -> dict[str, int]:
        """Return how many values the histograms have recorded whose names start with `prefix`.

        What was recorded since the last flush is not in it; see `stats_flush_on_admin`.
        """
        query = f"format=json&histogram_buckets=disjoint&type=Histograms&filter={_beginning(prefix)}"
        body = self.get(f"/stats?{query}")[1]
        return {
            entry["name"]: sum(bucket["cumulative"] for bucket in entry["buckets"])
            for stat in json.loads(body)["stats"]
            for entry in stat["histograms"]
        }


def _beginning(prefix: str) -> str:
    return quote("^" + re.escape(prefix))
