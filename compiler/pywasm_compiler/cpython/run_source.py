"""The loader's own export: it runs Python source."""

from __future__ import annotations

from pywasm_compiler.cpython.glue import I32, Code, GlueFunction
from pywasm_compiler.cpython.hostcalls import MODULE, HostcallTable
from pywasm_compiler.cpython.symbols import Symbols
from pywasm_compiler.wasm.model import FuncType


def run_source(symbols: Symbols, table: HostcallTable) -> GlueFunction:
    """(address of source text that ends with a zero byte) -> 0, or -1 after an exception.

    Python finds the module of hostcalls. CPython's only thread is attached and stays it, in the snapshot as well, so
    that callbacks need not see to it.
    """
    code = Code(FuncType((I32,), (I32,)))
    module, result = code.local(I32), code.local(I32)
    code.i32_const(-1).local_set(result)
    code.call(symbols.function("PyGILState_Ensure")).drop()
    code.block()
    code.i32_const(table.texts[MODULE]).call(symbols.function("PyImport_AddModuleRef")).local_tee(module)
    code.i32_eqz().br_if(0)
    code.local_get(module).i32_const(table.address).call(symbols.function("PyModule_AddFunctions")).br_if(0)
    code.local_get(module).call(symbols.function("Py_DecRef"))
    code.local_get(0).i32_const(0).call(symbols.function("PyRun_SimpleStringFlags")).local_set(result)
    code.end()
    code.call(symbols.flush)
    code.local_get(result)
    return code.function("run source")
