"""Where a filter's source leads to a function of the ABI, and how."""

from pathlib import Path

import pytest

from pywasm_filter.needed_by import uses_of

TICK = "proxy_set_tick_period_milliseconds"
HEAD = "from pywasm_filter import Body, Counter, HttpContext, RootContext, SharedQueue, shared_data\n"


def uses(tmp_path: Path, source: str, function: str) -> list[tuple[int, str]]:
    """Line and text of each use; the head is line 0."""
    module = tmp_path / "filter.py"
    module.write_text(HEAD + source)
    return [(use.line - 1, use.way) for use in uses_of([module], function)]


SHARED = """
class F(HttpContext):
    cache: dict[str, str] = {}
    def on_request_headers(self, n, e):
        self.cache.get("a")
        shared_data.get("a")
        return shared_data.get("b")
"""


def test_a_method_is_found_on_its_owner_rather_than_on_others(tmp_path: Path) -> None:
    way = "shared_data.get → _read_shared_data → proxy_get_shared_data"
    assert uses(tmp_path, SHARED, "proxy_get_shared_data") == [(6, way), (7, way)]


@pytest.mark.parametrize(
    ("source", "function", "found"),
    [
        (
            "class F(HttpContext):\n def on_log(self): len(self.request.body)",
            "proxy_get_buffer_status",
            [(2, "the length of self.request.body → proxy_get_buffer_status")],
        ),
        (
            "class F(HttpContext):\n async def on_request_body(self, n, e):\n  await self.http_call('a', 'GET', '/')",
            "proxy_http_call",
            [(3, "self.http_call → send_http_call → proxy_http_call")],
        ),
        (
            "class F(RootContext):\n def on_configure(self, c): self.set_tick_period(1)",
            "proxy_on_tick",
            [
                (2, f"self.set_tick_period → set_author_period → _set_host_period → {TICK} → proxy_on_tick"),
            ],
        ),
        ("class F(RootContext):\n def on_tick(self): pass", "proxy_on_tick", [(2, "def on_tick → proxy_on_tick")]),
        ("c = Counter('a')\nc.increment()", "proxy_define_metric", [(1, "Counter → … → proxy_define_metric")]),
        (
            "getattr(shared_data, 'set')",
            "proxy_set_shared_data",
            [(1, "set → _write_shared_data → proxy_set_shared_data")],
        ),
        ("class F(HttpContext): pass", "proxy_log", []),
        ("class F(HttpContext): pass", "proxy_http_call", []),
    ],
)
def test_the_place_and_the_way(tmp_path: Path, source: str, function: str, found: list[tuple[int, str]]) -> None:
    assert uses(tmp_path, source, function) == found


def test_the_function_around_it(tmp_path: Path) -> None:
    (tmp_path / "filter.py").write_text("from words import f\n")
    (tmp_path / "words.py").write_text("def f(context):\n    return context.headers.byte_size\n")
    [use] = uses_of([tmp_path / "filter.py", tmp_path / "words.py"], "proxy_get_header_map_size")
    assert (use.file, use.line, use.within) == (tmp_path / "words.py", 2, "f")
    assert str(use) == f"{tmp_path / 'words.py'}:2: context.headers.byte_size"
