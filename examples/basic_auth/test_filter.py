import base64
import hashlib

import pytest

from pywasm_filter.testing import MakeProxy, PluginConfigurationError, Proxy

CONFIGURATION = {"realm": "staging", "users": {"ada": hashlib.sha256(b"lovelace:1843").hexdigest()}}

pytestmark = pytest.mark.pywasm(configuration=CONFIGURATION)


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_known_credentials_pass(proxy: Proxy) -> None:
    exchange = proxy.get("/", headers=basic("ada", "lovelace:1843"))
    assert exchange.response.status == 200
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.headers["x-authenticated-user"] == "ada"
    assert "authorization" not in exchange.upstream_request.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("ada", "wrong"),
        basic("bob", "lovelace:1843"),
        {"authorization": "Bearer abc"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic"},
        {"authorization": b"Basic \xff\xfe"},
        {"authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
        {"authorization": "Basic " + base64.b64encode(b"ada").decode()},
    ],
    ids=["none", "password", "user", "scheme", "base64", "empty", "bytes", "utf8", "no-colon"],
)
def test_all_others_are_refused(proxy: Proxy, headers: dict[str, str | bytes]) -> None:
    exchange = proxy.get("/secret", headers=headers)
    assert exchange.upstream_request is None
    assert exchange.response.status == 401
    assert exchange.response.headers["www-authenticate"] == 'Basic realm="staging", charset="UTF-8"'
    assert exchange.response.body == b"authentication required\n"
    assert [line.message for line in exchange.logs] == ["refused GET /secret"]


def test_a_forged_user_header_does_not_pass(proxy: Proxy) -> None:
    headers = {**basic("ada", "lovelace:1843"), "x-authenticated-user": "root"}
    exchange = proxy.get("/", headers=headers)
    assert exchange.upstream_request is not None
    assert exchange.upstream_request.headers.getall("x-authenticated-user") == ["ada"]


def test_a_password_in_clear_is_refused(make_proxy: MakeProxy) -> None:
    with pytest.raises(PluginConfigurationError) as caught:
        make_proxy(configuration={"users": {"ada": "lovelace"}})
    reason = "configuration: the password of ada is not given as its SHA-256, in hexadecimal"
    assert {line.message for line in caught.value.logs} == {reason}
