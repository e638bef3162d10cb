"""A filter that asks much of the language itself and of what filters compute with, once it runs."""

from __future__ import annotations

import array
import base64
import bisect
import calendar
import collections
import contextlib
import copy
import dataclasses
import datetime
import decimal
import fractions
import functools
import hashlib
import heapq
import hmac
import io
import ipaddress
import itertools
import json
import logging
import math
import operator
import random
import re
import secrets
import struct
import time
import types
import typing
import unicodedata
import urllib.parse
import uuid
import warnings
import zlib
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping

from pywasm_filter import LogLevel, RootContext, log, register_root_context

_TEXT = "The quick brown f\u00f6x \u4f60\u597d \U0001f98a jumps, over\tthe lazy dog.\r\nNext line"


class Base:
    """Attributes, properties, operators."""

    slotted = 1

    def __init__(self, value: int) -> None:
        self.value = value

    @property
    def double(self) -> int:
        return self.value * 2

    @classmethod
    def made(cls, text: str) -> Base:
        return cls(int(text))

    @staticmethod
    def constant() -> str:
        return "constant"

    def __add__(self, other: object) -> Base:
        return type(self)(self.value + other.value) if isinstance(other, Base) else NotImplemented

    def __radd__(self, other: object) -> Base:
        return self if other == 0 else NotImplemented

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Base) and self.value == other.value

    def __lt__(self, other: Base) -> bool:
        return self.value < other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"

    def __len__(self) -> int:
        return self.value

    def __getitem__(self, key: int | slice) -> typing.Any:
        return list(range(self.value))[key]

    def __contains__(self, item: object) -> bool:
        return item == self.value

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.value))

    def __call__(self, *args: int, **kwargs: int) -> tuple[tuple[int, ...], dict[str, int]]:
        return args, kwargs

    def __enter__(self) -> Base:
        return self

    def __exit__(self, *error: object) -> bool:
        return error[0] is ValueError

    def __getattr__(self, name: str) -> str:
        if name.startswith("_"):
            raise AttributeError(name)
        return f"no {name}"


class Derived(Base):
    """With slots and a super call."""

    __slots__ = ("extra",)

    def __init__(self, value: int, extra: str = "extra") -> None:
        super().__init__(value)
        self.extra = extra


@dataclasses.dataclass(slots=True, kw_only=True)
class Record:
    """A dataclass with defaults."""

    name: str
    tags: list[str] = dataclasses.field(default_factory=list)
    weight: float = 1.0

    def __post_init__(self) -> None:
        self.name = self.name.title()


def _generator(count: int) -> Generator[int, int, str]:
    total = 0
    try:
        for number in range(count):
            total += (yield number) or 0
    finally:
        total += 1000
    return f"total {total}"


def _delegating() -> Generator[int, int, str]:
    return (yield from _generator(3))


async def _numbers() -> AsyncIterator[int]:
    for number in range(3):
        yield number


async def _collected() -> list[int]:
    return [number async for number in _numbers()]


def _run(coroutine: typing.Any) -> object:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError


def _driven() -> list[object]:
    generator = _delegating()
    values: list[object] = [next(generator), generator.send(5), generator.send(7)]
    try:
        generator.send(9)
    except StopIteration as stop:
        values.append(stop.value)
    closed = _generator(2)
    next(closed)
    closed.close()
    return values


def _caught(function: Callable[[], object]) -> str:
    try:
        return f"returned {function()!r}"
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, UnicodeError) as error:
        return f"{type(error).__name__}"
    finally:
        functools.reduce(operator.add, [1, 2])


def _chained() -> list[str]:
    names = []
    try:
        try:
            dict[str, int]()["missing"]
        except KeyError as error:
            raise RuntimeError("second") from error
    except RuntimeError as error:
        names += [str(error), repr(error.__cause__)]
    try:
        raise ExceptionGroup("group", [ValueError("a"), TypeError("b")])
    except* ValueError as group:
        names.append(str(len(group.exceptions)))
    except* TypeError as group:
        names.append(repr(group.exceptions[0]))
    return names


def _matched(value: typing.Any) -> str:
    match value:
        case {"kind": "point", "at": [x, y], **rest}:
            return f"point {x} {y} {sorted(map(str, rest))}"
        case [first, *others] if first:
            return f"list {first} {others}"
        case Base(value=3) | Derived():
            return "object"
        case str() as text:
            return f"text {text}"
        case None:
            return "none"
        case _:
            return "other"


