"""Modules in WAT that are wrong, hostile, or just odd."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from typing import Any

import pytest
import wasmtime

from pywasm_filter.sdk.abi import LogLevel, Status
from pywasm_filter.testing import (
    EmbeddedProxy,
    GuestLoadError,
    HostcallNotSupported,
    PluginConfigurationError,
    PluginSettings,
    Response,
)
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule

MARKER = '(func (export "proxy_abi_version_0_2_1"))'
MEMORY = '(memory (export "memory") 1)'
# A bump allocator from 32 KiB on.
MALLOC = """
(global $heap (mut i32) (i32.const 32768))
(func $malloc (export "malloc") (param i32) (result i32)
  (global.get $heap) (global.set $heap (i32.add (global.get $heap) (local.get 0))))
"""
BASE = MARKER + MEMORY + MALLOC
LOG = '(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))'
GET_VALUE = '(import "env" "proxy_get_header_map_value" (func $get (param i32 i32 i32 i32 i32) (result i32)))'
# Logs one character for a status: "0" for OK, "6" for INVALID_MEMORY_ACCESS.
TELL = """
(func $tell (param $status i32)
  (i32.store8 (i32.const 2000) (i32.add (i32.const 48) (local.get $status)))
  (drop (call $log (i32.const 2) (i32.const 2000) (i32.const 1))))
