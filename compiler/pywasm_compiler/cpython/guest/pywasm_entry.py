"""What runs inside the guest while the base image is made: CPython, with as little in it as can be.

componentize-py imports it by way of a generated module. Filters come later, with `pywasm_loader`.

What is imported here stays in every module's memory, and so do the holes that compiling it leaves. So this imports
nothing that the interpreter does not have when it starts, and stands in for what componentize-py's runtime imports.
"""

from __future__ import annotations

import gc
import io
import os
import sys

import pywasm_loader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_STANDARD_LIBRARY = "/python"
_COPY = "stdlib"
_BLOCK = 1 << 16
_SMALL = 64
_HAS_DOCSTRING = 0x4000000
_HEAP_TYPE = 1 << 9
_IMMUTABLE_TYPE = 1 << 8
_Function = type(lambda: None)


def _prepare() -> None:
    sys.dont_write_bytecode = True
    _copy_standard_library()
    # The runtime takes these names from these modules when this one has been imported. It never comes to use them.
    stand_ins: dict[str, dict[str, object]] = {
        "collections": {},
        "componentize_py_types": {"Some": None, "Ok": None, "Err": None},
        "weakref": {"finalize": None},
        "random": {"seed": None},
    }
    for name, attributes in stand_ins.items():
        if name not in sys.modules:
            sys.modules[name] = pywasm_loader.StandIn(name)
            vars(sys.modules[name]).update(attributes)
    sys.modules.setdefault("collections.abc", sys.modules["_collections_abc"])
    _forget_docstrings()
    _take_little_for_stdin()
    gc.collect()


def _forget_docstrings() -> None:
    """Take away the docstrings of what is written in Python, which nobody reads in a proxy."""
    for thing in gc.get_objects():
        if isinstance(thing, _Function):
            thing.__doc__ = None
            code = thing.__code__
            if code.co_flags & _HAS_DOCSTRING:
                flags = code.co_flags & ~_HAS_DOCSTRING
                thing.__code__ = code.replace(co_consts=(None, *code.co_consts[1:]), co_flags=flags)
        elif isinstance(thing, type) and thing.__flags__ & _HEAP_TYPE and isinstance(vars(thing).get("__doc__"), str):
            if not thing.__flags__ & _IMMUTABLE_TYPE:
                thing.__doc__ = None
        elif isinstance(thing, type(sys)) and thing.__name__ not in sys.builtin_module_names:
            thing.__doc__ = None


def _take_little_for_stdin() -> None:
    """Give the standard input, where nothing ever comes in, a small buffer in the place of one of 128 KiB."""
    system: Any = sys
    raw = system.stdin.detach().detach()
    system.stdin = system.__stdin__ = io.TextIOWrapper(
        io.BufferedReader(raw, _SMALL), encoding="utf-8", errors="strict"
    )


def _copy_standard_library() -> None:
    """Hand the source of the standard library out: the directory of this file is the host's."""
    copy = os.path.join(os.path.dirname(__file__), _COPY)
    for directory, _, files in os.walk(_STANDARD_LIBRARY):
        if directory.endswith("/__pycache__"):
            continue
        target = copy + directory.removeprefix(_STANDARD_LIBRARY)
        os.makedirs(target, exist_ok=True)
        for file in files:
            with open(f"{directory}/{file}", "rb", 0) as source, open(f"{target}/{file}", "wb", 0) as destination:
                while block := source.read(_BLOCK):
                    destination.write(block)


_prepare()
