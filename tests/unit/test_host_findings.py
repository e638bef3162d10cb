"""What a filter needs and a host lacks, told at build time."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from proxy_wasm_abi import load
from proxy_wasm_abi.hosts import load_hosts
from pywasm_compiler.breakdown import Share, divided
from pywasm_compiler.findings import Finding, Severity
from pywasm_compiler.inspection import inspect_module
from pywasm_compiler.source import read_source_tree
from wasmtime import wat2wasm

import pywasm_filter
from pywasm_filter.host_findings import ABI_VERSION, host_findings
from pywasm_filter.host_limits import _remedy, limit_findings
from pywasm_filter.project import Target

NGX = "ngx_wasm_module"
TWO_STATUSES = f"{NGX} knows no status but CONTINUE and PAUSE"
NAMES = pywasm_filter.__all__
LINES = 2


def found(tmp_path: Path, body: str, host: str, *allowed: str) -> list[Finding]:
    """The findings in a context with this body."""
    path = tmp_path / "filter.py"
    imported = ["HttpContext", *(name for name in NAMES if re.search(rf"\b{name}\b", body))]
    path.write_text(f"from pywasm_filter import {', '.join(imported)}\nclass F(HttpContext):\n{body}")
    return host_findings(read_source_tree(path), Target((host,), allowed))


def told(tmp_path: Path, body: str, host: str, *allowed: str) -> list[tuple[int, Severity, str]]:
    """The line in the body, the severity and the message of each finding."""
    return [((one.line or 0) - LINES, one.severity, one.message) for one in found(tmp_path, body, host, *allowed)]


ON_REQUEST = " def on_request_headers(self, n, e):\n  "


@pytest.mark.parametrize(
    ("body", "host", "line", "severity", "message"),
    [
        (
            ON_REQUEST + "self.request.headers.byte_size",
            "ngx_wasm_module",
            2,
            Severity.ERROR,
            f"{NGX} loads no module that imports proxy_get_header_map_size; self.request.headers.byte_size needs it",
        ),
        (
            ON_REQUEST + "return len(self.request.body)",
            "apisix",
            2,
            Severity.ERROR,
            "apisix loads no module that imports proxy_get_buffer_status; the length of self.request.body needs it",
        ),
        (
            ON_REQUEST + "shared_data.get('a')",
            "service-extensions",
            2,
            Severity.ERROR,
            "service-extensions answers UNIMPLEMENTED to proxy_get_shared_data; shared_data.get needs it",
        ),
        (
            ON_REQUEST + "log_level()",
            "ats",
            2,
            Severity.ERROR,
            "ats aborts when proxy_get_log_level is called; log_level needs it",
        ),
        (
            ON_REQUEST + "SharedQueue.resolve('a', 'b')",
            "ngx_wasm_module",
            2,
            Severity.ERROR,
            "ngx_wasm_module ends the VM that calls proxy_resolve_shared_queue; SharedQueue.resolve needs it",
        ),
        # Tasks and futures have such a method, too.
        (
            ON_REQUEST + "self.task.done()",
            "ngx_wasm_module",
            2,
            Severity.WARNING,
            "ngx_wasm_module ends the VM that calls proxy_done; self.task.done may need it",
        ),
        (
            " def on_response_headers(self, n, e):\n  self.start_http_call('a', 'GET', '/')",
            "ngx_wasm_module",
            2,
            Severity.ERROR,
            f"{NGX} ends the VM that calls proxy_http_call in on_response_headers; self.start_http_call needs it",
        ),
        (
            ON_REQUEST + "c = Counter('a')\n  c.increment()",
            "apisix",
            3,
            Severity.WARNING,
            "apisix takes proxy_increment_metric and does nothing; c.increment needs it",
        ),
        (
            " def on_log(self): pass",
            "ats",
            1,
            Severity.ERROR,
            "ats never calls proxy_on_log: def on_log does nothing there",
        ),
        (
            " def on_vm_start(self, size): pass",
            "apisix",
            1,
            Severity.ERROR,
            "apisix never calls proxy_on_vm_start: def on_vm_start does nothing there",
        ),
        (
            " async def on_request_headers(self, n, e): pass",
            "ngx_wasm_module",
            1,
            Severity.ERROR,
            f"{TWO_STATUSES}; async def on_request_headers returns STOP_ALL_ITERATION_AND_WATERMARK",
        ),
        (
            ON_REQUEST + "return FilterDataStatus.STOP_ITERATION_NO_BUFFER",
            "ngx_wasm_module",
            2,
            Severity.ERROR,
            f"{TWO_STATUSES}; FilterDataStatus.STOP_ITERATION_NO_BUFFER returns STOP_ITERATION_NO_BUFFER",
        ),
        (
            ON_REQUEST + "clear_route_cache()",
            "envoy-1.32",
            2,
            Severity.ERROR,
            "envoy-1.32 has no foreign function 'clear_route_cache'; clear_route_cache needs it",
        ),
        (
            ON_REQUEST + "call_foreign_function('sign')",
            "envoy-1.34",
            2,
            Severity.ERROR,
            "envoy-1.34 has no foreign function 'sign'; call_foreign_function needs it",
        ),
        (
            ON_REQUEST + "self.properties.connection.tls_version, self.properties.response.flags",
            "ngx_wasm_module",
            2,
            Severity.WARNING,
            "ngx_wasm_module has no attribute response.flags, which self.properties.response.flags reads",
        ),
    ],
)
def test_what_a_host_lacks(tmp_path: Path, body: str, host: str, line: int, severity: Severity, message: str) -> None:
    assert (line, severity, message) in told(tmp_path, body, host)
    assert all(source in one.detail for one in found(tmp_path, body, host) for source in ("known from ", "https://"))


@pytest.mark.parametrize(
    ("body", "host"),
    [
        (ON_REQUEST + "self.request.headers['a'] = 'b'", "ngx_wasm_module"),
        (ON_REQUEST + "self.request.headers['a'] = 'b'", "apisix"),
        (ON_REQUEST + "return FilterHeadersStatus.STOP_ITERATION", "ngx_wasm_module"),
        (ON_REQUEST + "self.start_http_call('a', 'GET', '/')", "ngx_wasm_module"),
        (ON_REQUEST + "'a'.replace('a', 'b')", "apisix"),
        (ON_REQUEST + "self.properties.get(lambda p: p.response.flags, 0)", "ngx_wasm_module"),
        (ON_REQUEST + "self.properties.request.headers", "ngx_wasm_module"),
        (ON_REQUEST + "shared_data.get(str(current_time_ns()))", "envoy-1.34"),
        # Imported, and nothing else.
        (ON_REQUEST + "return Action.CONTINUE  # log_level", "ats"),
    ],
)
def test_what_works_is_let_pass(tmp_path: Path, body: str, host: str) -> None:
    assert told(tmp_path, body, host) == []


@pytest.mark.parametrize(
    ("body", "host", "allowed"),
    [
        (ON_REQUEST + "self.request.headers.byte_size", "ngx_wasm_module", "proxy_get_header_map_size"),
        (ON_REQUEST + "shared_data.get('a')", "service-extensions", "proxy_*_shared_data"),
        (" def on_log(self): pass", "ats", "proxy_on_log"),
        (ON_REQUEST + "call_foreign_function('sign')", "envoy-1.34", "sign"),
        (" async def on_request_headers(self, n, e): pass", "ngx_wasm_module", "STOP_ALL_ITERATION_AND_WATERMARK"),
        (ON_REQUEST + "self.properties.response.flags", "ngx_wasm_module", "response.flags"),
    ],
)
def test_what_may_be_missing(tmp_path: Path, body: str, host: str, allowed: str) -> None:
    assert f"--allow-missing {allowed}".replace("*", "get") in found(tmp_path, body, host)[0].remedy
    assert found(tmp_path, body, host, allowed) == []


def test_hosts_that_load_no_module_of_this_compiler(tmp_path: Path) -> None:
    assert [message for _, _, message in told(tmp_path, " async def on_log(self): pass", "mosn")] == [
        f"mosn loads modules of the ABI 0.1.0; this makes {ABI_VERSION}",
        "mosn loads no module that does not export _start; this makes none that does",
    ]


def test_the_evidence_shows_the_way_and_further_places(tmp_path: Path) -> None:
    body = ON_REQUEST + "shared_data.get('a')\n  shared_data.get('b')"
    [finding] = found(tmp_path, body, "service-extensions")
    path = tmp_path / "filter.py"
    assert finding.detail.splitlines()[:2] == [
        "shared_data.get → _read_shared_data → proxy_get_shared_data",
        f"also in {path}:{LINES + 3}: shared_data.get",
    ]


def test_paths_are_shown_as_the_user_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "filter.py"
    path.write_text("from pywasm_filter import HttpContext\nclass F(HttpContext):\n def on_log(self): pass")
    [finding] = host_findings(read_source_tree(Path("filter.py")), Target(("ats",)))
    assert finding.file == Path("filter.py")


@pytest.mark.parametrize("host", [name for name in load_hosts() if name != "mosn"])
def test_the_smallest_filter_is_fine_everywhere(tmp_path: Path, host: str) -> None:
    assert found(tmp_path, ON_REQUEST + "return Action.CONTINUE", host) == []


def test_the_version_is_that_of_the_abi() -> None:
    assert load().marker == f"proxy_abi_version_{ABI_VERSION.replace('.', '_')}"


# --- the finished module ---


def module(pages: int, size: int = 0) -> bytes:
    return bytes(
        wat2wasm(
            f'(module (memory (export "memory") {pages}) (data (i32.const 0) "{"x" * size}")'
            '(func (export "proxy_abi_version_0_2_1")) (func (export "malloc") (param i32) (result i32) unreachable))'
        )
    )


def limits(data: bytes, host: str) -> list[Finding]:
    path = Path("my.wasm")
    return limit_findings(data, path, inspect_module(data), Target((host,)))


def test_limits_of_size_and_memory() -> None:
    assert limits(module(300), "envoy") == []
    [memory] = limits(module(300), "service-extensions")
    assert memory.message == (
        "service-extensions does not load it: it needs 18.8 MiB of memory; the host gives a VM 16 MiB"
    )
    [large] = limits(module(120, 6 << 20), "service-extensions")
    assert large.message == "service-extensions does not load it: it has 6.0 MiB; the host takes modules of 5 MiB"
    assert large.detail.splitlines()[0] == "6.0 MiB data"
    assert "known from quotas: Limits" in large.detail
    assert (large.file, large.is_error) == (Path("my.wasm"), True)


def test_what_else_a_host_refuses() -> None:
    assert [one.message for one in limits(module(1), "ngx_wasm_module")] == [
        f"ngx_wasm_module does not load it: it does not export {name}, which the host requires"
        for name in ("proxy_on_context_create", "proxy_on_vm_start", "proxy_on_configure")
    ]


def test_what_is_to_be_done_about_the_size() -> None:
    host = load_hosts()["service-extensions"]
    mebibyte = 1 << 20
    names, code = Share("names of functions", mebibyte // 2), Share("code", 4 * mebibyte)
    static = Share("static data of the interpreter", 3 * mebibyte)
    plain = replace(inspect_module(module(1)), sections={"data": 3 * mebibyte}, data_size=3 * mebibyte)
    small = replace(plain, bytes=divided("module", [code, names]))
    assert _remedy(host, small).startswith("--strip saves 0.5 MiB; import less: ")
    large = replace(plain, bytes=divided("module", [code, divided("data", [static])]))
    assert _remedy(host, large) == (
        "there is none: the interpreter alone takes 7.0 MiB of it; run the filter in another host"
    )
    assert _remedy(host, replace(large, sections={"data": mebibyte // 2})).startswith("import less: ")