"""


def load(text: str) -> WasmtimeModule:
    return WasmtimeModule(bytes(wasmtime.wat2wasm(f"(module {text})")))


def refused(text: str) -> str:
    with pytest.raises(GuestLoadError) as error:
        load(text)
    return str(error.value)


def on_request_headers(code: str) -> str:
    return f"""(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {code} (i32.const 0))"""


def logged(text: str, **settings: Any) -> list[str]:
    """What a module logs while one request passes."""
    with EmbeddedProxy(load(text).instantiate, PluginSettings(**settings)) as proxy:
        return [line.message for line in proxy.get("/path", headers={"x": "value"}).logs]


def status_of(call: str, imports: str = "", before: str = BASE) -> str:
    """The digit of the status that a call in on_request_headers returns."""
    [digit] = logged(
        f'{imports} {LOG} {before} {TELL} (data (i32.const 100) "x") {on_request_headers(f"(call $tell {call})")}'
    )
    return digit


OK, BAD_MEMORY = str(int(Status.OK)), str(int(Status.INVALID_MEMORY_ACCESS))


# --- modules that do not load ---


def test_what_is_no_module() -> None:
    for data in (b"", b"\0asm\1\0\0\0\xff", b"no wasm at all", b"\0asm\x0d\0\1\0"):
        with pytest.raises(GuestLoadError, match="not a valid module"):
            WasmtimeModule(data)


def test_a_file_that_is_not_there(tmp_path: Any) -> None:
    with pytest.raises(GuestLoadError, match="cannot be read: No such file"):
        WasmtimeModule.read(tmp_path / "none.wasm")


def test_no_marker_or_an_old_one() -> None:
    assert refused(MEMORY + MALLOC) == "not a Proxy-Wasm module: it exports no function proxy_abi_version_0_2_1"
    assert "not a Proxy-Wasm module" in refused(
        MEMORY + MALLOC + '(global (export "proxy_abi_version_0_2_1") i32 (i32.const 1))'
    )
    assert "proxy_abi_version_0_1_0" in refused(MEMORY + MALLOC + '(func (export "proxy_abi_version_0_1_0"))')
    load(MEMORY + MALLOC + '(func (export "proxy_abi_version_0_2_0"))')


def test_no_memory() -> None:
    assert "no memory under the name 'memory'" in refused(MARKER + MALLOC)
    assert "no memory under the name 'memory'" in refused(MARKER + MALLOC + '(memory (export "mem") 1)')


def test_allocators() -> None:
    assert refused(MARKER + MEMORY) == "the module exports no allocator: malloc or proxy_on_memory_allocate"
    assert "exports malloc as () -> ()" in refused(MARKER + MEMORY + '(func (export "malloc"))')
    load(MARKER + MEMORY + '(func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 8))')


def test_a_missing_import_is_named() -> None:
    assert refused('(import "env" "proxy_frobnicate" (func))' + BASE) == (
        "the module imports env.proxy_frobnicate, which Proxy-Wasm hosts do not offer"
    )
    assert "wasi_snapshot_preview1.path_open" in refused('(import "wasi_snapshot_preview1" "path_open" (func))' + BASE)
    assert "other.proxy_log" in refused('(import "other" "proxy_log" (func (param i32 i32 i32) (result i32)))' + BASE)


def test_an_import_of_the_wrong_type_is_told() -> None:
    assert refused('(import "env" "proxy_log" (func (param i32) (result i64)))' + BASE) == (
        "the module imports env.proxy_log as (i32) -> (i64); it is (i32, i32, i32) -> (i32)"
    )
    assert "which is no function" in refused('(import "env" "g" (global i32))' + BASE)


def test_a_callback_of_the_wrong_type_is_told() -> None:
    assert refused(BASE + '(func (export "proxy_on_request_headers") (param i32 i32) (result i32) (i32.const 0))') == (
        "the module exports proxy_on_request_headers as (i32, i32) -> (i32), not as (i32, i32, i32) -> (i32)"
    )


def test_data_outside_of_the_memory() -> None:
    with pytest.raises(GuestLoadError, match="data at 0xfffff is outside"):
        EmbeddedProxy(load(BASE + '(data (i32.const 0xfffff) "x")').instantiate)
    with pytest.raises(GuestLoadError, match="data at 0xffffffff is outside"):
        EmbeddedProxy(load(BASE + '(data (i32.const -1) "x")').instantiate)


def test_more_memory_than_envoy_gives() -> None:
    module = load(MARKER + MALLOC + '(memory (export "memory") 20000)')
    with pytest.raises(GuestLoadError, match="cannot be instantiated"):
        EmbeddedProxy(module.instantiate)


# --- starting ---


def starts(exports: str) -> list[str]:
    log = "(func $say (param i32) (drop (call $log (i32.const 2) (local.get 0) (i32.const 1))))"
    proxy = EmbeddedProxy(load(LOG + BASE + log + '(data (i32.const 0) "abc")' + exports).instantiate)
    lines = [line.message for line in proxy.logs]
    once = lines[: len(lines) // 3]
    assert lines == once * 3
    return once


def test_initialize_then_main_or_start() -> None:
    initialize = '(func (export "_initialize") (call $say (i32.const 0)))'
    main = '(func (export "main") (param i32 i32) (result i32) (call $say (i32.const 1)) (i32.const 0))'
    void_main = '(func (export "__main_void") (result i32) (call $say (i32.const 2)) (i32.const 0))'
    start = '(func (export "_start") (call $say (i32.const 2)))'
    assert starts("") == []
    assert starts(start) == ["c"]
    assert starts(initialize + start) == ["a"]
    assert starts(initialize + main + void_main) == ["a", "b"]
    assert starts(initialize + void_main) == ["a", "c"]
    assert starts(main) == []


def test_few_hostcalls_are_allowed_while_the_module_starts() -> None:
    text = (
        GET_VALUE
        + BASE
        + """(func (export "_initialize")
        (drop (call $get (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 4))))"""
    )
    with pytest.raises(PluginConfigurationError, match="proxy_get_header_map_value must not be called while"):
        EmbeddedProxy(load(text).instantiate)


def test_a_core_start_function_runs_before_the_data_is_changed() -> None:
    text = (
        LOG
        + BASE
        + r"""
        (data (i32.const 10) "a")
        (func $run (i32.store8 (i32.const 10) (i32.add (i32.load8_u (i32.const 10)) (i32.const 1))))
        (start $run)"""
    )
    code = "(drop (call $log (i32.const 2) (i32.const 10) (i32.const 1)))"
    assert logged(text + on_request_headers(code)) == ["b"]


def test_a_core_start_function_must_not_call_the_host() -> None:
    text = LOG + BASE + "(func $run (drop (call $log (i32.const 2) (i32.const 0) (i32.const 0)))) (start $run)"
    with pytest.raises(GuestLoadError, match="proxy_log must not be called"):
        EmbeddedProxy(load(text).instantiate)


# --- addresses and sizes from the module ---


@pytest.mark.parametrize(
    ("address", "size", "status"),
    [
        (0, 0, OK),
        (0, 65536, OK),
        (65535, 1, OK),
        (65536, 0, OK),
        (65536, 1, BAD_MEMORY),
        (65537, 0, BAD_MEMORY),
        (65535, 2, BAD_MEMORY),
        (1, 0xFFFF_FFFF, BAD_MEMORY),
        (0xFFFF_FFFF, 1, BAD_MEMORY),
        (0xFFFF_FFFF, 2, BAD_MEMORY),
        (0x8000_0000, 0x8000_0000, BAD_MEMORY),
        (0, 0xFFFF_FFFF, BAD_MEMORY),
    ],
)
def test_arguments_outside_of_the_memory(address: int, size: int, status: str) -> None:
    assert status_of(f"(call $log (i32.const 0) (i32.const {address}) (i32.const {size}))") == status


@pytest.mark.parametrize(
    ("address_at", "size_at", "status"),
    [
        (512, 516, OK),
        (65532, 516, OK),
        (65533, 516, BAD_MEMORY),
        (512, 65533, BAD_MEMORY),
        (0xFFFF_FFFF, 516, BAD_MEMORY),
        (512, 0xFFFF_FFFE, BAD_MEMORY),
    ],
)
def test_places_for_results_outside_of_the_memory(address_at: int, size_at: int, status: str) -> None:
    call = f"(call $get (i32.const 0) (i32.const 100) (i32.const 1) (i32.const {address_at}) (i32.const {size_at}))"
    assert status_of(call, GET_VALUE) == status


def test_an_integer_result_outside_of_the_memory() -> None:
    time = '(import "env" "proxy_get_current_time_nanoseconds" (func $time (param i32) (result i32)))'
    assert status_of("(call $time (i32.const 65528))", time) == OK
    assert status_of("(call $time (i32.const 65529))", time) == BAD_MEMORY
    assert status_of("(call $time (i32.const -1))", time) == BAD_MEMORY


def test_a_result_is_put_where_the_allocator_says() -> None:
    code = """
      (drop (call $get (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 512) (i32.const 516)))
      (drop (call $log (i32.const 2) (i32.load (i32.const 512)) (i32.load (i32.const 516))))"""
    assert logged(GET_VALUE + LOG + BASE + '(data (i32.const 100) "x")' + on_request_headers(code)) == ["value"]


@pytest.mark.parametrize(
    ("malloc", "status"),
    [
        ("(i32.const 0)", BAD_MEMORY),
        ("(i32.const 65536)", BAD_MEMORY),
        ("(i32.const 65532)", BAD_MEMORY),
        ("(i32.const 65531)", OK),
        ("(i32.const -1)", BAD_MEMORY),
        ("(i32.const -4)", BAD_MEMORY),
    ],
)
def test_an_allocator_that_gives_no_memory(malloc: str, status: str) -> None:
    before = MARKER + MEMORY + f'(func (export "malloc") (param i32) (result i32) {malloc})'
    call = "(call $get (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 512) (i32.const 516))"
    assert status_of(call, GET_VALUE, before) == status


def test_an_allocator_may_grow_the_memory() -> None:
    before = (
        MARKER
        + MEMORY
        + '(func (export "malloc") (param i32) (result i32) (i32.mul (memory.grow (i32.const 1)) (i32.const 65536)))'
    )
    call = "(call $get (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 512) (i32.const 516))"
    assert status_of(call, GET_VALUE, before) == OK


def test_malloc_wins_over_the_abis_allocator() -> None:
    before = BASE + '(func (export "proxy_on_memory_allocate") (param i32) (result i32) unreachable)'
    call = "(call $get (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 512) (i32.const 516))"
    assert status_of(call, GET_VALUE, before) == OK


def test_an_allocator_that_traps_or_calls_the_host_kills_the_vm() -> None:
    call = "(call $get (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 512) (i32.const 516))"
    for code, told in (
        ("unreachable", "unreachable"),
        (call, "proxy_get_header_map_value must not be called while the module starts or allocates"),
        ("(call $again (i32.const 1))", "call stack exhausted"),
    ):
        malloc = f'(func $again (export "malloc") (param i32) (result i32) {code})'
        text = (
            GET_VALUE + MARKER + MEMORY + malloc + '(data (i32.const 100) "x")' + on_request_headers(f"(drop {call})")
        )
        with EmbeddedProxy(load(text).instantiate) as proxy:
            assert proxy.get(headers={"x": "1"}).response.status == 503
        assert told in proxy.notes[0]


def test_an_allocator_may_log() -> None:
    log = "(drop (call $log (i32.const 2) (i32.const 100) (i32.const 1)))"
    malloc = f'(func (export "malloc") (param i32) (result i32) {log} (i32.const 600))'
    call = "(drop (call $get (i32.const 0) (i32.const 100) (i32.const 1) (i32.const 512) (i32.const 516)))"
    text = GET_VALUE + LOG + MARKER + MEMORY + malloc + '(data (i32.const 100) "x")' + on_request_headers(call)
    assert logged(text) == ["x"]


def test_results_that_are_not_wanted() -> None:
    foreign = '(import "env" "proxy_call_foreign_function" (func $call (param i32 i32 i32 i32 i32 i32) (result i32)))'
    name = '(data (i32.const 200) "clear_route_cache")'
    for results in ("(i32.const 0) (i32.const 0)", "(i32.const 512) (i32.const 516)", "(i32.const 0) (i32.const 516)"):
        call = f"(call $call (i32.const 200) (i32.const 17) (i32.const 0) (i32.const 0) {results})"
        assert status_of(call, foreign, BASE + name) == OK


def test_integers_cross_unsigned() -> None:
    imports = """
    (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_record_metric" (func $record (param i32 i64) (result i32)))
    (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
    (import "env" "proxy_get_metric" (func $read (param i32 i32) (result i32)))"""
    code = """
      (drop (call $define (i32.const 1) (i32.const 100) (i32.const 1) (i32.const 512)))
      (drop (call $record (i32.load (i32.const 512)) (i64.const -1)))
      (drop (call $increment (i32.load (i32.const 512)) (i64.const -2)))
      (drop (call $read (i32.load (i32.const 512)) (i32.const 520)))
      (call $tell (i64.eq (i64.load (i32.const 520)) (i64.const -3)))"""
    assert logged(imports + LOG + BASE + TELL + on_request_headers(code)) == ["1"]


# --- traps ---


def test_a_trap_tells_the_functions() -> None:
    text = BASE + "(func $inner unreachable) (func $outer (call $inner))" + on_request_headers("(call $outer)")
    with EmbeddedProxy(load(text).instantiate) as proxy:
        assert proxy.get().response.status == 503
    [note] = proxy.notes
    assert note.splitlines() == [
        "the VM trapped in proxy_on_request_headers: wasm `unreachable` instruction executed",
        "  0: inner",
        "  1: outer",
        "  2: function 4",
    ]


def test_an_endless_recursion_is_a_trap() -> None:
    with EmbeddedProxy(
        load(BASE + "(func $f (call $f) (call $f))" + on_request_headers("(call $f)")).instantiate
    ) as proxy:
        assert proxy.get().response.status == 503
    assert "call stack exhausted" in proxy.notes[0]


def test_traps_need_no_signal_handlers() -> None:
    # faulthandler takes the handlers of others down when it is disabled, as pytest does when it runs within pytest.
    program = f"""
import faulthandler
from pywasm_filter.testing import EmbeddedProxy
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
import wasmtime
module = WasmtimeModule(wasmtime.wat2wasm({f"(module {BASE} {on_request_headers('unreachable')})"!r}))
for switch in (faulthandler.enable, faulthandler.disable):
    with EmbeddedProxy(module.instantiate) as proxy:
        assert proxy.get().response.status == 503
    switch()
with EmbeddedProxy(module.instantiate) as proxy:
    assert proxy.get().response.status == 503
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_what_the_host_raises_for_the_test_passes_the_module() -> None:
    imported = f'(import "env" "proxy_call_foreign_function" (func $foreign (param {"i32 " * 6}) (result i32)))'
    name = '(data (i32.const 0) "declare_property\\18\\02")'  # FLATBUFFERS
    operands = "(i32.const 0) (i32.const 16) (i32.const 16) (i32.const 2) (i32.const 0) (i32.const 0)"
    call = f"(drop (call $foreign {operands}))"
    proxy = EmbeddedProxy(load(imported + BASE + name + on_request_headers(call)).instantiate)
    with pytest.raises(HostcallNotSupported, match="proxy_call_foreign_function"):
        proxy.get()


def test_a_large_return_value_is_unsigned() -> None:
    code = '(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const -1))'
    with pytest.raises(Exception, match="on_request_headers returned 4294967295"):
        EmbeddedProxy(load(BASE + code).instantiate).get()


# --- VMs ---


def test_each_vm_has_memory_of_its_own() -> None:
    text = (
        LOG
        + BASE
        + '(data (i32.const 300) "a")'
        + on_request_headers("""
      (drop (call $log (i32.const 2) (i32.const 300) (i32.const 1)))
      (i32.store8 (i32.const 300) (i32.const 98))""")
    )
    module = load(text)
    for _ in range(2):
        with EmbeddedProxy(module.instantiate) as proxy:
            proxy.get()
            proxy.get()
        assert [line.message for line in proxy.logs] == ["a", "b"]


def test_a_vm_goes_with_its_proxy() -> None:
    module = load(LOG + BASE + on_request_headers("(drop (call $log (i32.const 2) (i32.const 0) (i32.const 1)))"))
    proxy = EmbeddedProxy(module.instantiate)
    proxy.get()
    guest = weakref.ref(proxy._plugins._vms[-1]._guest)
    del proxy
    gc.collect()
    assert guest() is None


# --- WASI ---

WASI_IMPORTS = """
(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
(import "wasi_unstable" "random_get" (func $random_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fdstat (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
"""
DIGITS = """
(func $tell2 (param $n i32)
  (i32.store8 (i32.const 2000) (i32.add (i32.const 48) (i32.div_u (local.get $n) (i32.const 10))))
  (i32.store8 (i32.const 2001) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
  (drop (call $log (i32.const 2) (i32.const 2000) (i32.const 2))))
"""


def wasi(call: str, data: str = "", code: str = "", **settings: Any) -> list[str]:
    """What is logged by a WASI call that returns an errno, which comes last as two digits."""
    text = WASI_IMPORTS + LOG + BASE + DIGITS + data + on_request_headers(f"(call $tell2 {call}) {code}")
    module = WasmtimeModule(bytes(wasmtime.wat2wasm(f"(module {text})")), environment=settings.get("environment"))
    with EmbeddedProxy(module.instantiate, PluginSettings(**settings)) as proxy:
        return [str(line) for line in proxy.get().logs]


# Two vectors: "hel" at 600 and "lo\n" at 700; a third with nothing in it.
VECTORS = (
    r'(data (i32.const 400) "\58\02\00\00\03\00\00\00\bc\02\00\00\03\00\00\00\ff\ff\ff\ff\00\00\00\00")'
    r'(data (i32.const 600) "hel") (data (i32.const 700) "lo\0a")'
)


def test_standard_output_and_error_are_logged() -> None:
    written = "(call $tell2 (i32.load (i32.const 500)))"
    call = "(call $fd_write (i32.const {fd}) (i32.const 400) (i32.const 3) (i32.const 500))"
    assert wasi(call.format(fd=1), VECTORS, written) == ["[info] hello", "[info] 00", "[info] 06"]
    assert wasi(call.format(fd=2), VECTORS) == ["[error] hello", "[info] 00"]
    assert wasi(call.format(fd=3), VECTORS) == ["[info] 08"]
    assert wasi("(call $fd_write (i32.const 1) (i32.const 400) (i32.const 0) (i32.const 500))") == ["[info] 00"]


@pytest.mark.parametrize(
    ("iovs", "count", "written_at", "data"),
    [
        ("65532", "1", "500", ""),
        ("400", "536870912", "500", ""),
        ("400", "-1", "500", ""),
        ("400", "1", "500", r'(data (i32.const 400) "\ff\ff\ff\ff\02\00\00\00")'),
        ("400", "1", "500", r'(data (i32.const 400) "\00\00\00\00\ff\ff\ff\ff")'),
        ("400", "0", "65533", ""),
    ],
)
def test_writes_from_outside_of_the_memory(iovs: str, count: str, written_at: str, data: str) -> None:
    call = f"(call $fd_write (i32.const 1) (i32.const {iovs}) (i32.const {count}) (i32.const {written_at}))"
    assert wasi(call, data) in (["[info] 21"], ["[info] 28"])


def test_vectors_that_name_more_than_there_is() -> None:
    # 1,024 vectors, each the whole memory: 64 MiB.
    data = '(data (i32.const 32768) "' + r"\00\00\00\00\00\00\01\00" * 1024 + '")'
    assert wasi("(call $fd_write (i32.const 1) (i32.const 32768) (i32.const 1024) (i32.const 500))", data) == [
        "[info] 28"
    ]


def test_vectors_are_limited() -> None:
    call = "(call $fd_write (i32.const 1) (i32.const 32768) (i32.const {count}) (i32.const 500))"
    assert wasi(call.format(count=1024)) == ["[info] 00"]
    assert wasi(call.format(count=1025)) == ["[info] 28"]


def test_random_bytes() -> None:
    assert wasi("(call $random_get (i32.const 400) (i32.const 16))") == ["[info] 00"]
    assert wasi(
        "(call $random_get (i32.const 0) (i32.const 65536))",
        code="(memory.fill (i32.const 0) (i32.const 0) (i32.const 1))",
    ) == ["[info] 00"]
    assert wasi("(call $random_get (i32.const 0) (i32.const 65537))") == ["[info] 28"]
    assert wasi("(call $random_get (i32.const 65536) (i32.const 1))") == ["[info] 21"]
    assert wasi("(call $random_get (i32.const -1) (i32.const 0))") == ["[info] 00"]


def test_clocks() -> None:
    for clock, errno in (("0", "00"), ("1", "00"), ("2", "58")):
        assert wasi(f"(call $clock (i32.const {clock}) (i64.const -1) (i32.const 400))") == [f"[info] {errno}"]
    assert wasi("(call $clock (i32.const 0) (i64.const 0) (i32.const 65529))") == ["[info] 21"]


def test_the_environment_is_the_plugins() -> None:
    environment = {"A": "1", "LONG": "é"}
    sizes = "(call $tell2 (i32.load (i32.const 400))) (call $tell2 (i32.load (i32.const 404)))"
    assert wasi("(call $environ_sizes (i32.const 400) (i32.const 404))", code=sizes, environment=environment) == [
        "[info] 00",
        "[info] 02",
        "[info] 12",
    ]
    show = "(drop (call $log (i32.const 2) (i32.load (i32.const 404)) (i32.const 7)))"
    assert (
        wasi("(call $environ (i32.const 400) (i32.const 500))", code=show, environment=environment)[1]
        == "[info] LONG=é"
    )
    assert wasi("(call $environ (i32.const 65536) (i32.const 500))", environment=environment) == ["[info] 21"]
    assert wasi("(call $environ (i32.const 400) (i32.const 65530))", environment=environment) == ["[info] 21"]
    assert wasi("(call $environ_sizes (i32.const 400) (i32.const -1))") == ["[info] 21"]


def test_the_rest_of_wasi() -> None:
    assert wasi("(call $args_sizes (i32.const 400) (i32.const 404))") == ["[info] 00"]
    assert wasi("(call $args_sizes (i32.const 65533) (i32.const 404))") == ["[info] 21"]
    assert wasi("(call $args (i32.const -1) (i32.const -1))") == ["[info] 00"]
    assert wasi("(call $fd_close (i32.const 7))") == ["[info] 00"]
    assert wasi("(call $fd_seek (i32.const 1) (i64.const -9) (i32.const 0) (i32.const -1))") == ["[info] 00"]
    assert wasi("(call $fd_read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))") == ["[info] 52"]
    assert wasi("(call $fdstat (i32.const 1) (i32.const 400))", code="(call $tell2 (i32.load (i32.const 408)))") == [
        "[info] 00",
        "[info] 64",
    ]
    assert wasi("(call $fdstat (i32.const 0) (i32.const 400))") == ["[info] 08"]
    assert wasi("(call $fdstat (i32.const 2) (i32.const 65530))") == ["[info] 00"]
    assert wasi("(i32.const 0)", code="(call $proc_exit (i32.const 1))") == ["[info] 00"]


def test_log_levels_cross() -> None:
    code = "".join(f"(drop (call $log (i32.const {level}) (i32.const 100) (i32.const 1)))" for level in range(7))
    text = LOG + BASE + '(data (i32.const 100) "x")' + on_request_headers(code)
    with EmbeddedProxy(load(text).instantiate, PluginSettings(log_level=LogLevel.TRACE)) as proxy:
        proxy.upstream = Response(200)
        assert [line.level for line in proxy.get().logs] == list(LogLevel)


def test_a_function_may_be_imported_twice() -> None:
    again = LOG.replace("$log", "$again")
    code = "(i32.store8 (i32.const 9) (i32.const 65)) (drop (call $again (i32.const 2) (i32.const 9) (i32.const 1)))"
    assert logged(LOG + again + BASE + on_request_headers(code)) == ["A"]


def test_tables_are_limited() -> None:
    with pytest.raises(GuestLoadError, match="cannot be instantiated"):
        EmbeddedProxy(load(BASE + "(table 10000001 funcref)").instantiate)
    grow = "(i32.store8 (i32.const 9) (i32.add (i32.const 66) (table.grow $t (ref.null func) (i32.const 10000000))))"
    say = "(drop (call $log (i32.const 2) (i32.const 9) (i32.const 1)))"
    assert logged(LOG + BASE + "(table $t 1 funcref)" + on_request_headers(grow + say)) == ["A"]  # 66 - 1
