import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from proxy_wasm_abi.attributes import PYTHON_TYPES, AttributeGroup, load_attributes

from pywasm_filter import AttributeNotAvailable, NotFound, Properties, SerializationFailure
from pywasm_filter.sdk import attributes as generated
from pywasm_filter.sdk.abi import Status
from pywasm_filter.sdk.attribute_values import HeadersAttribute, StateAttribute
from pywasm_filter.sdk.pairs import encode_pairs

if TYPE_CHECKING:
    from tests.unit.sdk.conftest import ScriptedHost

properties = Properties()


def signed(number: int) -> bytes:
    return number.to_bytes(8, "little", signed=True)


def test_strings(host: "ScriptedHost") -> None:
    host.properties[b"source\0address"] = b"10.0.0.1:80"
    host.properties[b"request\0path"] = b"/\xff"
    assert properties.source.address == "10.0.0.1:80"
    assert properties.request.path == "/\udcff"


@pytest.mark.parametrize("number", [0, 1, -1, (1 << 63) - 1, -(1 << 63)])
def test_numbers(host: "ScriptedHost", number: int) -> None:
    host.properties[b"source\0port"] = signed(number)
    assert properties.source.port == number


def test_numbers_without_sign(host: "ScriptedHost") -> None:
    host.properties[b"connection\0id"] = b"\xff" * 8
    assert properties.connection.id == (1 << 64) - 1


def test_truth(host: "ScriptedHost") -> None:
    host.properties[b"connection\0mtls"] = b"\1"
    assert properties.connection.mtls is True
    host.properties[b"connection\0mtls"] = b"\0"
    assert properties.connection.mtls is False


def test_times(host: "ScriptedHost") -> None:
    host.properties[b"request\0time"] = signed(1_700_000_000_123_456_789)
    host.properties[b"request\0duration"] = signed(1_500_000_999)
    assert properties.request.time == datetime(2023, 11, 14, 22, 13, 20, 123456, UTC)
    assert properties.request.duration == timedelta(seconds=1, microseconds=500_000)


@pytest.mark.parametrize("value", [b"", b"1234567", b"123456789"])
def test_values_of_the_wrong_size_are_refused(host: "ScriptedHost", value: bytes) -> None:
    host.properties[b"source\0port"] = host.properties[b"connection\0mtls"] = value
    with pytest.raises(ValueError, match=f"source.port has {len(value)} bytes, not 8"):
        _ = properties.source.port
    with pytest.raises(ValueError, match=r"connection\.mtls"):
        _ = properties.connection.mtls


def test_an_absent_attribute_says_when_it_is_there(host: "ScriptedHost") -> None:
    with pytest.raises(AttributeNotAvailable) as caught:
        _ = properties.response.code
    assert isinstance(caught.value, NotFound)
    assert caught.value.attribute == "response.code"
    assert str(caught.value) == ("response.code is not available here; it is available from on_response_headers on")


def test_get_answers_none_or_a_default(host: "ScriptedHost") -> None:
    agent: str | None = properties.get(lambda p: p.request.useragent)
    port: int | str = properties.get(lambda p: p.source.port, "none")
    assert (agent, port) == (None, "none")
    host.properties[b"request\0useragent"] = b"curl"
    assert properties.get(lambda p: p.request.useragent, "none") == "curl"


def test_get_hides_no_other_error(host: "ScriptedHost") -> None:
    def fail(_: Properties) -> str:
        raise NotFound("proxy_x", 1)

    with pytest.raises(NotFound):
        properties.get(fail)


def test_headers_are_a_mapping(host: "ScriptedHost") -> None:
    host.properties[b"request\0headers"] = encode_pairs([(b"x-a", b"1,2"), (b":path", b"/\xff")])
    host.properties[b"request\0headers\0x-a"] = b"1,2"
    headers = properties.request.headers
    assert headers["x-a"] == headers.get("x-a") == "1,2"
    assert headers.get("x-b") is None
    assert headers.get("x-b", "none") == "none"
    assert "x-a" in headers
    assert "x-b" not in headers
    assert 3 not in headers
    assert list(headers) == headers.keys() == ["x-a", ":path"]
    assert dict(headers.items()) == {"x-a": "1,2", ":path": "/\udcff"}
    assert len(headers) == 2
    assert repr(headers) == "<HeadersAttribute request.headers>"
    with pytest.raises(KeyError, match="x-b"):
        headers["x-b"]


def test_headers_cannot_be_listed_without_a_stream(host: "ScriptedHost") -> None:
    with pytest.raises(AttributeNotAvailable, match=r"request\.headers"):
        properties.request.headers.items()


