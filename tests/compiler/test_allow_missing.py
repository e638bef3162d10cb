"""A filter for hosts that lack what it uses: its module does without, in process and built, and in Envoy too."""

from pathlib import Path

import pytest
from pywasm_compiler.inspection import inspect_file

from pywasm_filter.build import cached_build
from pywasm_filter.testing.session import ProxySession
from pywasm_filter.testing.settings import PluginSettings

PROJECT = """
[tool.pywasm-filter]
hosts = ["ngx_wasm_module", "envoy"]
allow-missing = ["proxy_get_header_map_size", "proxy_get_log_level"]
"""

FILTER = """
from pywasm_filter import Action, HttpContext, Unimplemented, log_level


class Asks(HttpContext):
    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        try:
            self.request.headers["x-size"] = str(self.request.headers.byte_size)
        except Unimplemented as error:
            self.request.headers["x-size"] = f"{error}"
        try:
            self.request.headers["x-level"] = str(log_level())
        except Unimplemented as error:
            self.request.headers["x-level"] = f"{error}"
        return Action.CONTINUE
"""


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("asking")
    (directory / "pyproject.toml").write_text(PROJECT)
    (directory / "asking.py").write_text(FILTER)
    return directory / "asking.py"


@pytest.mark.parametrize(
    ("host", "profile"),
    [("inprocess", "ngx_wasm_module"), ("wasmtime", "ngx_wasm_module"), ("wasmtime", "envoy"), ("envoy", "envoy")],
)
def test_it_loads_and_the_filter_can_catch_what_is_missing(asking: Path, host: str, profile: str) -> None:
    with ProxySession() as session:
        proxy = session.proxy(host, [asking], PluginSettings(host_profile=profile))
        exchange = proxy.get("/")
        assert exchange.upstream_request is not None
        assert exchange.upstream_request.headers["x-size"] == "proxy_get_header_map_size: UNIMPLEMENTED"
        assert exchange.upstream_request.headers["x-level"] == "proxy_get_log_level: UNIMPLEMENTED"


def test_the_module_does_not_import_it(asking: Path) -> None:
    found = inspect_file(cached_build(asking))
    assert {"proxy_get_header_map_size", "proxy_get_log_level"}.isdisjoint(found.imports["env"])
    assert "ngx_wasm_module" in [host.name for host in found.hosts if host.loads]
