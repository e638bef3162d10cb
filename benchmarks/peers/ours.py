"""pywasm-filter: the repository's own examples, and one filter for what no example does."""

from __future__ import annotations

from pathlib import Path

from benchmarks.envoys import Deployment
from benchmarks.jobs import Job
from benchmarks.peers.peer import WORKSPACE, Peer
from pywasm_filter.build import build
from pywasm_filter.testing.envoy import EnvoySettings

FILTERS = Path(__file__).parents[1] / "filters"
_EXAMPLES = Path(__file__).parents[2] / "examples"


def source(job: Job) -> Path:
    """The filter in Python that does the job."""
    if job.name == "routing":
        return FILTERS / "routing.py"
    example = {"headers": "add_header", "json": "json_body_rewrite", "jwt": "jwt_auth"}[job.name]
    return _EXAMPLES / example / "filter.py"


def built(path: Path) -> Path:
    """The module of a filter, at a place where no later build removes it."""
    module = WORKSPACE / "ours" / f"{path.parent.name}-{path.stem}.wasm"
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_bytes(build(path))
    return module


class Ours(Peer):
    """Python, built into a module."""

    name = "ours"
    title = "**pywasm-filter**"

    def prepare(self, job: Job) -> Deployment:
        """Build the filter as `pywasm-filter build` does."""
        return Deployment(EnvoySettings(built(source(job)), None, configuration=job.configuration.encode()))
