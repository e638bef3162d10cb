"""The one error of this package: bytes that are not the WebAssembly they claim to be."""

from __future__ import annotations


class MalformedModule(ValueError):  # noqa: N818 - the term of the specification
    """A binary that breaks the format, or that uses a part of it which is not supported.

    `offset` is the position in the bytes given to the reader where the problem starts; `message` says what it is.
    """

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(offset, message)
        self.offset = offset
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} (at byte {self.offset:#x})"
