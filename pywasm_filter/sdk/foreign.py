"""Foreign functions: what a host offers beyond the ABI, by name. The typed ones are Envoy's, as of 1.40.

Other hosts have other functions, or none: then these raise NotFound.
"""

from __future__ import annotations

from enum import IntEnum

from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.exceptions import ForeignFunctionFailed, host_error
from pywasm_filter.sdk.protobuf import bytes_field, decode_fields, number_field

_DIFFERENT_SIGNATURE = "Failed to verify digest"  # how Envoy's reason begins when all but the signature was in order


class PropertyType(IntEnum):
    """Type of a declared property. `WasmType` of Envoy's declare_property."""

    BYTES = 0
    STRING = 1
    FLATBUFFERS = 2
    PROTOBUF = 3


class LifeSpan(IntEnum):
    """How long filter state lives. `LifeSpan` of Envoy's declare_property."""

    FILTER_CHAIN = 0
    DOWNSTREAM_REQUEST = 1
    DOWNSTREAM_CONNECTION = 2


def call_foreign_function(name: str, arguments: bytes = b"") -> bytes:
    """Call a function of the host's. ABI: proxy_call_foreign_function.

    Raises HostError: NotFound where the host has no such function, otherwise what the function answers.
    """
    encoded = name.encode("utf-8", "surrogateescape")
    status, result = hostcalls.current.proxy_call_foreign_function(encoded, arguments)
    if status != 0:
        raise host_error(f"proxy_call_foreign_function({name!r})", status)
    return result


def host_compress(data: bytes) -> bytes:
    """Compress with zlib, in the host's native code. ABI: proxy_call_foreign_function("compress").

    Raises NotFound where the host does not offer it.
    """
    return call_foreign_function("compress", data)


def host_uncompress(data: bytes) -> bytes:
    """What `host_compress`, or zlib elsewhere, compressed. ABI: proxy_call_foreign_function("uncompress").

    Envoy sets no limit to the result: do not give it what strangers compressed. Raises SerializationFailure for data
    that is not zlib's, or cut off; NotFound where the host does not offer it.
    """
    return call_foreign_function("uncompress", data)


def clear_route_cache() -> None:
    """Have Envoy look for the request's route anew. ABI: proxy_call_foreign_function("clear_route_cache").

    For routes that depend on filter state or metadata, and before the request's headers go on: a change of the headers
    does so by itself. Without a stream it has no effect. Raises NotFound where the host does not offer it.
    """
    call_foreign_function("clear_route_cache")


def declare_property(
    name: str,
    *,
    property_type: PropertyType = PropertyType.BYTES,
    read_only: bool = False,
    schema: bytes = b"",
    life_span: LifeSpan = LifeSpan.FILTER_CHAIN,
) -> None:
    """Say of which type a property is that `properties.set_raw(name, …)` sets, for other filters and expressions.

    Call it in the root context (`on_configure`): Envoy ignores what a stream declares. `schema` is the type URL of a
    message for PROTOBUF, a binary schema for FLATBUFFERS. One that is `read_only` can be set once a stream.
    ABI: proxy_call_foreign_function("declare_property"). Raises BadArgument when it is declared already, NotFound where
    the host does not offer it; UnicodeEncodeError for a name that is not Unicode.
    """
    call_foreign_function(
        "declare_property",
        bytes_field(1, name.encode())
        + number_field(2, int(read_only))
        + number_field(3, property_type)
        + bytes_field(4, schema)
        + number_field(5, life_span),
    )


def set_envoy_filter_state(name: str, value: str, *, life_span: LifeSpan = LifeSpan.FILTER_CHAIN) -> None:
    """Set an object of Envoy's own, such as `envoy.tcp_proxy.cluster` or `envoy.network.upstream_server_name`.

    ABI: proxy_call_foreign_function("set_envoy_filter_state"). Raises NotFound for a name of which Envoy knows no
    object, without a stream, and where the host does not offer it; BadArgument for a value that the object refuses;
    UnicodeEncodeError for text that is not Unicode.
    """
    call_foreign_function(
        "set_envoy_filter_state",
        bytes_field(1, name.encode()) + bytes_field(2, value.encode()) + number_field(3, life_span),
    )


