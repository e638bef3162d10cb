"""Configurations become values of the filter's types, or one line that says where and why not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import timedelta
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Final, Literal, NewType, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywasm_filter.sdk.configuration import ConfigurationParser, parse_configuration
from pywasm_filter.sdk.exceptions import ConfigurationError

Seconds = NewType("Seconds", float)
Greeting = NewType("Greeting", str)
Port = Annotated[int, "1 to 65535"]


class Mode(Enum):
    ENFORCE = "enforce"
    DRY_RUN = "dry-run"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Word(StrEnum):
    A = "b"
    B = "a"


@dataclass
class Rule:
    prefix: str
    timeout: timedelta = timedelta(seconds=1)
    methods: list[str] = field(default_factory=list)


@dataclass
class Config:
    rules: list[Rule] = field(default_factory=list)
    mode: Mode = Mode.ENFORCE
    ratio: float = 0.5
    limit: int | None = None


def parse(value: Any, target: Any) -> Any:
    return parse_configuration(json.dumps(value).encode(), target)


def refusal(data: Any, target: Any) -> str:
    encoded = data if isinstance(data, bytes) else json.dumps(data).encode()
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration(encoded, target)
    line = str(caught.value)
    assert line.startswith("configuration: ")
    assert line.isprintable()
    return line.removeprefix("configuration: ")


# --- what is read ---


def test_a_dataclass_is_read_with_all_that_is_in_it() -> None:
    data = b'{"rules": [{"prefix": "/a", "timeout": "250ms"}, {"prefix": "/b", "methods": ["GET"]}], "mode": "dry-run"}'
    assert parse_configuration(data, Config) == Config(
        rules=[Rule("/a", timedelta(milliseconds=250)), Rule("/b", methods=["GET"])], mode=Mode.DRY_RUN
    )


def test_an_empty_configuration_is_all_defaults() -> None:
    assert parse_configuration(b"", Config) == parse_configuration(b"{}", Config) == Config()
    assert parse_configuration(b"", dict[str, int]) == {}
    assert ConfigurationParser[Any](Config | None).parse(b"") is None  # type: ignore[arg-type]
    assert refusal(b"", Rule) == "prefix: is missing"
    assert refusal(b"", list[int]) == "is empty; expected an array"


def test_text_and_bytes_are_the_configuration_itself() -> None:
    assert parse_configuration(b'"5"\n', str) == '"5"\n'
    assert parse_configuration("grün".encode(), bytes) == "grün".encode()
    assert ConfigurationParser[Any](Greeting).parse(b"x") == "x"
    assert parse_configuration(b"", str) == ""
    assert refusal(b"a\xff", str) == refusal(b"a\xff", bytes) == "is not UTF-8: byte 0xff at offset 1"


@pytest.mark.parametrize(
    ("target", "given_value", "expected"),
    [
        (bool, True, True),
        (int, -5, -5),
        (int, 1e15, 10**15),
        (int, 5.0, 5),
        (float, 2, 2.0),
        (list[bytes], ["é"], ["é".encode()]),
        (list[int], [1, 2], [1, 2]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (Sequence[int], [1], (1,)),
        (set[str], ["a", "b"], {"a", "b"}),
        (frozenset[Mode], ["enforce"], frozenset([Mode.ENFORCE])),
        (set[tuple[int, ...]], [[1], [2]], {(1,), (2,)}),
        (dict[str, list[int]], {"a": [1]}, {"a": [1]}),
        (Mapping[str, int], {"a": 1}, {"a": 1}),
        (dict[Mode, int], {"dry-run": 1}, {Mode.DRY_RUN: 1}),
        (dict[Literal["x"], int], {"x": 1}, {"x": 1}),
        (Literal["auto", 1, True, None], True, True),
        (Mode, "enforce", Mode.ENFORCE),
        (Mode, "DRY_RUN", Mode.DRY_RUN),
        (Level, 2, Level.HIGH),
        (Level, "LOW", Level.LOW),
        (Word, "a", Word.B),
        (list[Port], [80], [80]),
        (list[Seconds], [0.5], [0.5]),
        (Any, {"a": [1, None, {"b": "c"}]}, {"a": [1, None, {"b": "c"}]}),
        (list, ["a", 1], ["a", 1]),
        (dict, {"a": 1}, {"a": 1}),
        (Optional[int], None, None),  # noqa: UP045
        (Union[int, str], "a", "a"),  # noqa: UP007
        (int | str, 1, 1),
        (int | float, 1, 1),
        (float | int, 1.5, 1.5),
        (str | int, 1e15, 10**15),
        (list[int] | dict[str, int], {"a": 1}, {"a": 1}),
        (Literal["off"] | timedelta, "off", "off"),
        (Literal["off"] | timedelta, "5s", timedelta(seconds=5)),
        (Mode | int | None, "enforce", Mode.ENFORCE),
        (Config | None, {"ratio": 1}, Config(ratio=1.0)),
    ],
)
def test_each_type_has_its_json(target: Any, given_value: Any, expected: Any) -> None:
    got = parse(given_value, target)
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("1.5s", timedelta(seconds=1.5)),
        ("5m", timedelta(minutes=5)),
        ("1h30m", timedelta(minutes=90)),
        ("0.25s", timedelta(milliseconds=250)),
        ("0s", timedelta()),
        ("1h2m3s4ms5us", timedelta(hours=1, minutes=2, seconds=3, milliseconds=4, microseconds=5)),
        ("0.0000005s", timedelta(microseconds=1)),
        (2, timedelta(seconds=2)),
        (0.5, timedelta(seconds=0.5)),
        (0, timedelta()),
    ],
)
def test_durations(text: Any, expected: timedelta) -> None:
    assert parse({"prefix": "", "timeout": text}, Rule).timeout == expected


@pytest.mark.parametrize(
    "text", ["", "s", "1", "5 s", "-1s", "1s1h", "1e3s", "٣s", "1.s", "5s ", "5s\n", True, None, [], -1]
)
def test_what_is_no_duration(text: Any) -> None:
    assert refusal({"prefix": "", "timeout": text}, Rule).startswith(
        'timeout: expected a duration such as "250ms", got '
    )


def test_durations_that_do_not_fit() -> None:
    assert refusal(["999999999999h"], list[timedelta]) == '[0]: expected a shorter duration, got "999999999999h"'
    assert refusal([1e300, 10**50], list[timedelta]).startswith("[0]: expected a shorter duration, got 1e+300; [1]: ")


def test_regular_expressions_are_compiled() -> None:
    pattern = parse({"path": "^/a+$"}, dict[str, re.Pattern[str]])["path"]
    assert pattern.match("/aaa")
    assert refusal({"path": "a("}, dict[str, re.Pattern[str]]) == (
        'path: "a(" is no regular expression: missing ), unterminated subpattern at position 1'
    )
    assert refusal(["(" * 5000 + ")" * 5000], list[re.Pattern[str]]).startswith('[0]: "((((')


def test_dataclasses_of_all_kinds() -> None:
    @dataclass
    class Base:
        name: str
        kind: str = "base"

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Frozen:
        a: int = 1
        b: int
        class_: str = field(default="", metadata={"name": "class"})

    @dataclass
    class Derived(Base):
        extra: int = 0
        computed: int = field(init=False, default=7)

    assert parse({"name": "n", "extra": 2}, Derived) == Derived("n", "base", 2)
    assert parse({"b": 2, "class": "c"}, Frozen) == Frozen(b=2, class_="c")
    assert refusal({"name": "n", "computed": 1}, Derived) == "computed: is not known"
    assert refusal({"b": 2, "class_": "c"}, Frozen) == 'class_: is not known; did you mean "class"?'


@dataclass
class Tree:
    name: str
    children: list[Tree] = field(default_factory=list)


def test_a_dataclass_may_contain_itself() -> None:
    assert parse({"name": "a", "children": [{"name": "b"}]}, Tree) == Tree("a", [Tree("b")])
    assert refusal({"name": "a", "children": [{"name": "b", "children": [{}]}]}, Tree) == (
        "children[0].children[0].name: is missing"
    )


@dataclass
class Allow:
    kind: Literal["allow"]
    path: str


@dataclass
class Limit:
    kind: Literal["limit", "throttle"]
    rate: float


def test_a_literal_field_tells_dataclasses_apart() -> None:
    values = [{"kind": "throttle", "rate": 1}, {"path": "/", "kind": "allow"}, None]
    assert parse(values, list[Allow | Limit | None]) == [Limit("throttle", 1.0), Allow("allow", "/"), None]
    assert (
        refusal([{"kind": "allow", "rate": 1}], list[Allow | Limit]) == "[0].rate: is not known; [0].path: is missing"
    )
    assert refusal([{"path": ""}], list[Allow | Limit]) == "[0].kind: is missing"
    assert refusal([{"kind": "limits"}], list[Allow | Limit]) == (
        '[0].kind: expected "allow", "limit" or "throttle", got "limits"; did you mean "limit"?'
    )


# --- what is refused ---


def test_the_line_names_path_and_reason() -> None:
    rules = [{"prefix": "/a"}, {"prefix": "/b"}, {"prefix": "/c", "timeout": True}]
    assert refusal({"rules": rules}, Config) == 'rules[2].timeout: expected a duration such as "250ms", got true'


@pytest.mark.parametrize(
    ("target", "value", "reason"),
    [
        (Config, {"ration": 1}, 'ration: is not known; did you mean "ratio"?'),
        (Config, {"zzz": 1}, "zzz: is not known"),
        (Config, {"limit": "1"}, 'limit: expected an integer or null, got "1"'),
        (Config, {"limit": True}, "limit: expected an integer or null, got true"),
        (Config, {"limit": 1.5}, "limit: expected an integer, got 1.5"),
        (Config, {"ratio": False}, "ratio: expected a number in range, got false"),
        (Config, {"ratio": "0.5"}, 'ratio: expected a number in range, got "0.5"'),
        (
            Config,
            {"mode": "enforced"},
            'mode: expected "enforce" or "dry-run", got "enforced"; did you mean "enforce"?',
        ),
        (Config, {"mode": 1}, 'mode: expected "enforce" or "dry-run", got 1'),
        (Config, [], "expected an object, got an array"),
        (Config, {"rules": {}}, "rules: expected an array, got an object"),
        (
            Config,
            {"rules": [{}, {"prefix": None}]},
            "rules[0].prefix: is missing; rules[1].prefix: expected a string, got null",
        ),
        (bool, 1, "expected true or false, got 1"),
        (int, False, "expected an integer, got false"),
        (int, 1e300, "expected an integer, got 1e+300"),
        (None, 1, "expected null, got 1"),
        (Literal[1], True, "expected 1, got true"),
        (Level, 3, "expected 1 or 2, got 3"),
        (tuple[int, str], [1], "expected an array of 2, got 1"),
        (set[int], [1, 2, 1], "[2]: 1 is given twice"),
        (dict[str, int], {"a b": "x"}, '["a b"]: expected an integer, got "x"'),
        (dict[Mode, int], {"x": 1}, 'x: expected "enforce" or "dry-run", got "x"'),
        (int | str, [], "expected an integer or a string, got an array"),
    ],
)
def test_what_does_not_fit_is_told(target: Any, value: Any, reason: str) -> None:
    assert refusal(value, target) == reason


@pytest.mark.parametrize(
    ("data", "target", "reason"),
    [
        (b"{", Config, "is not JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        (b"{}\n x", Config, "is not JSON: Extra data at line 2, column 2"),
        (b"\xef\xbb\xbf{}", Config, "is not JSON: Unexpected UTF-8 BOM (decode using utf-8-sig) at line 1, column 1"),
        (b'{"ratio": 1\xff}', Config, "is not UTF-8: byte 0xff at offset 11"),
        (b'{"ratio": 1, "ratio": 2}', Config, "ratio: is given twice"),
        (b'{"a": {"b": 1, "b": 2}}', Any, "a.b: is given twice"),
        (b'{"ratio": NaN}', Config, "ratio: expected a number in range, got NaN"),
        (b'{"a": [-Infinity]}', Any, "a[0]: expected a number in range, got -Infinity"),
        (b'{"ratio": 1e999}', Config, "ratio: expected a number in range, got a number out of range"),
        (b"[" + b"9" * 5000 + b"]", list[int], "[0]: expected an integer, got a number of 5000 digits"),
        (b'{"ratio": 1' + b"0" * 350 + b"}", Config, "ratio: expected a number in range, got 1" + "0" * 59 + "…"),
        (b'["\\ud800"]', list[str], '[0]: half of a surrogate pair in "\\ud800"'),
        (b'{"\\udfff": 1}', Any, '["\\udfff"]: half of a surrogate pair in "\\udfff"'),
        (b'["\\ud83d\\ude00", 1]', list[str], "[1]: expected a string, got 1"),
        (b"[" * 65 + b"]" * 65, Any, "is nested more than 64 deep"),
        (b"[" * 1_000_000, Any, "is nested more than 64 deep"),
        (b'{"a":' * 500_000, Config, "is nested more than 64 deep"),
        (b'["' + b'\\"' * 500_000, Any, "is not JSON: Unterminated string starting at at line 1, column 2"),
    ],
)
def test_hostile_input_is_refused(data: bytes, target: Any, reason: str) -> None:
    assert refusal(data, target) == reason


@pytest.mark.parametrize("number", [b"\0\0\0\0\0\0\x14@", b"\xff\0\0\0\0\0\x14@"])
def test_the_encoding_of_a_struct_is_told(number: bytes) -> None:
    data = b"\n\x0e\n\x01a\x12\t\x11" + number
    assert "; it seems to be a google.protobuf.Struct, which Envoy passes in" in refusal(data, Config)
    assert "Struct" not in refusal(b"\n{", Config)


def test_deep_but_allowed() -> None:
    data = b"[" * 64 + b"]" * 64
    assert json.dumps(parse_configuration(data, Any)).encode() == data


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("rule", "rules"),
        ("Rules", "rules"),
        ("limt", "limit"),
        ("modes", "mode"),
        ("raito", "ratio"),
        ("m", ""),
        ("", ""),
    ],
)
def test_a_key_like_one_that_is_known_is_asked_after(key: str, meant: str) -> None:
    hint = f'; did you mean "{meant}"?' if meant else ""
    assert refusal({key: 1}, Config).endswith(f"is not known{hint}")


def test_only_the_first_few_problems_are_told() -> None:
    assert refusal(["a"] * 1000, list[int]) == (
        "; ".join(f'[{index}]: expected an integer, got "a"' for index in range(5)) + "; and 995 more"
    )
    keys = {f"x{index}": 1 for index in range(20_000)}
    assert refusal(keys, Config).endswith("; and 19995 more")


def test_what_is_shown_is_cut_and_escaped() -> None:
    assert refusal(["\n" + "x" * 100], list[int]) == '[0]: expected an integer, got "\\n' + "x" * 59 + '…"'
    assert refusal({"\n": 1}, Config) == '["\\n"]: is not known'
    assert refusal({"k" * 100: 1}, Config) == '["' + "k" * 60 + '…"]: is not known'


@dataclass
class Range:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low is {self.low},\nhigh only {self.high}\x00\ud800")


def test_a_check_of_the_authors_is_told_at_its_path() -> None:
    assert parse({"low": 1, "high": 2}, Range) == Range(1, 2)
    assert refusal([{"low": 1, "high": 2}, {"low": 2, "high": 1}], list[Range]) == (
        "[1]: low is 2, high only 1\\x00\\ud800"
    )


# --- types that cannot be read ---


@dataclass
class HasInitVar:
    value: InitVar[int]


@dataclass
class Unresolved:
    value: Missing  # type: ignore[name-defined]  # noqa: F821


@dataclass
class SameName:
    a: int = field(metadata={"name": "b"})
    b: int


@dataclass(frozen=True)
class WithList:
    items: list[int]


@dataclass
class Constant:
    value: Final[int] = 3


def test_annotations_may_be_final() -> None:
    assert parse({"value": 4}, Constant) == Constant(4)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (complex, "complex: complex cannot be read from a configuration"),
        (dict[int, str], "dict: the keys of an object are text, not int"),
        (set[list[int]], "set: list cannot be in a set"),
        (set[Rule], "set: Rule cannot be in a set"),
        (set[WithList], "set: WithList cannot be in a set"),
        (re.Pattern[bytes], "Pattern: a pattern in a configuration is a re.Pattern[str]"),
        (str | timedelta, "JSON does not tell the members of this union apart"),
        (list[int] | tuple[str, ...], "JSON does not tell the members of this union apart"),
        (Rule | Config, "JSON does not tell the members of this union apart"),
        (Rule | dict[str, int], "JSON does not tell the members of this union apart"),
        (Literal["enforce"] | Mode, "JSON does not tell the members of this union apart"),
        (Literal[b"x"], "b'x' cannot be read from a configuration"),
        (Unresolved, "Unresolved: name 'Missing' is not defined; the types of its fields must be names of the module"),
        (SameName, "SameName.b: 'b' cannot be its name in JSON"),
    ],
)
def test_a_type_that_cannot_be_read_is_the_authors_mistake(target: Any, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        ConfigurationParser(target)


# --- properties ---

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
TARGETS: list[Any] = [
    Config,
    Rule,
    Tree,
    Allow | Limit,
    dict[str, re.Pattern[str]],
    list[timedelta],
    set[int | str],
    Literal["a", 1] | None,
    Any,
    str,
    float,
    tuple[int, ...] | Mode,
]


@given(JSON_VALUES)
def test_any_value_is_read_as_json_reads_it(value: Any) -> None:
    encoded = json.dumps(value).encode()
    assert parse_configuration(encoded, Any) == json.loads(encoded)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), st.sampled_from(TARGETS))
def test_arbitrary_bytes_are_read_or_refused_in_one_line(data: bytes, target: Any) -> None:
    read_or_refused(data, target)


@given(JSON_VALUES, st.sampled_from(TARGETS))
def test_arbitrary_json_is_read_or_refused_in_one_line(value: Any, target: Any) -> None:
    read_or_refused(json.dumps(value).encode(), target)


@given(
    st.dictionaries(st.sampled_from(["rules", "mode", "ratio", "limit", "rule"]), JSON_VALUES)
    | st.dictionaries(st.sampled_from(["prefix", "timeout", "methods"]), JSON_VALUES).map(
        lambda rule: {"rules": [rule]}
    )
)
def test_arbitrary_members_are_read_or_refused_in_one_line(value: Any) -> None:
    read_or_refused(json.dumps(value).encode(), Config)


def read_or_refused(data: bytes, target: Any) -> None:
    try:
        parse_configuration(data, target)
    except ConfigurationError as error:
        line = str(error)
    else:
        return
    assert line.startswith("configuration: ")
    assert line.isprintable()


@given(st.integers(min_value=0, max_value=10**15))
def test_durations_are_exact(microseconds: int) -> None:
    expected = timedelta(microseconds=microseconds)
    seconds, rest = divmod(microseconds, 1_000_000)
    hours, minutes = divmod(seconds // 60, 60)
    texts = [f"{microseconds}us"] if microseconds < 10**12 else []
    texts += [f"{seconds}.{rest:06}s", f"{hours}h{minutes}m{seconds % 60}s{rest // 1000}ms{rest % 1000}us"]
    assert [parse([text], list[timedelta]) for text in texts] == [[expected]] * len(texts)


def test_filters_that_do_not_use_it_do_not_import_it() -> None:
    program = (
        "import sys, pywasm_filter.sdk.guest\n"
        "assert not {name for name in sys.modules if name.startswith('pywasm_filter.sdk.configuration')}\n"
        "assert 'dataclasses' not in sys.modules, 'dataclasses'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
