"""Readers of a plugin's configuration: each turns JSON values into the values of one type."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field
from datetime import timedelta
from types import NoneType
from typing import Any, TypeAlias

from pywasm_filter.sdk.configuration_json import Object
from pywasm_filter.sdk.configuration_problems import Problems, join_words, member_path, one_line, quote, show, suggest

_MAX_EXACT = 1 << 53
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_AMOUNT = r"[0-9]{1,12}(?:\.[0-9]{1,12})?"
_DURATION = re.compile(rf"(?:({_AMOUNT})h)?(?:({_AMOUNT})m)?(?:({_AMOUNT})s)?(?:({_AMOUNT})ms)?(?:({_AMOUNT})us)?\Z")
_MICROSECONDS = (3_600_000_000, 60_000_000, 1_000_000, 1_000, 1)

Kinds: TypeAlias = tuple[type[Any], ...]


class Reader:
    """Turns a JSON value into a type's value."""

    expected: str = ""
    """What it reads, in words."""

    accepts: Kinds = ()
    """The Python types of the JSON values that it reads."""

    hashable: bool = True
    """Whether its values can be in a set."""

    def read(self, value: Any, path: str, problems: Problems) -> Any:
        """The value as the type has it; void when it adds to `problems`."""
        if type(value) not in self.accepts:
            problems.expected(path, self.expected, value)
            return None
        return self._convert(value, path, problems)

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        return value


class AnyReader(Reader):
    """Whatever JSON has: None, bool, int, float, str, list and dict."""

    expected = "a number in range"  # the only thing that it can miss
    accepts: Kinds = (NoneType, bool, int, float, str, list, Object)
    hashable = False

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        if isinstance(value, list):
            return [self.read(item, f"{path}[{index}]", problems) for index, item in enumerate(value)]
        if isinstance(value, Object):
            return _read_members(value, TextReader(), self, path, problems)
        if isinstance(value, str):
            _check_text(value, path, problems)
        return value


class NoneReader(Reader):
    """None."""

    expected = "null"
    accepts: Kinds = (NoneType,)


class BoolReader(Reader):
    """bool."""

    expected = "true or false"
    accepts: Kinds = (bool,)


class IntReader(Reader):
    """int; 1e3 and 5.0 as well, for JSON has one kind of number and what wrote it may prefer that form."""

    expected = "an integer"
    accepts: Kinds = (int, float)

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        if isinstance(value, int):
            return value
        if value.is_integer() and -_MAX_EXACT <= value <= _MAX_EXACT:
            return int(value)
        problems.expected(path, self.expected, value)
        return None


class FloatReader(Reader):
    """float; integers become floats."""

    expected = "a number in range"
    accepts: Kinds = (int, float)

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        try:
            return float(value)
        except OverflowError:
            problems.expected(path, self.expected, value)
            return None


class TextReader(Reader):
    """str, without lone surrogates."""

    expected = "a string"
    accepts: Kinds = (str,)

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        _check_text(value, path, problems)
        return value


class BytesReader(Reader):
    """bytes: a text's UTF-8."""

    expected = "a string"
    accepts: Kinds = (str,)

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        _check_text(value, path, problems)
        return value.encode("utf-8", "surrogatepass")


def _check_text(text: str, path: str, problems: Problems) -> None:
    if _SURROGATE.search(text):
        problems.add(path, f"half of a surrogate pair in {quote(text)}")


class DurationReader(Reader):
    """timedelta: a number of seconds, or amounts with the units h, m, s, ms and us in this order."""

    expected = 'a duration such as "250ms"'
    accepts: Kinds = (int, float, str)

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        try:
            duration = _parse_duration(value) if isinstance(value, str) else timedelta(seconds=value)
        except OverflowError:
            problems.expected(path, "a shorter duration", value)
            return None
        if duration is None or duration < timedelta():
            problems.expected(path, self.expected, value)
        return duration


def _parse_duration(text: str) -> timedelta | None:
    parts = _DURATION.match(text)
    if parts is None or not text:
        return None
    microseconds = 0
    for unit, amount in zip(_MICROSECONDS, parts.groups(), strict=True):
        if amount is not None:
            whole, _, fraction = amount.partition(".")
            scale = 10 ** len(fraction)
            microseconds += (2 * int(whole + fraction) * unit + scale) // (2 * scale)
    return timedelta(microseconds=microseconds)


