"""The SDK's reference is made from the docstrings, and its check tells when it is stale or cannot be made."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOL = Path("tools/sdk_reference.py")
PAGE = Path("docs/reference/sdk.md")

MODULE = '''
from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeAlias, overload

_LIMIT = 7

Sizes: TypeAlias = list[int]
"""Several sizes."""


class _Base:
    """What bodies have in common."""

    def inherited(self, sizes: Sizes) -> None:
        """Takes `sizes`."""


class Body(_Base):
    """A body; `append` adds to it. ABI: proxy_set_buffer_bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        """Its size."""
        self._hidden = 1

    def __len__(self) -> int:
        """Its size, too."""
        return self.size

    def __repr__(self) -> str:
        return "Body"

    @property
    def first(self) -> bytes:
        """The first byte."""
        return b""

    def append(self, data: bytes, *, limit: int = _LIMIT) -> None:
        """Add `data`."""

    def _private(self) -> None:
        pass
'''


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / TOOL), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a small SDK."""
    for directory in ("tools", "docs/reference", "pywasm_filter/sdk"):
        (tmp_path / directory).mkdir(parents=True)
    shutil.copy(ROOT / TOOL, tmp_path / TOOL)
    (tmp_path / "pywasm_filter/sdk/__init__.py").write_text('"""The SDK."""\n', encoding="utf-8")
    (tmp_path / "pywasm_filter/sdk/body.py").write_text(MODULE, encoding="utf-8")
    export(tmp_path, "body", "Body")
    return tmp_path


def export(root: Path, module: str, name: str) -> None:
    source = f'from pywasm_filter.sdk.{module} import {name}\n\n__all__ = ["{name}"]\n'
    (root / "pywasm_filter/__init__.py").write_text(source, encoding="utf-8")


def edit(root: Path, old: str, new: str) -> None:
    module = root / "pywasm_filter/sdk/body.py"
    source = module.read_text(encoding="utf-8")
    assert old in source
    module.write_text(source.replace(old, new), encoding="utf-8")


def test_the_page_of_this_repository_is_current() -> None:
    result = run(ROOT, "--check")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_changed_docstring_makes_the_page_stale(checkout: Path) -> None:
    missing = run(checkout, "--check")
    assert missing.returncode == 1
    assert run(checkout).returncode == 0
    assert run(checkout, "--check").returncode == 0
    edit(checkout, "The first byte.", "The very first byte.")
    stale = run(checkout, "--check")
    assert stale.returncode == 1
    assert stale.stderr == f"{checkout / PAGE}: stale; run `make generate`\n"


def test_what_the_page_says(checkout: Path) -> None:
    assert run(checkout).returncode == 0
    page = (checkout / PAGE).read_text(encoding="utf-8")
    assert "- [Messages](#messages): [`Body`](#body)\n" in page
    assert "def append(data: bytes, *, limit: int = 7) -> None\n" in page
    assert (
        "A body; [`append`](#bodyappend) adds to it. ABI: [`proxy_set_buffer_bytes`](abi.md#proxy_set_buffer_bytes).\n"
        in page
    )
    assert "\nWhat bodies have in common.\n" in page
    assert "\nsize: int\n" in page
    assert "\nfirst: bytes  # read only\n" in page
    assert "\n#### `Body.__len__`\n" in page
    assert "\n#### `Body.inherited`\n" in page
    assert "\nTakes `sizes`.\n" in page  # a parameter, not a link
    assert "\n### `Sizes`\n\n```python\nSizes = list[int]\n```\n\nSeveral sizes.\n" in page
    assert not any(name in page for name in ("_hidden", "_private", "__repr__", "__init__", "_LIMIT"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"""Add `data`."""', "pass", "pywasm_filter.sdk.body.Body.append has no docstring\n"),
        ("self.size = size\n", "self.size = size + 1\n", "pywasm_filter.sdk.body.Body.size has no type\n"),
    ],
)
def test_what_is_not_documented_is_told(checkout: Path, old: str, new: str, message: str) -> None:
    edit(checkout, old, new)
    result = run(checkout)
    assert (result.returncode, result.stderr) == (1, message)
    assert not (checkout / PAGE).exists()


def test_an_export_without_a_place_is_told(checkout: Path) -> None:
    (checkout / "pywasm_filter/sdk/novelty.py").write_text('class New:\n    """New."""\n', encoding="utf-8")
    export(checkout, "novelty", "New")
    result = run(checkout, "--check")
    assert (result.returncode, result.stderr) == (1, "New: under which subject? Say so in sdk_reference.py\n")
