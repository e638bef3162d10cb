"""The parts of the interpreter, by the names of functions in the version that modules are made of."""

from collections import Counter

from pywasm_compiler.cpython.base import BaseImage
from pywasm_compiler.cpython.libraries import select_libraries
from pywasm_compiler.cpython.origins import _PARTS, _WITHIN_CORE, parts_of
from pywasm_compiler.cpython.replacements import PYTHON
from pywasm_compiler.wasm.component import read_component


def test_each_part_begins_where_the_table_says() -> None:
    component = read_component(BaseImage(lambda step: None)._component_file.read_bytes())
    [python] = [library for library in select_libraries(component) if library.name == PYTHON]
    names = Counter(python.names.values())
    begins = [*_PARTS, *(f"PyInit_{module}" for module in _WITHIN_CORE)]
    assert {name: names[name] for name in begins} == dict.fromkeys(begins, 1)

    first = len(python.imported_functions)
    part_of = {python.names[first + index]: part for index, part in enumerate(parts_of(python))}
    assert {name: part_of[name] for name in KNOWN} == KNOWN


KNOWN = {
    "_PyEval_EvalFrameDefault": "CPython",
    "PyDict_New": "CPython",
    "PyImport_ImportModule": "CPython",
    "_PyPegen_run_parser": "CPython, parser",
    "_PyAST_Compile": "CPython, compiler",
    "_PySymtable_Build": "CPython, compiler",
    "sqlite3_exec": "_sqlite3 (C module)",
    "pysqlite_statement_create": "_sqlite3 (C module)",
    "mpd_qadd": "_decimal (C module)",
    "PyDec_ToIntegralValue": "_decimal (C module)",
    "_Py_LibHacl_Hacl_Hash_SHA3_update": "hashes (C modules)",
    "inflate_table": "zlib (C module)",
    "PyExpat_XML_Parse": "pyexpat (C module)",
    "PyInit__json": "_json (C module)",
    "datetime_subtract": "_datetime (C module)",
}
