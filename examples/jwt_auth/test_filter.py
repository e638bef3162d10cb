import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from pywasm_filter.testing import MakeProxy, PluginConfigurationError, Proxy


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = RSA_KEY.public_key().public_numbers()
SECRET = hashlib.sha256(b"of the test").digest()

CONFIGURATION: dict[str, Any] = {
    "keys": [
        {"kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": number(PUBLIC.n), "e": number(PUBLIC.e)},
        {"kty": "oct", "kid": "s", "k": base64url(SECRET)},
    ],
    "issuer": "https://id.example",
    "audiences": ["orders", "billing"],
    "clock_skew": "10s",
    "claim_headers": {"x-jwt-sub": "sub", "x-jwt-roles": "roles"},
    "realm": "orders",
}

pytestmark = pytest.mark.pywasm(configuration=CONFIGURATION)


def seconds(proxy: Proxy) -> float:
    return proxy.clock.now_ns() / 1e9


def claims(proxy: Proxy, **changes: Any) -> dict[str, Any]:
    given = {"iss": "https://id.example", "aud": "orders", "sub": "ada", "exp": seconds(proxy) + 60, **changes}
    return {name: value for name, value in given.items() if value is not None}


def signed_part(header: object, payload: object) -> str:
    parts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload))
    return ".".join(base64url(part) for part in parts)


def hs256(payload: object, secret: bytes = SECRET, header: object = None) -> str:
    signed = signed_part({"alg": "HS256", "kid": "s"} if header is None else header, payload)
    return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"


def rs256(payload: object, key: rsa.RSAPrivateKey = RSA_KEY, header: object = None) -> str:
    signed = signed_part({"alg": "RS256", "kid": "r"} if header is None else header, payload)
    return f"{signed}.{base64url(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def raw_rsa(encoded: bytes, signed: str) -> str:
    """A token with any encoded message, as whoever has the private key could sign it."""
    private = RSA_KEY.private_numbers()
    signature = pow(int.from_bytes(encoded, "big"), private.d, PUBLIC.n).to_bytes(256, "big")
    return f"{signed}.{base64url(signature)}"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def assert_refused(proxy: Proxy, token: str, reason: str) -> None:
    exchange = proxy.get("/", headers=bearer(token))
    assert exchange.upstream_request is None
    assert exchange.response.status == 401
    assert exchange.response.headers["www-authenticate"] == (
        f'Bearer realm="orders", error="invalid_token", error_description="{reason}"'
    )
    assert exchange.response.body.decode() == f"{reason}\n"
    assert [line.message for line in exchange.logs] == [f"refused: {reason}"]


# --- accepted ---


@pytest.mark.parametrize("sign", [hs256, rs256])
def test_a_valid_token_passes_and_its_claims_go_upstream(proxy: Proxy, sign: Any) -> None:
    token = sign(claims(proxy, sub="grün", roles=["a", "b"], aud=["x", "billing"], nbf=seconds(proxy)))
    headers = {**bearer(token), "x-jwt-sub": "root", "x-jwt-roles": "admin"}
    upstream = proxy.get("/", headers=headers).upstream_request
    assert upstream is not None
    assert upstream.headers.getall("x-jwt-sub") == ["grün"]
    assert upstream.headers.getall("x-jwt-roles") == ['["a","b"]']
    assert "authorization" not in upstream.headers


def test_a_header_whose_claim_is_absent_is_removed(proxy: Proxy) -> None:
    headers = {**bearer(rs256(claims(proxy))), "x-jwt-roles": "admin"}
    upstream = proxy.get("/", headers=headers).upstream_request
    assert upstream is not None
    assert upstream.headers["x-jwt-sub"] == "ada"
    assert "x-jwt-roles" not in upstream.headers


def test_one_key_serves_tokens_without_kid(proxy: Proxy) -> None:
    exchange = proxy.get("/", headers=bearer(hs256(claims(proxy), header={"alg": "HS256"})))
    assert exchange.response.status == 200


