"""Foreign functions by their typed faces: the same in process, under wasmtime and in a real Envoy."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from pywasm_filter.testing import Proxy, Route

_KEY = rsa.generate_private_key(65537, 2048)


def _private(encoding: Encoding) -> bytes:
    return _KEY.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())


def _public(encoding: Encoding) -> bytes:
    return _KEY.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


pytestmark = pytest.mark.pywasm(
    filter="foreign_caller.py",
    configuration=json.dumps(
        {
            "private": _private(Encoding.PEM).decode(),
            "public": _public(Encoding.PEM).decode(),
            "private_der": _private(Encoding.DER).hex(),
            "public_der": _public(Encoding.DER).hex(),
        }
    ),
    routes=[Route("canary", filter_state={"envoy.string": "b"})],
)

OUTCOMES = {
    "unknown": "NotFound: proxy_call_foreign_function('no.such.function'): NOT_FOUND",
    "compression": "True True",
    "garbage": "SerializationFailure: proxy_call_foreign_function('uncompress'): SERIALIZATION_FAILURE",
    "signature": "256 True False",
    "der": "True",
    "hash": "ForeignFunctionFailed: verify_signature: md5 is not supported.",
    "key": "ForeignFunctionFailed: sign: Invalid key type: private key required for signing operation.",
    "no-key": "BadArgument: proxy_call_foreign_function('sign'): BAD_ARGUMENT",
    "state": "b'shared'",
    "no-state": "NotFound: proxy_call_foreign_function('set_envoy_filter_state'): NOT_FOUND",
    "declared": "mine! b'mine'",
    "read-only": "BadArgument: proxy_set_property: BAD_ARGUMENT",
    "expressions": "True True b'\\x01'",
    "type": "ValueError: the expression \"request.method == 'GET'\" is not of type int: it gave b'\\x01'",
    "unavailable": "InternalFailure: proxy_call_foreign_function('expr_evaluate'): INTERNAL_FAILURE",
    "deleted": "NotFound: proxy_call_foreign_function('expr_evaluate'): NOT_FOUND",
    "refused": "BadArgument: proxy_call_foreign_function('expr_create'): BAD_ARGUMENT",
}


@pytest.mark.parametrize("function", OUTCOMES)
def test_outcomes(proxy: Proxy, function: str) -> None:
    assert proxy.get(f"/{function}").response.text == OUTCOMES[function]


def test_a_route_by_filter_state_is_found_when_the_route_cache_is_cleared(proxy: Proxy) -> None:
    assert proxy.get("/clear", headers={"x-variant": "b"}).cluster == "canary"
    assert proxy.get("/clear", headers={"x-variant": "a"}).cluster == "upstream"
    assert proxy.get("/keep", headers={"x-variant": "b"}).cluster == "upstream"
