"""What can go wrong on the way to a running Envoy."""

from __future__ import annotations


class EnvoyError(Exception):
    """Base of the errors of this package."""


class EnvoyNotFoundError(EnvoyError):
    """The Envoy binary, or a library that talks to it, is not installed. The message ends with the remedy."""


class EnvoyStartError(EnvoyError):
    """Envoy did not become ready: it exited (module or configuration refused) or the deadline passed.

    `reason` says which in one sentence, `evidence` holds the log messages that explain it, in the order they came.
    """

    def __init__(self, reason: str, evidence: tuple[str, ...]) -> None:
        self.reason = reason
        self.evidence = evidence
        super().__init__("\n".join([reason, *("  | " + line for text in evidence for line in text.splitlines())]))
