"""A plugin's configuration, read from JSON into the types of the filter.

Only filters that use it import this module and those beside it: what they import themselves is large.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, Generic, TypeVar, cast

from pywasm_filter.sdk.configuration_json import NotJsonError, Object, decode_text, load_json
from pywasm_filter.sdk.configuration_problems import Problems
from pywasm_filter.sdk.configuration_types import ReaderCompiler, unwrap

T = TypeVar("T")

_STRUCT_HINT = (
    "; it seems to be a google.protobuf.Struct, which Envoy passes in protobuf's encoding: give the JSON as a "
    "google.protobuf.StringValue"
)


def parse_configuration(data: bytes, target: type[T]) -> T:
    """Read a configuration into `target`, as `ConfigurationParser` does.

    Raises ConfigurationError, and TypeError when `target` is not a type that can be read.
    """
    return ConfigurationParser(target).parse(data)


class ConfigurationParser(Generic[T]):
    """Reads configurations into `target`.

    That is a dataclass, list, tuple, set, frozenset, dict with text as keys, Sequence (as a tuple), Mapping, Literal,
    Enum (by value or name), bool, int, float, str, bytes (text as UTF-8), timedelta (`"1h30m"`, `"250ms"`, or seconds),
    re.Pattern[str], None, Any, or a union in which the JSON value, or a Literal field of its dataclasses, tells which
    member is meant. Where `target` itself is str or bytes the configuration is that text, and not JSON.

    A field of a dataclass has its own name in JSON, or that in its `metadata["name"]`. Raises TypeError when the target
    holds any other type.
    """

    def __init__(self, target: type[T]) -> None:
        self._whole_text = unwrap(target) in (str, bytes)
        self._reader = ReaderCompiler().reader(target, getattr(target, "__name__", str(target)))

    def parse(self, data: bytes) -> T:
        """Read one configuration; an empty one is an object without members.

        Raises ConfigurationError, whose text is one line, such as `configuration: rules[2].timeout: expected a duration
        such as "250ms", got true`.
        """
        problems = Problems()
        try:
            value = self._read(data, problems)
        except NotJsonError as error:
            problems.add("", f"{error}{_STRUCT_HINT}" if _may_be_struct(data) else str(error))
        problems.check()
        return cast("T", value)

    def _read(self, data: bytes, problems: Problems) -> Any:
        if self._whole_text:
            return self._reader.read(decode_text(data), "", problems)
        if data:
            return self._reader.read(load_json(decode_text(data)), "", problems)
        if NoneType in self._reader.accepts:
            return None
        if Object in self._reader.accepts:
            return self._reader.read(Object([]), "", problems)
        raise NotJsonError(f"is empty; expected {self._reader.expected}")


def _may_be_struct(data: bytes) -> bool:
    """Whether bytes that are not JSON begin as an entry of a map does, and have the tag of its value."""
    return data.startswith(b"\n") and b"\x12" in data
