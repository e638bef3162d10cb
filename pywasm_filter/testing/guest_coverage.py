"""Coverage of what runs inside a module under wasmtime, told to coverage.py in the test's own process.

coverage.py decides which files it measures and knows how to put its data together; it is not told of lines but shown
them: for the lines that ran in the guest, code that stands in the same lines of the same file is run here.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pywasm_filter.testing.guests.recording import Arc, RecordedFile

_NOWHERE = 1_000_000
"""A line that no file has: coverage.py takes ways from and to it for none of the file's."""
_TAKEN = "taken"


def measured_branches() -> bool | None:
    """Whether coverage.py, which measures this process, measures branches, too; None if it does not measure."""
    if "coverage" not in sys.modules:
        return None
    from coverage import Coverage

    current = Coverage.current()
    return None if current is None else bool(current.get_option("run:branch"))


class GuestCoverage:
    """What guests have recorded and coverage.py has not been shown yet."""

    def __init__(self) -> None:
        self._news: dict[RecordedFile, dict[Arc, None]] = {}

    def add(self, news: Iterable[tuple[RecordedFile, Arc]]) -> None:
        """Keep what a guest has recorded."""
        for file, arc in news:
            self._news.setdefault(file, {})[arc] = None

    def show(self) -> None:
        """Show it to coverage.py, which counts it for the test that is running."""
        news, self._news = self._news, {}
        for file, arcs in news.items():
            scope = {"__name__": file.module, "__file__": file.path, _TAKEN: True}
            for code in _stand_ins(file.path, arcs):
                FunctionType(code, scope)()


def _stand_ins(path: str, arcs: Iterable[Arc]) -> Iterator[CodeType]:
    """A function for each way between lines, and one for all lines alone."""
    lines = [line for line, target in arcs if line == target]
    functions = [_function(_NOWHERE, [_pass(line) for line in lines])] if lines else []
    functions += [_way(source, target) for source, target in arcs if source != target]
    module = compile(ast.Module(functions, []), path, "exec")
    yield from (constant for constant in module.co_consts if isinstance(constant, CodeType))


def _way(source: int, target: int) -> ast.stmt:
    """A function that goes from one line to the other, by a branch."""
    if source < 0:
        return _function(-source, [_pass(target)])
    if target < 0:
        return _function(-target, [_branch(source, source)])
    return _function(_NOWHERE, [_branch(source, target)])


def _branch(source: int, target: int) -> ast.stmt:
    test = ast.Name(_TAKEN, ast.Load(), **_at(source))
    return ast.If(test, [_pass(target)], [], **_at(source))


def _pass(line: int) -> ast.stmt:
    return ast.Pass(**_at(line))


def _function(line: int, body: list[ast.stmt]) -> ast.stmt:
    arguments = ast.arguments([], [], None, [], [], None, [])
    return ast.FunctionDef("stand_in", arguments, body, [], **_at(line))


def _at(line: int) -> dict[str, Any]:
    return {"lineno": line, "end_lineno": line, "col_offset": 0, "end_col_offset": 0}
