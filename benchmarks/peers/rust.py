"""The Rust SDK for Proxy-Wasm."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

from benchmarks.envoys import Deployment
from benchmarks.jobs import Job
from benchmarks.peers.peer import Peer, UnavailableError, run
from pywasm_filter.testing.envoy import EnvoySettings

_TARGET = "wasm32-unknown-unknown"
_REMEDY = f"no rustc with the target {_TARGET}; on Debian: apt-get install rustc cargo libstd-rust-dev-wasm32 lld"


class Rust(Peer):
    """proxy-wasm for Rust, with serde_json, sha2 and regex."""

    name = "rust"
    title = "Rust SDK"

    def prepare(self, job: Job) -> Deployment:
        """Build the modules of all jobs, which cargo does once."""
        rustc = _compiler()
        project = self.workspace / "project"
        shutil.copytree(self.sources, project, dirs_exist_ok=True)
        cargo = str(rustc.with_name("cargo"))
        settings_file = project / ".cargo" / "config.toml"
        if not settings_file.exists():
            # An old cargo neither chooses versions by the compiler they need, nor reads what a new one has chosen.
            environment = {**os.environ, "CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS": "fallback"}
            settings = run(["cargo", "vendor", "vendor"], project, environment)
            settings_file.parent.mkdir(exist_ok=True)
            settings_file.write_text(settings)
        options = ["--release", "--examples", "--target", _TARGET, "--offline"]
        run([cargo, "build", *options], project, {**os.environ, "RUSTC": str(rustc), "RUSTFLAGS": ""})
        module = project / "target" / _TARGET / "release" / "examples" / f"{job.name}.wasm"
        return Deployment(EnvoySettings(module, None, configuration=job.configuration.encode()))

    def versions(self) -> dict[str, str]:
        """Of the compiler and the SDK."""
        manifest = tomllib.loads((self.sources / "Cargo.toml").read_text())
        return {
            "rustc": run([str(_compiler()), "--version"], self.workspace).split()[1],
            "proxy-wasm for Rust": manifest["dependencies"]["proxy-wasm"].lstrip("="),
        }


def _compiler() -> Path:
    """A rustc that has the standard library for the target. Raises UnavailableError."""
    for directory in os.get_exec_path():
        rustc = Path(directory) / "rustc"
        if rustc.exists() and _has_target(rustc):
            return rustc
    raise UnavailableError(_REMEDY)


def _has_target(rustc: Path) -> bool:
    asked = subprocess.run(
        [rustc, "--print", "target-libdir", "--target", _TARGET], capture_output=True, text=True, check=False
    )
    return asked.returncode == 0 and Path(asked.stdout.strip()).exists()
