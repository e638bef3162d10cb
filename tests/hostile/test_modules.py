"""Whatever a module is, a test run survives it, and says in one way or another what is wrong with it."""

from __future__ import annotations

import re
import resource
import time
from pathlib import Path

import pytest

from pywasm_filter.testing import (
    CallbackTimeout,
    EmbeddedProxy,
    GuestLoadError,
    PluginConfigurationError,
    PluginSettings,
    ProxyTestError,
)
from pywasm_filter.testing.envoy_proxy import EnvoyProxy
from pywasm_filter.testing.guests.limits import Limits
from pywasm_filter.testing.guests.wasmtime_guest import WasmtimeModule
from pywasm_filter.testing.running_envoy import RunningEnvoy
from tests.hostile.corpus import Hostile, hostile_modules

LIMITS = Limits(callback_seconds=0.1, memory_bytes=64 << 20)
CORPUS = list(hostile_modules())


def end(code: bytes) -> str:
    """What comes of a module that is loaded and gets one request, as one line."""
    try:
        module = WasmtimeModule(code)
        proxy = EmbeddedProxy(lambda host: module.instantiate(host, LIMITS), PluginSettings())
    except GuestLoadError as error:
        return f"refused: {error}"
    except PluginConfigurationError as error:
        return f"configuration: {error.reason}"
    except CallbackTimeout as error:
        return f"timeout: {error}"
    with proxy:
        try:
            exchange = proxy.post("/", body=b"body")
        except CallbackTimeout as error:
            return f"timeout: {error}"
        except ProxyTestError as error:
            return f"error: {error}"
        return f"trap: {proxy.traps[0]}" if proxy.traps else f"answers {exchange.response.status}"


@pytest.mark.parametrize("hostile", CORPUS, ids=lambda hostile: hostile.name)
def test_it_ends_as_it_should(hostile: Hostile) -> None:
    begun = time.monotonic()
    told = end(hostile.code)
    assert re.match(hostile.end, told, re.DOTALL), told
    assert time.monotonic() - begun < 5


def verdict(told: str) -> str | None:
    """What Envoy makes of a module that ends like that; None where it would hang, or end."""
    match told.partition(":")[0]:
        case "refused" | "configuration":
            return "refused"
        case "trap":
            return "answers 503"
        case "timeout" | "error":
            return None
        case answer:
            return answer


@pytest.mark.parametrize("hostile", [entry for entry in CORPUS if verdict(entry.end)], ids=lambda hostile: hostile.name)
def test_envoy_agrees(hostile: Hostile, tmp_path: Path) -> None:
    file = tmp_path / "hostile.wasm"
    file.write_bytes(hostile.code)
    envoy = RunningEnvoy([file], PluginSettings())
    try:
        envoy.start()
        told = f"answers {EnvoyProxy(envoy).post('/', body=b'body').response.status}"
    except PluginConfigurationError:
        told = "refused"
    finally:
        envoy.close()
    assert told == (hostile.envoy or verdict(hostile.end))


def test_the_corpus_takes_little_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for hostile in CORPUS:
        end(hostile.code)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 * 1024
