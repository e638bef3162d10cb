"""The types that functions of the Proxy-Wasm ABI have in a core module."""

from __future__ import annotations

from typing import Final

from proxy_wasm_abi import Callback, Hostcall

from pywasm_compiler.wasm.model import FuncType, ValType

CORE: Final = {"i32": ValType.I32, "i64": ValType.I64}


def host_type(function: Hostcall | Callback) -> FuncType:
    """The core type of a function of the ABI."""
    return FuncType(
        tuple(CORE[core] for core in function.core_params), tuple(CORE[core] for core in function.core_results)
    )
