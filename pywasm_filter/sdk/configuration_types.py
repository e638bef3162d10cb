"""From the type of a plugin's configuration to its reader."""

from __future__ import annotations

import collections.abc
import re
from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from pywasm_filter.sdk.configuration_readers import (
    AnyReader,
    ArrayReader,
    BoolReader,
    BytesReader,
    ChoiceReader,
    DataclassReader,
    DictReader,
    DurationReader,
    FloatReader,
    IntReader,
    NoneReader,
    PatternReader,
    Reader,
    SetReader,
    TextReader,
    TupleReader,
    UnionReader,
)

_SCALARS: dict[Any, Reader] = {
    Any: AnyReader(),
    object: AnyReader(),
    None: NoneReader(),
    NoneType: NoneReader(),
    bool: BoolReader(),
    int: IntReader(),
    float: FloatReader(),
    str: TextReader(),
    bytes: BytesReader(),
    timedelta: DurationReader(),
    re.Pattern: PatternReader(),
}
_ARRAYS: dict[Any, type[Any]] = {list: list, tuple: tuple, collections.abc.Sequence: tuple}
_SETS: dict[Any, type[Any]] = {set: set, frozenset: frozenset, collections.abc.Set: frozenset}
_DICTS = (dict, collections.abc.Mapping)


def unwrap(annotation: Any) -> Any:
    """The type itself of `Annotated`, `Final`, `NewType` and `type X = …`."""
    while True:
        if get_origin(annotation) in (Annotated, Final):
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation


class ReaderCompiler:
    """Makes the readers of a type and of all that it consists of; a dataclass may contain itself."""

    def __init__(self) -> None:
        self._dataclasses: dict[type[Any], DataclassReader] = {}
        self._unions: list[UnionReader] = []

    def reader(self, target: Any, name: str) -> Reader:
        """The reader of the whole target. Raises TypeError for a type that cannot be read."""
        reader = self._reader(target, name)
        for union in self._unions:
            union.resolve()
        return reader

    def _reader(self, annotation: Any, name: str) -> Reader:
        annotation = unwrap(annotation)
        origin = get_origin(annotation)
        base = annotation if origin is None else origin
        arguments = list(get_args(annotation))
        if base is re.Pattern and arguments not in ([], [str]):
            raise TypeError(f"{name}: a pattern in a configuration is a re.Pattern[str]")
        if base in _SCALARS:
            return _SCALARS[base]
        if base in (Union, UnionType):
            return self._union(arguments, name)
        if base is Literal:
            return _literal(arguments, name)
        if isinstance(base, type) and issubclass(base, Enum):
            return _enum(base)
        if isinstance(base, type) and is_dataclass(base) and origin is None:
            return self._dataclass(base)
        return self._container(base, arguments or [Any], name)

    def _container(self, base: Any, arguments: list[Any], name: str) -> Reader:
        if base in _SETS:
            item = self._reader(arguments[0], name)
            if not item.hashable:
                raise TypeError(f"{name}: {_name(arguments[0])} cannot be in a set")
            return SetReader(item, _SETS[base])
        if base is tuple and arguments != [Any] and arguments[-1] is not Ellipsis:
            return TupleReader([self._reader(argument, name) for argument in arguments])
        if base in _ARRAYS:
            return ArrayReader(self._reader(arguments[0], name), _ARRAYS[base])
        if base in _DICTS:
            if len(arguments) == 1:
                return DictReader(TextReader(), AnyReader())
            keys = self._reader(arguments[0], name)
            if keys.accepts != (str,) or not isinstance(keys, (TextReader, ChoiceReader)):
                raise TypeError(f"{name}: the keys of an object are text, not {_name(arguments[0])}")
            return DictReader(keys, self._reader(arguments[1], name))
        raise TypeError(f"{name}: {_name(base)} cannot be read from a configuration")

    def _union(self, arguments: list[Any], name: str) -> Reader:
        union = UnionReader(name)
        self._unions.append(union)
        for member in _members(arguments):
            union.add_member(self._reader(member, name))
        return union

    def _dataclass(self, cls: type[Any]) -> Reader:
        if cls in self._dataclasses:
            return self._dataclasses[cls]
        reader = DataclassReader(cls)
        self._dataclasses[cls] = reader
        hints = _hints(cls)
        for field in fields(cls):
            if field.init:
                reader.add_field(field, self._reader(hints[field.name], f"{cls.__name__}.{field.name}"))
        return reader


def _members(arguments: list[Any]) -> list[Any]:
    """The types of a union, those of the unions in it included."""
    found: list[Any] = []
    for argument in arguments:
        plain = unwrap(argument)
        if get_origin(plain) in (Union, UnionType):
            found += _members(list(get_args(plain)))
        else:
            found.append(plain)
    return list(dict.fromkeys(found))


def _hints(cls: type[Any]) -> dict[str, Any]:
    try:
        return get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{cls.__name__}: {error}; the types of its fields must be names of the module {cls.__module__}"
        ) from error


def _literal(arguments: list[Any], name: str) -> Reader:
    for value in arguments:
        if type(value) not in (str, int, bool, NoneType):
            raise TypeError(f"{name}: {value!r} cannot be read from a configuration")
    return ChoiceReader({(type(value), value): value for value in arguments})


def _enum(cls: type[Enum]) -> Reader:
    """By value; by name where no value is that text."""
    choices: dict[tuple[type[Any], Any], Any] = {}
    for member in cls:
        for kind in (bool, int, float, str):
            if isinstance(member.value, kind):
                choices[kind, kind(member.value)] = member
                break
    for name, member in cls.__members__.items():
        choices.setdefault((str, name), member)
    return ChoiceReader(choices)


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation)
