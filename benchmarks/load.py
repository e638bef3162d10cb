"""The traffic: wrk (Debian's package `wrk`), which sends requests by turns over connections that it keeps open."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

CONNECTIONS = 16

_SCRIPT = """
local requests, position = {}, 0
function init()
  requests = { %s }
end
function request()
  position = position %% #requests + 1
  return requests[position]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %%d, "microseconds": %%d, "p50": %%f, "p99": %%f, "refused": %%d, "failed": %%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
"""


class LoadError(Exception):
    """The load could not be made, or was not answered as it should be."""


@dataclass(frozen=True)
class Request:
    """What a client sends."""

    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    body: bytes = b""


@dataclass(frozen=True)
class Traffic:
    """What became of a load."""

    requests: int
    seconds: float
    p50: float
    """Latency in seconds that half of the requests did not exceed."""
    p99: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def send(
    address: tuple[str, int], requests: Sequence[Request], seconds: float, connections: int = CONNECTIONS
) -> Traffic:
    """Send the requests by turns for so long. Raises LoadError when an answer is not 2xx or 3xx."""
    host, port = address
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory) / "requests.lua"
        script.write_text(_SCRIPT % ", ".join(map(_format_call, requests)))
        command = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds:.0f}s"]
        run = subprocess.run(
            [*command, "--script", str(script), f"http://{host}:{port}/"], capture_output=True, text=True, check=False
        )
    return parse(run.stdout, run.stderr)


def require_wrk() -> None:
    """Raises LoadError when it is missing, before much is built and started."""
    if shutil.which("wrk") is None:
        raise LoadError("wrk is not installed; on Debian: apt-get install wrk")


def parse(output: str, errors: str = "") -> Traffic:
    """Read what wrk printed. Raises LoadError when it has no figures, or when answers were errors."""
    line = re.search(r'^\{"requests".*\}$', output, re.MULTILINE)
    if line is None:
        raise LoadError(f"wrk told no figures:\n{output}{errors}")
    told = json.loads(line.group())
    if told["refused"] or told["failed"] or not told["requests"]:
        raise LoadError(
            f"of {told['requests']} requests {told['refused']} were answered with an error, {told['failed']} not at all"
        )
    return Traffic(told["requests"], told["microseconds"] / 1e6, told["p50"] / 1e6, told["p99"] / 1e6)


def _format_call(request: Request) -> str:
    headers = ", ".join(f"[{lua_string(name)}] = {lua_string(value)}" for name, value in request.headers.items())
    body = lua_string(request.body) if request.body else "nil"
    return f"wrk.format({lua_string(request.method)}, {lua_string(request.path)}, {{ {headers} }}, {body})"


def lua_string(value: str | bytes) -> str:
    """A literal of Lua for any bytes."""
    data = value.encode() if isinstance(value, str) else value
    return (
        '"' + "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03}" for byte in data) + '"'
    )
