"""The generated module of hostcalls, as the others of this directory use it."""

from collections.abc import Callable
from typing import Any

numbers: dict[str, int]
call_import: Callable[[int, list[Any]], Any]
