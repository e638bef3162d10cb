"""The manual's page of the scenarios is current."""

from __future__ import annotations

from tests.conformance.page import PAGE, render


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == render(), "python -m tests.conformance.page"
