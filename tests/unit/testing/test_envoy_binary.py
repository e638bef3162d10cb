"""Finding the Envoy binary, and the words when there is none."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

from pywasm_filter.testing.envoy import EnvoyNotFoundError, envoy_version, find_envoy


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_the_packaged_binary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYWASM_ENVOY", raising=False)
    binary = find_envoy()
    assert binary.stat().st_size > 10_000_000, "the binary itself, not a script that starts it"
    assert [int(part) for part in envoy_version(binary).split(".")] >= [1, 40, 0]


def test_the_named_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    named = script(tmp_path / "my-envoy", "echo my-envoy  version: abc/9.8.7-dev/Clean/RELEASE/BoringSSL")
    monkeypatch.setenv("PYWASM_ENVOY", str(named))
    assert find_envoy() == named
    assert envoy_version(named) == "9.8.7-dev"


@pytest.mark.parametrize("kind", ["missing", "directory", "not-executable"])
def test_named_binary_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    named = tmp_path / "envoy"
    if kind == "directory":
        named.mkdir()
    elif kind == "not-executable":
        named.write_text("")
    monkeypatch.setenv("PYWASM_ENVOY", str(named))
    with pytest.raises(EnvoyNotFoundError, match=r"envoy is no executable file: .*PYWASM_ENVOY"):
        find_envoy()


def test_given_binary_outranks_the_named_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYWASM_ENVOY", str(script(tmp_path / "named", "")))
    given = script(tmp_path / "given", "")
    assert find_envoy(given) == given
    with pytest.raises(EnvoyNotFoundError, match="absent is no executable file"):
        find_envoy(tmp_path / "absent")


@pytest.mark.parametrize("installed", [None, types.ModuleType("envoy")], ids=["nothing", "a-package-of-that-name"])
def test_no_binary_installed(monkeypatch: pytest.MonkeyPatch, installed: types.ModuleType | None) -> None:
    monkeypatch.delenv("PYWASM_ENVOY", raising=False)
    monkeypatch.setitem(sys.modules, "envoy", installed)
    with pytest.raises(EnvoyNotFoundError, match=r"pip install 'pywasm-filter\[envoy\]'"):
        find_envoy()


@pytest.mark.parametrize(
    ("body", "message"), [("exit 3", "exit status 3"), ("echo hello", "is not Envoy: --version answered 'hello'")]
)
def test_version_of_something_else(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(EnvoyNotFoundError, match=message):
        envoy_version(script(tmp_path / "envoy", body))


def test_version_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(EnvoyNotFoundError, match="--version failed"):
        envoy_version(tmp_path / "envoy")


def test_missing_codec_is_told_with_its_remedy() -> None:
    program = "import sys; sys.modules['h11'] = None; import pywasm_filter.testing.envoy"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    last_line = ended.stderr.splitlines()[-1]
    assert "EnvoyNotFoundError" in last_line
    assert "pip install 'pywasm-filter[envoy]'" in last_line