class PatternReader(Reader):
    """A compiled regular expression."""

    expected = "a regular expression"
    accepts: Kinds = (str,)

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        try:
            return re.compile(value)
        except (re.error, ValueError, OverflowError, RecursionError, Warning) as error:
            problems.add(path, f"{quote(value)} is no regular expression: {one_line(error)}")
            return None


class ChoiceReader(Reader):
    """One of several scalars, each standing for a value: a Literal or an Enum."""

    def __init__(self, choices: dict[tuple[type[Any], Any], Any]) -> None:
        self.choices = choices
        """The values, by the type and the value of the JSON scalar."""
        self.accepts = tuple({kind for kind, _ in choices})
        # An enum's member may be there by its value and by its name: the value is shown.
        shown = {(type(value), value): word for (_, word), value in reversed(choices.items())}
        self.expected = join_words([show(word) for word in reversed(shown.values())])
        self._words = [word for kind, word in choices if kind is str]

    def has(self, value: Any) -> bool:
        """Whether a JSON value is one of the choices."""
        return type(value) in self.accepts and (type(value), value) in self.choices

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        if self.has(value):
            return self.choices[type(value), value]
        hint = suggest(value, self._words) if isinstance(value, str) and not problems.is_full else ""
        problems.add(path, f"expected {self.expected}, got {show(value)}{hint}")
        return None


class ArrayReader(Reader):
    """Any number of items of one type, as a list or a tuple."""

    expected = "an array"
    accepts: Kinds = (list,)

    def __init__(self, item: Reader, container: type[Any]) -> None:
        self._item = item
        self._container = container
        self.hashable = container is tuple and item.hashable

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        return self._container(
            [self._item.read(item, f"{path}[{index}]", problems) for index, item in enumerate(value)]
        )


class SetReader(Reader):
    """Items of one type, none twice, as a set or a frozenset."""

    expected = "an array"
    accepts: Kinds = (list,)

    def __init__(self, item: Reader, container: type[Any]) -> None:
        self._item = item
        self._container = container
        self.hashable = container is frozenset

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        items: set[Any] = set()
        for index, each in enumerate(value):
            before = problems.count
            item = self._item.read(each, f"{path}[{index}]", problems)
            if problems.count == before:
                if item in items:
                    problems.add(f"{path}[{index}]", f"{show(each)} is given twice")
                items.add(item)
        return self._container(items)


class TupleReader(Reader):
    """As many items as there are types, as a tuple."""

    accepts: Kinds = (list,)

    def __init__(self, items: list[Reader]) -> None:
        self._items = items
        self.expected = f"an array of {len(items)}"
        self.hashable = all(item.hashable for item in items)

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        if len(value) != len(self._items):
            problems.add(path, f"expected {self.expected}, got {len(value)}")
            return None
        pairs = zip(self._items, value, strict=True)
        return tuple([reader.read(item, f"{path}[{index}]", problems) for index, (reader, item) in enumerate(pairs)])


class DictReader(Reader):
    """An object with any keys, as a dict."""

    expected = "an object"
    accepts: Kinds = (Object,)
    hashable = False

    def __init__(self, key: Reader, item: Reader) -> None:
        self._key = key
        self._item = item

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        return _read_members(value, self._key, self._item, path, problems)


def _read_members(value: Object, keys: Reader, items: Reader, path: str, problems: Problems) -> dict[Any, Any]:
    read: dict[Any, Any] = {}
    for key, item in _checked_members(value, path, problems):
        where = member_path(path, key)
        read[keys.read(key, where, problems)] = items.read(item, where, problems)
    return read


def _checked_members(value: Object, path: str, problems: Problems) -> list[tuple[str, Any]]:
    """All members; those whose key has been there before are problems."""
    seen: set[str] = set()
    for key, _ in value.members:
        if key in seen:
            problems.add(member_path(path, key), "is given twice")
        seen.add(key)
    return value.members


