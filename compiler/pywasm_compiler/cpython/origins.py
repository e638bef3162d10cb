"""Which part of the interpreter a function belongs to: a library, and within libpython a part or a C module.

The functions of one object file are together in a library, and the object files of one part, too. So the first function
of each part says where it begins; the names are those of CPython 3.14 as componentize-py builds it. The order of the
table does not matter. A name that is not there is passed over: what it would begin counts to the part before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pywasm_compiler.cpython.libraries import Library
from pywasm_compiler.cpython.replacements import PYTHON

GLUE: Final = "glue"
"""Our own functions, between the host and the libraries."""

CORE: Final = "CPython"
_PARSER: Final = "CPython, parser"
_COMPILER: Final = "CPython, compiler"
_LIBC: Final = "libc"

SOURCE_CODE: Final = frozenset({_PARSER, _COMPILER})
"""What works on source code: for a filter that has been imported, only where it shows a traceback."""

_MODULE: Final = "PyInit_"

_PARTS: Final[Mapping[str, str]] = {
    "__wasm_call_ctors": "CPython, relocations",
    "Py_GetBuildInfo": CORE,
    "_PyToken_OneChar": _PARSER,
    "PyObject_Type": CORE,
    "_PyAST_Fini": _COMPILER,
    "filter_dealloc": CORE,
    "_PyCodegen_Expression": _COMPILER,
    "_PyContext_NewHamtForTests": CORE,
    "_PyCfgBuilder_Free": _COMPILER,
    "_PyFrame_Traverse": CORE,
    "_PyInstructionSequence_NewLabel": _COMPILER,
    "no_intrinsic1": CORE,
    "_PySymtable_Build": _COMPILER,
    "_PySys_GetRequiredAttr": CORE,
    "pysqlite_close_all_blobs": "_sqlite3 (C module)",
    "_PyDateTime_InitTypes": "_datetime (C module)",
    "PyNumber_AsOff_t": "_io (C module)",
    "_Py_Get_Getpath_CodeObject": CORE,
    "_Py_LibHacl_Hacl_HMAC_compute_md5": "hashes (C modules)",
    "mpd_dflt_traphandler": "_decimal (C module)",
    "parserCreate": "pyexpat (C module)",
    "adler32_z": "zlib (C module)",
    "sqlite3_log": "_sqlite3 (C module)",
}
"""First function -> part, where that is not the first function of a C module."""

_WITHIN_CORE: Final = frozenset({"_string", "_contextvars", "_imp", "_ast", "_tokenize", "gc"})
"""C modules in files of the interpreter itself, between other functions."""

_LIBRARIES: Final[Mapping[str, str]] = {
    "libcomponentize_py_runtime.so": "componentize-py",
}


def parts_of(library: Library) -> Sequence[str]:
    """The part of each function that a library defines, in their order."""
    count = len(library.module.functions)
    if library.name != PYTHON:
        return [_LIBRARIES.get(library.name, _LIBC if library.name.startswith("lib") else GLUE)] * count
    first = len(library.imported_functions)
    parts: list[str] = []
    part = CORE
    for index in range(first, first + count):
        part = _begun_by(library.names.get(index, "")) or part
        parts.append(part)
    return parts


def _begun_by(name: str) -> str | None:
    """The part that begins with a function of that name."""
    if name.startswith(_MODULE) and name.removeprefix(_MODULE) not in _WITHIN_CORE:
        return f"{name.removeprefix(_MODULE)} (C module)"
    return _PARTS.get(name)
