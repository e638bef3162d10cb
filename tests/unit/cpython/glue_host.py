"""A module made of glue functions alone, run under wasmtime with host functions given as Python callables."""

from collections.abc import Callable
from typing import Any

import wasmtime
from pywasm_compiler.cpython.glue import GlueFunction
from pywasm_compiler.wasm.model import (
    Export,
    ExternKind,
    Function,
    FuncType,
    Import,
    Limits,
    MemoryType,
    Module,
    ValType,
)
from pywasm_compiler.wasm.writer import write_module

HostFunction = tuple[FuncType, Callable[..., Any]]

_WASMTIME_TYPES = {ValType.I32: wasmtime.ValType.i32, ValType.I64: wasmtime.ValType.i64}


class GlueHost:
    """Function indices: the host functions in the order given, then the glue in the order given."""

    def __init__(self, imports: list[HostFunction], glue: list[GlueFunction], pages: int = 2) -> None:
        module = Module(memories=[MemoryType(Limits(pages))])
        types = module.types
        for signature in [signature for signature, _ in imports] + [function.type for function in glue]:
            if signature not in types:
                types.append(signature)
        module.imports = [
            Import("env", str(n), ExternKind.FUNC, types.index(type_)) for n, (type_, _) in enumerate(imports)
        ]
        module.functions = [Function(types.index(function.type), function.body) for function in glue]
        module.exports = [Export("memory", ExternKind.MEMORY, 0)]
        module.exports += [Export(g.name, ExternKind.FUNC, len(imports) + n) for n, g in enumerate(glue)]
        self._store = wasmtime.Store()
        functions = [wasmtime.Func(self._store, _func_type(signature), call) for signature, call in imports]
        compiled = wasmtime.Module(self._store.engine, write_module(module))
        self._instance = wasmtime.Instance(self._store, compiled, functions)
        memory = self._instance.exports(self._store)["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self._memory = memory

    def call(self, name: str, *arguments: int) -> Any:
        function = self._instance.exports(self._store)[name]
        assert isinstance(function, wasmtime.Func)
        return function(self._store, *arguments)

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._memory.read(self._store, address, address + size))

    def read_int(self, address: int, size: int) -> int:
        return int.from_bytes(self.read(address, size), "little")

    def write(self, address: int, content: bytes) -> None:
        self._memory.write(self._store, content, address)


def _func_type(signature: FuncType) -> wasmtime.FuncType:
    return wasmtime.FuncType(
        [_WASMTIME_TYPES[value]() for value in signature.params],
        [_WASMTIME_TYPES[value]() for value in signature.results],
    )
