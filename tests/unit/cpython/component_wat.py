"""A small component of the shape that componentize-py makes, to link without CPython.

`main` has memory, table and the addresses; `libc.so` and `libb.so` are libraries; `init` fills a part of the table; an
adapter and the pair of shim and fixup stand for the host. Edit it by replacing a piece of its text.

`libb.so` has what there must be of CPython's C API. The object of a number has the address that follows it, and the one
function that can be called is `on_vm_start`.
"""

STACK_TOP = 0x1_0000
"""Also the begin of the snapshot's data."""

COMPONENT = r"""
(component
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (export "now" (func (result u64)))
    (export "resolution" (func (result u64)))))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "[method]output-stream.write"
      (func (param "stream" u32) (param "text" (list u8)) (result (tuple u32 u32))))))

  (core module $main
    (type $write (func (param i32 i32)))
    (memory (export "memory") 2)
    (table (export "__indirect_function_table") 8 funcref)
    (global (export "__stack_pointer") (mut i32) (i32.const 65536))
    (global (export "libb.so:memory_base") i32 (i32.const 65536))
    (global (export "libb.so:table_base") i32 (i32.const 2))
    (global $relative i32 (i32.const 40))
    (global (export "variable") (mut i32) (i32.const 65600))
    (global (export "_PyRuntime") (mut i32) (i32.const 65536))
    (global (export "PyBytes_Type") (mut i32) (i32.const 65612))
    (global (export "PyExc_TypeError") (mut i32) (i32.const 65616))
    (global (export "PyExc_RuntimeError") (mut i32) (i32.const 65620))
    ;; breaks a cycle: goes through the table
    (func (export "trampoline") (param i32 i32)
      (call_indirect (type $write) (local.get 0) (local.get 1) (i32.const 5)))
    ;; the stack top and CPython's limits
    (data (i32.const 65536) "\00\00\01\00" "\00\40\00\00" "\00\20\00\00" "snapshot"))

  (core module $adapter
    (import "__main_module__" "trampoline" (func (param i32 i32)))
    (func (export "reset_adapter_state") unreachable))

  (core module $shim
    (table (export "$imports") 1 funcref)
    (func (export "0") (param i32 i32 i32 i32)
      (call_indirect (param i32 i32 i32 i32)
        (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 0))))

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
    (import "GOT.mem" "PyBytes_Type" (global (mut i32)))
    (import "GOT.mem" "PyExc_TypeError" (global (mut i32)))
    (import "GOT.mem" "PyExc_RuntimeError" (global (mut i32)))
    (import "env" "trampoline" (func $trampoline (param i32 i32)))
    (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
    (import "wasi:clocks/monotonic-clock@0.2.0" "resolution" (func $resolution (result i64)))
    (import "wasi:io/streams@0.2.0" "[method]output-stream.write" (func $write (param i32 i32 i32 i32)))
    (import "env" "malloc" (func $malloc (param i32) (result i32)))
    (func $on_vm_start (param i32 i32) (result i32)
      (i32.store (i32.add (global.get $memory_base) (i32.const 200)) (global.get $sp))
      (i32.store (i32.const 65740) (global.get $variable))
      (i64.store (i32.const 65744) (call $now))
      (call $trampoline (i32.const 65548) (i32.const 8))
      (i32.add (local.get 0) (local.get 1)))
    (func $dead (drop (call $resolution)))
    (func $wraps (export "wraps") (param i32 i32)
      (call $write (i32.const 2) (local.get 0) (local.get 1) (i32.const 65768)))
    (func (export "PyLong_FromUnsignedLong") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "PyLong_AsLong") (param i32) (result i32) (i32.sub (local.get 0) (i32.const 1)))
    (func (export "PyObject_Vectorcall") (param i32 i32 i32 i32) (result i32)
      (i32.store (i32.const 65752) (local.get 0))
      (i32.store (i32.const 65756) (local.get 2))
      (i32.add (i32.const 1) (call $on_vm_start
        (i32.sub (i32.load (local.get 1)) (i32.const 1))
        (i32.sub (i32.load offset=4 (local.get 1)) (i32.const 1)))))
    (func (export "Py_DecRef") (param i32)
      (i32.store (i32.const 65760) (i32.add (i32.load (i32.const 65760)) (local.get 0))))
    (func (export "PyObject_CallNoArgs") (param i32) (result i32)
      (i32.store (i32.const 65764) (i32.add (i32.load (i32.const 65764)) (local.get 0)))
      (local.get 0))
    (func (export "PyErr_Occurred") (result i32) (i32.const 0))
    (func (export "PyErr_GetRaisedException") (result i32) (i32.const 0))
    (func (export "PyErr_DisplayException") (param i32))
    (func (export "PyErr_Format") (param i32 i32 i32) (result i32) (i32.const 0))
    (func (export "PyType_IsSubtype") (param i32 i32) (result i32) (i32.const 0))
    (func (export "PyLong_AsUnsignedLong") (param i32) (result i32) (i32.const 0))
    (func (export "PyBytes_FromStringAndSize") (param i32 i32) (result i32) (i32.const 0))
    (func (export "_PyTuple_FromArraySteal") (param i32 i32) (result i32) (i32.const 0))
    (elem (offset (i32.add (global.get $table_base) (i32.const 1))) funcref (ref.func $wraps) (ref.null func)))

  (core module $init
    (import "libc.so" "malloc" (func $malloc (param i32) (result i32)))
    (import "libb.so" "wraps" (func $wraps (param i32 i32)))
    (import "env" "__indirect_function_table" (table 0 funcref))
    (elem (i32.const 5) func $wraps $malloc)
    (func unreachable))

  (core module $fixup
    (import "" "0" (func (param i32 i32 i32 i32)))
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
  (alias core export $shim "0" (core func $shim_write))
  (core instance $streams_core (export "[method]output-stream.write" (func $shim_write)))
  (core instance $libb (instantiate $libb
    (with "env" (instance $env_b))
    (with "GOT.mem" (instance $main))
    (with "wasi:clocks/monotonic-clock@0.2.0" (instance $clock_core))
    (with "wasi:io/streams@0.2.0" (instance $streams_core))))
  (core instance $init_env (export "__indirect_function_table" (table $table)))
  (core instance (instantiate $init
    (with "libc.so" (instance $libc)) (with "libb.so" (instance $libb)) (with "env" (instance $init_env))))
  (core func $write
    (canon lower (func $streams "[method]output-stream.write") (memory (core memory $memory))))
  (alias core export $shim "$imports" (core table $imports))
  (core instance $fixup_arguments (export "0" (func $write)) (export "$imports" (table $imports)))
  (core instance (instantiate $fixup (with "" (instance $fixup_arguments)))))
"""
