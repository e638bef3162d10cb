"""What an inspection finds in a module, and the error for what is no Proxy-Wasm module."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from proxy_wasm_abi.hosts import base_hosts, find_host
from pywasm_compiler.errors import CompileError
from pywasm_compiler.hosts import HostVerdict
from pywasm_compiler.inspection import Inspection, MemoryBounds, inspect_file, inspect_module
from wasmtime import wat2wasm

PORTABLE = """
    (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
    (memory (export "memory") 2 10)
    (data (i32.const 8) "hello")
    (data "passive")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "_initialize"))
    (func (export "_start"))
    (func (export "malloc") (param i32) (result i32) unreachable)
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) unreachable)
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) unreachable)
    (func (export "proxy_on_configure") (param i32 i32) (result i32) unreachable)
    (func (export "proxy_on_request_trailers") (param i32 i32) (result i32) unreachable)
"""


def wasm(body: str) -> bytes:
    return bytes(wat2wasm(f"(module {body})"))


def without(text: str) -> str:
    """The portable module without the line that holds `text`."""
    kept = [line for line in PORTABLE.splitlines() if text not in line]
    assert len(kept) == len(PORTABLE.splitlines()) - 1
    return "\n".join(kept)


def importing(*declarations: str) -> str:
    """The portable module with further imports."""
    return "\n".join(f"(import {declaration})" for declaration in declarations) + PORTABLE


def custom_section(name: str, content: bytes) -> bytes:
    body = bytes([len(name)]) + name.encode() + content
    assert len(body) < 128
    return bytes([0, len(body)]) + body


def verdicts(inspection: Inspection) -> dict[str, HostVerdict]:
    return {verdict.name: verdict for verdict in inspection.hosts}


def reasons(body: str, host: str = "envoy") -> tuple[str, ...]:
    return verdicts(inspect_module(wasm(body)))[host].reasons


def refused(data: bytes) -> CompileError:
    path = Path("some.wasm")
    with pytest.raises(CompileError) as caught:
        inspect_module(data, path)
    assert caught.value.file == path
    assert caught.value.remedy
    return caught.value


# --- facts ---


def test_facts() -> None:
    data = wasm(PORTABLE)
    found = inspect_module(data)
    assert found.abi_version == "0.2.1"
    assert found.size == len(data)
    assert found.gzip_size == len(gzip.compress(data, 6, mtime=0))
    assert found.imports == {"env": ("proxy_log",)}
    assert found.callbacks == (
        "proxy_on_context_create",
        "proxy_on_vm_start",
        "proxy_on_configure",
        "proxy_on_request_trailers",
    )
    assert found.allocators == ("malloc", "proxy_on_memory_allocate")
    assert found.entry_points == ("_initialize", "_start")
    assert found.exports == ("memory",)
    assert found.function_count == 9
    assert found.data_size == len("hello") + len("passive")
    assert found.memory == MemoryBounds(2, 10)
    assert found.sections["code"] == found.code_size > 0
    assert sum(found.sections.values()) < found.size
    assert found.producers == {}
    assert not found.has_function_names


def test_imports_are_grouped_and_sorted() -> None:
    body = importing(
        '"wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32))',
        '"env" "proxy_done" (func (result i32))',
    )
    assert inspect_module(wasm(body)).imports == {
        "env": ("proxy_done", "proxy_log"),
        "wasi_snapshot_preview1": ("random_get",),
    }


def test_custom_sections() -> None:
    producers = b"\x01\x08language\x01\x06Python\x043.14"
    data = wasm(PORTABLE) + custom_section("producers", producers) + custom_section("name", b"")
    found = inspect_module(data)
    assert found.producers == {"language": {"Python": "3.14"}}
    assert found.has_function_names
    assert found.sections["custom:producers"] == 1 + len("producers") + len(producers)


def test_malformed_producers_count_as_none() -> None:
    assert inspect_module(wasm(PORTABLE) + custom_section("producers", b"\xff")).producers == {}


@pytest.mark.parametrize(("marker", "version"), [("0_1_0", "0.1.0"), ("0_2_0", "0.2.0")])
def test_older_versions_of_the_abi(marker: str, version: str) -> None:
    body = PORTABLE.replace("proxy_abi_version_0_2_1", f"proxy_abi_version_{marker}")
    assert inspect_module(wasm(body)).abi_version == version


def test_json_form() -> None:
    body = importing(
        '"env" "proxy_get_buffer_status" (func (param i32 i32 i32) (result i32))',
        '"env" "proxy_grpc_cancel" (func (param i32) (result i32))',
    )
    form = inspect_module(wasm(body)).to_json()
    assert json.loads(json.dumps(form)) == form
    assert form["format"] == 1
    assert form["memory_pages"] == {"minimum": 2, "maximum": 10}
    hosts = form["hosts"]
    assert isinstance(hosts, dict)
    assert hosts["envoy"]["loads"] is True
    assert hosts["ngx_wasm_module"] == {
        "title": find_host("ngx_wasm_module").title,
        "loads": False,
        "reasons": ["it imports env.proxy_get_buffer_status, which the host does not offer"],
        "never_called": ["proxy_on_request_trailers"],
        "unimplemented": [],
        "fatal": ["proxy_grpc_cancel"],
    }


# --- hosts ---


def test_a_portable_module_loads_everywhere() -> None:
    found = verdicts(inspect_module(wasm(PORTABLE + '(func (export "proxy_abi_version_0_1_0"))')))
    assert list(found) == [host.name for host in base_hosts()]
    assert {verdict.reasons for verdict in found.values()} == {()}
    assert found["ngx_wasm_module"].never_called == ("proxy_on_request_trailers",)
    assert found["envoy"].never_called == ()


def test_imports_that_some_hosts_pretend_to_have() -> None:
    body = importing('"env" "proxy_get_shared_data" (func (param i32 i32 i32 i32 i32) (result i32))')
    found = verdicts(inspect_module(wasm(body)))
    assert found["apisix"].unimplemented == ("proxy_get_shared_data",)
    assert found["envoy"].unimplemented == ()


def test_imports_that_work_in_some_callbacks_are_not_held_against_a_module() -> None:
    body = importing(f'"env" "proxy_http_call" (func (param {"i32 " * 10}) (result i32))')
    assert verdicts(inspect_module(wasm(body)))["ngx_wasm_module"].fatal == ()


@pytest.mark.parametrize(
    ("body", "host", "reason"),
    [
        (importing('"env" "proxy_shout" (func)'), "envoy", "imports env.proxy_shout, which the host does not offer"),
        (importing('"host" "proxy_log" (func)'), "envoy", "imports host.proxy_log, which"),
        (
            importing('"env" "proxy_get_header_map_size" (func (param i32 i32) (result i32))'),
            "ngx_wasm_module",
            "imports env.proxy_get_header_map_size, which",
        ),
        (PORTABLE, "mosn", "it is made for the ABI 0.2.1; the host loads 0.1.0"),
        (importing('"wasi_snapshot_preview1" "path_open" (func)'), "envoy", "imports path_open of WASI"),
        (importing('"env" "g" (global i32)'), "envoy", "the import env.g is a global"),
        (
            importing('"env" "proxy_done" (func)'),
            "envoy",
            "the import proxy_done has the type () -> (), not () -> (i32)",
        ),
        (without("(memory"), "envoy", "the memory is not exported"),
        (without('"proxy_on_configure"'), "ngx_wasm_module", "it does not export proxy_on_configure"),
        (without('"_start"').replace("0_2_1", "0_1_0"), "mosn", "it does not export _start"),
        (without('"malloc"'), "apisix", "it does not export malloc"),
        (
            PORTABLE.replace("(param i32 i32))", "(param i32))"),
            "envoy",
            "the export proxy_on_context_create has the type (i32) -> (), not (i32, i32) -> ()",
        ),
    ],
)
def test_reasons(body: str, host: str, reason: str) -> None:
    body = body if "(memory" in body else body.replace('(data (i32.const 8) "hello")', "")
    found = reasons(body, host)
    assert len(found) == 1
    assert reason in found[0]


def test_either_allocator_is_enough_for_envoy() -> None:
    assert reasons(without('"malloc"')) == ()
    neither = "\n".join(line for line in PORTABLE.splitlines() if "alloc" not in line)
    assert reasons(neither) == ("no allocator is exported: neither proxy_on_memory_allocate nor malloc",)


def test_limits_of_size() -> None:
    data = wasm(PORTABLE.replace('"memory") 2 10', '"memory") 257')) + b"\0\x81\x80\xc0\x02\0" + bytes(5 << 20)
    found = verdicts(inspect_module(data))
    assert found["envoy"].loads
    assert found["service-extensions"].reasons == (
        "it has 5.0 MiB; the host takes modules of 5 MiB",
        "it needs 16.1 MiB of memory; the host gives a VM 16 MiB",
    )


def test_imports_of_the_oldest_abi() -> None:
    body = importing('"env" "proxy_clear_route_cache" (func (result i32))')
    assert reasons(body) != ()
    assert reasons(body.replace("0_2_1", "0_1_0")) == ()
    assert reasons(body.replace("0_2_1", "0_1_0"), "mosn") != ()


# --- what is no Proxy-Wasm module ---


def test_core_module_that_is_not_proxy_wasm() -> None:
    assert "not a Proxy-Wasm one" in refused(wasm(without("abi_version"))).message


def test_marker_must_be_a_function() -> None:
    body = PORTABLE.replace('(func (export "proxy_abi_version_0_2_1"))', "")
    assert (
        "not a Proxy-Wasm one" in refused(wasm(body + '(table (export "proxy_abi_version_0_2_1") 1 funcref)')).message
    )


def test_component() -> None:
    data = bytes(wat2wasm("(component)"))
    assert refused(data).message.startswith("this is a component, not a core module")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\0as", "is truncated: only 3 bytes of the preamble are there"),
        (b"\0asm\x02\0\0\0", "has the unknown WebAssembly version 02 00 00 00"),
        (b"\x7fELF\x02\x01\x01\0", "is not WebAssembly"),
        (b"from pywasm_filter import *", "is not WebAssembly"),
    ],
)
def test_not_webassembly(data: bytes, message: str) -> None:
    assert refused(data).message.startswith(message)


def test_every_truncation_is_an_error() -> None:
    data = wasm(PORTABLE)
    data_section = inspect_module(data).sections["data"] + 2
    without_data = len(data) - data_section  # what is left is a whole module, only with less in its memory
    messages = [refused(data[:size]).message for size in range(len(data)) if size != without_data]
    assert sum("is truncated" in message for message in messages) > len(messages) * 0.9


def test_malformed() -> None:
    data = wasm("")
    assert refused(data + b"\x0e\x00").message.startswith("cannot be read as a WebAssembly module: ")
    assert refused(data + b"\x01\x02\x01\x00").message.startswith("cannot be read as a WebAssembly module: ")


def test_index_that_points_nowhere() -> None:
    export = b"\x07\x05\x01\x01f\x00\x09"
    assert refused(wasm("") + export).message == "is malformed: the export f points to no function"


# --- files ---


def test_files(tmp_path: Path) -> None:
    module = tmp_path / "filter.wasm"
    module.write_bytes(wasm(PORTABLE))
    assert inspect_file(module) == inspect_module(module.read_bytes())
    os.mkfifo(tmp_path / "pipe")
    for path, message in [
        (tmp_path, "is a directory, not a module"),
        (tmp_path / "none.wasm", "no such file"),
        (module / "below", "no such file"),
        (tmp_path / "pipe", "is not a regular file"),
        (tmp_path / ("x" * 300), "cannot be read"),
    ]:
        with pytest.raises(CompileError, match=message):
            inspect_file(path)
