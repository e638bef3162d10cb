"""The list of the guest's modules is what the guest itself says."""

from __future__ import annotations

from pywasm_compiler.guest_modules import TABLE, ask_guest, guest_modules, render


def test_table_is_what_the_guest_answers() -> None:
    answer = ask_guest()
    assert answer == guest_modules()
    assert render(answer) == TABLE.read_text(encoding="utf-8")


def test_table_tells_importable_from_missing() -> None:
    modules = guest_modules()
    assert {"json", "asyncio", "xml.etree.ElementTree", "zlib", "sqlite3"} <= modules.importable
    assert {"ssl", "ctypes", "lzma", "_zstd"} <= modules.missing.keys()
    assert modules.missing["ssl"] == "_ssl"
    assert not modules.importable & modules.missing.keys()
    assert modules.has_top_level("compression.zstd")
    assert not modules.has_top_level("numpy")