# The keys and tokens of RFC 7515, appendices A.1 and A.2. They expired in 2011: a skew of fifty years makes up for it.
RFC_PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
RFC_HS256 = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{RFC_PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
RFC_RS256 = (
    f"eyJhbGciOiJSUzI1NiJ9.{RFC_PAYLOAD}."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t"
    "1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j"
    "zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ"
    "Ge77Rw"
)
RFC_CONFIGURATION = {
    "keys": [
        {
            "kty": "oct",
            "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        },
        {
            "kty": "RSA",
            "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT"
            "-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo"
            "7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91"
            "kzk2PAcDTW9gb54h4FRWyuXpoQ",
            "e": "AQAB",
        },
    ],
    "issuer": "joe",
    "clock_skew": "438000h",
    "claim_headers": {"x-root": "http://example.com/is_root"},
    "forward_token": True,
}


@pytest.mark.pywasm(configuration=RFC_CONFIGURATION)
def test_the_tokens_of_the_rfc_are_valid(proxy: Proxy) -> None:
    for token in (RFC_HS256, RFC_RS256):
        upstream = proxy.get("/", headers=bearer(token)).upstream_request
        assert upstream is not None
        assert upstream.headers["x-root"] == "true"
        assert upstream.headers["authorization"] == f"Bearer {token}"
        flipped = "A" if token[-60] != "A" else "B"
        assert proxy.get("/", headers=bearer(token[:-60] + flipped + token[-59:])).response.status == 401


# --- refused ---


def test_without_a_token_there_is_a_challenge(proxy: Proxy) -> None:
    exchange = proxy.get("/", headers={"x-jwt-sub": "root"})
    assert exchange.upstream_request is None
    assert exchange.response.status == 401
    assert exchange.response.headers["www-authenticate"] == 'Bearer realm="orders"'


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": None}, "the token has no expiry"),
        ({"exp": "soon"}, "exp is no time"),
        ({"exp": True}, "exp is no time"),
        ({"exp": 1e300}, "exp is no time"),
        ({"exp": float("inf")}, "exp is no time"),
        ({"exp": float("nan")}, "exp is no time"),
        ({"nbf": []}, "nbf is no time"),
        ({"iss": "https://evil.example"}, "the token is of another issuer"),
        ({"iss": None}, "the token is of another issuer"),
        ({"aud": "shipping"}, "the token is for another audience"),
        ({"aud": None}, "the token is for another audience"),
        ({"aud": [["orders"], 1, "order"]}, "the token is for another audience"),
        ({"sub": "ada\r\nx-admin: 1"}, "a claim cannot be passed on"),
        ({"sub": "\ud800"}, "a claim cannot be passed on"),
    ],
)
def test_claims_that_do_not_fit_are_refused(proxy: Proxy, changes: dict[str, Any], reason: str) -> None:
    assert_refused(proxy, hs256(claims(proxy, **changes)), reason)


def test_a_token_is_valid_in_its_time_only(proxy: Proxy) -> None:
    now = seconds(proxy)
    assert_refused(proxy, hs256(claims(proxy, nbf=now + 30)), "the token is not valid yet")
    assert_refused(proxy, hs256(claims(proxy, exp=now - 11)), "the token has expired")
    ends = hs256(claims(proxy, exp=now - 9))  # the skew has a second left
    assert proxy.get("/", headers=bearer(ends)).response.status == 200
    proxy.clock.advance(1.1)
    assert_refused(proxy, ends, "the token has expired")


def test_the_algorithm_is_the_key_s(proxy: Proxy) -> None:
    payload = claims(proxy)
    # The classic attack: the public key taken for a secret.
    public = number(PUBLIC.n).encode()
    assert_refused(proxy, hs256(payload, public, {"alg": "HS256", "kid": "r"}), "no key fits the token")
    assert_refused(proxy, f"{signed_part({'alg': 'none'}, payload)}.", "no key fits the token")
    for header in ({"alg": "none", "kid": "s"}, {"alg": "hs256"}, {"alg": ["HS256"]}, {"kid": "s"}, {"alg": "HS512"}):
        assert_refused(proxy, hs256(payload, header=header), "no key fits the token")
    for kid in ("r", "unknown", "", 1, ["s"]):
        assert_refused(proxy, hs256(payload, header={"alg": "HS256", "kid": kid}), "no key fits the token")
    assert_refused(
        proxy, hs256(payload, header={"alg": "HS256", "kid": "s", "crit": ["b64"]}), "the token has critical extensions"
    )


def test_wrong_signatures_are_refused(proxy: Proxy) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    payload = claims(proxy)
    good = rs256(payload)
    signed, _, signature = good.rpartition(".")
    value = int.from_bytes(base64.urlsafe_b64decode(signature + "=="), "big")
    for token in (
        hs256(payload, b"x" * 32),
        rs256(payload, other),
        f"{signed}.",
        f"{signed}.{base64url(value.to_bytes(256, 'big')[:-1])}",
        f"{signed}.{base64url(bytes(256))}",
        f"{signed}.{base64url(value.to_bytes(257, 'big'))}",
        f"{signed_part({'alg': 'RS256', 'kid': 'r'}, claims(proxy, sub='eve'))}.{signature}",
    ):
        assert_refused(proxy, token, "the signature is wrong")
    if value + PUBLIC.n < 1 << 2048:  # the same number modulo n
        assert_refused(proxy, f"{signed}.{number(value + PUBLIC.n)}", "the signature is wrong")


