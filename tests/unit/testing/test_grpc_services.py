"""What a test can say of gRPC services."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywasm_filter.testing import Delay, GrpcHandler, GrpcReply, GrpcServices, Headers, NoAnswer, Refuse, Reset
from pywasm_filter.testing.grpc import checked_metadata, decode_binary, encode_binary


def test_a_reply_has_one_message_unless_it_says_otherwise() -> None:
    assert GrpcReply().messages == (b"",)
    assert GrpcReply(b"x").messages == (b"x",)
    assert GrpcReply(messages=[b"x", b"y"]).messages == (b"x", b"y")
    assert GrpcReply(messages=[]).messages == ()
    assert GrpcReply(status=5).messages == ()
    assert GrpcReply(b"x", status=5).messages == (b"x",)


def test_a_reply_keeps_its_metadata_in_lower_case() -> None:
    reply = GrpcReply(initial_metadata={"X-A": "1"}, trailing_metadata=[("x-b-bin", "AP8"), ("x-b-bin", "AA==")])
    assert reply.initial_metadata.raw == [(b"x-a", b"1")]
    assert reply.trailing_metadata.getall("x-b-bin") == ["AP8", "AA=="]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: GrpcReply(b"", messages=[]), "not both"),
        (lambda: GrpcReply(status=17), "a number from 0 to 16, not 17"),
        (lambda: GrpcReply(status=-1), "not -1"),
        (lambda: GrpcReply(initial_metadata={":path": "/"}), "':path' is no metadata"),
        (lambda: GrpcReply(trailing_metadata={"Grpc-Status": "0"}), "'grpc-status' is no metadata"),
        (lambda: GrpcReply(trailing_metadata={"TE": "0"}), "'te' is no metadata"),
        (lambda: GrpcReply(trailing_metadata={"x": "é"}), "printable ASCII"),
        (lambda: GrpcReply(trailing_metadata={"X-Bin": "?"}), "base64 text"),
    ],
)
def test_a_reply_that_grpc_cannot_say_is_refused(make: Callable[[], GrpcReply], reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        make()


def test_a_reply_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match=r"GrpcReply\.status cannot be changed"):
        GrpcReply().status = 5


@given(st.binary())
def test_binary_metadata_comes_back(value: bytes) -> None:
    text = encode_binary(value)
    assert decode_binary(text) == value
    assert checked_metadata([("x-bin", text)]) == Headers([("x-bin", text)])


def test_services_are_those_of_the_declared_clusters() -> None:
    told: list[tuple[str, Any]] = []
    services = GrpcServices(["a", "b"], lambda cluster, service: told.append((cluster, service)))
    assert list(services) == ["a", "b"]
    assert isinstance(services["a"], GrpcReply)
    refusal = Refuse()
    services["a"] = refusal
    assert told == [("a", refusal)]
    assert services.get("a") is refusal
    del services["a"]
    assert isinstance(services["a"], GrpcReply)
    with pytest.raises(KeyError, match=r"'c' is not declared \(declared are a, b\)"):
        services["c"] = refusal
    with pytest.raises(KeyError, match="none is declared"):
        GrpcServices([])["c"]


@pytest.mark.parametrize(
    "service",
    [
        GrpcReply(),
        lambda _: GrpcReply(),
        Delay(1, GrpcReply()),
        NoAnswer(),
        Reset(),
        Refuse(),
        GrpcHandler,
        GrpcHandler(),
    ],
)
def test_what_can_answer(service: Any) -> None:
    services = GrpcServices(["a"])
    services["a"] = service
    assert services["a"] is service


@pytest.mark.parametrize("service", [None, b"bytes", int])
def test_what_cannot_answer(service: Any) -> None:
    with pytest.raises(TypeError, match="a gRPC cluster is answered by"):
        GrpcServices(["a"])["a"] = service
