"""Expressions in the Common Expression Language over the attributes. Needs the package cel-python."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import celpy
from celpy import celtypes
from celpy.celparser import CELParseError
from celpy.evaluation import CELEvalError, base_functions
from lark import Token, Tree

from pywasm_filter.sdk.abi import Status
from pywasm_filter.testing.embedded.attribute_values import (
    Duration,
    Group,
    Message,
    NotSerializable,
    Null,
    Timestamp,
    Unsigned,
    Value,
    child,
    encode,
)
from pywasm_filter.testing.embedded.contexts import Context
from pywasm_filter.testing.embedded.properties import find_attribute

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TOKEN_BYTES = 4
_MACROS = frozenset({"all", "exists", "exists_one", "filter", "has", "map"})
_CALLS = {"ident_arg": 0, "dot_ident_arg": 0, "member_dot_arg": 1}
"""Rules of the grammar that call a function -> where its name stands."""


@dataclass(frozen=True)
class _Expression:
    program: celpy.Runner
    identifiers: frozenset[str]


class _GroupValue(celtypes.MapType):
    """Attributes that cannot be listed."""


class _MessageValue(celtypes.MapType):
    """A message, which is handed out as such."""

    message: Message


class Expressions:
    """The expressions of one root context, by their tokens."""

    def __init__(self) -> None:
        limit = sys.getrecursionlimit()
        self._environment = celpy.Environment()
        sys.setrecursionlimit(limit)  # the environment raises it for the whole process
        self._expressions: dict[int, _Expression] = {}
        self._next_token = 0

    def create(self, source: bytes) -> tuple[Status, bytes]:
        """Compile: a token of 4 bytes. What does not parse is refused, and what calls an unknown function."""
        token = self._next_token
        try:
            expression = self._compiled(source)
        except (CELParseError, UnicodeDecodeError, RecursionError):
            return Status.BAD_ARGUMENT, b""
        self._next_token += 1
        if expression is None:
            return Status.BAD_ARGUMENT, b""
        self._expressions[token] = expression
        return Status.OK, token.to_bytes(_TOKEN_BYTES, "little")

    def _compiled(self, source: bytes) -> _Expression | None:
        """None for one that calls an unknown function. Raises CELParseError, UnicodeDecodeError, RecursionError."""
        tree = self._environment.compile(source.decode("utf-8"))
        if not set(_called(tree)) <= base_functions.keys() | _MACROS:
            return None
        identifiers = frozenset(str(leaf) for leaf in tree.scan_values(lambda leaf: _is_identifier(leaf)))
        return _Expression(self._environment.program(tree), identifiers)

    def evaluate(self, token: bytes, context: Context) -> tuple[Status, bytes]:
        """The value for a context, as attributes are handed out. INTERNAL_FAILURE when the evaluation fails."""
        if len(token) != _TOKEN_BYTES:
            return Status.BAD_ARGUMENT, b""
        expression = self._expressions.get(int.from_bytes(token, "little"))
        if expression is None:
            return Status.NOT_FOUND, b""
        attributes = {name: find_attribute(context, name, last=False) for name in expression.identifiers}
        given = {name: _to_cel(value) for name, value in attributes.items() if value is not None}
        try:
            result = expression.program.evaluate(given)
        except (CELEvalError, RecursionError):
            return Status.INTERNAL_FAILURE, b""
        try:
            return Status.OK, encode(_from_cel(result))
        except NotSerializable:
            return Status.SERIALIZATION_FAILURE, b""

    def delete(self, token: bytes) -> tuple[Status, bytes]:
        """Forget an expression, if there is one."""
        if len(token) != _TOKEN_BYTES:
            return Status.BAD_ARGUMENT, b""
        self._expressions.pop(int.from_bytes(token, "little"), None)
        return Status.OK, b""


def _is_identifier(leaf: object) -> bool:
    return isinstance(leaf, Token) and leaf.type == "IDENT"


def _called(tree: Tree[Any]) -> Iterator[str]:
    """Names of the functions that are called."""
    for node in tree.iter_subtrees():
        if node.data in _CALLS:
            yield str(node.children[_CALLS[node.data]])


def _to_cel(value: Value) -> Any:
    match value:
        case Null():
            return None
        case bool():
            return celtypes.BoolType(value)
        case int():
            return celtypes.IntType(value)
        case Unsigned():
            return celtypes.UintType(value.number)
        case float():
            return celtypes.DoubleType(value)
        case str():
            return celtypes.StringType(value)
        case bytes():
            return celtypes.BytesType(value)
        case Timestamp():
            return celtypes.TimestampType(_EPOCH + timedelta(microseconds=value.nanoseconds // 1000))
        case Duration():
            return celtypes.DurationType(timedelta(microseconds=value.nanoseconds // 1000))
        case Message():
            message = _MessageValue(_map({name: value.field(name) for name in value.schema.fields}))
            message.message = value
            return message
        case Group():
            return _GroupValue(_map({name: child(value, name) for name in value.names}))
        case dict():
            return celtypes.MapType(_map(value))
        case list():
            return celtypes.ListType([_to_cel(item) for item in value])


def _map(items: dict[str, Any]) -> dict[Any, Any]:
    return {celtypes.StringType(name): _to_cel(value) for name, value in items.items() if value is not None}


def _from_cel(value: Any) -> Value:
    match value:
        case None | _GroupValue() | type():
            raise NotSerializable
        case _MessageValue():
            return value.message
        case celtypes.BoolType():
            return bool(value)
        case celtypes.UintType():
            return Unsigned(int(value))
        case int():
            return int(value)
        case float():
            return float(value)
        case str():
            return str(value)
        case bytes():
            return bytes(value)
        case datetime():
            return Timestamp((value - _EPOCH) // _MICROSECOND * 1000)
        case timedelta():
            return Duration(value // _MICROSECOND * 1000)
        case dict():
            return {
                str(encode(_from_cel(name)), "utf-8", "surrogateescape"): _from_cel(item)
                for name, item in value.items()
            }
        case list():
            return [_from_cel(item) for item in value]
    raise NotSerializable


def _key(name: Any) -> str:
    """A key of a map: whatever its type, it is handed out as bytes."""
    return encode(_from_cel(name)).decode("utf-8", "surrogateescape")
