"""The Go SDK for Proxy-Wasm, with Go's own compiler."""

from __future__ import annotations

import os
import shutil

from benchmarks.envoys import Deployment
from benchmarks.jobs import Job
from benchmarks.peers.peer import Peer, run
from pywasm_filter.testing.envoy import EnvoySettings


class Go(Peer):
    """proxy-wasm-go-sdk and the standard library."""

    name = "go"
    title = "Go SDK"

    def prepare(self, job: Job) -> Deployment:
        """Build the job's module."""
        project = self.workspace / "project"
        shutil.copytree(self.sources, project, dirs_exist_ok=True)
        module = self.workspace / f"{job.name}.wasm"
        environment = {**os.environ, "GOOS": "wasip1", "GOARCH": "wasm", "GOFLAGS": "-mod=mod"}
        command = ["go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", str(module), f"./{job.name}"]
        run(command, project, environment)
        return Deployment(EnvoySettings(module, None, configuration=job.configuration.encode()))

    def versions(self) -> dict[str, str]:
        """Of the compiler and the SDK."""
        requirement = (self.sources / "go.mod").read_text().split()[-1]
        compiler = run(["go", "env", "GOVERSION"], self.workspace).removeprefix("go")
        return {"Go": compiler, "proxy-wasm-go-sdk": requirement}
