"""The drawing of where bytes are."""

import xml.etree.ElementTree as ElementTree
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pywasm_compiler.breakdown import Share, divided

from pywasm_filter.cli.treemap import Rectangle, arrange, page, svg

WHOLE = Rectangle(10.0, 20.0, 300.0, 200.0)


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=40))
def test_areas_are_the_sizes_and_nothing_overlaps(sizes: list[int]) -> None:
    sizes.sort(reverse=True)
    placed = arrange(sizes, WHOLE)
    total = sum(sizes)
    for count, place in zip(sizes, placed, strict=True):
        assert place.area == pytest.approx(count / total * WHOLE.area, rel=1e-6)
        assert place.x >= WHOLE.x - 1e-6
        assert place.y >= WHOLE.y - 1e-6
        assert place.x + place.width <= WHOLE.x + WHOLE.width + 1e-6
        assert place.y + place.height <= WHOLE.y + WHOLE.height + 1e-6
    for one, other in combinations(placed, 2):
        across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
        down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
        assert min(across, down) < 1e-6


def test_equal_parts_are_nearly_square() -> None:
    for place in arrange([1.0] * 12, WHOLE):
        assert 0.5 <= place.width / place.height <= 2


SHARE = divided("module", [divided("<data>", [Share("a & b", 700), Share("c", 100)]), Share("code", 200)], 1010)


def test_every_part_is_drawn_and_told() -> None:
    drawing = ElementTree.fromstring(svg(SHARE, "<my>.wasm"))
    titles = [entry.text for entry in drawing.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == [
        "<data>: 800 B (79.2%)",
        "<data> / a & b: 700 B (69.3%)",
        "<data> / c: 100 B (9.9%)",
        "code: 200 B (19.8%)",
        "other: 10 B (1.0%)",
    ]
    assert svg(SHARE, "<my>.wasm") in page(SHARE, "<my>.wasm")


def test_a_part_is_never_more_than_the_whole() -> None:
    assert divided("x", [Share("a", 5), Share("b", 0), Share("c", 9)], 3) == Share(
        "x", 14, (Share("c", 9), Share("a", 5))
    )