def texts() -> list[object]:
    """Methods of str, formats."""
    text, number = _TEXT, 1234.5678
    return [
        text.lower(),
        text.upper(),
        text.casefold().title(),
        text.swapcase().capitalize(),
        text.split(),
        text.split("o", 2),
        text.rsplit(" ", 1),
        text.splitlines(),
        text.partition(","),
        text.rpartition("o"),
        text.replace("o", "0", 2),
        text.find("fox"),
        text.rfind("o"),
        text.index("quick"),
        text.count("e"),
        text.startswith(("a", "The")),
        text.endswith("line"),
        text.strip("Te"),
        "..a..".lstrip("."),
        "..a..".rstrip("."),
        "-".join(["a", "b", "\u00e9"]),
        "7".zfill(3) + "x".center(5, "*") + "y".ljust(3) + "z".rjust(3),
        text.translate(str.maketrans("aeiou", "12345", "T")),
        "a\tb".expandtabs(4),
        "prefix-x".removeprefix("prefix-").removesuffix("x"),
        [kind() for kind in ("a1".isalnum, "ab".isalpha, "12".isdigit, " ".isspace, "Ab".istitle, "a".isidentifier)],
        text.encode(),
        text.encode("utf-16-le")[:12],
        text.encode("ascii", "replace"),
        text.encode("latin-1", "xmlcharrefreplace"),
        text.encode("ascii", "backslashreplace"),
        "".join(reversed("abc")),
        text[2:9:2] + text[-3:] + text[0],
        ord("\u00e9"),
        chr(0x1F98A),
        ascii(text),
        repr(text),
        hash("a") == hash("a"),
        f"{number:,.2f}|{number:>12.1f}|{number:e}|{number!r}|{42:08b}|{255:#x}|{-7:+d}|{0.25:.0%}|{'s':^5}|{1_000_000:_}",
        operator.mod("%s %d %5.2f %x %r %%", ("a", 3, 2.5, 255, "q")),
        "{0} {name!r:>6} {1[2]}".format(1, "abc", name="n"),
        format(3.14159, ".3g"),
        "a" < "b" <= "b",
        "x" * 3 + "y",
        "\u00e9" in text,
        unicodedata.normalize("NFD", "\u00e9") != "\u00e9",
        unicodedata.name("\u00e9"),
    ]


def octets() -> list[object]:
    """Bytes, buffers, numbers in them."""
    data = b"GET /path?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"
    buffer = bytearray(data)
    buffer += b"more"
    buffer[0:3] = b"PUT"
    buffer.extend([1, 2])
    del buffer[-1]
    view = memoryview(data)[4:9]
    return [
        data.decode(),
        bytes(buffer),
        view.tobytes(),
        view.nbytes,
        data.split(b"\r\n"),
        data.partition(b" "),
        data.find(b"Host"),
        data.replace(b"a", b"bb"),
        data.lower().upper().title().startswith(b"GET"),
        data.strip(b"\r\n").endswith(b"a"),
        data.hex(" ", 4),
        bytes.fromhex("00ff 10"),
        b"".join([b"a", b"b"]),
        data[0],
        data[1:4],
        list(data[:3]),
        b"%d %s" % (5, b"x"),
        b"\xff\xfe".decode("utf-8", "replace"),
        b"\xe9".decode("latin-1"),
        _caught(lambda: b"\xff".decode()),
        b"a" in data,
        data.translate(None, b"/"),
        (1 << 70).to_bytes(10, "big"),
        int.from_bytes(b"\x01\x02", "little", signed=True),
        struct.pack("<BHIqd4s", 1, 2, 3, -4, 1.5, b"ab"),
        struct.unpack(">HB", b"\x01\x02\x03"),
        struct.calcsize("<IQ"),
        array.array("H", [1, 2, 3]).tobytes(),
        io.BytesIO(data).readline(),
        [line.rstrip() for line in io.StringIO("a\nb\n")],
        base64.b64encode(data),
        base64.urlsafe_b64decode(b"_-8="),
        base64.b64decode("aGVsbG8="),
        base64.b32encode(b"hello"),
        base64.b16decode("FF"),
        zlib.decompress(zlib.compress(data * 50, 6)) == data * 50,
        zlib.adler32(data),
        _deflated(data),
    ]


def _deflated(data: bytes) -> object:
    compressor = zlib.compressobj(wbits=31)
    packed = compressor.compress(data) + compressor.flush()
    return zlib.decompressobj(wbits=47).decompress(packed) == data


