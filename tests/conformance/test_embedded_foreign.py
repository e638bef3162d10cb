"""Foreign functions do in the embedded proxy what they do in Envoy."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from pywasm_filter.sdk.protobuf import bytes_field, number_field
from pywasm_filter.testing import Route
from tests.conformance.recorder import OUT, POST, Scenario, attribute, note, on_both, pool, result, set_attribute


def foreign(name: str, arguments: bytes = b"") -> str:
    return result("V", f"(call $proxy_call_foreign_function {pool(name)} {pool(arguments)} {OUT})")


def foreign_status(name: str, arguments: bytes) -> str:
    """For results that differ from host to host and time to time."""
    return note("v", f"(call $proxy_call_foreign_function {pool(name)} {pool(arguments)} {OUT})")


def declare(
    name: bytes,
    *,
    kind: int = 0,
    read_only: int = 0,
    schema: bytes = b"",
    span: int = 0,
    function: str = "declare_property",
) -> str:
    fields = bytes_field(1, name) + number_field(2, read_only) + number_field(3, kind) + bytes_field(4, schema)
    return foreign(function, fields + number_field(5, span))


def set_object(name: str, value: bytes, span: int = 0) -> str:
    fields = bytes_field(1, name.encode()) + bytes_field(2, value) + number_field(3, span)
    return foreign("set_envoy_filter_state", fields)


def verify(hash_name: bytes, signature: bytes, text: bytes, *, der: bytes = b"", pem: bytes = b"") -> str:
    fields = bytes_field(1, hash_name) + bytes_field(2, der) + bytes_field(3, signature) + bytes_field(4, text)
    return foreign("verify_signature", fields + bytes_field(5, pem))


def sign(hash_name: bytes, text: bytes, *, der: bytes = b"", pem: bytes = b"", call: Any = foreign) -> str:
    fields = bytes_field(1, hash_name) + bytes_field(2, der) + bytes_field(3, text) + bytes_field(4, pem)
    return str(call("sign", fields))


def evaluate(*tokens: int) -> str:
    return "".join(foreign("expr_evaluate", token.to_bytes(4, "little")) for token in tokens)


LAST = "(i32.load (i32.const 512)) (i32.load (i32.const 516))"
"""Address and size of what a hostcall has returned."""
ROUTE = attribute("xds", "route_name") + attribute("xds", "cluster_name")
DESCRIBED: dict[str, Any] = {
    "node": {
        "id": "node-1",
        "metadata": {"NUMBER": 1.5, "LIST": [1, "b"]},
        "locality": {"zone": "z"},
    },
    "metadata": {owner: {"filter": {"key": f"of the {owner}"}} for owner in ("listener", "route")},
    "root_id": "rid",
}


class TestKey:
    """A key in all its forms."""

    __test__ = False

    def __init__(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
        def private(encoding: Encoding, form: PrivateFormat) -> bytes:
            return key.private_bytes(encoding, form, NoEncryption())

        public = key.public_key()
        self.private = private(Encoding.DER, PrivateFormat.PKCS8)
        self.private_pem = private(Encoding.PEM, PrivateFormat.PKCS8)
        self.public = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public_pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.private_traditional = b""
        if isinstance(key, ec.EllipticCurvePrivateKey):
            self.private_traditional = private(Encoding.DER, PrivateFormat.TraditionalOpenSSL)
        if isinstance(key, rsa.RSAPrivateKey):
            self.private_pkcs1 = private(Encoding.DER, PrivateFormat.TraditionalOpenSSL)
            self.private_pkcs1_pem = private(Encoding.PEM, PrivateFormat.TraditionalOpenSSL)
            self.public_pkcs1 = public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
            self.public_pkcs1_pem = public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)


_rsa = rsa.generate_private_key(65537, 2048)
_ec = ec.generate_private_key(ec.SECP256R1())
RSA_KEY, EC_KEY, ED_KEY = TestKey(_rsa), TestKey(_ec), TestKey(ed25519.Ed25519PrivateKey.generate())
RSA_SIGNED = _rsa.sign(b"text", PKCS1v15(), hashes.SHA256())
EC_SIGNED = _ec.sign(b"text", ec.ECDSA(hashes.SHA256()))
STRUCT = b"\n\n\n\1A\x12\5\x1a\3x=1"
"""A google.protobuf.Struct: {"A": "x=1"}."""
EXPRESSIONS = [
    *("plugin_root_id", "request.path", "request.method == 'GET' && request.headers['x-a'] == '1'", "request.nope"),
    *(
        "response.code == 200 ? 'ok' : 'no'",
        "request.size + 1",
        "7u",
        "1.5",
        "b'raw'",
        "null",
        "1/0",
        "string(1) + 'x'",
    ),
    *("{'a': 1}", "[1, 'x', true]", "{'a': null}", "duration('1.5s')", "timestamp('2026-01-01T00:00:00Z')", "request"),
    *("text + '!'", "struct.A", "struct", "filter_state['wasm.text']", "nothing", "xds.node.id", "xds.cluster_name"),
    *("xds.route_metadata.filter_metadata['filter']['key']", "xds.node.metadata.NUMBER > 1.0", "metadata"),
    *("'abc'.matches('a.*')", "[1, 2].exists(x, x == 2)", "has(request.headers.nope)", "'x-a' in request.headers"),
    *("size('abc')", "xds.listener_metadata", "request.headers.nope", "connection.mtls", "1 + 1.0", "type(1)"),
    *(
        "request.path.startsWith('/a')",
        "xds.node.metadata.LIST[1]",
        "9223372036854775807 + 1",
        "xds.node.locality.zone",
    ),
    *("'ab'.size()", "[1].map(x, x + 1)", "double('1.5')", "-request.size", "!connection.mtls", "source.port > 0"),
]


SCENARIOS = {
    "unknown foreign functions": Scenario({}, {"H": foreign("nope", b"x") + foreign("") + foreign("\xff")}),
    "compress and uncompress": Scenario(
        {},
        {
            "H": foreign_status("compress", b"hello hello hello")
            + result("V", f"(call $proxy_call_foreign_function {pool('uncompress')} {LAST} {OUT})")
            + foreign_status("compress", b"")
            + result("V", f"(call $proxy_call_foreign_function {pool('uncompress')} {LAST} {OUT})")
            + "".join(
                foreign("uncompress", data)
                for data in (
                    *(zlib.compress(b"x" * 300), zlib.compress(b"x") + b"more", zlib.compress(b"")),
                    *(b"garbage", b"", zlib.compress(b"abc")[:-3], zlib.compress(b"y" * 999)[:8]),
                )
            )
        },
    ),
    "properties declared": Scenario(
        {},
        {
            "K": declare(b"text", kind=1)
            + declare(b"text", kind=1)
            + declare(b"once", read_only=1)
            + declare(b"struct", kind=3, schema=b"type.googleapis.com/google.protobuf.Struct")
            + declare(b"other", kind=3, schema=b"type.googleapis.com/no.Such")
            + declare(b"connection wide", kind=1, span=2)
            + declare(b"odd", kind=77, span=99)
            + declare(b"request", kind=1)
            + declare(b"\xff")
            + foreign("declare_property", b"\xff")
            + foreign("declare_property", b"")
            + set_attribute("text", "in the root"),
            "H": declare(b"text", kind=1)
            + declare(b"here", read_only=1)
            + "".join(
                set_attribute(name, value) + attribute(name) + attribute("filter_state", f"wasm.{name}")
                for name, value in (
                    *(("text", b"a\xff"), ("once", "1"), ("once", "2"), ("here", "1"), ("here", "2"), ("odd", "o")),
                    *(("struct", STRUCT), ("other", STRUCT), ("connection wide", "c")),
                )
            )
            + attribute("struct", "A")
            + attribute("struct", "no")
            + attribute("struct", "fields")
            + attribute("filter_state", "wasm.struct", "A")
            + attribute("other", "A")
            + attribute("text", "A"),
            "L": set_attribute("once", "3") + attribute("once") + attribute("connection wide"),
        },
    ),
    "filter state of Envoy": Scenario(
        {},
        {
            "K": set_object("envoy.string", b"x") + set_object("nope", b"x"),
            "H": "".join(
                set_object(name, value, index % 4) + attribute("filter_state", name)
                for index, (name, value) in enumerate(
                    (
                        *(("envoy.string", b"a"), ("envoy.string", b"b"), ("envoy.hashable_string", b"c")),
                        *(("envoy.tcp_proxy.cluster", b"c"), ("envoy.network.upstream_server_name", b"sni")),
                        *(("envoy.network.upstream_subject_alt_names", b"a,b"), ("envoy.upstream.dynamic_host", b"h")),
                        *(("envoy.network.ip", b"1.2.3.4"), ("envoy.network.ip", b"::1"), ("envoy.network.ip", b"x")),
                        *(("nope", b"x"), ("envoy.string", b""), ("envoy.string", b"\xff")),
                    )
                )
            )
            + foreign("set_envoy_filter_state", b"\xff")
            + foreign("set_envoy_filter_state", b""),
            "L": attribute("filter_state", "envoy.string") + set_object("envoy.string", b"late"),
        },
    ),
    "signatures verified": Scenario(
        {},
        {
            "H": "".join(
                verify(name, signature, b"text", der=RSA_KEY.public)
                for name, signature in (
                    *(
                        (b"sha256", RSA_SIGNED),
                        (b"SHA256", RSA_SIGNED),
                        (b"sha1", RSA_SIGNED),
                        (b"sha256", b""),
                    ),
                    *((b"md5", RSA_SIGNED), (b"", RSA_SIGNED), (b"sha512-256", RSA_SIGNED), (b"sha256", b"x")),
                )
            )
            + "".join(
                verify(b"sha256", RSA_SIGNED, b"text", der=der, pem=pem)
                for der, pem in (
                    *((b"", RSA_KEY.public_pem), (RSA_KEY.public, RSA_KEY.public_pem), (b"", b""), (b"x", b"")),
                    *((b"", b"x"), (RSA_KEY.public + b"more", b""), (RSA_KEY.private, b""), (b"", RSA_KEY.private_pem)),
                    *((RSA_KEY.public_pkcs1, b""), (b"", RSA_KEY.public_pkcs1_pem), (RSA_KEY.public[:40], b"")),
                    *((EC_KEY.public, b""), (ED_KEY.public, b"")),
                )
            )
            + verify(b"sha256", RSA_SIGNED, b"another", der=RSA_KEY.public)
            + verify(b"sha256", EC_SIGNED, b"text", der=EC_KEY.public)
            + verify(b"sha256", EC_SIGNED, b"another", der=EC_KEY.public)
            + verify(b"sha256", EC_SIGNED, b"text", pem=EC_KEY.public_pem)
            + verify(b"\xff", RSA_SIGNED, b"text", der=RSA_KEY.public)
            + foreign("verify_signature", b"\xff")
            + foreign("verify_signature", b"")
        },
    ),
    "signatures made": Scenario(
        {},
        {
            "H": "".join(
                sign(b"sha256", b"text", der=der, pem=pem)
                for der, pem in (
                    *((RSA_KEY.private, b""), (b"", RSA_KEY.private_pem), (b"", RSA_KEY.private_pkcs1_pem), (b"", b"")),
                    *((RSA_KEY.private, RSA_KEY.private_pem), (RSA_KEY.private_pkcs1, b""), (RSA_KEY.public, b"")),
                    *((b"", RSA_KEY.public_pem), (b"x", b""), (b"", b"x"), (RSA_KEY.private + b"more", b"")),
                    *((ED_KEY.private, b""), (EC_KEY.private_traditional, b"")),
                )
            )
            + sign(b"md5", b"text", der=RSA_KEY.private)
            + sign(b"sha512", b"", der=RSA_KEY.private)
            + sign(b"sha256", b"text", der=EC_KEY.private, call=foreign_status)
            + foreign("sign", b"\xff")
        },
    ),
    "expressions": Scenario(
        {},
        {
            "K": "".join(foreign("expr_create", source.encode()) for source in EXPRESSIONS) + evaluate(0, 1, 99),
            "H": set_attribute("text", "mine") + set_attribute("struct", STRUCT) + evaluate(*range(len(EXPRESSIONS))),
            "h": evaluate(*range(len(EXPRESSIONS))),
            "L": evaluate(*range(len(EXPRESSIONS))),
        },
        {"method": "GET", "path": "/a?b", "headers": {"x-a": "1"}},
        settings=DESCRIBED,
    ),
    "expressions refused": Scenario(
        {},
        {
            "H": "".join(
                foreign("expr_create", source)
                for source in (b"1 +", b"", b"\xff", b"nope(1)", b"'a'.nope()", b"1", b"(", b"request.", b"2")
            )
            + evaluate(0, 1, 2, 3)
            + "".join(
                foreign(name, data)
                for name in ("expr_evaluate", "expr_delete")
                for data in (b"", b"abc", b"\1\0\0\0\0")
            )
            + "".join(foreign("expr_delete", bytes([token, 0, 0, 0])) for token in (2, 2, 99))
            + evaluate(2, 3)
        },
    ),
    "expressions and the effective context": Scenario(
        {},
        {
            "H": foreign("expr_create", b"request.path")
            + note("E", "(call $proxy_set_effective_context (i32.const 1))")
            + evaluate(0)
        },
    ),
    "route by filter state": Scenario(
        {},
        {"H": ROUTE + set_object("envoy.string", b"b") + ROUTE, **dict.fromkeys("hL", ROUTE)},
        settings={"routes": [Route("b", filter_state={"envoy.string": "b"})]},
    ),
    "route by filter state, route cache cleared": Scenario(
        {},
        {
            "H": ROUTE + set_object("envoy.string", b"b") + foreign("clear_route_cache", b"ignored") + ROUTE,
            **dict.fromkeys("hL", ROUTE),
        },
        settings={"routes": [Route("b", filter_state={"envoy.string": "b"})]},
    ),
    "route cache cleared too late": Scenario(
        {},
        dict.fromkeys("KBhLDX", set_object("envoy.string", b"b") + foreign("clear_route_cache") + ROUTE),
        POST,
        settings={"routes": [Route("b", filter_state={"envoy.string": "b"})]},
    ),
    "route cache cleared in the response": Scenario(
        {},
        {
            "h": set_object("envoy.string", b"b") + foreign("clear_route_cache") + ROUTE,
            **dict.fromkeys("bLD", ROUTE),
        },
        settings={"routes": [Route("b", filter_state={"envoy.string": "b"})]},
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_foreign_functions_do_what_they_do_in_envoy(name: str, tmp_path: Path) -> None:
    mine, theirs = on_both(SCENARIOS[name], tmp_path)
    assert mine == theirs
