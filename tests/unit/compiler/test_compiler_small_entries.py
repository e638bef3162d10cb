"""Small files of the user's cache."""

import os
from pathlib import Path

import pytest
from pywasm_compiler.cache import SmallEntries


def never() -> bytes:
    raise AssertionError


def test_what_is_kept_is_not_made_again(tmp_path: Path) -> None:
    assert SmallEntries(tmp_path, 3).get("key", lambda: b"content") == b"content"
    assert SmallEntries(tmp_path, 3).get("key", never) == b"content"


def test_nothing_may_be_a_content(tmp_path: Path) -> None:
    SmallEntries(tmp_path, 3).get("key", bytes)
    assert SmallEntries(tmp_path, 3).get("key", never) == b""


@pytest.mark.parametrize("damaged", [b"", b"short", bytes(32), bytes(32) + b"other content"])
def test_what_is_damaged_is_made_again(tmp_path: Path, damaged: bytes) -> None:
    entries = SmallEntries(tmp_path, 3)
    entries.get("key", lambda: b"content")
    (tmp_path / "key").write_bytes(damaged)
    assert entries.get("key", lambda: b"content") == b"content"
    assert entries.get("key", never) == b"content"


def test_one_key_is_not_taken_for_another(tmp_path: Path) -> None:
    entries = SmallEntries(tmp_path, 3)
    entries.get("one", lambda: b"content")
    (tmp_path / "one").rename(tmp_path / "other")
    assert entries.get("other", lambda: b"its own") == b"its own"


def test_what_cannot_be_kept_is_there_all_the_same(tmp_path: Path) -> None:
    entries = SmallEntries(tmp_path / "missing", 3)
    assert entries.get("key", lambda: b"content") == b"content"
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    for number in range(5):
        SmallEntries(tmp_path, 5).get(str(number), lambda: b"content")
        os.utime(tmp_path / str(number), (number, number))
    SmallEntries(tmp_path, 5).get("0", never)
    SmallEntries(tmp_path, 3).get("new", lambda: b"content")
    assert {path.name for path in tmp_path.iterdir()} == {"0", "4", "new"}
