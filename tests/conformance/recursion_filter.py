"""A filter that recurses as deep as hostile input could make it: the answer tells the exception that this ends in."""

from __future__ import annotations

import ast
import copy
import json
import pickle
import re
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

from pywasm_filter import Action, HttpContext, RootContext, register_root_context

DEEP = 100_000


class Nested:
    """Each operation on it is one on another, one level less deep, by way of C."""

    def __init__(self, depth: int) -> None:
        self.depth = depth

    def below(self) -> Nested:
        return Nested(self.depth - 1)

    def __repr__(self) -> str:
        return repr([self.below()]) if self.depth else ""

    def __lt__(self, other: object) -> bool:
        return not sorted([self.below(), self.below()]) if self.depth else True

    def __eq__(self, other: object) -> bool:
        return [self.below()] == [self.below()] if self.depth else True

    def __hash__(self) -> int:
        return hash((self.below(),)) if self.depth else 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below(), name) if self.depth else None


def _lists() -> list[Any]:
    found: list[Any] = []
    for _ in range(DEEP):
        found = [found]
    return found


def _tuples() -> Any:
    found: Any = int
    for _ in range(DEEP):
        found = (found,)
    return found


def _sql(expression: str) -> object:
    return sqlite3.connect(":memory:").execute(f"select {expression}")


RECURSIONS: Mapping[str, Callable[[], object]] = {
    "literal": lambda: ast.literal_eval("[" * DEEP + "]" * DEEP),
    "signs": lambda: ast.literal_eval("-" * DEEP + "1"),
    "parentheses": lambda: compile("(" * DEEP + ")" * DEEP, "s", "eval"),
    "sum": lambda: compile("+".join(["1"] * DEEP), "s", "eval"),
    "attributes": lambda: compile("a" + ".b" * DEEP, "s", "eval"),
    "lambdas": lambda: compile("lambda:" * DEEP + "1", "s", "eval"),
    "tree": lambda: ast.dump(ast.parse("x" + "[0]" * 2000)),
    "unparse": lambda: ast.unparse(ast.parse("-" * 900 + "1")),
    "repr": lambda: repr(_lists()),
    "own repr": lambda: repr(Nested(DEEP)),
    "sort": lambda: sorted([Nested(DEEP), Nested(DEEP)]),
    "equality": lambda: Nested(DEEP) == Nested(DEEP),
    "hash": lambda: hash(Nested(DEEP)),
    "attribute": lambda: Nested(DEEP).nothing,
    "isinstance": lambda: isinstance("", _tuples()),
    "json": lambda: json.loads("[" * DEEP),
    "json dumps": lambda: json.dumps(_lists()),
    "pickle": lambda: pickle.dumps(_lists()),
    "deepcopy": lambda: copy.deepcopy(_lists()),
    "pattern": lambda: re.compile("(" * DEEP + ")" * DEEP),
    "match": lambda: re.match("(a|b)*c", "ab" * DEEP),
    "xml": lambda: ElementTree.tostring(ElementTree.fromstring("<a>" * DEEP + "</a>" * DEEP)),
    "sql": lambda: _sql("(" * DEEP + "1" + ")" * DEEP),
    "sql sum": lambda: _sql("1+" * DEEP + "1"),
}


class Stream(HttpContext["Root"]):
    """Answers with the name of what was raised."""

    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        """Recurse."""
        outcome = "nothing"
        try:
            RECURSIONS[self.request.headers["x-recursion"]]()
        except (RecursionError, MemoryError, sqlite3.Error) as error:
            outcome = type(error).__name__
        self.send_local_response(200, body=outcome.encode())
        return Action.PAUSE


class Root(RootContext):
    """Makes the streams."""

    http_context = Stream


register_root_context(Root)
