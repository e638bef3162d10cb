"""A small component of the shape that componentize-py makes, to link without CPython.

`main` has memory, table and the addresses; `libc.so` and `libb.so` are libraries; `init` fills a part of the table; an
adapter and the pair of shim and fixup stand for the host. Edit it by replacing a piece of its text.
"""

STACK_TOP = 0x1_0000
"""Also the begin of the snapshot's data."""

COMPONENT = r"""
(component
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "now" (func (result u64)))
    (export "resolution" (func (result u64)))))
  (import "proxy-wasm:abi/host" (instance $host
    (export "proxy-log" (func (param "level" u32) (param "message" (list u8)) (result u32)))))

  (core module $main
    (type $log (func (param i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (table (export "__indirect_function_table") 8 funcref)
    (global (export "__stack_pointer") (mut i32) (i32.const 65536))
    (global (export "libb.so:memory_base") i32 (i32.const 65536))
    (global (export "libb.so:table_base") i32 (i32.const 2))
    (global $relative i32 (i32.const 40))
    (global (export "variable") (mut i32) (i32.const 65600))
    (global (export "_PyRuntime") (mut i32) (i32.const 65536))
    ;; breaks a cycle: goes through the table
    (func (export "trampoline") (param i32 i32 i32) (result i32)
      (call_indirect (type $log) (local.get 0) (local.get 1) (local.get 2) (i32.const 5)))
    ;; the stack top and CPython's limits
    (data (i32.const 65536) "\00\00\01\00" "\00\40\00\00" "\00\20\00\00" "snapshot"))

  (core module $adapter
    (import "__main_module__" "trampoline" (func (param i32 i32 i32) (result i32)))
    (func (export "reset_adapter_state") unreachable))

  (core module $shim
    (table (export "$imports") 1 funcref)
    (func (export "0") (param i32 i32 i32) (result i32)
      (call_indirect (param i32 i32 i32) (result i32)
        (local.get 0) (local.get 1) (local.get 2) (i32.const 0))))

  (core module $libc
    (import "env" "memory" (memory 0))
    (import "env" "__stack_pointer" (global (mut i32)))
    (import "wasi_snapshot_preview1" "reset_adapter_state" (func $reset))
    (global $next (mut i32) (i32.const 0))
    (func (export "malloc") (param i32) (result i32) (i32.const 65700))
    (func (export "free") (param i32) (i32.store (i32.const 65680) (local.get 0)))
    (func (export "reset") (call $reset)))

  (core module $libb
    (type $unused (func (param f64)))
    (import "env" "memory" (memory 0))
    (import "env" "__indirect_function_table" (table 0 funcref))
    (import "env" "__stack_pointer" (global $sp (mut i32)))
    (import "env" "__memory_base" (global $memory_base i32))
    (import "env" "__table_base" (global $table_base i32))
    (import "GOT.mem" "variable" (global $variable (mut i32)))
    (import "GOT.mem" "_PyRuntime" (global (mut i32)))
    (import "env" "trampoline" (func $trampoline (param i32 i32 i32) (result i32)))
    (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
    (import "wasi:clocks/monotonic-clock@0.2.0" "resolution" (func $resolution (result i64)))
    (import "proxy-wasm:abi/host" "proxy-log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "malloc" (func $malloc (param i32) (result i32)))
    (func $on_vm_start (export "on-vm-start") (param i32 i32) (result i32)
      (i32.store (i32.add (global.get $memory_base) (i32.const 200)) (global.get $sp))
      (i32.store (i32.const 65740) (global.get $variable))
      (i64.store (i32.const 65744) (call $now))
      (drop (call $trampoline (i32.const 2) (i32.const 65548) (i32.const 8)))
      (i32.add (local.get 0) (local.get 1)))
    (func (export "post") (param i32) (i32.store (i32.const 65752) (local.get 0)))
    (func $dead (drop (call $resolution)))
    (func $wraps (export "wraps") (param i32 i32 i32) (result i32)
      (call $log (local.get 0) (local.get 1) (local.get 2)))
    (elem (offset (i32.add (global.get $table_base) (i32.const 1))) funcref (ref.func $wraps) (ref.null func)))

  (core module $init
    (import "libc.so" "malloc" (func $malloc (param i32) (result i32)))
    (import "libb.so" "wraps" (func $wraps (param i32 i32 i32) (result i32)))
    (import "env" "__indirect_function_table" (table 0 funcref))
    (elem (i32.const 5) func $wraps $malloc)
    (func unreachable))

  (core module $fixup
    (import "" "0" (func (param i32 i32 i32) (result i32)))
    (import "" "$imports" (table 1 funcref))
    (elem (i32.const 0) func 0))

  (core instance $main (instantiate $main))
  (core instance $adapter (instantiate $adapter (with "__main_module__" (instance $main))))
  (core instance $shim (instantiate $shim))
  (alias core export $main "memory" (core memory $memory))
  (alias core export $main "__indirect_function_table" (core table $table))
  (alias core export $main "__stack_pointer" (core global $sp))
  (alias core export $main "libb.so:memory_base" (core global $memory_base))
  (alias core export $main "libb.so:table_base" (core global $table_base))
  (alias core export $main "trampoline" (core func $trampoline))
  (core instance $env_c (export "memory" (memory $memory)) (export "__stack_pointer" (global $sp)))
  (core instance $libc (instantiate $libc
    (with "env" (instance $env_c)) (with "wasi_snapshot_preview1" (instance $adapter))))
  (alias core export $libc "malloc" (core func $malloc))
  (core instance $env_b
    (export "memory" (memory $memory))
    (export "__indirect_function_table" (table $table))
    (export "__stack_pointer" (global $sp))
    (export "__memory_base" (global $memory_base))
    (export "__table_base" (global $table_base))
    (export "trampoline" (func $trampoline))
    (export "malloc" (func $malloc)))
  (core func $now (canon lower (func $clock "now")))
  (core func $resolution (canon lower (func $clock "resolution")))
  (core instance $clock_core (export "now" (func $now)) (export "resolution" (func $resolution)))
  (alias core export $shim "0" (core func $shim_log))
  (core instance $host_core (export "proxy-log" (func $shim_log)))
  (core instance $libb (instantiate $libb
    (with "env" (instance $env_b))
    (with "GOT.mem" (instance $main))
    (with "wasi:clocks/monotonic-clock@0.2.0" (instance $clock_core))
    (with "proxy-wasm:abi/host" (instance $host_core))))
  (core instance $init_env (export "__indirect_function_table" (table $table)))
  (core instance (instantiate $init
    (with "libc.so" (instance $libc)) (with "libb.so" (instance $libb)) (with "env" (instance $init_env))))
  (core func $log (canon lower (func $host "proxy-log") (memory (core memory $memory))))
  (alias core export $shim "$imports" (core table $imports))
  (core instance $fixup_arguments (export "0" (func $log)) (export "$imports" (table $imports)))
  (core instance (instantiate $fixup (with "" (instance $fixup_arguments))))
  (alias core export $libb "on-vm-start" (core func $on_vm_start))
  (alias core export $libb "post" (core func $post))
  (func (export "proxy-on-vm-start") (param "context-id" u32) (param "configuration-size" u32) (result u32)
    (canon lift (core func $on_vm_start) (post-return (core func $post)))))
"""
