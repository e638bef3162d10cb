"""Foreign functions: those of Envoy's own, with what they take and what they refuse."""

from __future__ import annotations

import zlib

from pywasm_filter.sdk.protobuf import bytes_field, number_field
from tests.conformance.areas.attributes import DESCRIBED, ROUTE
from tests.conformance.areas.keys import EC, ED25519, RSA
from tests.conformance.program import (
    ROOT,
    SELF,
    Operations,
    act_for,
    attribute,
    foreign,
    joined,
    kept,
    set_attribute,
)
from tests.conformance.scenario import Scenario


def declare(
    name: bytes,
    *,
    kind: int = 0,
    read_only: int = 0,
    schema: bytes = b"",
    span: int = 0,
    function: str = "declare_property",
) -> Operations:
    fields = bytes_field(1, name) + number_field(2, read_only) + number_field(3, kind) + bytes_field(4, schema)
    return foreign(function, fields + number_field(5, span))


def set_object(name: str, value: bytes, span: int = 0) -> Operations:
    fields = bytes_field(1, name.encode()) + bytes_field(2, value) + number_field(3, span)
    return foreign("set_envoy_filter_state", fields)


def verify(hash_name: bytes, signature: bytes, text: bytes, *, der: bytes = b"", pem: bytes = b"") -> Operations:
    fields = bytes_field(1, hash_name) + bytes_field(2, der) + bytes_field(3, signature) + bytes_field(4, text)
    return foreign("verify_signature", fields + bytes_field(5, pem))


def sign(hash_name: bytes, text: bytes, *, der: bytes = b"", pem: bytes = b"", shown: str = "") -> Operations:
    fields = bytes_field(1, hash_name) + bytes_field(2, der) + bytes_field(3, text) + bytes_field(4, pem)
    return foreign("sign", fields, shown=shown)


def create(number: int, source: str) -> Operations:
    """Compile an expression, and keep its token."""
    return foreign("expr_create", source.encode(), kept=f"expression {number}")


def evaluate(*numbers: int) -> Operations:
    return joined(foreign("expr_evaluate", kept(f"expression {number}")) for number in numbers)


