"""The engine of all guests, and the clock that ends callbacks which do not end by themselves.

Compiled code asks at each loop and at each function whether the engine's epoch has passed its store's deadline, which
costs it next to nothing (counting instructions as "fuel" costs more). A thread advances the epoch.
"""

from __future__ import annotations

import atexit
import math
import threading
from functools import cache

import wasmtime

_OPTIMISATION = "speed"
# Without signals: what else handles them in a test run, such as faulthandler, would take a trap for a crash.
_SIGNALS = False
SETTINGS = f"{_OPTIMISATION} signals={_SIGNALS} epochs"
"""What of the engine's configuration compiled code depends on."""

_TICK_SECONDS = 0.05


@cache
def engine() -> wasmtime.Engine:
    """The engine of all guests: compiled modules belong to one engine."""
    config = wasmtime.Config()
    config.cranelift_opt_level = _OPTIMISATION
    config.signals_based_traps = _SIGNALS
    config.epoch_interruption = True
    return wasmtime.Engine(config)


def set_deadline(store: wasmtime.Store, seconds: float) -> None:
    """Let code that runs in a store of `engine` be interrupted once that time has passed.

    The time is that of a thread of this process: it stands still with the process.
    """
    _ticker.ensure_running()
    # The tick under way may end at once.
    store.set_epoch_deadline(math.ceil(seconds / _TICK_SECONDS) + 1)


def one_line(error: Exception) -> str:
    """What wasmtime says is wrong: the last of the causes that it gives, each on a line of its own."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


class _Ticker:
    """The thread that advances the epoch, from the first guest on."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._starting = threading.Lock()

    def ensure_running(self) -> None:
        """Start the thread. A forked process has lost it."""
        if self._thread is not None and self._thread.is_alive():
            return
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._stop.clear()
                self._thread = threading.Thread(target=self._run, name="pywasm-filter epoch", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread; no guest can be interrupted from now on."""
        self._stop.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        ticking = engine()
        while not self._stop.wait(_TICK_SECONDS):
            ticking.increment_epoch()


_ticker = _Ticker()


@atexit.register
def _forget() -> None:
    # wasmtime's objects complain when they are still there once the interpreter takes its modules down.
    _ticker.stop()
    engine.cache_clear()
