"""Generic classes that take a name in quotes, which is for type checkers alone."""

from __future__ import annotations

from typing import Any


def ignore_quoted_argument(generic: Any) -> None:
    """Let `Class["Name"]` be the class itself. Of the name typing would make an object, with Python's parser for it."""

    def class_getitem(cls: Any, argument: Any) -> Any:
        return cls if isinstance(argument, str) else super(generic, cls).__class_getitem__(argument)

    generic.__class_getitem__ = classmethod(class_getitem)
