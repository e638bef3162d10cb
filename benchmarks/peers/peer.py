"""What a peer is."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.envoys import Deployment
from benchmarks.jobs import Job

WORKSPACE = Path(__file__).parents[2] / "build" / "benchmarks"
"""Where peers are built; what is there is used again."""

_BUILD_SECONDS = 900


class UnavailableError(Exception):
    """Why a peer cannot take part: its toolchain is missing, or it has no means for the job."""


class Peer(ABC):
    """A way to have Envoy do the jobs."""

    name: str
    """On the command line."""
    title: str

    @abstractmethod
    def prepare(self, job: Job) -> Deployment:
        """Build what does the job. Raises UnavailableError."""

    def versions(self) -> Mapping[str, str]:
        """What it was made with, once it is built: name to version."""
        return {}

    @property
    def sources(self) -> Path:
        """The directory of its own sources."""
        return Path(__file__).parent / self.name

    @property
    def workspace(self) -> Path:
        """The directory that it builds in."""
        directory = WORKSPACE / self.name
        directory.mkdir(parents=True, exist_ok=True)
        return directory


def run(command: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a build step and return what it printed. Raises UnavailableError with the end of what it printed."""
    try:
        step = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS
        )
    except FileNotFoundError as error:
        raise UnavailableError(f"`{command[0]}` is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"`{' '.join(command[:3])}` is still not done after {_BUILD_SECONDS} s") from error
    if step.returncode:
        lines = (step.stderr or step.stdout).strip().splitlines()
        raise UnavailableError(f"`{' '.join(command[:3])}` failed: {' '.join(lines[-8:])}")
    return step.stdout.strip()
