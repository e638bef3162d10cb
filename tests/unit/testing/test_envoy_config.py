"""The bootstrap configuration: what it says, and that Envoy takes it."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from pywasm_filter.testing.envoy import EnvoySettings, bootstrap, bootstrap_json, find_envoy
from pywasm_filter.testing.plugin import FailurePolicy

SMALLEST_MODULE = """(module (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 1024)))"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "a filter.wasm"
    path.write_bytes(wasmtime.wat2wasm(SMALLEST_MODULE))
    return path


def settings(module: Path = Path("x.wasm"), **changes: Any) -> EnvoySettings:
    return EnvoySettings(module, 8000, **changes)


def plugin(**changes: Any) -> Any:
    """The PluginConfig in the configuration."""
    return connection_manager(**changes)["http_filters"][0]["typed_config"]["config"]


def connection_manager(**changes: Any) -> Any:
    return listener(**changes)["filter_chains"][0]["filters"][0]["typed_config"]


def listener(**changes: Any) -> Any:
    return json.loads(bootstrap_json(settings(**changes)))["static_resources"]["listeners"][0]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"root_id": "r", "plugin_name": "p", "vm_id": "v"}, id="names"),
        pytest.param({"configuration": b"\xff\x00", "vm_configuration": b'{"a": "\xc3\xa9"}'}, id="configurations"),
        pytest.param({"environment": {"A": "b=c", "LANG": ""}}, id="environment"),
        pytest.param({"buffer_limit_bytes": 1}, id="buffer-limit"),
        pytest.param({"allow_on_headers_stop_iteration": True}, id="stop-iteration"),
        *[pytest.param({"failure_policy": policy}, id=policy.value) for policy in FailurePolicy],
        pytest.param({"protocol": "tcp", "buffer_limit_bytes": 1}, id="tcp"),
        pytest.param({"clusters": {"auth": 8001, "rates": 8002}}, id="clusters"),
        pytest.param({"http2": True, "clusters": {"auth": 8001}}, id="http2"),
        pytest.param({"background_roots": {"a": b"", "b": b"\xff"}}, id="background-roots"),
        pytest.param({"grpc_clusters": {"authz": 8001}}, id="grpc-clusters"),
    ],
)
def test_envoy_takes_it(module: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "envoy.json"
    path.write_text(bootstrap_json(settings(module, **changes)))
    arguments = ["--mode", "validate", "--config-path", str(path), "--disable-hot-restart", "-l", "warning"]
    ended = subprocess.run([find_envoy(), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "deprecated" not in ended.stderr.lower()


def test_json_holds_what_bootstrap_returns() -> None:
    assert json.loads(bootstrap_json(settings())) == bootstrap(settings())


@pytest.mark.parametrize("value", [b"text", "é".encode(), b'{"json": 1}', b"\xff\xfe\x00"])
def test_configurations_are_passed_as_bytes(value: bytes) -> None:
    found = plugin(configuration=value, vm_configuration=value[::-1])
    for message, expected in ((found, value), (found["vm_config"], value[::-1])):
        assert message["configuration"]["@type"] == "type.googleapis.com/google.protobuf.BytesValue"
        assert base64.b64decode(message["configuration"]["value"]) == expected


def test_what_is_not_asked_for_is_left_to_envoy() -> None:
    assert "per_connection_buffer_limit_bytes" not in listener()
    assert "configuration" not in plugin()
    assert "http2_protocol_options" not in connection_manager()
    assert plugin()["vm_config"].keys() == {"vm_id", "runtime", "code"}


def test_settings_reach_their_fields() -> None:
    found = plugin(
        root_id="r",
        plugin_name="p",
        vm_id="v",
        environment={"A": "b"},
        allow_on_headers_stop_iteration=True,
        failure_policy=FailurePolicy.FAIL_RELOAD,
        capabilities=["proxy_log"],
    )
    assert (found["name"], found["root_id"], found["vm_config"]["vm_id"]) == ("p", "r", "v")
    assert found["vm_config"]["environment_variables"] == {"key_values": {"A": "b"}}
    assert found["allow_on_headers_stop_iteration"] is True
    assert found["failure_policy"] == "FAIL_RELOAD"
    assert found["capability_restriction_config"] == {"allowed_capabilities": {"proxy_log": {}}}
    assert listener(buffer_limit_bytes=77)["per_connection_buffer_limit_bytes"] == 77


def test_relative_module_path_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert plugin()["vm_config"]["code"] == {"local": {"filename": str(tmp_path.resolve() / "x.wasm")}}


def test_clusters_are_the_upstream_and_the_further_ones() -> None:
    found: Any = json.loads(bootstrap_json(settings(clusters={"auth": 8001}, grpc_clusters={"authz": 8002})))
    ports = {
        cluster["name"]: cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
        for cluster in found["static_resources"]["clusters"]
    }
    assert ports == {
        name: {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        for name, port in {"upstream": 8000, "auth": 8001, "authz": 8002}.items()
    }
    protocols = {
        cluster["name"]: next(
            iter(next(iter(cluster["typed_extension_protocol_options"].values()))["explicit_http_config"])
        )
        for cluster in found["static_resources"]["clusters"]
    }
    assert protocols == {
        "upstream": "http_protocol_options",
        "auth": "http_protocol_options",
        "authz": "http2_protocol_options",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"concurrency": 0}, "at least one worker"),
        ({"clusters": {"upstream": 1}}, "taken by the upstream"),
        ({"grpc_clusters": {"upstream": 1}}, "taken by the upstream"),
        ({"clusters": {"a": 1}, "grpc_clusters": {"a": 2}}, "declared twice"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**changes)


def test_without_module_and_upstream_envoy_answers_by_itself() -> None:
    bare = json.dumps(bootstrap(EnvoySettings(None, None)))
    assert "direct_response" in bare
    assert "wasm" not in bare
    assert '"cluster"' not in bare
