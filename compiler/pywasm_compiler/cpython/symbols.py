"""What glue may refer to in the linked module."""

from __future__ import annotations

from typing import Protocol

from pywasm_compiler.cpython.glue import GlueFunction
from pywasm_compiler.cpython.platform import Scratch


class Symbols(Protocol):
    """Functions by their index, variables by their address."""

    random_get: int
    """Index of the host's (address, size) -> WASI error number."""
    flush: int
    """Index of () -> (): write the log line that has begun."""
    scratch: Scratch
    """The glue's own memory."""

    def function(self, name: str) -> int:
        """Index of a function that a library exports."""

    def address(self, name: str) -> int:
        """Address of a variable that a library exports."""

    def pointer(self, function: GlueFunction) -> int:
        """A pointer to a function of our own."""
