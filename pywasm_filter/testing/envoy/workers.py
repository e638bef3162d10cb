"""Which of Envoy's workers takes a connection.

The listener balances exactly: a connection goes to the first of the workers that have the fewest. So a connection is
held to each worker, and given up where the next one is to go.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable, Iterator

from pywasm_filter.testing.envoy.config import LISTENER
from pywasm_filter.testing.envoy.errors import EnvoyError
from pywasm_filter.testing.envoy.process import EnvoyProcess

_STATS = f"listener.{LISTENER}.worker_"
_ACTIVE = re.compile(re.escape(_STATS) + r"(\d+)\.downstream_cx_active")
_TIMEOUT = 5.0  # seconds until Envoy has noticed that a connection came or went
_POLL_INTERVAL = 0.002


class WorkerChoice:
    """Chooses the workers of one Envoy; a context manager, which gives all connections up."""

    def __init__(self, process: EnvoyProcess) -> None:
        self._process = process
        self._held: dict[int, socket.socket] = {}

    def __enter__(self) -> WorkerChoice:
        return self

    def __exit__(self, *_: object) -> None:
        for held in self._held.values():
            held.close()

    @contextlib.contextmanager
    def worker(self, number: int) -> Iterator[None]:
        """Within the block a new connection goes to this worker, as long as there is one at a time.

        Raises EnvoyError when Envoy does not notice connections that come and go.
        """
        self._hold_all()
        self._held.pop(number).close()
        self._await(lambda counts: counts[number] == 0, f"worker {number} to be free")
        try:
            yield
        finally:
            self._await(lambda counts: counts[number] == 0, f"worker {number} to be free again")
            self._hold_all()

    def _hold_all(self) -> None:
        while len(self._held) < self._process.settings.concurrency:
            taken = socket.create_connection(self._process.address, _TIMEOUT)
            counts = self._await(lambda counts: sum(counts.values()) > len(self._held), "a connection to be taken")
            (number,) = (worker for worker, count in counts.items() if count and worker not in self._held)
            self._held[number] = taken

    def _await(self, condition: Callable[[dict[int, int]], bool], what: str) -> dict[int, int]:
        deadline = time.monotonic() + _TIMEOUT
        while not condition(counts := self._counts()):
            if time.monotonic() > deadline:
                raise EnvoyError(f"waited {_TIMEOUT:g} s for {what}; connections by worker: {counts}")
            time.sleep(_POLL_INTERVAL)
        return counts

    def _counts(self) -> dict[int, int]:
        stats = self._process.stats(_STATS)
        return {int(found[1]): count for name, count in stats.items() if (found := _ACTIVE.fullmatch(name))}
