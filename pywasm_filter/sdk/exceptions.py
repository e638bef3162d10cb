"""Statuses of hostcalls as exceptions."""

from pywasm_filter.sdk.abi import Status


class HostError(Exception):
    """A hostcall returned a status other than OK."""

    def __init__(self, call: str, status: int) -> None:
        super().__init__(call, status)
        self.call = call
        """The ABI function."""
        self.status = status
        """What it returned: the number of a `Status`, or one that the ABI does not name."""

    def __str__(self) -> str:
        try:
            name = Status(self.status).name
        except ValueError:
            name = f"unknown status {self.status}"
        return f"{self.call}: {name}"


class NotFound(HostError):  # noqa: N818 - the ABI's own terms
    """NOT_FOUND: there is no such key, property, queue or function, or it is not available in this callback."""


class AttributeNotAvailable(NotFound):
    """The host has no such attribute in this callback, or not for this stream."""

    def __init__(self, attribute: str, availability: str) -> None:
        super().__init__("proxy_get_property", Status.NOT_FOUND)
        self.attribute = attribute
        """The attribute's path, with dots."""
        self.availability = availability
        """When it is there."""

    def __str__(self) -> str:
        return f"{self.attribute} is not available here; it is available {self.availability}"


class BadArgument(HostError):  # noqa: N818
    """BAD_ARGUMENT: an argument is out of range, or the map or stream is not available in this callback."""


class SerializationFailure(HostError):  # noqa: N818
    """SERIALIZATION_FAILURE: the host could not encode the value."""


class ParseFailure(HostError):  # noqa: N818
    """PARSE_FAILURE: the host could not read an argument."""


class InvalidMemoryAccess(HostError):  # noqa: N818
    """INVALID_MEMORY_ACCESS: the host could not reach the module's memory; usually it is exhausted."""


class Empty(HostError):  # noqa: N818
    """EMPTY: the queue holds no item."""


class CasMismatch(HostError):  # noqa: N818
    """CAS_MISMATCH: the shared value has changed since it was read."""


class InternalFailure(HostError):  # noqa: N818
    """INTERNAL_FAILURE: the host failed, or its capability restrictions forbid the call."""


class Unimplemented(HostError):  # noqa: N818
    """UNIMPLEMENTED: this host does not offer the operation."""


class ForeignFunctionFailed(Exception):  # noqa: N818
    """A foreign function was called and did not do its work."""

    def __init__(self, function: str, reason: str) -> None:
        super().__init__(function, reason)
        self.function = function
        """The name of the function."""
        self.reason = reason
        """The host's text."""

    def __str__(self) -> str:
        return f"{self.function}: {self.reason}"


_BY_STATUS: dict[int, type[HostError]] = {
    Status.NOT_FOUND: NotFound,
    Status.BAD_ARGUMENT: BadArgument,
    Status.SERIALIZATION_FAILURE: SerializationFailure,
    Status.PARSE_FAILURE: ParseFailure,
    Status.INVALID_MEMORY_ACCESS: InvalidMemoryAccess,
    Status.EMPTY: Empty,
    Status.CAS_MISMATCH: CasMismatch,
    Status.INTERNAL_FAILURE: InternalFailure,
    Status.UNIMPLEMENTED: Unimplemented,
}


def host_error(call: str, status: int) -> HostError:
    """The exception for a status other than OK."""
    return _BY_STATUS.get(status, HostError)(call, status)


class ConfigurationError(ValueError):
    """The plugin's configuration is not what the filter expects. Its text is one line: the path and the reason."""
