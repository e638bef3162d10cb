"""What a proxy has seen without the test having said that it may happen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pywasm_filter.testing import EmbeddedProxy, GrpcReply, PluginSettings, Proxy, Response
from pywasm_filter.testing.guests.inprocess import InProcessGuest

FILTER = """
import logging
from pywasm_filter import Action, FailurePolicy, HttpContext, RootContext

class Troubled(HttpContext["Root"]):
    async def on_request_headers(self, num_headers, end_of_stream):
        match self.request.path:
            case "/http":
                await self.http_call("auth", "GET", "/check", timeout=1)
            case "/grpc":
                await self.grpc_call("quota", "package.Service", "Method", b"", timeout=1)
            case "/trap":
                raise ValueError("no")
            case path:
                logging.log(logging.ERROR if path == "/error" else logging.WARNING, "line of %s", path)
        return Action.CONTINUE

class Root(RootContext):
    http_context = Troubled
    failure_policy = FailurePolicy.TRAP
"""


@pytest.fixture
def proxy(tmp_path: Path) -> Proxy:
    path = tmp_path / "filter.py"
    path.write_text(FILTER)
    settings = PluginSettings(clusters=["auth"], grpc_clusters=["quota"])
    return EmbeddedProxy(lambda host: InProcessGuest(path, host), settings)


def test_errors_in_the_log(proxy: Proxy) -> None:
    proxy.get("/warning")
    assert proxy.unexpected == []
    proxy.get("/error")
    assert proxy.unexpected == ["log line: [error] line of /error"]
    proxy.expect_log(r"^line of /e")
    assert proxy.unexpected == []


def test_an_expected_line_of_any_level_must_come(proxy: Proxy) -> None:
    proxy.expect_log("of /warn")
    assert proxy.unexpected == ["log line that was expected and did not come: 'of /warn'"]
    proxy.get("/warning")
    assert proxy.unexpected == []
    with pytest.raises(re.error):
        proxy.expect_log("(")


def test_callouts(proxy: Proxy) -> None:
    proxy.get("/http")
    proxy.get("/grpc")
    assert proxy.unexpected == [
        "callout: GET /check to 'auth'; say what answers it: proxy.clusters['auth'] = ...",
        "gRPC callout: package.Service/Method to 'quota'; say what answers it: proxy.grpc['quota'] = ...",
    ]
    proxy.clusters["auth"] = Response(200)
    proxy.grpc["quota"] = GrpcReply()
    assert proxy.unexpected == []
    del proxy.clusters["auth"], proxy.grpc["quota"]
    assert len(proxy.unexpected) == 2


def test_traps(proxy: Proxy) -> None:
    proxy.get("/trap")
    log_line, trap = proxy.unexpected
    assert log_line.startswith("log line: [error] exception in Troubled.on_request_headers")
    assert trap.startswith("trap: the VM trapped in proxy_on_request_headers: ")
    assert proxy.traps == proxy.notes
    proxy.expect_log("^exception in ")
    proxy.expect_log("^the VM trapped")
    assert proxy.unexpected == []


def test_a_trap_that_the_test_asks_for(proxy: Proxy) -> None:
    trap = proxy.faults.trap("proxy_on_request_headers")
    assert proxy.unexpected == [f"fault that was not used: {trap}"]
    proxy.get("/")
    assert len(proxy.traps) == 1
    assert proxy.unexpected == []