def test_filter_state_is_a_mapping(host: "ScriptedHost") -> None:
    host.properties[b"filter_state\0wasm.mine"] = b"\xff"
    state = properties.filter_state
    assert state["wasm.mine"] == state.get("wasm.mine") == b"\xff"
    assert state.get("other", 1) == 1
    assert "wasm.mine" in state
    assert "other" not in state
    assert repr(state) == "<StateAttribute filter_state>"
    with pytest.raises(KeyError, match="other"):
        state["other"]


def test_metadata(host: "ScriptedHost") -> None:
    # As Envoy 1.40 sent it.
    host.properties[b"xds\0route_metadata"] = (
        b"\n.\n\x01f\x12)\n\x17\n\x01s\x12\x12*\x10\n\x0e\n\x01t\x12\t\x11\x00\x00\x00\x00\x00\x00\xf8?"
        b"\n\x0e\n\x01k\x12\t\x1a\x07v-route"
    )
    assert properties.route_metadata == {"f": {"k": "v-route", "s": {"t": 1.5}}}
    with pytest.raises(AttributeNotAvailable, match=r"xds\.cluster_metadata"):
        _ = properties.cluster_metadata


def test_metadata_that_is_not_configured_is_empty(host: "ScriptedHost", monkeypatch: pytest.MonkeyPatch) -> None:
    def no_message(path: bytes, /) -> tuple[int, bytes]:
        return Status.SERIALIZATION_FAILURE, b""

    monkeypatch.setattr(host, "proxy_get_property", no_message)
    assert properties.upstream_host_locality_metadata == {}
    with pytest.raises(SerializationFailure):
        properties.raw("request")


def test_node_metadata(host: "ScriptedHost") -> None:
    host.properties[b"xds\0node"] = b'\n\x02n1\x12\x02c1\x1a\x0c\n\n\n\x01A\x12\x05\x1a\x03x=1"\x03\n\x01r\x0f'
    assert properties.node.metadata == {"A": "x=1"}
    host.properties[b"xds\0node"] = b"\n\x02n1"
    assert properties.node.metadata == {}


def _attribute_of(group: AttributeGroup, name: str) -> Any:
    target: Any = properties
    for part in group.name.split(".") if group.name else []:
        target = getattr(target, part)
    return getattr(target, name)


SAMPLES: dict[str, tuple[bytes, object]] = {
    "str": (b"text", "text"),
    "int": (signed(-5), -5),
    "uint": (signed(5), 5),
    "bool": (b"\1", True),
    "duration": (signed(2_000_000), timedelta(milliseconds=2)),
    "timestamp": (signed(0), datetime(1970, 1, 1, tzinfo=UTC)),
    "metadata": (b"", {}),
    "struct": (b"", {}),
}


@pytest.mark.parametrize(
    ("group", "attribute"),
    [
        pytest.param(group, attribute, id=f"{group.name}.{attribute.name}")
        for group in load_attributes().groups
        for attribute in group.attributes
    ],
)
def test_each_attribute_of_the_table_is_read_by_its_path(
    host: "ScriptedHost", group: AttributeGroup, attribute: Any
) -> None:
    if attribute.is_group:
        expected = getattr(generated, load_attributes().class_of(attribute.type))
        assert type(_attribute_of(group, attribute.name)) is expected
        return
    if attribute.type in ("headers", "state"):
        host.properties[b"\0".join([*(part.encode() for part in attribute.path), b"name"])] = b"v"
        view = _attribute_of(group, attribute.name)
        assert isinstance(view, HeadersAttribute if attribute.type == "headers" else StateAttribute)
        assert view["name"] in ("v", b"v")
        return
    sample, value = SAMPLES[attribute.type]
    host.properties["\0".join(attribute.path).encode()] = sample
    assert _attribute_of(group, attribute.name) == value
    del host.properties["\0".join(attribute.path).encode()]
    with pytest.raises(AttributeNotAvailable) as caught:
        _attribute_of(group, attribute.name)
    assert caught.value.availability == load_attributes().availability[attribute.availability]


def test_every_type_and_availability_of_the_table_is_used() -> None:
    attributes = [attribute for group in load_attributes().groups for attribute in group.attributes]
    assert {attribute.type for attribute in attributes if not attribute.is_group} == PYTHON_TYPES.keys()
    used = {attribute.availability for attribute in attributes if not attribute.is_group}
    assert used == load_attributes().availability.keys()


def test_filters_without_typed_attributes_do_not_pay_for_their_types() -> None:
    code = "import sys; import pywasm_filter; print({'datetime', 'pywasm_filter.sdk.metadata'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "set()\n"
