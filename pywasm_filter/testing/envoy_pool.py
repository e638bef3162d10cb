"""Running Envoys that are kept for the next test with the same plugins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pywasm_filter.testing.running_envoy import RunningEnvoy
from pywasm_filter.testing.settings import PluginSettings


class EnvoyPool:
    """The Envoys that were used last."""

    def __init__(self, kept: int) -> None:
        """At most `kept` run at once: each holds three VMs of a filter, some hundred megabytes."""
        self._kept = kept
        self._envoys: list[RunningEnvoy] = []

    def get(self, modules: Sequence[Path], settings: PluginSettings) -> RunningEnvoy:
        """One that runs, unless a VM of it has trapped, or a new one. Raises what `RunningEnvoy.start` raises."""
        same = [envoy for envoy in self._envoys if (envoy.modules, envoy.settings) == (tuple(modules), settings)]
        for envoy in same:
            self._envoys.remove(envoy)
            if envoy.usable:
                self._envoys.append(envoy)
                return envoy
            envoy.close()
        while len(self._envoys) >= self._kept:
            self._envoys.pop(0).close()
        envoy = RunningEnvoy(modules, settings)
        envoy.start()
        self._envoys.append(envoy)
        return envoy

    def close(self) -> None:
        """End all of them."""
        for envoy in self._envoys:
            envoy.close()
