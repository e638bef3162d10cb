"""Modules in the text format, written over the ABI's table."""

from __future__ import annotations

import wasmtime
from proxy_wasm_abi import Hostcall
from proxy_wasm_abi.generated.host_imports import CoreSignature

MARKER = '(func (export "proxy_abi_version_0_2_1"))'
MEMORY = '(memory (export "memory") 1)'
# A bump allocator from 16 KiB on.
MALLOC = """
(global $heap (mut i32) (i32.const 16384))
(func $malloc (export "malloc") (param i32) (result i32)
  (global.get $heap) (global.set $heap (i32.add (global.get $heap) (local.get 0))))
"""
BASE = MARKER + MEMORY + MALLOC
LOG = '(import "env" "proxy_log" (func $proxy_log (param i32 i32 i32) (result i32)))'
GET_VALUE = '(import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))'


def binary(text: str) -> bytes:
    """The module with that text."""
    return bytes(wasmtime.wat2wasm(f"(module {text})"))


def signature(kind: CoreSignature) -> str:
    """A function's type as text."""
    params = f" (param {' '.join(kind.params)})" if kind.params else ""
    return params + (f" (result {' '.join(kind.results)})" if kind.results else "")


def imported(hostcall: Hostcall) -> str:
    """The import of a hostcall, as `$<name>`."""
    kind = CoreSignature(hostcall.core_params, hostcall.core_results)
    return f'(import "env" "{hostcall.name}" (func ${hostcall.name}{signature(kind)}))'


def exported(name: str, kind: CoreSignature, code: str) -> str:
    """An exported function."""
    return f'(func (export "{name}"){signature(kind)} {code})'


def quoted(data: bytes) -> str:
    """Bytes as a string of the text format."""
    return '"' + "".join(f"\\{byte:02x}" for byte in data) + '"'


def i32(value: int) -> str:
    """A constant."""
    return f"(i32.const {value})"
