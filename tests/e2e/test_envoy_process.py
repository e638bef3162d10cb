"""A real Envoy around tiny filters written in the text format: every promise of the harness, on live exchanges."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from pywasm_filter.testing.envoy import (
    EnvoyProcess,
    EnvoySettings,
    EnvoyStartError,
    Header,
    LogLine,
    Upstream,
    UpstreamResponse,
    WasmLogLine,
    bootstrap,
    request,
)
from pywasm_filter.testing.plugin import FailurePolicy

# Scratch space at 0, texts from 16 on, and from 1024 on what Envoy asks for.
MODULE = """
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add_header (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $get_buffer (param i32 i32 i32 i32 i32) (result i32)))
  {imports}
  (memory (export "memory") 2)
  (data (i32.const 16) "{data}")
  (global $free (mut i32) (i32.const 1024))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (global.get $free)
    (global.set $free (i32.add (global.get $free) (local.get $size))))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func $log_buffer (param $type i32)
    (drop (call $get_buffer (local.get $type) (i32.const 0) (i32.const 1000) (i32.const 0) (i32.const 4)))
    (drop (call $log (i32.const 2) (i32.load (i32.const 0)) (i32.load (i32.const 4)))))
  {functions})
"""

INFO, WARN, ERROR = 2, 3, 4
HEADERS_SIGNATURE = BODY_SIGNATURE = "(param i32 i32 i32) (result i32)"
CONFIGURE_SIGNATURE = "(param i32 i32) (result i32)"

BuildFilter = Callable[..., Path]


def callback(name: str, signature: str, body: str) -> str:
    return f'(func (export "proxy_{name}") {signature} {body})'


def at(data: bytes, text: bytes) -> str:
    """Offset and length of a text in the data of a module."""
    return f"(i32.const {16 + data.index(text)}) (i32.const {len(text)})"


def log(level: int, data: bytes, text: bytes) -> str:
    return f"(drop (call $log (i32.const {level}) {at(data, text)}))"


@pytest.fixture
def build_filter(tmp_path: Path) -> BuildFilter:
    """Builds a module of the given functions: `build_filter(*functions, data=b"", imports="")`."""

    def build(*functions: str, data: bytes = b"", imports: str = "") -> Path:
        module = tmp_path / "filter.wasm"
        escaped = "".join(f"\\{byte:02x}" for byte in data)
        text = MODULE.format(imports=imports, data=escaped, functions="\n".join(functions))
        module.write_bytes(wasmtime.wat2wasm(text))
        return module

    return build


TWO_LINES = b'two lines: a\n\t\xc3\xa9 "b" \xff'
TWO_LINES_READ = 'two lines: a\n\té "b" \\xff'


@pytest.fixture
def header_filter(build_filter: BuildFilter) -> Path:
    """Logs "configured", then adds "x-wasm: yes" to each request and logs two lines as one message, at last "end"."""
    data = b"configured|x-wasm|yes|end|" + TWO_LINES
    add = f"(drop (call $add_header (i32.const 0) {at(data, b'x-wasm')} {at(data, b'yes')}))"
    return build_filter(
        callback("on_configure", CONFIGURE_SIGNATURE, log(INFO, data, b"configured") + "(i32.const 1)"),
        callback("on_request_headers", HEADERS_SIGNATURE, log(WARN, data, TWO_LINES) + add + "(i32.const 0)"),
        callback("on_log", "(param i32)", log(INFO, data, b"end")),
        data=data,
    )


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


def start(module: Path, upstream: Upstream, **changes: Any) -> EnvoyProcess:
    return EnvoyProcess(EnvoySettings(module, upstream.port, **changes))


def values(headers: tuple[Header, ...], name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def test_another_configuration_takes_the_place_of_the_one_of_the_settings() -> None:
    settings = EnvoySettings(None, None)
    configuration = bootstrap(settings)
    manager = configuration["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["route_config"]["virtual_hosts"][0]["routes"][0]["direct_response"]["status"] = 418
    with EnvoyProcess(settings, configuration=configuration) as envoy:
        assert request(envoy.address).status == 418


def test_an_exchange_arrives_on_both_sides_as_sent_but_for_the_filter(header_filter: Path, upstream: Upstream) -> None:
    upstream.handler = lambda _request: UpstreamResponse(
        201,
        [(b"set-cookie", b"a"), (b"x-raw", b"\xff\xfe"), (b"set-cookie", b"b")],
        [b"alpha", b"be", b"gamma"],
        [(b"x-sum", b"1"), (b"x-sum", b"2")],
        delay=0.1,
    )
    with start(header_filter, upstream) as envoy:
        sent = [(b"host", b"example.org"), (b"x-d", b"1"), (b"x-raw", b"\xe9\xff"), (b"x-d", b"2"), (b"x-d", b"3")]
        chunks, trailers = [b"one", b"two", b"three"], [(b"x-t", b"1"), (b"x-t", b"2")]
        response = request(envoy.address, "POST", "/path?q=%20", sent, chunks, trailers, chunk_delay=0.1)
    (received,) = upstream.requests
    assert (received.method, received.path, received.complete) == ("POST", "/path?q=%20", True)
    assert received.headers == (
        *sent,
        (b"x-forwarded-proto", b"http"),
        (b"x-wasm", b"yes"),
        (b"transfer-encoding", b"chunked"),
    )
    assert received.body_chunks == tuple(chunks)
    assert received.trailers == tuple(trailers)
    assert response.status == 201
    assert response.headers[:3] == ((b"set-cookie", b"a"), (b"x-raw", b"\xff\xfe"), (b"set-cookie", b"b"))
    assert [name for name, _ in response.headers[3:]] == [b"date", b"server", b"transfer-encoding"]
    assert response.body_chunks == (b"alpha", b"be", b"gamma")
    assert response.trailers == ((b"x-sum", b"1"), (b"x-sum", b"2"))


def test_plain_exchange_has_no_noise(header_filter: Path, upstream: Upstream) -> None:
    with start(header_filter, upstream) as envoy:
        response = request(envoy.address, headers=[(b"host", b"h")])
    assert upstream.requests[0].headers == ((b"host", b"h"), (b"x-forwarded-proto", b"http"), (b"x-wasm", b"yes"))
    assert {name for name, _ in response.headers} == {b"content-length", b"date", b"server"}
    assert values(response.headers, b"server") == [b"envoy"]


@pytest.mark.parametrize("concurrency", [1, 2])
def test_every_worker_runs_the_filter(header_filter: Path, upstream: Upstream, concurrency: int) -> None:
    with start(header_filter, upstream, concurrency=concurrency) as envoy:
        # One VM to look at the module, one for the main thread, one a worker.
        assert [line.message for line in envoy.wasm_log_lines()] == ["configured"] * (2 + concurrency)
        for _ in range(40):
            assert request(envoy.address).status == 200
        connections = {
            name: count
            for name, count in envoy.stats("listener.").items()
            if ".worker_" in name and name.endswith("downstream_cx_total")
        }
    assert all(values(request.headers, b"x-wasm") == [b"yes"] for request in upstream.requests)
    assert len(connections) == concurrency
    assert sum(connections.values()) == 40
    assert all(connections.values())


def test_log_of_an_exchange_is_there_when_the_response_is(header_filter: Path, upstream: Upstream) -> None:
    with start(header_filter, upstream, root_id="my root", plugin_name="plug", vm_id="vm") as envoy:
        for _ in range(20):
            seen = len(envoy.log_lines())
            request(envoy.address, "POST", "/", (), [b"a", b"b"], chunk_delay=0.001)
            assert envoy.wasm_log_lines(seen) == [
                WasmLogLine("warning", "my root", TWO_LINES_READ),
                WasmLogLine("info", "my root", "end"),
            ]
            assert [line.message for line in envoy.log_lines(seen)] == [
                "wasm log plug my root vm: " + TWO_LINES_READ,
                "wasm log plug my root vm: end",
            ]


@pytest.mark.parametrize(
    ("names", "root_prefix", "stream_prefix"),
    [
        pytest.param({}, "wasm log: ", "wasm log plugin: ", id="plugin-name-alone"),
        pytest.param({"root_id": "r"}, "wasm log r: ", "wasm log plugin r: ", id="root-id"),
        pytest.param({"vm_id": "v"}, "wasm log v: ", "wasm log plugin v: ", id="vm-id"),
        pytest.param({"root_id": "r", "vm_id": "v"}, "wasm log r v: ", "wasm log plugin r v: ", id="all"),
        pytest.param({"plugin_name": ""}, "wasm log: ", "wasm log: ", id="no-name-at-all"),
    ],
)
def test_log_prefix(
    header_filter: Path, upstream: Upstream, names: dict[str, str], root_prefix: str, stream_prefix: str
) -> None:
    with start(header_filter, upstream, **names) as envoy:
        request(envoy.address)
    raw = [line for line in envoy.log_lines() if line.component == "wasm"]
    assert raw[0] == LogLine("info", "wasm", f"{root_prefix}configured")
    assert raw[-1] == LogLine("info", "wasm", f"{stream_prefix}end")
    assert [line.message for line in envoy.wasm_log_lines()] == ["configured"] * 3 + [TWO_LINES_READ, "end"]


@pytest.mark.parametrize("level", ["trace", "info", "error"])
def test_log_level_of_the_plugin(build_filter: BuildFilter, upstream: Upstream, level: str) -> None:
    data = b"tdiwec"
    every_level = "".join(log(number, data, data[number : number + 1]) for number in range(6))
    module = build_filter(callback("on_request_headers", HEADERS_SIGNATURE, every_level + "(i32.const 0)"), data=data)
    with start(module, upstream, wasm_log_level=level) as envoy:
        request(envoy.address)
    names = ["trace", "debug", "info", "warning", "error", "critical"]
    assert [(line.level, line.message) for line in envoy.wasm_log_lines()] == [
        (name, name[0]) for name in names[names.index(level) :]
    ]


@pytest.mark.parametrize(
    "configuration",
    [
        pytest.param(b"", id="none"),
        pytest.param(b'{"key": "value"}', id="json"),
        pytest.param("naïve".encode(), id="utf-8"),
        pytest.param(b"\xff\xfe\x00\x01\\x", id="any-bytes"),
    ],
)
def test_configurations_reach_the_plugin(build_filter: BuildFilter, upstream: Upstream, configuration: bytes) -> None:
    module = build_filter(
        callback("on_vm_start", CONFIGURE_SIGNATURE, "(call $log_buffer (i32.const 6)) (i32.const 1)"),
        callback("on_configure", CONFIGURE_SIGNATURE, "(call $log_buffer (i32.const 7)) (i32.const 1)"),
    )
    vm_configuration = configuration[:1] + b"vm"
    with start(module, upstream, configuration=configuration, vm_configuration=vm_configuration) as envoy:
        messages = [line.message for line in envoy.wasm_log_lines()][:2]
    assert messages == [text.decode(errors="backslashreplace") for text in (vm_configuration, configuration)]


def test_environment_reaches_the_vm(build_filter: BuildFilter, upstream: Upstream) -> None:
    """The filter configures itself only if it finds one variable of the eight bytes of "KEY=abc" and its NUL."""
    module = build_filter(
        callback(
            "on_configure",
            CONFIGURE_SIGNATURE,
            """(drop (call $environ_sizes (i32.const 0) (i32.const 4)))
               (i32.and (i32.eq (i32.load (i32.const 0)) (i32.const 1))
                        (i32.eq (i32.load (i32.const 4)) (i32.const 8)))""",
        ),
        imports="""(import "wasi_snapshot_preview1" "environ_sizes_get"
            (func $environ_sizes (param i32 i32) (result i32)))""",
    )
    with start(module, upstream, environment={"KEY": "abc"}) as envoy:
        assert request(envoy.address).status == 200
    with pytest.raises(EnvoyStartError, match="Failed to configure"), start(module, upstream):
        pass


@pytest.mark.parametrize(("limit", "status"), [(None, 200), (1024, 413)])
def test_buffer_limit(build_filter: BuildFilter, upstream: Upstream, limit: int | None, status: int) -> None:
    hold_back = (
        "(select (i32.const 0) (i32.const 1) (local.get 2))"  # StopIterationAndBuffer until the end of the stream
    )
    module = build_filter(callback("on_request_body", BODY_SIGNATURE, hold_back))
    with start(module, upstream, buffer_limit_bytes=limit) as envoy:
        assert request(envoy.address, "POST", "/", (), [b"x" * 10_000] * 4).status == status


def test_headers_stop_iteration(build_filter: BuildFilter, upstream: Upstream) -> None:
    module = build_filter(
        callback("on_request_headers", HEADERS_SIGNATURE, "(i32.const 1)"),
        callback("on_request_body", BODY_SIGNATURE, "(i32.const 0)"),
    )
    with start(module, upstream, allow_on_headers_stop_iteration=True) as envoy:
        assert request(envoy.address, "POST", "/", (), [b"body"]).status == 200
    with start(module, upstream) as envoy, pytest.raises(TimeoutError):
        request(envoy.address, "POST", "/", (), [b"body"], timeout=0.5)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("policy", "statuses"), [(FailurePolicy.FAIL_CLOSED, [503, 503]), (FailurePolicy.FAIL_OPEN, [503, 200])]
)
def test_failure_policy(
    build_filter: BuildFilter, upstream: Upstream, policy: FailurePolicy, statuses: list[int]
) -> None:
    module = build_filter(callback("on_request_headers", HEADERS_SIGNATURE, "unreachable"))
    with start(module, upstream, failure_policy=policy) as envoy:
        assert [request(envoy.address).status for _ in range(2)] == statuses
        failures = [line.message for line in envoy.log_lines() if line.level == "error"]
    assert len(failures) == 1
    assert failures[0].startswith("Function: proxy_on_request_headers failed: Uncaught RuntimeError: unreachable\n")
    assert envoy.wasm_log_lines() == []


def test_further_clusters_are_known(header_filter: Path, upstream: Upstream) -> None:
    with Upstream() as other, start(header_filter, upstream, clusters={"auth": other.port}) as envoy:
        assert envoy.stats("cluster.auth.membership_total") == {"cluster.auth.membership_total": 1}


def test_stats_and_memory(header_filter: Path, upstream: Upstream) -> None:
    with start(header_filter, upstream) as envoy:
        request(envoy.address)
        assert envoy.stats("http.ingress.downstream_rq_2xx") == {"http.ingress.downstream_rq_2xx": 1}
        assert envoy.stats("no.such.stat") == {}
        assert len(envoy.stats()) > 100
        memory = envoy.memory()
        assert memory.peak >= memory.resident > 10_000_000
        assert envoy.exit_status() is None
    assert envoy.exit_status() == 0
    with pytest.raises(ProcessLookupError, match="has ended"):
        envoy.memory()


TRACEBACK = b"Traceback:\nValueError"
CONFIGURE_FAILS = callback("on_configure", CONFIGURE_SIGNATURE, log(ERROR, TRACEBACK, TRACEBACK) + "(i32.const 0)")


@pytest.mark.parametrize(
    ("functions", "imports", "evidence"),
    [
        pytest.param(
            "",
            '(import "env" "proxy_nonesuch" (func (param i32)))',
            "Failed to load Wasm module due to a missing import: env.proxy_nonesuch",
            id="missing-import",
        ),
        pytest.param(
            "",
            '(import "env" "proxy_get_log_level" (func (param i32)))',
            "import type mismatch: env.proxy_get_log_level, want: i32 -> void, but host exports: i32 -> i32",
            id="import-of-another-type",
        ),
        pytest.param(CONFIGURE_FAILS, "", "wasm log r: Traceback:\n  | ValueError", id="configuration-refused-words"),
        pytest.param(CONFIGURE_FAILS, "", "Failed to configure base Wasm plugin", id="configuration-refused"),
        pytest.param(
            callback("on_vm_start", CONFIGURE_SIGNATURE, "(i32.const 0)"),
            "",
            "Failed to start base Wasm",
            id="vm-start",
        ),
        pytest.param(
            callback("on_configure", CONFIGURE_SIGNATURE, "unreachable"),
            "",
            "Function: proxy_on_configure failed: Uncaught RuntimeError: unreachable",
            id="trap-in-configure",
        ),
        pytest.param('(func (export "_initialize") unreachable)', "", "Function: _initialize failed", id="initialize"),
    ],
)
def test_module_that_envoy_refuses(
    build_filter: BuildFilter, upstream: Upstream, functions: str, imports: str, evidence: str
) -> None:
    module = build_filter(functions, imports=imports, data=TRACEBACK)
    with pytest.raises(EnvoyStartError) as caught, start(module, upstream, root_id="r"):
        pass
    assert caught.value.reason == "Envoy exited with status 1 before it was ready"
    assert evidence in str(caught.value)
    assert len(str(caught.value).splitlines()) < 10
    assert "downstream connections" not in str(caught.value), "noise about something else"


def test_file_that_is_no_module(upstream: Upstream, tmp_path: Path) -> None:
    path = tmp_path / "filter.wasm"
    with pytest.raises(EnvoyStartError, match=r"Invalid path: .*filter\.wasm"), start(path, upstream):
        pass
    path.write_bytes(b"no module")
    with pytest.raises(EnvoyStartError, match="Failed to load Wasm code"), start(path, upstream):
        pass


ENDLESS = "(loop (br 0)) unreachable"


def test_deadline_of_the_start(build_filter: BuildFilter, upstream: Upstream) -> None:
    data = b"for ever"
    module = build_filter(callback("on_configure", CONFIGURE_SIGNATURE, log(INFO, data, data) + ENDLESS), data=data)
    envoy = EnvoyProcess(EnvoySettings(module, upstream.port), start_timeout=0.5)
    begin = time.monotonic()
    with pytest.raises(EnvoyStartError) as caught, envoy:
        pass
    assert time.monotonic() - begin < 5
    assert caught.value.reason == "Envoy was not ready after 0.5 s"
    assert caught.value.evidence == ("wasm log: for ever",)
    assert not is_running(envoy.pid)


def test_filter_in_an_endless_loop_cannot_hold_up_the_end(
    build_filter: BuildFilter, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pywasm_filter.testing.envoy.process._STOP_TIMEOUT", 0.2)
    module = build_filter(callback("on_request_headers", HEADERS_SIGNATURE, ENDLESS))
    with start(module, upstream) as envoy, pytest.raises(TimeoutError):
        request(envoy.address, timeout=0.2)
    assert envoy.exit_status() == -signal.SIGKILL


def test_end_of_the_context_leaves_nothing_behind(
    header_filter: Path, upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with start(header_filter, upstream) as envoy:
        assert list(tmp_path.glob("pywasm-envoy-*"))
        before = len(envoy.log_lines())
    assert not list(tmp_path.glob("pywasm-envoy-*"))
    assert not is_running(envoy.pid)
    with pytest.raises(ConnectionRefusedError):
        request(envoy.address)
    assert "caught ENVOY_SIGTERM" in [line.message for line in envoy.log_lines(before)]


def test_envoy_dies_with_its_parent(header_filter: Path, tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from pywasm_filter.testing.envoy import EnvoyProcess, EnvoySettings
with EnvoyProcess(EnvoySettings(Path({str(header_filter)!r}), 1)) as envoy:
    print(envoy.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # the killed parent cleans nothing up
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    pid = int(ended.stdout)
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline, "Envoy outlived its parent"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether the process exists and is more than a zombie that its new parent has not reaped yet."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
