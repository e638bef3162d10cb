"""The AssemblyScript SDK for Proxy-Wasm."""

from __future__ import annotations

import json
import shutil

from benchmarks.envoys import Deployment
from benchmarks.jobs import Job
from benchmarks.peers.peer import Peer, UnavailableError, run
from pywasm_filter.testing.envoy import EnvoySettings

_NO_MEANS = {
    "json": "the SDK has no function that sets a body",
    "jwt": "neither the SDK nor its compiler (0.14) has SHA-256 and HMAC",
    "routing": "neither the SDK nor its compiler (0.14) has regular expressions",
}


class AssemblyScript(Peer):
    """@solo-io/proxy-runtime."""

    name = "assemblyscript"
    title = "AssemblyScript SDK"

    def prepare(self, job: Job) -> Deployment:
        """Build the job's module."""
        if job.name in _NO_MEANS:
            raise UnavailableError(_NO_MEANS[job.name])
        project = self.workspace / "project"
        shutil.copytree(self.sources, project, dirs_exist_ok=True)
        if not (project / "node_modules" / ".bin" / "asc").exists():
            run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], project)
        module = self.workspace / f"{job.name}.wasm"
        options = ["--optimize", "--use", "abort=abort_proc_exit", "--binaryFile", str(module)]
        run(["node", "node_modules/.bin/asc", f"{job.name}.ts", *options], project)
        return Deployment(EnvoySettings(module, None, configuration=job.configuration.encode()))

    def versions(self) -> dict[str, str]:
        """Of the compiler and the SDK."""
        manifest = json.loads((self.sources / "package.json").read_text())
        asc = run(["node", "node_modules/.bin/asc", "--version"], self.workspace / "project")
        return {"AssemblyScript": asc.split()[-1], "proxy-runtime": manifest["dependencies"]["@solo-io/proxy-runtime"]}
