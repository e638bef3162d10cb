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

    def stats(self, prefix: str = "") -> dict[str, int]:
        """Return the counters and gauges whose names start with `prefix`, in Envoy's order."""
        body = self.get(f"/stats?format=json&filter={quote('^' + re.escape(prefix))}")[1]
        return {
            stat["name"]: stat["value"]
            for stat in json.loads(body)["stats"]
            if isinstance(stat.get("value"), int)  # the histograms come as one entry without a name
        }