UNKNOWN = (9999).to_bytes(4, "little")
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
            "H": foreign("compress", b"hello hello hello", shown="none", kept="packed")
            + foreign("uncompress", kept("packed"))
            + foreign("compress", b"", shown="none", kept="packed")
            + foreign("uncompress", kept("packed"))
            + joined(
                [
                    foreign("uncompress", data)
                    for data in (
                        *(zlib.compress(b"x" * 300), zlib.compress(b"x") + b"more", zlib.compress(b"")),
                        *(b"garbage", b"", zlib.compress(b"abc")[:-3], zlib.compress(b"y" * 999)[:8]),
                    )
                ]
            )
        },
    ),
    "properties declared": Scenario(
        {},
        {
            "H": act_for(ROOT)
            + declare(b"my text", kind=1)
            + declare(b"my text", kind=1)
            + declare(b"my once", read_only=1)
            + declare(b"my struct", kind=3, schema=b"type.googleapis.com/google.protobuf.Struct")
            + declare(b"my other", kind=3, schema=b"type.googleapis.com/no.Such")
            + declare(b"connection wide", kind=1, span=2)
            + declare(b"my odd", kind=77, span=99)
            + declare(b"request", kind=1)
            + declare(b"\xff")
            + foreign("declare_property", b"\xff")
            + foreign("declare_property", b"")
            + set_attribute("my text", "in the root")
            + act_for(SELF)
            + declare(b"my text", kind=1)
            + declare(b"my here", read_only=1)
            + joined(
                set_attribute(name, value) + attribute(name) + attribute("filter_state", f"wasm.{name}")
                for name, value in (
                    *(
                        ("my text", b"a\xff"),
                        ("my once", "1"),
                        ("my once", "2"),
                        ("my here", "1"),
                        ("my here", "2"),
                        ("my odd", "o"),
                    ),
                    *(("my struct", STRUCT), ("my other", STRUCT), ("connection wide", "c")),
                )
            )
            + attribute("my struct", "A")
            + attribute("my struct", "no")
            + attribute("my struct", "fields")
            + attribute("filter_state", "wasm.my struct", "A")
            + attribute("my other", "A")
            + attribute("my text", "A"),
            "L": set_attribute("my once", "3") + attribute("my once") + attribute("connection wide"),
        },
    ),
    "filter state of Envoy": Scenario(
        {},
        {
            "H": act_for(ROOT)
            + set_object("envoy.string", b"x")
            + set_object("nope", b"x")
            + act_for(SELF)
            + joined(
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
            "H": joined(
                verify(name, signature, b"text", der=RSA.public)
                for name, signature in (
                    *(
                        (b"sha256", RSA.signed),
                        (b"SHA256", RSA.signed),
                        (b"sha1", RSA.signed),
                        (b"sha256", b""),
                    ),
                    *((b"md5", RSA.signed), (b"", RSA.signed), (b"sha512-256", RSA.signed), (b"sha256", b"x")),
                )
            )
            + joined(
                verify(b"sha256", RSA.signed, b"text", der=der, pem=pem)
                for der, pem in (
                    *((b"", RSA.public_pem), (RSA.public, RSA.public_pem), (b"", b""), (b"x", b"")),
                    *((b"", b"x"), (RSA.public + b"more", b""), (RSA.private, b""), (b"", RSA.private_pem)),
                    *((RSA.public_pkcs1, b""), (b"", RSA.public_pkcs1_pem), (RSA.public[:40], b"")),
                    *((EC.public, b""), (ED25519.public, b"")),
                )
            )
            + verify(b"sha256", RSA.signed, b"another", der=RSA.public)
            + verify(b"sha256", EC.signed, b"text", der=EC.public)
            + verify(b"sha256", EC.signed, b"another", der=EC.public)
            + verify(b"sha256", EC.signed, b"text", pem=EC.public_pem)
            + verify(b"\xff", RSA.signed, b"text", der=RSA.public)
            + foreign("verify_signature", b"\xff")
            + foreign("verify_signature", b"")
        },
    ),
    "signatures made": Scenario(
        {},
        {
            "H": joined(
                sign(b"sha256", b"text", der=der, pem=pem)
                for der, pem in (
                    *((RSA.private, b""), (b"", RSA.private_pem), (b"", RSA.private_pkcs1_pem), (b"", b"")),
                    *((RSA.private, RSA.private_pem), (RSA.private_pkcs1, b""), (RSA.public, b"")),
                    *((b"", RSA.public_pem), (b"x", b""), (b"", b"x"), (RSA.private + b"more", b"")),
                    *((ED25519.private, b""), (EC.private_traditional, b"")),
                )
            )
            + sign(b"md5", b"text", der=RSA.private)
            + sign(b"sha512", b"", der=RSA.private)
            + sign(b"sha256", b"text", der=EC.private, shown="none")
            + foreign("sign", b"\xff")
        },
    ),
    "expressions": Scenario(
        {},
        {
            "H": act_for(ROOT)
            + joined(create(number, source) for number, source in enumerate(EXPRESSIONS))
            + evaluate(0, 1)
            + act_for(SELF)
            + set_attribute("text", "mine")
            + set_attribute("struct", STRUCT)
            + evaluate(*range(len(EXPRESSIONS))),
            "h": evaluate(*range(len(EXPRESSIONS))),
            "L": evaluate(*range(len(EXPRESSIONS)))
            + joined(foreign("expr_delete", kept(f"expression {number}")) for number in range(len(EXPRESSIONS))),
        },
        {"method": "GET", "path": "/a?b", "headers": {"x-a": "1"}},
        settings=DESCRIBED,
    ),
    "expressions refused": Scenario(
        {},
        {
            "H": joined(
                foreign("expr_create", source)
                for source in (b"1 +", b"", b"\xff", b"nope(1)", b"'a'.nope()", b"(", b"request.")
            )
            + create(1, "1")
            + create(2, "2")
            + evaluate(1, 2)
            + joined(
                foreign(name, data)
                for name in ("expr_evaluate", "expr_delete")
                for data in (b"", b"abc", b"\1\0\0\0\0", UNKNOWN)
            )
            + foreign("expr_delete", kept("expression 2"))
            + foreign("expr_delete", kept("expression 2"))
            + evaluate(2, 1)
        },
    ),
    "expressions and the effective context": Scenario(
        {}, {"H": create(0, "request.path") + act_for(ROOT) + evaluate(0) + act_for(SELF) + evaluate(0)}
    ),
    "route by filter state": Scenario(
        {},
        {"H": ROUTE + set_object("envoy.string", b"b") + ROUTE, **dict.fromkeys("hL", ROUTE)},
        settings=DESCRIBED,
    ),
    "route by filter state, route cache cleared": Scenario(
        {},
        {
            "H": ROUTE + set_object("envoy.string", b"b") + foreign("clear_route_cache", b"ignored") + ROUTE,
            **dict.fromkeys("hL", ROUTE),
        },
        settings=DESCRIBED,
    ),
    # In the request's body it depends on whether a connection to the upstream is there already.
    "route cache cleared too late": Scenario(
        {},
        dict.fromkeys("hLDX", set_object("envoy.string", b"b") + foreign("clear_route_cache") + ROUTE),
        settings=DESCRIBED,
    ),
    "route cache cleared in the response": Scenario(
        {},
        {
            "h": set_object("envoy.string", b"b") + foreign("clear_route_cache") + ROUTE,
            **dict.fromkeys("bLD", ROUTE),
        },
        settings=DESCRIBED,
    ),
}