def host_verify_signature(
    text: bytes, signature: bytes, *, public_key: bytes | str, hash_function: str = "sha256"
) -> bool:
    """Whether the owner of a key has signed a text: RSA (PKCS #1 v1.5) or ECDSA, by the host's own cryptography.

    `public_key` is a SubjectPublicKeyInfo: DER as bytes, PEM as str. `hash_function` is sha1, sha224, sha256, sha384 or
    sha512. ABI: proxy_call_foreign_function("verify_signature"). Raises ForeignFunctionFailed for a key or a hash
    function that the host does not take, BadArgument without a key, NotFound where the host does not offer it.
    """
    answer = call_foreign_function(
        "verify_signature",
        bytes_field(1, hash_function.encode())
        + (b"" if isinstance(public_key, str) else bytes_field(2, public_key))
        + bytes_field(3, signature)
        + bytes_field(4, text)
        + (bytes_field(5, public_key.encode()) if isinstance(public_key, str) else b""),
    )
    verified, reason = False, ""
    for field, value in decode_fields(answer):
        if field == 1:
            verified = value == 1
        elif field == 2 and isinstance(value, bytes):
            reason = value.decode("utf-8", "replace")
    if verified or reason.startswith(_DIFFERENT_SIGNATURE):
        return verified
    raise ForeignFunctionFailed("verify_signature", reason)


def host_sign(text: bytes, *, private_key: bytes | str, hash_function: str = "sha256") -> bytes:
    """The signature of a text: RSA (PKCS #1 v1.5) or ECDSA, by the host's own cryptography.

    `private_key` is PKCS #8: DER as bytes, PEM as str. `hash_function` is sha1, sha224, sha256, sha384 or sha512.
    ABI: proxy_call_foreign_function("sign"). Raises ForeignFunctionFailed for a key or a hash function that the host
    does not take, BadArgument without a key, NotFound where the host does not offer it.
    """
    answer = call_foreign_function(
        "sign",
        bytes_field(1, hash_function.encode())
        + (b"" if isinstance(private_key, str) else bytes_field(2, private_key))
        + bytes_field(3, text)
        + (bytes_field(4, private_key.encode()) if isinstance(private_key, str) else b""),
    )
    signed, signature, reason = False, b"", ""
    for field, value in decode_fields(answer):
        if field == 1:
            signed = value == 1
        elif field == 2 and isinstance(value, bytes):
            signature = value
        elif field == 3 and isinstance(value, bytes):
            reason = value.decode("utf-8", "replace")
    if not signed:
        raise ForeignFunctionFailed("sign", reason)
    return signature


class CelExpression:
    """An expression in the Common Expression Language over the attributes, compiled by the host.

    Make it once, in the root context, evaluate it in streams: `CelExpression("request.method == 'GET'")`. It belongs to
    the root context whose callback made it, and lives until `delete_expression` or the end of that context.
    """

    __slots__ = ("_token", "source")

    def __init__(self, source: str) -> None:
        """Compile. ABI: proxy_call_foreign_function("expr_create").

        Raises BadArgument for what is no expression (Envoy's log says why), NotFound where the host does not offer it.
        """
        self.source = source
        """The expression, as it is given."""
        self._token = call_foreign_function("expr_create", source.encode("utf-8", "surrogateescape"))

    def evaluate_bytes(self) -> bytes:
        """The value in the host's encoding: strings and bytes as they are, others as attributes are encoded.

        It sees the stream whose callback is running: what goes on after an `await` runs in a callback of the root
        context, which has no request. ABI: proxy_call_foreign_function("expr_evaluate"). Raises InternalFailure when
        the evaluation fails: an attribute is not available, or types do not fit; SerializationFailure for a value
        without encoding, such as null; NotFound when the expression was deleted.
        """
        return call_foreign_function("expr_evaluate", self._token)

    def evaluate_text(self) -> str:
        """The value of an expression of type string. Raises as `evaluate_bytes`."""
        return self.evaluate_bytes().decode("utf-8", "surrogateescape")

    def evaluate_bool(self) -> bool:
        """The value of an expression of type bool. Raises as `evaluate_bytes`; ValueError for another type."""
        value = self.evaluate_bytes()
        if value not in (b"\0", b"\1"):
            raise self._wrong_type(value, "bool")
        return value == b"\1"

    def evaluate_int(self) -> int:
        """The value of an expression of type int. Raises as `evaluate_bytes`; ValueError for another size."""
        value = self.evaluate_bytes()
        if len(value) != 8:
            raise self._wrong_type(value, "int")
        return int.from_bytes(value, "little", signed=True)

    def delete_expression(self) -> None:
        """Have the host forget it. ABI: proxy_call_foreign_function("expr_delete")."""
        call_foreign_function("expr_delete", self._token)

    def _wrong_type(self, value: bytes, wanted: str) -> ValueError:
        return ValueError(f"the expression {self.source!r} is not of type {wanted}: it gave {value[:20]!r}")