def numbers() -> list[object]:
    """Integers small and large, floats, fractions and decimals."""
    big = 3**200
    return [
        [7 // 2, -7 // 2, 7 % -3, divmod(-7, 2), 2**10, 2**-1, 7 / 2, -7 >> 1, 1 << 40, 6 & 3, 6 | 3, 6 ^ 3, ~6],
        [big % 1_000_007, big // 3**190, str(big)[:20], big.bit_length(), int(str(big)) == big, pow(3, 100, 1_000_007)],
        [
            big * big == 3**400,
            big - 1 < big,
            -big + big,
            (big << 7) >> 7 == big,
            big & 0xFFFF,
            math.isqrt(big) ** 2 <= big,
        ],
        [
            int("ff", 16),
            int(" 12 "),
            int("0b11", 0),
            int(3.9),
            hex(255),
            oct(8),
            bin(5),
            abs(-3),
            round(2.5),
            round(3.14159, 2),
        ],
        [
            float("1e3"),
            float("inf"),
            0.1 + 0.2,
            1e308 * 10,
            repr(1e22),
            5.0 // 2,
            -5.5 % 2,
            (2.5).is_integer(),
            (0.75).hex(),
        ],
        [
            math.floor(-2.5),
            math.ceil(2.1),
            math.trunc(2.9),
            math.sqrt(2),
            math.sin(1),
            math.log(10),
            math.exp(1),
            math.pi,
        ],
        [math.gcd(12, 18), math.comb(10, 3), math.hypot(3, 4), math.fsum([0.1] * 10), math.isclose(0.1 + 0.2, 0.3)],
        [complex(1, 2) * complex(3, -1), abs(complex(3, 4))],
        [str(fractions.Fraction(3, 9) + fractions.Fraction("0.25"))],
        [str(decimal.Decimal("10.25").quantize(decimal.Decimal("0.1"))), str(decimal.Decimal(2).sqrt())],
        [str(decimal.Decimal("1.10") * 3), decimal.Decimal("1.5") > 1, int(decimal.Decimal("7.9"))],
        [sum([1, 2, 3]), sum([0.5, 0.25]), min(3, 1, 2), max([1, 5], key=lambda value: -value), any([0, 1]), all([])],
        [True + True, bool([]), isinstance(True, int), 3 == 3.0, hash(3) == hash(3.0), 1 < 2 < 3],
        [
            _caught(lambda: 1 // 0),
            _caught(lambda: int("x")),
            _caught(lambda: [][1]),
            _caught(lambda: operator.add("a", 1)),
        ],
    ]


def containers() -> list[object]:
    """Lists, tuples, dictionaries, sets, and what works on them."""
    items = [5, 3, 8, 1]
    items.append(9)
    items.insert(1, 7)
    items.extend(range(2))
    items.remove(3)
    popped = [items.pop(), items.pop(0)]
    ordered = sorted(items, reverse=True)
    items.sort(key=lambda value: (-value % 3, value))
    items[1:3] = [100, 200, 300]
    del items[0]
    words = ["pear", "fig", "apple", "fig"]
    table: dict[str, typing.Any] = {word: len(word) for word in words}
    table.update(kiwi=4, **{"plum": 5})
    table.setdefault("list", []).append(1)
    removed = table.pop("fig", None)
    merged = table | {"extra": {"deep": [1, (2, 3)]}}
    counted = collections.Counter(words)
    grouped = collections.defaultdict(list)
    for word in words:
        grouped[len(word)].append(word)
    queue = collections.deque([1, 2, 3], maxlen=3)
    queue.append(4)
    queue.rotate(1)
    ordered_table = collections.OrderedDict(b=1, a=2)
    ordered_table.move_to_end("b")
    heap = [5, 1, 4]
    heapq.heapify(heap)
    chained = collections.ChainMap({"a": 1}, {"a": 2, "b": 3})
    numbers_ = {1, 2, 3}
    numbers_.add(4)
    numbers_.discard(9)
    first, *rest = words
    copied = copy.deepcopy(merged)
    copied["extra"]["deep"].append(4)
    return [
        items,
        popped,
        ordered,
        list(reversed(items)),
        items.index(300),
        items.count(100),
        [1, 2] + [3] * 2,
        [1, 2] < [1, 3],
        (1, "a") == (1, "a"),
        merged,
        removed,
        list(merged.items())[:2],
        sorted(merged),
        "pear" in merged,
        merged.get("nothing", "default"),
        counted.most_common(1),
        dict(grouped),
        list(queue),
        list(ordered_table),
        [heapq.heappop(heap), heapq.heappushpop(heap, 0), heapq.nsmallest(2, [3, 1, 2]), heapq.nlargest(1, [3, 1])],
        bisect.bisect([1, 3, 5], 3),
        dict(chained),
        sorted(numbers_ | {7}),
        sorted(numbers_ & {1, 9}),
        sorted(numbers_ - {1}),
        sorted(numbers_ ^ {1, 9}),
        numbers_ >= {1},
        sorted(frozenset("abca")),
        rest,
        first,
        copied["extra"],
        copy.copy(items) == items,
        list(zip("ab", [1, 2], strict=True)),
        list(enumerate("ab", 1)),
        list(map(operator.mul, [1, 2], [3, 4])),
        list(filter(None, [0, 1, "", "a"])),
        list(itertools.chain([1], (2,), itertools.repeat(3, 2))),
        list(itertools.islice(itertools.count(5, 2), 3)),
        [(key, list(group)) for key, group in itertools.groupby("aabc")],
        list(itertools.product("ab", [1, 2])),
        list(itertools.combinations("abc", 2)),
        list(itertools.permutations([1, 2])),
        list(itertools.takewhile(lambda value: value < 3, [1, 2, 5, 1])),
        list(itertools.zip_longest([1], [2, 3], fillvalue=0)),
        operator.itemgetter(1, 0)("ab"),
        operator.attrgetter("value")(Base(3)),
        types.SimpleNamespace(a=1).a,
        dict.fromkeys("ab", 0),
        {key: value for key, value in zip("ab", range(2), strict=True) if value},
        {value % 2 for value in range(5)} == {0, 1},
        slice(1, 5, 2).indices(4),
        list(range(10, 0, -3)),
        5 in range(0, 10, 5),
    ]


def objects() -> list[object]:
    """Classes, calls, exceptions, generators, coroutines, matching."""
    thing: typing.Any = Derived.made("3")
    anything: typing.Any = object()
    with thing as same, contextlib.suppress(KeyError):
        raise ValueError
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: None)
    function = functools.partial(thing, 1, key=2)
    closure = [lambda step=step: step + thing.value for step in range(2)]
    record = Record(name="some name", tags=["a"])
    return [
        [
            repr(thing),
            thing.double,
            thing + Base(4) == Base(7),
            sum([Base(1), Base(2)], Base(0)).value,
            sorted([Base(2), Base(1)])[0].value,
        ],
        [len(thing), list(thing), thing[1], thing[0:2], 3 in thing, same is thing, thing.missing, Base.constant()],
        [
            function(3),
            closure[1](),
            bool(Base(0)),
            callable(thing),
            hasattr(thing, "_none"),
            getattr(thing, "_none", 5),
        ],
        [isinstance(thing, Base), issubclass(Derived, Base), type(thing).__mro__[1].__name__, thing.__dict__],
        [repr(record), dataclasses.asdict(record), dataclasses.replace(record, weight=2.5) == record],
        [vars(types.SimpleNamespace(x=1)), id(thing) == id(same), Derived.slotted],
        _driven(),
        _run(_collected()),
        [_matched(value) for value in ({"kind": "point", "at": [1, 2], "z": 3}, [1, 2], [0], thing, "t", None, 1.5)],
        _chained(),
        [_caught(lambda: thing.value.nothing), _caught(lambda: anything + 1), _caught(lambda: anything[[]])],
        _caught(lambda: _Recursion.endless(1)),
    ]


class _Recursion:
    @staticmethod
    def endless(depth: int) -> int:
        if depth > 50:
            raise ValueError(depth)
        return _Recursion.endless(depth + 1)


def web() -> list[object]:
    """What filters do with requests: JSON, tokens, addresses, URLs, dates, patterns."""
    document = {
        "user": {
            "id": 7,
            "name": "J\u00f6rg \U0001f600",
            "tags": ["a", "b"],
            "score": 1.25e-3,
            "active": True,
            "x": None,
        }
    }
    encoded = json.dumps(document, separators=(",", ":"), sort_keys=True)
    pretty = json.dumps(document, indent=2, ensure_ascii=False)
    signature = hmac.digest(b"key", encoded.encode(), "sha256")
    address = ipaddress.ip_address("192.168.1.7")
    moment = datetime.datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=datetime.UTC)
    pattern = re.compile(r"^/(?P<version>v\d+)/users/(?P<user>[^/?]+)(?:/(?P<rest>.*))?$")
    found = pattern.match("/v2/users/jane%20doe/orders")
    assert found is not None
    return [
        encoded,
        pretty,
        json.loads(pretty) == document,
        json.loads(b'[1, 2.5, -3e2, "\\u00e9\\n", {"a": []}]'),
        _caught(lambda: json.loads('{"a": }')),
        json.dumps([float("nan"), {1: 2}, (3,), "\x00"]),
        json.dumps(moment, default=str),
        [hashlib.sha256(b"a").hexdigest(), hashlib.md5(b"a").hexdigest(), hashlib.sha1(b"a").hexdigest()],
        [
            hashlib.sha512(b"a" * 200).hexdigest()[:16],
            hashlib.blake2s(b"a", key=b"k").hexdigest()[:16],
            hashlib.sha3_512(b"a").hexdigest()[:16],
        ],
        signature.hex(),
        hmac.compare_digest(signature, hmac.new(b"key", encoded.encode(), hashlib.sha256).digest()),
        [hmac.new(b"k", b"m", kind).hexdigest()[:8] for kind in ("sha1", "sha384", "sha512", "md5")],
        [
            str(address),
            address.is_private,
            address in ipaddress.ip_network("192.168.0.0/16"),
            str(ipaddress.ip_address("2001:db8::1")),
        ],
        urllib.parse.urlsplit("https://user:pw@example.test:8443/a/b;c?x=1&y=%20#f")._asdict(),
        urllib.parse.parse_qsl("a=1&b=%C3%A9&c=", keep_blank_values=True),
        urllib.parse.urlencode({"a": [1, 2], "b": "\u00e9 "}, doseq=True),
        [
            urllib.parse.quote("a/b c"),
            urllib.parse.unquote("%7Ea%20"),
            urllib.parse.urljoin("http://a/b/c", "../d"),
            urllib.parse.quote_plus("a b"),
        ],
        found.groupdict(),
        [found.group(2), found.span("user"), found.start(), pattern.match("/nothing")],
        re.sub(r"\b(\w)(\w*)", lambda match: match[1].upper() + match[2], "some words here"),
        re.split(r"[,;]\s*", "a, b;c"),
        re.findall(r"\d{2,3}?", "12345"),
        [match.group() for match in re.finditer(r"[a-c]+|x(?!y)", "abcx xy c", re.IGNORECASE)],
        re.fullmatch(rb"(?s)a.*z", b"a\nz") is not None,
        re.findall(r"(?<![\w@])@([a-z]{2,})\b", "mail me@home or @jane"),
        re.escape("a.b*c"),
        re.compile(r"(\d+)-(\d+)|(?:x|y)+\s\S").sub(r"\2-\1", "10-20 xy z"),
        [
            moment.isoformat(),
            moment.timestamp(),
            moment.strftime("%a, %d %b %Y %H:%M:%S GMT"),
            moment.date().isoformat(),
        ],
        [(moment + datetime.timedelta(days=1, hours=2)).isoformat(), (moment - moment.replace(year=2023, day=28)).days],
        [datetime.datetime.fromisoformat("2024-01-02T03:04:05+02:00").astimezone(datetime.UTC).isoformat()],
        [
            moment.weekday(),
            moment < moment + datetime.timedelta(seconds=1),
            str(datetime.timedelta(hours=30)),
            calendar.timegm(moment.timetuple()),
        ],
        [time.strftime("%Y", time.gmtime(0)), time.time() > 0, time.monotonic() > 0, time.perf_counter() > 0],
        str(uuid.UUID("12345678123456781234567812345678")),
        [
            uuid.uuid4().version,
            len(secrets.token_hex(8)),
            0 <= random.random() < 1,
            random.Random(7).randint(1, 1000) > 0,
        ],
    ]


def told() -> list[object]:
    """What is said on the side: warnings, logging."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=1)
    record = logging.LogRecord("name", logging.INFO, "file.py", 1, "value %s", ("x",), None)
    return [str(caught[0].message), logging.Formatter("%(levelname)s %(message)s").format(record)]


PARTS: Mapping[str, Callable[[], list[object]]] = {
    part.__name__: part for part in (texts, octets, numbers, containers, objects, web, told)
}


def results() -> dict[str, list[str]]:
    """What each part answers, as text."""
    return {name: [repr(value) for value in part()] for name, part in PARTS.items()}


class Root(RootContext):
    """Tells what it answers, a part at a time."""

    def on_configure(self, configuration: bytes) -> bool:
        """Tell."""
        for name, values in results().items():
            log(LogLevel.INFO, json.dumps([name, values]))
        return True


register_root_context(Root)
