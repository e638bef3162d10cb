"""A filter that asks much of the standard library, at its import and later."""

from __future__ import annotations

import base64
import codecs
import collections
import copy
import csv
import dataclasses
import datetime
import decimal
import difflib
import enum
import functools
import hashlib
import hmac
import html
import inspect
import io
import itertools
import json
import pickle
import pprint
import re
import shlex
import statistics
import string
import textwrap
import traceback
import typing
import urllib.parse
import uuid
import warnings
import weakref
import zlib
import zoneinfo
from xml.etree import ElementTree

import tzdata  # noqa: F401 - zoneinfo reads its files

from pywasm_filter import LogLevel, RootContext, log, register_root_context

UTC = datetime.UTC
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


class Colour(enum.Enum):
    """An enum."""

    RED = "red"


@dataclasses.dataclass(frozen=True, order=True)
class Point:
    """A dataclass."""

    x: int
    y: int = 2


class Pair(typing.NamedTuple):
    """A named tuple."""

    left: str
    right: int


@functools.lru_cache
def fibonacci(number: int) -> int:
    """With a cache."""
    return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)


def results() -> dict[str, object]:
    """What each module answers."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerows([["a", 'b "c"'], [1, 2.5]])
    tree = ElementTree.fromstring("<a><b c='d'>text &amp; more</b></a>")
    moment = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
    with decimal.localcontext(prec=30):
        third = str(decimal.Decimal(1) / 3)
    return {
        "base64": base64.b85encode(b"hello, world").decode(),
        "collections": collections.Counter("abracadabra").most_common(2),
        "csv": [table.getvalue(), list(csv.DictReader(io.StringIO("a,b\n1,2\n")))],
        "dataclasses": [repr(dataclasses.replace(Point(1), y=3)), Point(1) < Point(2), dataclasses.asdict(Point(0))],
        "datetime": [
            moment.isoformat(),
            (moment + datetime.timedelta(days=366)).strftime("%A %d %B %Y"),
            str(datetime.datetime.strptime("2024-02-29 01", "%Y-%m-%d %H")),
        ],
        "decimal": third,
        "difflib": list(difflib.unified_diff(["a", "b"], ["a", "c"], lineterm="")),
        "enum": [Colour("red").name, repr(Colour.RED)],
        "functools": [fibonacci(60), functools.reduce(lambda a, b: a * b, range(1, 20))],
        "hashlib": [hashlib.new(name, b"x").hexdigest() for name in ("md5", "sha1", "sha256", "sha3_256", "blake2b")],
        "hmac": hmac.new(b"key", b"message", "sha256").hexdigest(),
        "html": [html.escape("<a href='x'>"), html.unescape("&eacute;&#x20AC;")],
        "itertools": [list(itertools.pairwise("abc")), list(itertools.accumulate(range(5)))],
        "json": json.loads(json.dumps({"a": [1.5, None, True, "\u00e9\U0001f600"]})),
        "re": [re.sub(r"(?P<word>\w+)", r"<\g<word>>", "a b"), re.findall(r"(?i)(?<=x)\d+", "X1 x22")],
        "statistics": [statistics.fmean([1, 2, 4]), statistics.median([3, 1, 2]), statistics.pstdev([1, 2, 3, 4])],
        "string": string.Template("$a and ${b}").substitute(a=1, b=2),
        "textwrap": textwrap.fill("the quick brown fox jumps", 12),
        "typing": [typing.get_type_hints(Pair)["right"].__name__, Pair("l", 1)._asdict()],
        "urllib.parse": [
            urllib.parse.urlsplit("https://u@h:1/p;x?q=1&q=2#f").port,
            urllib.parse.parse_qs("q=1&q=%20"),
            urllib.parse.quote("a b/\u00fc"),
        ],
        "uuid": [str(uuid.uuid5(uuid.NAMESPACE_DNS, "example.test")), uuid.uuid4().version],
        "xml": [tree[0].text, tree[0].attrib, ElementTree.tostring(tree).decode()],
        "zoneinfo": datetime.datetime(2024, 7, 1, tzinfo=BERLIN).isoformat(),
        "zlib": [zlib.crc32(b"hello"), zlib.decompress(zlib.compress(b"a" * 100)).decode()],
    }


def rarely_used() -> dict[str, object]:
    """What brings in other modules when it is called; it is called in the proxy alone."""
    try:
        _ = [Point(**json.loads('{"x": 1, "z": 2}')), None]
    except TypeError as error:
        raised = traceback.format_exception(error)
    pattern = re.compile(r"(?P<a>.)")
    return {
        "codecs": [
            "caf\u00e9 \u20ac".encode("cp1252").hex(),
            b"\x93\xfa\x96{".decode("shift_jis"),
            b"\xc4\xe3\xba\xc3".decode("gb18030"),
            "b\u00fccher".encode("idna").decode(),
            codecs.encode("hello", "rot_13"),
            codecs.decode("68656c6c6f", "hex").decode(),
            "\u00fc".encode("utf-16").hex(),
        ],
        "unknown": _unknown_codec(),
        "copy": copy.deepcopy({"a": [Point(1)]})["a"][0] == Point(1),
        "dataclasses": [field.name for field in dataclasses.fields(Point)],
        "hashlib": hashlib.new("sha3_512", b"x").hexdigest()[:16],
        "inspect": str(inspect.signature(fibonacci.__wrapped__)),
        "locale": moment_of("Thursday 29 February 2024"),
        "pickle": pickle.loads(pickle.dumps((Colour.RED, Point(3), Pair("l", 1))))
        == (Colour.RED, Point(3), Pair("l", 1)),
        "pprint": pprint.pformat({"a": list(range(30))}, width=40),
        "re": [repr(pattern), re.escape("a.b")],
        "shlex": shlex.split("a 'b c' d"),
        "string": string.Formatter().format("{0!r:>5}", 1),
        "textwrap": textwrap.dedent("  a\n   b"),
        "traceback": raised[-1],
        "carets": "^" in "".join(raised),
        "urllib.parse": urllib.parse.urlsplit("http://[::1]:80/").hostname,
        "warnings": _warned(),
        "weakref": weakref.WeakValueDictionary().copy() == {},
    }


def moment_of(text: str) -> str:
    """A date as people write it."""
    return datetime.datetime.strptime(text, "%A %d %B %Y").replace(tzinfo=UTC).isoformat()


def _unknown_codec() -> str:
    try:
        "x".encode("nothing")
    except LookupError as error:
        return str(error)
    return ""


def _warned() -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("beware", DeprecationWarning, stacklevel=1)
    return str(caught[0].message)


AT_IMPORT = results()


class Root(RootContext):
    """Tells what the standard library answers, and whether it is what it answered at the import."""

    def on_configure(self, configuration: bytes) -> bool:
        """Tell."""
        now = results()
        log(LogLevel.INFO, json.dumps({"same": now == AT_IMPORT, **now}, sort_keys=True, default=repr))
        log(LogLevel.INFO, json.dumps(rarely_used(), sort_keys=True))
        return True


register_root_context(Root)
