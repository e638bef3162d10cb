from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywasm_filter import (
    BadArgument,
    CelExpression,
    ForeignFunctionFailed,
    LifeSpan,
    NotFound,
    PropertyType,
    call_foreign_function,
    clear_route_cache,
    declare_property,
    host_compress,
    host_sign,
    host_uncompress,
    host_verify_signature,
    set_envoy_filter_state,
)
from pywasm_filter.sdk import hostcalls
from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.hostcalls import Unbound
from pywasm_filter.sdk.protobuf import bytes_field, decode_fields, number_field


class ForeignHost(Unbound):
    """Answers each call with what was put into `answers`, and notes it."""

    def __init__(self) -> None:
        self.answers: dict[bytes, tuple[int, bytes]] = {}
        self.calls: list[tuple[bytes, bytes]] = []

    def proxy_call_foreign_function(self, function_name: bytes, arguments: bytes, /) -> tuple[int, bytes]:
        self.calls.append((function_name, arguments))
        return self.answers.get(function_name, (Status.NOT_FOUND, b""))


@pytest.fixture
def foreign() -> Iterator[ForeignHost]:
    host = ForeignHost()
    previous = hostcalls.bind(host)
    yield host
    hostcalls.bind(previous)


def test_a_function_is_called_by_name(foreign: ForeignHost) -> None:
    foreign.answers["größe".encode()] = (0, b"answer")
    assert call_foreign_function("größe", b"arguments") == b"answer"
    assert foreign.calls == [("größe".encode(), b"arguments")]


def test_statuses_become_exceptions(foreign: ForeignHost) -> None:
    with pytest.raises(NotFound, match=r"proxy_call_foreign_function\('nope'\): NOT_FOUND"):
        call_foreign_function("nope")
    foreign.answers[b"bad"] = (Status.BAD_ARGUMENT, b"")
    with pytest.raises(BadArgument):
        call_foreign_function("bad")


def test_functions_without_a_message(foreign: ForeignHost) -> None:
    foreign.answers |= {b"compress": (0, b"small"), b"uncompress": (0, b"large"), b"clear_route_cache": (0, b"")}
    assert host_compress(b"large") == b"small"
    assert host_uncompress(b"small") == b"large"
    clear_route_cache()
    assert foreign.calls == [(b"compress", b"large"), (b"uncompress", b"small"), (b"clear_route_cache", b"")]


def test_declarations(foreign: ForeignHost) -> None:
    foreign.answers[b"declare_property"] = (0, b"")
    declare_property("mine")
    declare_property(
        "all",
        property_type=PropertyType.PROTOBUF,
        read_only=True,
        schema=b"type.googleapis.com/x",
        life_span=LifeSpan.DOWNSTREAM_CONNECTION,
    )
    assert [list(decode_fields(arguments)) for _, arguments in foreign.calls] == [
        [(1, b"mine")],
        [(1, b"all"), (2, 1), (3, 3), (4, b"type.googleapis.com/x"), (5, 2)],
    ]


def test_filter_state(foreign: ForeignHost) -> None:
    foreign.answers[b"set_envoy_filter_state"] = (0, b"")
    set_envoy_filter_state("envoy.string", "wärt", life_span=LifeSpan.DOWNSTREAM_REQUEST)
    assert foreign.calls == [
        (b"set_envoy_filter_state", b"\n\x0cenvoy.string\x12\x05w\xc3\xa4rt\x18\x01"),
    ]
    with pytest.raises(UnicodeEncodeError):
        set_envoy_filter_state("envoy.string", "\udcff")


# --- signatures ---


@pytest.mark.parametrize(("key", "field"), [(b"DER", 2), ("PEM", 5)])
def test_verifying(foreign: ForeignHost, key: bytes | str, field: int) -> None:
    foreign.answers[b"verify_signature"] = (0, b"\x08\x01")
    assert host_verify_signature(b"text", b"signature", public_key=key, hash_function="sha512")
    _, arguments = foreign.calls[0]
    assert dict(decode_fields(arguments)) == {
        1: b"sha512",
        field: key.encode() if isinstance(key, str) else key,
        3: b"signature",
        4: b"text",
    }


def test_another_signature_is_false_and_no_error(foreign: ForeignHost) -> None:
    foreign.answers[b"verify_signature"] = (0, b"\x12&Failed to verify digest. Error code: 0")
    assert not host_verify_signature(b"text", b"signature", public_key=b"key")


