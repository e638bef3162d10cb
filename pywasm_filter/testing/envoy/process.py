"""Envoy as a child process."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pywasm_filter.testing.envoy.admin import Admin
from pywasm_filter.testing.envoy.binary import find_envoy
from pywasm_filter.testing.envoy.config import (
    CLIENT_LISTENER,
    ECHO_LISTENER,
    JSON,
    LISTENER,
    EnvoySettings,
    bootstrap_json,
)
from pywasm_filter.testing.envoy.errors import EnvoyStartError
from pywasm_filter.testing.envoy.log import LOG_FORMAT, LogFile, LogLine, WasmLogLine, evidence, parse_wasm_line

_LAUNCHER = Path(__file__).with_name("_launcher.py")
_POLL_INTERVAL = 0.01
_STOP_TIMEOUT = 5.0


@dataclass(frozen=True)
class Memory:
    """Envoy's resident memory in bytes: now, and at its highest so far."""

    resident: int
    peak: int


class EnvoyProcess:
    """Envoy with one plugin, from the start of the context (ready to serve) to its end.

    Entering raises EnvoyNotFoundError without a binary, and EnvoyStartError when Envoy refuses the module or its
    configuration, or is not ready after `start_timeout` seconds. The log stays readable after the end.

    On Linux the process dies with its parent, however that ends; to be exact with the thread that entered the context,
    which therefore must not end before the context does.

    `configuration` is run in the place of `bootstrap(settings)`, for what the settings have no words for: start from
    what that returns, whose listener and admin interface are needed.
    """

    def __init__(
        self,
        settings: EnvoySettings,
        *,
        configuration: JSON | None = None,
        binary: Path | None = None,
        start_timeout: float = 60.0,
    ) -> None:
        self.settings = settings
        self._configuration = bootstrap_json(settings) if configuration is None else json.dumps(configuration, indent=1)
        self._binary = binary
        self._start_timeout = start_timeout
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as cleanup:
            self._start(cleanup)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the listener."""
        return self._address

    @property
    def client_address(self) -> tuple[str, int]:
        """Host and port of the listener whose connections begin with a PROXY header; there only if it is asked for."""
        return self._client_address

    @property
    def echo_address(self) -> tuple[str, int]:
        """Host and port of the listener that echoes what it gets; there only beside a plugin for TCP."""
        return self._echo_address

    @property
    def pid(self) -> int:
        """The id of Envoy's process."""
        return self._process.pid

    def exit_status(self) -> int | None:
        """Return None while Envoy runs, then its exit status, negative for the signal that ended it."""
        return self._process.poll()

    def log_lines(self, since: int = 0) -> list[LogLine]:
        """Return Envoy's log so far without its first `since` lines: warnings, and all that concerns the plugin.

        What a filter logs in the callbacks of an exchange is there by the time its client has the whole response.
        """
        return self._log.lines(since)

    def wasm_log_lines(self, since: int = 0, until: int | None = None) -> list[WasmLogLine]:
        """Return what the plugin itself logged; `since` and `until` count lines of `log_lines`."""
        own = (parse_wasm_line(line, self.settings) for line in self.log_lines()[since:until])
        return [line for line in own if line is not None]

    def stats(self, prefix: str = "") -> dict[str, int]:
        """Return Envoy's counters and gauges whose names start with `prefix`; the plugin's start with "wasmcustom."."""
        return self._admin.stats(prefix)

    def admin(self, path: str) -> str:
        """Return what Envoy's admin interface answers to a GET of `path`. Raises OSError when it does not answer."""
        return self._admin.get(path)[1].decode("utf-8", "replace")

    def metrics(self, prefix: str) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """Return counters, gauges, and how many values histograms recorded, of names that start with `prefix`."""
        # The first query is the one that has the threads' histograms merged.
        self._admin.histogram_counts(prefix)
        counters, gauges = (self._admin.stats(prefix, kind) for kind in ("Counters", "Gauges"))
        return counters, gauges, self._admin.histogram_counts(prefix)

    def memory(self) -> Memory:
        """Return Envoy's resident memory, from Linux's /proc. Raises OSError elsewhere, or when Envoy has ended."""
        if self._process.poll() is not None:
            raise ProcessLookupError(f"Envoy's process {self.pid} has ended")
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return Memory(resident=_bytes(fields["VmRSS"]), peak=_bytes(fields["VmHWM"]))

    def _start(self, cleanup: contextlib.ExitStack) -> None:
        binary = find_envoy(self._binary)
        directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="pywasm-envoy-")))
        configuration, log, admin_address = directory / "envoy.json", directory / "envoy.log", directory / "admin"
        configuration.write_text(self._configuration, encoding="utf-8")
        arguments = self._arguments(configuration, admin_address)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", _LAUNCHER, str(os.getpid()), binary, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,  # an interrupt at the terminal is for the parent, which then ends Envoy in order
            )
        self._log = LogFile(log)
        cleanup.callback(self._log.finish)
        cleanup.callback(self._stop)
        self._await_ready(admin_address)
        self._address = self._admin.listener_address(LISTENER)
        if self.settings.protocol == "tcp":
            self._echo_address = self._admin.listener_address(ECHO_LISTENER)
        elif self.settings.client_listener:
            self._client_address = self._admin.listener_address(CLIENT_LISTENER)

    def _arguments(self, configuration: Path, admin_address: Path) -> list[str]:
        return [
            *("--config-path", str(configuration)),
            *("--admin-address-path", str(admin_address)),
            *("--concurrency", str(self.settings.concurrency)),
            # Several Envoys run side by side; hot restart would have them share a shared-memory region.
            "--disable-hot-restart",
            *("--log-level", "warning"),
            *("--component-log-level", f"wasm:{self.settings.wasm_log_level}"),
            *("--log-format", LOG_FORMAT),
        ]

    def _await_ready(self, admin_address: Path) -> None:
        deadline = time.monotonic() + self._start_timeout
        while (remaining := deadline - time.monotonic()) > 0:
            if self._is_ready(admin_address, remaining):
                return
            status = self._process.poll()
            if status is not None:
                self._log.finish()
                raise EnvoyStartError(f"Envoy {_describe(status)} before it was ready", evidence(self._log.lines()))
            time.sleep(_POLL_INTERVAL)
        raise EnvoyStartError(f"Envoy was not ready after {self._start_timeout:g} s", evidence(self._log.lines()))

    def _is_ready(self, admin_address: Path, timeout: float) -> bool:
        try:
            host, _, port = admin_address.read_text().rpartition(":")
            address = host, int(port)
            if not Admin(address, timeout).is_live():
                return False
        except (OSError, ValueError, http.client.HTTPException):
            # Not written yet, written in part, or nobody answers yet: the deadline decides.
            return False
        self._admin = Admin(address)
        return True

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            # A filter in an endless loop holds up the orderly end.
            self._process.kill()
            self._process.wait()


def _describe(status: int) -> str:
    return f"exited with status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"


def _bytes(field: str) -> int:
    """Read a field such as "  1234 kB"."""
    return int(field.split()[0]) * 1024