class DataclassReader(Reader):
    """An object whose members are the fields of a dataclass."""

    expected = "an object"
    accepts: Kinds = (Object,)

    def __init__(self, cls: type[Any]) -> None:
        self._cls = cls
        self._readers: dict[str, Reader] = {}
        self._names: dict[str, str] = {}
        self._required: list[str] = []
        self.hashable = cls.__hash__ is not None

    def add_field(self, field: Field[Any], reader: Reader) -> None:
        """Read a field of the dataclass. Raises TypeError when its name in JSON is taken, or is no text."""
        key = field.metadata.get("name", field.name)
        if not isinstance(key, str) or key in self._readers:
            raise TypeError(f"{self._cls.__name__}.{field.name}: {key!r} cannot be its name in JSON")
        self._readers[key] = reader
        self._names[key] = field.name
        if field.default is MISSING and field.default_factory is MISSING:
            self._required.append(key)
        self.hashable = self.hashable and reader.hashable

    def tags(self) -> dict[str, ChoiceReader]:
        """The fields that can tell this dataclass from another one in a union."""
        return {
            key: reader
            for key, reader in self._readers.items()
            if isinstance(reader, ChoiceReader) and key in self._required
        }

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        before = problems.count
        arguments: dict[str, Any] = {}
        for key, item in _checked_members(value, path, problems):
            reader = self._readers.get(key)
            if reader is not None:
                arguments[self._names[key]] = reader.read(item, member_path(path, key), problems)
            else:
                hint = "" if problems.is_full else suggest(key, list(self._readers))
                problems.add(member_path(path, key), f"is not known{hint}")
        for key in self._required:
            if self._names[key] not in arguments:
                problems.add(member_path(path, key), "is missing")
        if problems.count != before:
            return None
        try:
            return self._cls(**arguments)
        except ValueError as error:
            problems.add(path, one_line(error))
            return None


class TaggedReader(Reader):
    """An object that is one of several dataclasses; the value of one member tells which."""

    expected = "an object"
    accepts: Kinds = (Object,)

    def __init__(self, key: str, tags: dict[DataclassReader, ChoiceReader]) -> None:
        self._key = key
        self._tags = tags
        self._choices = ChoiceReader({choice: value for tag in tags.values() for choice, value in tag.choices.items()})

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        where = member_path(path, self._key)
        given = [item for key, item in value.members if key == self._key]
        if len(given) != 1:
            problems.add(where, "is given twice" if given else "is missing")
            return None
        for reader, tag in self._tags.items():
            if tag.has(given[0]):
                return reader.read(value, path, problems)
        return self._choices.read(given[0], where, problems)


class UnionReader(Reader):
    """One of several types; the JSON value tells which."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._choices: list[ChoiceReader] = []
        self._by_kind: dict[type[Any], Reader] = {}
        self._dataclasses: list[DataclassReader] = []

    def add_member(self, reader: Reader) -> None:
        """Add a type. Raises TypeError when a JSON value could be of this type and of another one."""
        if isinstance(reader, ChoiceReader):
            if any(not choices.choices.keys().isdisjoint(reader.choices) for choices in self._choices):
                raise self._ambiguous()
            self._choices.append(reader)
        elif isinstance(reader, DataclassReader):
            self._dataclasses.append(reader)
        else:
            for kind in reader.accepts:
                self._add_kind(kind, reader)
        self.hashable = self.hashable and reader.hashable
        self.accepts = tuple({*self.accepts, *reader.accepts})
        if reader.expected not in self.expected.split(" or "):
            self.expected = f"{self.expected} or {reader.expected}" if self.expected else reader.expected

    def _add_kind(self, kind: type[Any], reader: Reader) -> None:
        other = self._by_kind.get(kind)
        if other is None or (isinstance(other, IntReader) and isinstance(reader, FloatReader) and kind is float):
            self._by_kind[kind] = reader
        elif isinstance(other, FloatReader) and isinstance(reader, IntReader):
            if kind is int:
                self._by_kind[kind] = reader
        elif not (isinstance(other, IntReader) and isinstance(reader, FloatReader)):
            raise self._ambiguous()

    def resolve(self) -> None:
        """Find what tells its dataclasses apart, now that their fields are known. Raises TypeError as above."""
        if len(self._dataclasses) == 1:
            self._add_kind(Object, self._dataclasses[0])
        elif self._dataclasses:
            self._add_kind(Object, self._tagged())

    def _tagged(self) -> TaggedReader:
        for key in self._dataclasses[0].tags():
            tags = {reader: tag for reader in self._dataclasses if (tag := reader.tags().get(key)) is not None}
            choices = [choice for tag in tags.values() for choice in tag.choices]
            if len(tags) == len(self._dataclasses) and len(set(choices)) == len(choices):
                return TaggedReader(key, tags)
        raise self._ambiguous()

    def _ambiguous(self) -> TypeError:
        return TypeError(f"{self._name}: JSON does not tell the members of this union apart")

    def _convert(self, value: Any, path: str, problems: Problems) -> Any:
        for choices in self._choices:
            if choices.has(value):
                return choices.read(value, path, problems)
        reader = self._by_kind.get(type(value))
        if reader is None:
            problems.expected(path, self.expected, value)
            return None
        return reader.read(value, path, problems)
