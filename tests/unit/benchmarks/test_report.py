"""What the benchmarks write into the document, and how they read the load generator's figures."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import report
from benchmarks.load import LoadError, lua_string, parse
from benchmarks.report import DocumentError, added, file_size, number, replace_part, table

DOCUMENT = "# Title\n\n<!-- begin one -->\nold\n<!-- end one -->\n\nbetween\n\n<!-- begin two -->\n<!-- end two -->\n"


def test_only_the_named_part_changes() -> None:
    changed = replace_part(DOCUMENT, "one", "\\1 new\n")
    assert changed == DOCUMENT.replace("old", "\\1 new")
    assert replace_part(changed, "two", "x") == changed.replace("<!-- end two -->", "x\n<!-- end two -->")


@pytest.mark.parametrize("document", ["", DOCUMENT + DOCUMENT, "<!-- begin one -->\n"])
def test_a_document_without_a_place_for_the_part_is_refused(document: str) -> None:
    with pytest.raises(DocumentError, match="<!-- begin one -->"):
        replace_part(document, "one", "x")


def test_the_document_has_a_place_for_each_measurement() -> None:
    document = report.DOCUMENT.read_text()
    for name in ("peers", "growth", "steps", "loop"):
        assert replace_part(document, name, "x") != document


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 3, "0.00"),
        (0.0404, 2, "0.04"),
        (0.561, 2, "0.56"),
        (-4.841, 3, "-4.84"),
        (9.996, 3, "10.0"),
        (17.44, 3, "17.4"),
        (390.2, 3, "390"),
        (72361, 3, "72,400"),
    ],
)
def test_numbers_have_so_many_digits(value: float, digits: int, text: str) -> None:
    assert number(value, digits) == text


def test_cells() -> None:
    assert table(["", "a"], [["x", "1"]]) == "|  | a |\n| --- | ---: |\n| x | 1 |"
    assert [file_size(size) for size in (436, 159_569, 17_400_000)] == ["436 B", "160 kB", "17.4 MB"]
    assert [added(value, str(value)) for value in (3, 0, -1)] == ["+3", "+0", "+0"]


WRK = """Running 1s test @ http://127.0.0.1:1234/
  1 threads and 16 connections
Requests/sec:  70751.00
{"requests": 71458, "microseconds": 1010000, "p50": 208.000000, "p99": 1200.000000, "refused": %d, "failed": %d}
"""


def test_figures_of_the_load() -> None:
    traffic = parse(WRK % (0, 0))
    assert (traffic.requests, traffic.seconds, traffic.p50, traffic.p99) == (71458, 1.01, 208e-6, 1200e-6)
    assert traffic.rate == pytest.approx(70750.5, abs=0.1)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (WRK % (5, 0), "5 were answered with an error"),
        (WRK % (0, 7), "7 not at all"),
        ("unable to connect", "no figures"),
    ],
)
def test_a_load_that_is_not_answered_has_no_figures(output: str, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        parse(output)


@given(st.binary())
def test_any_bytes_are_a_string_in_lua(data: bytes) -> None:
    literal = lua_string(data)
    assert literal.isascii()
    assert literal.isprintable()
    read = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1])), literal[1:-1])
    assert read.encode("latin-1") == data
