"""Where and with what a measurement was taken."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path

from pywasm_filter.testing.envoy import envoy_version, find_envoy


def provenance(command: str, load_before: float, further: Mapping[str, str]) -> str:
    """The command, the day, the kind of machine, what else it did, and the versions, in Markdown."""
    versions = {
        "Envoy": envoy_version(find_envoy()),
        "pywasm-filter": version("pywasm-filter"),
        "componentize-py": version("componentize-py"),
        "CPython of the host": platform.python_version(),
        "wasmtime": version("wasmtime"),
        "wrk": _wrk_version(),
        **further,
    }
    told = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"`{command}`, {date.today().isoformat()}, {_machine()}, load average {load_before:.1f} before it; {told}."


def busy() -> float:
    """How many processes want a processor, over the last minute. Ask before measuring."""
    return os.getloadavg()[0]


def _machine() -> str:
    """The processors and the memory."""
    processors = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", processors)
    memory = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    name = f" ({model[1].strip()})" if model else ""
    size = f", {int(memory[1]) / 2**20:.0f} GiB" if memory else ""
    return f"{len(os.sched_getaffinity(0))} cores{name}{size}"


def _wrk_version() -> str:
    if shutil.which("wrk") is None:
        return "absent"
    told = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"wrk \S*?(\d[\d.]*)", told)
    return found[1] if found else "of an unknown version"