def test_the_padding_is_the_only_one(proxy: Proxy) -> None:
    signed = signed_part({"alg": "RS256", "kid": "r"}, claims(proxy))
    digest = hashlib.sha256(signed.encode()).digest()
    info = bytes.fromhex("3031300d060960864801650304020105000420") + digest
    without_null = bytes.fromhex("302f300b0609608648016503040201 0420") + digest
    good = b"\0\1" + b"\xff" * (253 - len(info)) + b"\0" + info
    assert proxy.get("/", headers=bearer(raw_rsa(good, signed))).response.status == 200
    for encoded in (
        b"\0\1" + b"\xff" * 8 + b"\0" + info + b"\0" * (245 - len(info)),  # Bleichenbacher's: rubbish behind
        b"\0\1" + b"\xff" * (253 - len(without_null)) + b"\0" + without_null,
        b"\0\2" + b"\xff" * (253 - len(info)) + b"\0" + info,
        b"\0\1" + b"\xfe" * (253 - len(info)) + b"\0" + info,
        b"\0\1" + b"\xff" * (253 - len(digest)) + b"\0" + digest,
    ):
        assert len(encoded) == 256
        assert_refused(proxy, raw_rsa(encoded, signed), "the signature is wrong")


def test_malformed_tokens_are_refused(proxy: Proxy) -> None:
    good = hs256(claims(proxy))
    header, payload, signature = good.split(".")
    deep = base64url(b"[" * 11_000)
    for token in (
        "..",
        "a.b",
        f"{good}.x",
        f"{good}=",
        f" {header} .{payload}.{signature}",
        f"{header[:-1]}.{payload}.{signature}",
        f"{base64url(b'[]')}.{payload}.{signature}",
        f"{base64url(b'not json')}.{payload}.{signature}",
        f"{base64url(bytes([0xFF]))}.{payload}.{signature}",
        f"{deep}.{payload}.{signature}",
        f"{header}.{payload}.grün",
        f"{good}{'A' * 20_000}",
        hs256(b"[]"),
        hs256(b'{"sub": "ada", "sub": "root"}'),
        hs256(b"{}", header=b'{"alg": "none", "alg": "HS256"}'),
    ):
        assert_refused(proxy, token, "the token is malformed")
    for authorization in (f"Basic {good}", good, "", "Bearer", b"\xff"):
        exchange = proxy.get("/", headers={"authorization": authorization})
        assert exchange.response.status == 401


def test_a_second_authorization_header_is_refused(proxy: Proxy) -> None:
    good = ("authorization", f"Bearer {hs256(claims(proxy))}")
    exchange = proxy.get("/", headers=[good, ("authorization", "Bearer x")])
    assert (exchange.response.status, exchange.upstream_request) == (401, None)


# --- configurations ---


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"keys": []}, "without keys no token could be checked"),
        ({"keys": [{"kty": "EC", "kid": "x"}]}, 'keys[0].kty: expected "RSA" or "oct", got "EC"'),
        ({"keys": [{"kty": "oct", "k": "c2hvcnQ"}]}, "keys[0]: a secret for HS256 has 32 bytes or more"),
        ({"keys": [{"kty": "oct", "k": "a+b/"}]}, "keys[0]: no canonical base64url"),
        ({"keys": [{"kty": "RSA", "n": number(3), "e": "AQAB"}]}, "keys[0]: an RSA key has 2048 to 8192 bits, not 2"),
        ({"keys": [{"kty": "RSA", "n": number(PUBLIC.n), "e": "AQ"}]}, "keys[0]: n is odd, and e is an odd number"),
        ({"keys": [CONFIGURATION["keys"][1]] * 2}, "two keys of one algorithm have the same kid"),
        ({"claim_headers": {":path": "sub"}}, "':path' cannot be the header of a claim"),
        ({"realm": 'a"b'}, "the realm is printable ASCII"),
        ({"clock_skew": "-1s"}, "clock_skew: expected a duration"),
    ],
)
@pytest.mark.pywasm(hosts=["inprocess", "wasmtime"])
def test_a_bad_configuration_is_refused(make_proxy: MakeProxy, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginConfigurationError) as caught:
        make_proxy(configuration={**CONFIGURATION, **changes})
    assert problem in str(caught.value)


def test_the_real_proxy_refuses_it_as_well(make_proxy: MakeProxy) -> None:
    with pytest.raises(PluginConfigurationError, match=r"keys: is missing"):
        make_proxy(configuration={})
