"""Limits of a filter under wasmtime, set by the marker, in a run of pytest."""

from __future__ import annotations

import pytest
import wasmtime

pytest_plugins = ["pytester"]

MODULE = """
(module
  (memory (export "memory") 16)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1000))
  (func (export "{callback}") {signature} (loop (br 0)) unreachable))
"""
TEST = """
import pytest

@pytest.mark.pywasm(filter="endless.wasm", {limits})
def test_endless(proxy):
    assert proxy.get().response.status == 200
"""


def run(pytester: pytest.Pytester, callback: str, signature: str, limits: str) -> pytest.RunResult:
    text = MODULE.format(callback=callback, signature=signature)
    (pytester.path / "endless.wasm").write_bytes(bytes(wasmtime.wat2wasm(text)))
    pytester.makepyfile(TEST.format(limits=limits))
    return pytester.runpytest_inprocess("--pywasm-host=wasmtime", "-p", "no:cacheprovider")


def test_a_callback_without_end(pytester: pytest.Pytester) -> None:
    result = run(pytester, "proxy_on_request_headers", "(param i32 i32 i32) (result i32)", "callback_timeout=0.1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *CallbackTimeout: proxy_on_request_headers was still running after 0.1 s and was*"])


def test_a_start_without_end(pytester: pytest.Pytester) -> None:
    result = run(pytester, "_initialize", "", "callback_timeout=0.1")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["_initialize was still running after 0.1 s and was ended; a real Envoy would hang.*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_module_that_starts_with_too_much_memory(pytester: pytest.Pytester) -> None:
    result = run(pytester, "_initialize", "", "memory_limit_bytes=1 << 19")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*it starts with 1 MiB of memory, and the limit is 0.5 MiB, memory_limit_bytes of the*"]
    )
