"""What the embedded proxy says of foreign functions that it cannot offer."""

import sys
from pathlib import Path

import pytest

from pywasm_filter.testing import EmbeddedProxy, ForeignFunctionNotInstalled, HostcallNotSupported
from pywasm_filter.testing.guests.inprocess import InProcessGuest


def proxy_calling(tmp_path: Path, call: str) -> EmbeddedProxy:
    path = tmp_path / "filter.py"
    path.write_text(
        "from pywasm_filter import *\n"
        "class Caller(HttpContext):\n"
        "    def on_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:\n"
        f"        {call}\n"
        "        return Action.CONTINUE\n"
    )
    return EmbeddedProxy(lambda hostcalls: InProcessGuest(path, hostcalls))


@pytest.mark.parametrize(
    ("package", "implementation", "call", "function"),
    [
        ("celpy", "expressions", "CelExpression('1')", "expr_create"),
        ("cryptography.exceptions", "signatures", "host_sign(b'', private_key='x')", "sign"),
        (
            "cryptography.exceptions",
            "signatures",
            "host_verify_signature(b'', b'', public_key='x')",
            "verify_signature",
        ),
    ],
)
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, implementation: str, call: str, function: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"pywasm_filter.testing.embedded.{implementation}", raising=False)
    with (
        proxy_calling(tmp_path, call) as proxy,
        pytest.raises(ForeignFunctionNotInstalled, match=rf"'{function}'.*pip install 'pywasm-filter\[foreign\]'"),
    ):
        proxy.get()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("set_envoy_filter_state('envoy.upstream.dynamic_port', '80')", r"for envoy\.upstream\.dynamic_port"),
        ("declare_property('x', property_type=PropertyType.FLATBUFFERS)", "with FLATBUFFERS"),
    ],
)
def test_what_only_envoy_can_do_fails_the_test(tmp_path: Path, call: str, message: str) -> None:
    with proxy_calling(tmp_path, call) as proxy, pytest.raises(HostcallNotSupported, match=message):
        proxy.get()


def test_clearing_the_route_cache_after_the_end_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "filter.py"
    path.write_text(
        "from pywasm_filter import HttpContext, clear_route_cache\n"
        "class Caller(HttpContext):\n"
        "    def on_log(self) -> None:\n"
        "        clear_route_cache()\n"
    )
    with EmbeddedProxy(lambda hostcalls: InProcessGuest(path, hostcalls)) as proxy:
        proxy.get()
        assert proxy.notes == ["the route cache was cleared in proxy_on_log: Envoy logs a bug of its own"]
