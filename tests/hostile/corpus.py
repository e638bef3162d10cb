"""Whole modules that are wrong or hostile, each with how it is to end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from proxy_wasm_abi.generated.host_imports import MODULE_EXPORTS

from tests.hostile.wat import BASE, GET_VALUE, LOG, MALLOC, MARKER, MEMORY, binary, exported, i32

ENDLESS = "(loop (br 0)) unreachable"


@dataclass(frozen=True)
class Hostile:
    """A module, and a pattern for what `test_modules.end` tells of it. `envoy` is what Envoy does if that differs."""

    name: str
    code: bytes
    end: str
    envoy: str = ""


def on_request_headers(code: str) -> str:
    """A module's handler."""
    return exported("proxy_on_request_headers", MODULE_EXPORTS["proxy_on_request_headers"], f"{code} {i32(0)}")


def hostile_modules() -> Iterator[Hostile]:
    """All of them."""
    yield from _no_modules()
    yield from _refused()
    yield from _starts()
    yield from _memories()
    yield from _handlers()
    yield from _allocators()


def _no_modules() -> Iterator[Hostile]:
    whole = binary(BASE + on_request_headers(""))
    invalid = "refused: not a valid module"
    yield Hostile("empty file", b"", invalid)
    yield Hostile("no wasm", b"#!/bin/sh\nexec true\n", invalid)
    yield Hostile("magic only", whole[:4], invalid)
    yield Hostile("a component", b"\0asm\x0d\0\1\0", "refused: not a valid module: .*given a WebAssembly component")
    yield Hostile("another version", b"\0asm\2\0\0\0", invalid)
    yield Hostile("truncated", whole[: len(whole) // 2], invalid)
    yield Hostile("one byte short", whole[:-1], invalid)
    yield Hostile("one byte more", whole + b"\0", invalid)
    # Sections whose sizes and counts are lies.
    head = b"\0asm\1\0\0\0"
    yield Hostile("a section of 4 GiB", head + b"\x01\xff\xff\xff\xff\x0f", invalid)
    yield Hostile("four billion types", head + b"\x01\x05\xff\xff\xff\xff\x0f", invalid)
    yield Hostile(
        "four billion locals",
        head + b"\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x0a\x01\x08\x01\xff\xff\xff\xff\x0f\x7f\x0b",
        invalid,
    )
    yield Hostile("a number that does not end", head + b"\x01" + b"\x80" * 64, invalid)
    yield Hostile("a name of 4 GiB", head + b"\x02\x06\x01\xff\xff\xff\xff\x0f", invalid)
    yield Hostile(
        "an import's name that is not UTF-8",
        head + b"\x01\x04\x01\x60\0\0\x02\x08\x01\x03\xff\xfe\xfd\x01a\0\0",
        invalid,
    )
    yield Hostile("an export's name that is not UTF-8", whole.replace(b"malloc", b"mall\xffc"), invalid)


def _refused() -> Iterator[Hostile]:
    yield Hostile("no exports at all", binary(""), "refused: not a Proxy-Wasm module")
    yield Hostile(
        "another ABI",
        binary(MEMORY + MALLOC + '(func (export "proxy_abi_version_0_1_0"))'),
        "refused: .*proxy_abi_version_0_1_0",
        "answers 200",
    )
    yield Hostile(
        "an ABI to come",
        binary(MEMORY + MALLOC + '(func (export "proxy_abi_version_9_9_9"))'),
        "refused: not a Proxy-Wasm module",
    )
    yield Hostile("no memory", binary(MARKER + MALLOC), "refused: .*exports no memory", "answers 200")
    yield Hostile(
        "a memory under another name",
        binary(MARKER + MALLOC + '(memory (export "mem") 1)'),
        "refused: .*exports no memory",
        "answers 200",
    )
    yield Hostile(
        "a function for a memory",
        binary(MARKER + MALLOC + '(func (export "memory"))'),
        "refused: .*exports no memory",
        "answers 200",
    )
    yield Hostile(
        "an imported memory",
        binary('(import "env" "memory" (memory 1))' + MARKER + MALLOC + '(export "memory" (memory 0))'),
        "refused: .*env.memory, which is no function",
        "answers 200",
    )
    yield Hostile("no allocator", binary(MARKER + MEMORY), "refused: .*no allocator")
    yield Hostile(
        "an allocator of another type",
        binary(MARKER + MEMORY + '(func (export "malloc") (param i64) (result i64) (local.get 0))'),
        "refused: .*malloc as ",
    )
    yield Hostile(
        "a global for an allocator",
        binary(MARKER + MEMORY + '(global (export "malloc") i32 (i32.const 0))'),
        "refused: .*no allocator",
    )
    yield Hostile(
        "a callback of another type",
        binary(BASE + '(func (export "proxy_on_vm_start") (param f64) (result externref) (ref.null extern))'),
        "refused: .*proxy_on_vm_start as ",
    )
    yield Hostile(
        "an unknown import",
        binary('(import "env" "proxy_frobnicate" (func))' + BASE),
        "refused: .*env.proxy_frobnicate",
    )
    yield Hostile(
        "an import with an odd name",
        binary('(import "env\\00" "\\e2\\80\\ae\\1b[31m" (func))' + BASE),
        "refused: .*Proxy-Wasm hosts do not offer",
    )
    yield Hostile(
        "an import of another type",
        binary('(import "env" "proxy_log" (func (param i64)))' + BASE),
        "refused: .*proxy_log as ",
    )
    yield Hostile(
        "an imported table",
        binary('(import "env" "table" (table 1 funcref))' + BASE),
        "refused: .*env.table, which is no function",
        "answers 200",
    )


def _starts() -> Iterator[Hostile]:
    start = "(func $start {}) (start $start)"
    yield Hostile(
        "a start function that traps",
        binary(BASE + start.format("unreachable")),
        "refused: .*cannot be instantiated: .*unreachable",
    )
    yield Hostile(
        "a start function without end", binary(BASE + start.format(ENDLESS)), "timeout: the module's start function"
    )
    yield Hostile(
        "a start function that calls the host",
        binary(LOG + BASE + start.format("(drop (call $proxy_log (i32.const 2) (i32.const 0) (i32.const 1)))")),
        "refused: .*proxy_log must not be called",
    )
    yield Hostile(
        "_initialize that traps",
        binary(BASE + '(func (export "_initialize") unreachable)'),
        "configuration: .*trapped at its start",
    )
    yield Hostile(
        "_initialize without end", binary(BASE + f'(func (export "_initialize") {ENDLESS})'), "timeout: _initialize"
    )
    yield Hostile(
        "_start with a parameter", binary(BASE + '(func (export "_start") (param i32))'), "refused: .*_start as "
    )
    yield Hostile(
        "main without its parameters",
        binary(BASE + '(func (export "_initialize")) (func (export "main"))'),
        "refused: .*main as ",
    )
    yield Hostile(
        "__main_void with a parameter",
        binary(BASE + '(func (export "_initialize")) (func (export "__main_void") (param i32))'),
        "refused: .*__main_void as ",
    )
    yield Hostile(
        "on_vm_start that refuses",
        binary(BASE + '(func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 0))'),
        "configuration: on_vm_start refused",
    )


def _memories() -> Iterator[Hostile]:
    yield Hostile(
        "memory beyond the limit",
        binary(MARKER + MALLOC + '(memory (export "memory") 60000)'),
        "refused: .*starts with 3750 MiB of memory, and the limit is 64 MiB",
    )
    yield Hostile(
        "memory of 4 GiB and data at its end",
        binary(MARKER + MALLOC + '(memory (export "memory") 65536) (data (i32.const -1) "x")'),
        "refused: .*limit is 64 MiB",
    )
    yield Hostile(
        "a second memory beyond the limit", binary(BASE + "(memory 60000)"), "refused: .*cannot be instantiated"
    )
    yield Hostile("many memories", binary(BASE + "(memory 1)" * 99), "refused: .*cannot be instantiated", "answers 200")
    yield Hostile("two memories", binary(BASE + "(memory 1)" + on_request_headers("")), "answers 200")
    get = "(drop (call $get (i32.const 0) (i32.const 8) (i32.const 5) (i32.const 0) (i32.const {})))"
    wide = MARKER + MALLOC + '(memory (export "memory") i64 1) (data (i64.const 8) ":path")'
    yield Hostile(
        "64-bit memory", binary(GET_VALUE + wide + on_request_headers(get.format(4) + get.format(-1))), "answers 200"
    )
    yield Hostile(
        "shared memory",
        binary(MARKER + MALLOC + '(memory (export "memory") 1 2 shared)'),
        "refused: .*(shared|threads)",
        "answers 200",
    )
    yield Hostile(
        "no pages at all",
        binary(MARKER + MALLOC + '(memory (export "memory") 0)' + on_request_headers("")),
        "answers 200",
    )
    yield Hostile("data outside of the memory", binary(BASE + '(data (i32.const 65536) "x")'), "refused: .*outside")
    yield Hostile(
        "memory that grows until it cannot",
        binary(BASE + on_request_headers("(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))")),
        "answers 200",
    )
    yield Hostile(
        "memory that grows until it traps",
        binary(
            BASE
            + on_request_headers("(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable")
        ),
        "trap: .*unreachable.*memory had come to the limit: 64 MiB",
    )
    yield Hostile(
        "growing by 4 GiB",
        binary(BASE + on_request_headers("(drop (memory.grow (i32.const 65536))) (drop (memory.grow (i32.const -1)))")),
        "answers 200",
    )
    yield Hostile("a huge table", binary(BASE + "(table 4294967295 funcref)"), "refused: ")
    yield Hostile(
        "many tables", binary(BASE + "(table 100000 funcref)" * 99), "refused: .*cannot be instantiated", "answers 200"
    )
    yield Hostile(
        "elements outside of the table",
        binary(BASE + "(table 1 funcref) (elem (i32.const 1) $malloc)"),
        "refused: .*cannot be instantiated",
    )
    yield Hostile(
        "a table that grows",
        binary(
            BASE + "(table $t 1 funcref)" + on_request_headers("(drop (table.grow $t (ref.null func) (i32.const -1)))")
        ),
        "answers 200",
    )


def _handlers() -> Iterator[Hostile]:
    # The host is called at each 64th level only, so that the bottom is reached in time.
    deep = """(data (i32.const 8) ":path") (global $level (mut i32) (i32.const 0))
      (func $f
        (global.set $level (i32.add (global.get $level) (i32.const 1)))
        (if (i32.eqz (i32.and (global.get $level) (i32.const 63)))
          (then (drop (call $get (i32.const 0) (i32.const 8) (i32.const 5) (i32.const 0) (i32.const 4)))))
        (call $f) (call $f))"""
    yield Hostile(
        "deep recursion",
        binary(BASE + "(func $f (call $f) (call $f))" + on_request_headers("(call $f)")),
        "trap: .*call stack exhausted",
    )
    yield Hostile(
        "deep recursion into the host",
        binary(GET_VALUE + BASE + deep + on_request_headers("(call $f)")),
        "trap: .*call stack exhausted",
    )
    yield Hostile(
        "a read outside of the memory",
        binary(BASE + on_request_headers("(drop (i32.load (i32.const 65536)))")),
        "trap: .*out of bounds memory access",
    )
    yield Hostile(
        "a write outside of the memory",
        binary(BASE + on_request_headers("(i32.store offset=4294967295 (i32.const -1) (i32.const 0))")),
        "trap: .*out of bounds memory access",
    )
    yield Hostile(
        "a call through an empty table",
        binary(BASE + "(table 1 funcref)" + on_request_headers("(call_indirect (i32.const 0))")),
        "trap: .*(uninitialized|null)",
    )
    yield Hostile(
        "a division by zero",
        binary(BASE + on_request_headers("(drop (i32.div_u (i32.const 1) (i32.const 0)))")),
        "trap: .*divide by zero",
    )
    yield Hostile(
        "names that are not UTF-8",
        binary(BASE + on_request_headers("unreachable")) + _custom("name", b"\x01\x06\x01\x00\x03\xff\xfe\xfd"),
        "trap: .*unreachable",
    )
    yield Hostile(
        "names with control characters",
        binary(BASE + on_request_headers("unreachable")) + _custom("name", b"\x01\x07\x01\x02\x04\x1b[2J"),
        "trap: .*unreachable",
    )
    yield Hostile(
        "a broken section of names",
        binary(BASE + on_request_headers("unreachable")) + _custom("name", b"\x01\xff\xff\xff\xff\x0f"),
        "trap: .*unreachable",
    )
    yield Hostile("an endless loop", binary(BASE + on_request_headers(ENDLESS)), "timeout: proxy_on_request_headers")
    yield Hostile(
        "an endless loop of hostcalls",
        binary(
            LOG
            + BASE
            + on_request_headers("(loop (drop (call $proxy_log (i32.const 0) (i32.const 0) (i32.const 1))) (br 0))")
        ),
        "timeout: proxy_on_request_headers",
    )
    yield Hostile(
        "a loop of 64-bit steps",
        binary(
            BASE
            + on_request_headers(
                "(local i64) (loop (local.set 3 (i64.add (local.get 3) (i64.const 1)))"
                " (br_if 0 (i64.ne (local.get 3) (i64.const 0))))"
            )
        ),
        "timeout: proxy_on_request_headers",
    )
    yield Hostile(
        "a return value that is none",
        binary(
            BASE + exported("proxy_on_request_headers", MODULE_EXPORTS["proxy_on_request_headers"], "(i32.const -1)")
        ),
        "error: .*returned 4294967295",
    )


def _allocators() -> Iterator[Hostile]:
    call = "(drop (call $get (i32.const 0) (i32.const 8) (i32.const 5) (i32.const 0) (i32.const 4)))"
    handler = '(data (i32.const 8) ":path")' + on_request_headers(call)
    for name, code, end in (
        ("traps", "unreachable", "trap: .*unreachable"),
        ("does not end", ENDLESS, "timeout: proxy_on_request_headers"),
        ("recurses", "(call $malloc (local.get 0))", "trap: .*call stack exhausted"),
        ("calls the host, which allocates", call + i32(4096), "trap: .*must not be called"),
        ("gives the end of the memory", i32(65532), "answers 200"),
        ("gives nothing", i32(0), "answers 200"),
        ("grows the memory and gives its end", "(drop (memory.grow (i32.const 1))) (i32.const 131072)", "answers 200"),
    ):
        malloc = f'(func $malloc (export "malloc") (param i32) (result i32) {code})'
        yield Hostile(f"an allocator that {name}", binary(GET_VALUE + MARKER + MEMORY + malloc + handler), end)


def _custom(name: str, content: bytes) -> bytes:
    body = bytes([len(name)]) + name.encode() + content
    return b"\0" + bytes([len(body)]) + body
