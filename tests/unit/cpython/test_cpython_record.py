"""What a module's record says of its code."""

from hypothesis import given
from hypothesis import strategies as st
from pywasm_compiler.breakdown import Share, _interpreted
from pywasm_compiler.cpython.memory import segments
from pywasm_compiler.cpython.record import _Kept

CONTENTS = st.lists(st.sampled_from([b"\1", b"\0" * 5, b"\0" * 40, b"abc" * 9])).map(b"".join)


@given(CONTENTS, st.integers(0, 400), st.integers(0, 400))
def test_what_is_kept_of_a_range(content: bytes, one: int, other: int) -> None:
    start, end = sorted((min(one, len(content)), min(other, len(content))))
    kept = {
        place
        for segment in segments(content, 0)
        for begin in [segment.offset[0].immediate]
        if isinstance(begin, int)
        for place in range(begin, begin + len(segment.content))
    }
    assert _Kept(content).before(end) - _Kept(content).before(start) == len(kept & set(range(start, end)))


def test_parts_never_exceed_their_whole() -> None:
    assert _interpreted(100, {"a": 60, "b": 30}).children == (
        Share("a", 60),
        Share("b", 30),
        Share("their addresses", 10),
    )
    assert _interpreted(100, {"a": 80, "b": 30}).children == (Share("a", 70), Share("b", 30))
    assert _interpreted(10, {"a": 20, "b": 20}) == Share("interpreted functions", 10)
    assert _interpreted(10, {}) == Share("interpreted functions", 10, (Share("their addresses", 10),))