@pytest.mark.parametrize("reason", [b"md5 is not supported.", b"Failed to initialize digest verify.", b"\xff"])
def test_what_the_host_cannot_verify_is_an_error(foreign: ForeignHost, reason: bytes) -> None:
    foreign.answers[b"verify_signature"] = (0, bytes_field(2, reason))
    with pytest.raises(ForeignFunctionFailed) as caught:
        host_verify_signature(b"text", b"signature", public_key=b"key", hash_function="md5")
    assert (caught.value.function, caught.value.reason) == ("verify_signature", reason.decode("utf-8", "replace"))
    assert str(caught.value) == f"verify_signature: {reason.decode('utf-8', 'replace')}"


@given(st.binary(max_size=20))
def test_no_answer_but_the_right_one_verifies(answer: bytes) -> None:
    host = ForeignHost()
    host.answers[b"verify_signature"] = (0, answer)
    previous = hostcalls.bind(host)
    try:
        verified = host_verify_signature(b"text", b"signature", public_key=b"key")
    except (ForeignFunctionFailed, ValueError):
        verified = False
    finally:
        hostcalls.bind(previous)
    if verified:
        assert (1, 1) in list(decode_fields(answer))


@pytest.mark.parametrize(("key", "field"), [(b"DER", 2), ("PEM", 4)])
def test_signing(foreign: ForeignHost, key: bytes | str, field: int) -> None:
    foreign.answers[b"sign"] = (0, number_field(1, 1) + bytes_field(2, b"signature"))
    assert host_sign(b"text", private_key=key) == b"signature"
    _, arguments = foreign.calls[0]
    assert dict(decode_fields(arguments)) == {
        1: b"sha256",
        field: key.encode() if isinstance(key, str) else key,
        3: b"text",
    }


def test_what_the_host_cannot_sign_is_an_error(foreign: ForeignHost) -> None:
    foreign.answers[b"sign"] = (0, bytes_field(3, b"Invalid key type"))
    with pytest.raises(ForeignFunctionFailed, match="sign: Invalid key type"):
        host_sign(b"text", private_key=b"key")


# --- expressions ---


@pytest.fixture
def expression(foreign: ForeignHost) -> CelExpression:
    foreign.answers[b"expr_create"] = (0, b"\5\0\0\0")
    return CelExpression("request.path")


def test_an_expression_is_created_evaluated_and_deleted(foreign: ForeignHost, expression: CelExpression) -> None:
    foreign.answers |= {b"expr_evaluate": (0, b"/a"), b"expr_delete": (0, b"")}
    assert (expression.source, expression.evaluate_text(), expression.evaluate_bytes()) == ("request.path", "/a", b"/a")
    expression.delete_expression()
    token = b"\5\0\0\0"
    assert foreign.calls == [
        (b"expr_create", b"request.path"),
        (b"expr_evaluate", token),
        (b"expr_evaluate", token),
        (b"expr_delete", token),
    ]


@pytest.mark.parametrize(("value", "expected"), [(b"\0", False), (b"\1", True)])
def test_expressions_of_type_bool(
    foreign: ForeignHost, expression: CelExpression, value: bytes, expected: bool
) -> None:
    foreign.answers[b"expr_evaluate"] = (0, value)
    assert expression.evaluate_bool() is expected


@pytest.mark.parametrize("number", [0, -1, (1 << 63) - 1])
def test_expressions_of_type_int(foreign: ForeignHost, expression: CelExpression, number: int) -> None:
    foreign.answers[b"expr_evaluate"] = (0, number.to_bytes(8, "little", signed=True))
    assert expression.evaluate_int() == number


@pytest.mark.parametrize("value", [b"", b"true", b"\2"])
def test_values_of_another_type_are_refused(foreign: ForeignHost, expression: CelExpression, value: bytes) -> None:
    foreign.answers[b"expr_evaluate"] = (0, value)
    with pytest.raises(ValueError, match=r"'request.path' is not of type bool: it gave b'"):
        expression.evaluate_bool()
    with pytest.raises(ValueError, match="is not of type int"):
        expression.evaluate_int()


def test_what_is_no_expression_is_refused(foreign: ForeignHost) -> None:
    foreign.answers[b"expr_create"] = (Status.BAD_ARGUMENT, b"")
    with pytest.raises(BadArgument):
        CelExpression("1 +")
