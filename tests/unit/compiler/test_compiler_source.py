"""Static checks of an author's source: what passes, and the error, line and remedy of what does not."""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from pywasm_compiler.errors import CompileError
from pywasm_compiler.findings import Severity
from pywasm_compiler.guest_modules import guest_modules
from pywasm_compiler.import_rules import STAND_INS
from pywasm_compiler.source import SourceTree, read_source_tree, survey


def write(directory: Path, **files: str) -> Path:
    """Write modules, dots in their names making packages, and return `filter.py`."""
    for name, content in files.items():
        path = directory / (name.replace("__in__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return directory / "filter.py"


def refused(path: Path) -> CompileError:
    with pytest.raises(CompileError) as caught:
        read_source_tree(path)
    assert caught.value.message
    assert caught.value.remedy
    return caught.value


def relative_names(tree: SourceTree) -> list[str]:
    return [str(module.relative_to(tree.filter.parent)) for module in tree.modules]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of installed packages, on this interpreter's path."""
    directory = tmp_path / "site"
    directory.mkdir()
    monkeypatch.syspath_prepend(str(directory))
    return directory


# --- reading ---


def test_missing_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "filter.py").message == "no such file"
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file" / "filter.py").message == "no such file"


def test_directory_names_the_likely_file(tmp_path: Path) -> None:
    write(tmp_path, filter="")
    error = refused(tmp_path)
    assert error.message == "is a directory, not a filter"
    assert error.remedy == f"name the file: {tmp_path / 'filter.py'}"


def test_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "filter.py")
    assert refused(tmp_path / "filter.py").message == "is not a regular file"


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        (b"x = 1\ny = '\xe9'\n", "is not UTF-8: byte 0xe9 at offset 11", 2),
        (b"x = 1\n\n\0", "contains a NUL byte, so it is no Python source", 3),
        (b"\x7fELF\0", "contains a NUL byte, so it is no Python source", 1),
    ],
)
def test_not_text(tmp_path: Path, content: bytes, message: str, line: int) -> None:
    path = tmp_path / "filter.py"
    path.write_bytes(content)
    error = refused(path)
    assert (error.message, error.file, error.line) == (message, path, line)


def test_a_module_in_the_place_of_its_source(tmp_path: Path) -> None:
    path = tmp_path / "filter.wasm"
    path.write_bytes(b"\0asm\1\0\0\0")
    error = refused(path)
    assert error.message == "is a WebAssembly module, not Python source"
    assert error.remedy == "name the Python file that it is built from"


def test_unreadable_paths() -> None:
    assert "cannot be read" in refused(Path("x" * 300 + ".py")).message
    assert "is no path" in refused(Path("fil\0ter.py")).message


@pytest.mark.parametrize("name", ["my-filter.py", "filter.txt", "2.py"])
def test_file_name_must_be_importable(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    assert refused(tmp_path / name).message == "is not a name that Python can import"


@pytest.mark.parametrize("name", ["json", "ssl", "pywasm_filter", "wit_world"])
def test_file_name_must_not_hide_another_module(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("")
    assert f"'{name}'" in refused(tmp_path / f"{name}.py").message


def test_byte_order_mark_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "filter.py"
    path.write_bytes(b"\xef\xbb\xbfx = 1\n")
    assert read_source_tree(path).modules == (path,)


# --- syntax ---


def test_syntax_error_shows_the_line(tmp_path: Path) -> None:
    path = write(tmp_path, filter="x = 1\nclass A:\n    def f(self:\n        pass\n")
    error = refused(path)
    assert error.message.startswith("syntax error: ")
    assert (error.file, error.line) == (path, 3)
    assert error.detail.splitlines()[0] == "def f(self:"
    assert error.detail.splitlines()[1].strip() == "^"


def test_syntax_error_beyond_the_grammar(tmp_path: Path) -> None:
    error = refused(write(tmp_path, filter="x = 1\nreturn x\n"))
    assert (error.message, error.line) == ("syntax error: 'return' outside function", 2)


def test_syntax_error_in_a_module_beside_the_filter(tmp_path: Path) -> None:
    error = refused(write(tmp_path, filter="import helper\n", helper="x = (\n"))
    assert error.file == tmp_path / "helper.py"


def test_nesting_that_no_parser_takes(tmp_path: Path) -> None:
    error = refused(write(tmp_path, filter="x = " + "-" * 100_000 + "1\n"))
    assert error.file == tmp_path / "filter.py"


def test_warnings_of_the_parser_do_not_disturb(tmp_path: Path) -> None:
    assert read_source_tree(write(tmp_path, filter="x = '\\d'\nassert (x, 1)\n")).modules


# --- the guest's standard library ---


@pytest.mark.parametrize(
    "name",
    ["ssl", "_ssl", "bz2", "lzma", "ctypes", "_zstd", "compression.zstd", "tkinter", "curses", "readline", "mmap"],
)
def test_module_that_the_guest_lacks(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, filter=f"import json\nimport {name}\n")
    error = refused(path)
    assert f"has no module '{name}'" in error.message
    assert guest_modules().python in error.message
    assert (error.file, error.line) == (path, 2)


@pytest.mark.parametrize(
    "statement",
    [
        "from compression import zstd",
        "from multiprocessing import shared_memory",
        "from ctypes.util import find_library",
    ],
)
def test_submodule_that_the_guest_lacks(tmp_path: Path, statement: str) -> None:
    assert "has no module" in refused(write(tmp_path, filter=statement)).message


def test_misspelt_submodule(tmp_path: Path) -> None:
    assert "has no module 'json.decode'" in refused(write(tmp_path, filter="import json.decode")).message


def test_module_removed_from_the_standard_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdlib_module_names", sys.stdlib_module_names | {"gonelib"})
    error = refused(write(tmp_path, filter="import gonelib"))
    assert "'gonelib' is no longer in the standard library" in error.remedy


@pytest.mark.parametrize(
    "statement",
    [
        "import collections.abc, os.path",
        "from collections.abc import Callable",
        "from os import path",
        "import xml.etree.ElementTree as ET",
        "from xml.parsers.expat import errors",
        "import concurrent.futures, email.message, http.cookies, logging.config, urllib.parse",
        "from importlib import metadata, resources",
        "import unittest.mock",
    ],
)
def test_modules_of_every_making_pass(tmp_path: Path, statement: str) -> None:
    assert relative_names(read_source_tree(write(tmp_path, filter=statement))) == ["filter.py"]


def test_what_the_guest_has_passes(tmp_path: Path) -> None:
    source = "import json, hashlib, asyncio\nimport xml.etree.ElementTree as ET\nfrom os import path\nimport _ast\n"
    assert read_source_tree(write(tmp_path, filter=source)).search_path == (tmp_path,)


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import ssl\nexcept ImportError:\n    ssl = None\n",
        "import typing\nif typing.TYPE_CHECKING:\n    import ssl\n    from pywasm_filter.testing import Proxy\n",
        "if __name__ == '__main__':\n    import readline\n    import nowhere\n",
    ],
)
def test_imports_that_need_not_succeed(tmp_path: Path, source: str) -> None:
    assert read_source_tree(write(tmp_path, filter=source)).modules


# --- imports in functions ---


def test_import_inside_a_function(tmp_path: Path) -> None:
    tree, [finding] = survey(write(tmp_path, filter="def f():\n    import json\n"))
    assert "imports 'json' inside a function" in finding.message
    assert (finding.rule, finding.severity, finding.line) == ("deferred-import", Severity.WARNING, 2)
    assert read_source_tree(tmp_path / "filter.py") == tree


def test_import_inside_a_function_of_what_is_imported_at_the_top_too(tmp_path: Path) -> None:
    source = "import helper\ndef f():\n    import xml.dom\n    import helper\n    from pywasm_filter import Action\n"
    assert read_source_tree(write(tmp_path, filter=source, helper="import xml.dom.minidom")).modules


# --- the author's own modules ---


def test_local_modules_are_followed(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        filter="import helper\nfrom package.part import thing\nimport spaced.out\n",
        helper="import filter\nfrom package import other\n",
        package__in____init__="from . import sibling\n",
        package__in__part="from .sibling import *\nfrom package.other import x\n",
        package__in__sibling="",
        package__in__other="",
        package__in__unused="import ssl\n",
        spaced__in__out="",
    )
    tree = read_source_tree(path)
    assert relative_names(tree) == [
        "filter.py",
        "helper.py",
        "package/__init__.py",
        "package/part.py",
        "spaced/out.py",
        "package/other.py",
        "package/sibling.py",
    ]
    assert tree.installed == ()
    assert tree.search_path == (tmp_path,)


def test_error_in_a_local_module_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, filter="import helper\n", helper="\n\nfrom ctypes import CDLL\n")
    error = refused(Path("filter.py"))
    assert (error.file, error.line) == (Path("helper.py"), 3)


def test_optional_import_of_a_local_module_with_an_error(tmp_path: Path) -> None:
    source = "try:\n    import helper\nexcept ImportError:\n    helper = None\n"
    assert read_source_tree(write(tmp_path, filter=source, helper="import ssl")).modules
    assert refused(write(tmp_path, filter=source + "import helper\n", helper="import ssl")).line == 1


def test_local_module_hidden_by_the_standard_library(tmp_path: Path) -> None:
    error = refused(write(tmp_path, filter="import json\nfrom json import loads", json=""))
    assert error.message.startswith("'json' is beside the filter")
    assert error.line == 1


def test_relative_import_outside_of_a_package(tmp_path: Path) -> None:
    error = refused(write(tmp_path, filter="from . import helper\n", helper=""))
    assert "not part of a package" in error.message
    assert "`import helper`" in error.remedy
    assert "`from helper import x`" in refused(write(tmp_path, filter="from .helper import x\n")).remedy
    beyond = write(tmp_path, filter="import package.part\n", package__in__part="from ..helper import x\n")
    assert refused(beyond).message == "relative import leaves the package 'package'"


def test_symbolic_link_counts_as_its_target(tmp_path: Path) -> None:
    write(tmp_path, filter="import helper", helper="")
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "linked.py"
    link.symlink_to(tmp_path / "filter.py")
    assert read_source_tree(link).modules == (tmp_path / "filter.py", tmp_path / "helper.py")


# --- our own packages ---


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("from pywasm_filter.testing import Proxy", "pywasm_filter.testing"),
        ("import pywasm_filter.cli", "pywasm_filter.cli"),
        ("from pywasm_filter import loader", "pywasm_filter.loader"),
        ("import pywasm_compiler", "pywasm_compiler"),
        ("from proxy_wasm_abi import load", "proxy_wasm_abi"),
        ("def f():\n    import pywasm_filter.loader", "pywasm_filter.loader"),
    ],
)
def test_parts_that_run_on_the_host(tmp_path: Path, statement: str, name: str) -> None:
    assert refused(write(tmp_path, filter=statement)).message.startswith(f"'{name}' runs on the host")


def test_the_sdk_passes(tmp_path: Path) -> None:
    source = "from pywasm_filter import Action, HttpContext\nfrom pywasm_filter.sdk.headers import HeaderMap\n"
    tree = read_source_tree(write(tmp_path, filter=source))
    assert (len(tree.modules), tree.installed) == (1, ())


# --- installed packages ---


def test_missing_package(tmp_path: Path) -> None:
    error = refused(write(tmp_path, filter="\nimport nowhere.at_all\n"))
    assert error.message.startswith("no module 'nowhere.at_all'")
    assert error.line == 2
    assert "pip install nowhere" in error.remedy


def test_pure_package(tmp_path: Path, site: Path) -> None:
    write(site, pure__in____init__="from .core import f\nimport json\n", pure__in__core="import flat", flat="")
    tree = read_source_tree(write(tmp_path, filter="import pure\n"))
    assert tree.installed == (site / "pure" / "__init__.py", site / "pure" / "core.py", site / "flat.py")
    assert tree.search_path == (tmp_path, site)


def test_a_directory_beside_the_filter_does_not_hide_an_installed_package(tmp_path: Path, site: Path) -> None:
    write(site, pure__in____init__="")
    (tmp_path / "pure").mkdir()
    assert read_source_tree(write(tmp_path, filter="import pure\n")).installed == (site / "pure" / "__init__.py",)


def test_native_extension(tmp_path: Path, site: Path) -> None:
    (site / f"fast{EXTENSION_SUFFIXES[0]}").touch()
    error = refused(write(tmp_path, filter="import fast\n"))
    assert error.message.startswith("'fast' is a native extension")
    assert (error.file, error.line) == (tmp_path / "filter.py", 1)


def test_native_extension_inside_a_package(tmp_path: Path, site: Path) -> None:
    write(site, quick__in____init__="from . import _impl\n")
    (site / "quick" / f"_impl{EXTENSION_SUFFIXES[0]}").touch()
    error = refused(write(tmp_path, filter="import quick\n"))
    assert "'quick._impl' is a native extension" in error.message
    assert "'quick' needs it" in error.message


def test_native_extension_with_a_fallback(tmp_path: Path, site: Path) -> None:
    write(site, quick__in____init__="try:\n    from . import _impl\nexcept ImportError:\n    pass\nfrom . import both")
    write(site, quick__in__both="")
    (site / "quick" / f"_impl{EXTENSION_SUFFIXES[0]}").touch()
    (site / "quick" / f"both{EXTENSION_SUFFIXES[0]}").touch()
    tree = read_source_tree(write(tmp_path, filter="import quick\n"))
    assert tree.installed == (site / "quick" / "__init__.py", site / "quick" / "both.py")


def test_package_that_needs_what_the_guest_lacks(tmp_path: Path, site: Path) -> None:
    write(site, client__in____init__="from client import wire\n", client__in__wire="import socket\nimport mmap\n")
    error = refused(write(tmp_path, filter="import json\nimport client\n"))
    assert "no module 'mmap', and 'client.wire' needs it" in error.message
    assert (error.file, error.line) == (tmp_path / "filter.py", 2)
    guarded = "try:\n    import client\nexcept ImportError:\n    client = None\n"
    assert read_source_tree(write(tmp_path, filter=guarded)).modules


def test_package_that_needs_what_has_a_stand_in(tmp_path: Path, site: Path) -> None:
    write(site, client="from ssl import SSLContext\n")
    tree = read_source_tree(write(tmp_path, filter="import client\n"))
    assert tree.search_path == (tmp_path, site, STAND_INS)
    assert "has no module 'ssl'" in refused(write(tmp_path, filter="import client, ssl\n")).message


def test_what_functions_of_packages_import(tmp_path: Path, site: Path) -> None:
    write(
        site,
        lazy="def f():\n    import other.part, json, nowhere, native_thing\n    from . import x\n",
        other__in____init__="",
        other__in__part="def g():\n    import third, fourth\n",
        third="",
        fourth="import mmap\nimport nowhere_either\n",
    )
    (site / f"native_thing{EXTENSION_SUFFIXES[0]}").touch()
    tree, findings = survey(write(tmp_path, filter="import lazy\n"))
    assert findings == []
    assert [file.relative_to(site).as_posix() for file in tree.installed] == [
        "lazy.py",
        "other/__init__.py",
        "other/part.py",
        "third.py",
        "fourth.py",
    ]


def test_package_that_does_not_parse_is_left_to_the_probe(tmp_path: Path, site: Path) -> None:
    write(site, old__in____init__="print 'hello'\n")
    assert read_source_tree(write(tmp_path, filter="import old\n")).installed == (site / "old" / "__init__.py",)


def test_editable_install_through_an_import_hook(tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    write(elsewhere, hooked__in____init__="")

    class Hook:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> object:
            from importlib.util import spec_from_file_location

            package = elsewhere / "hooked"
            locations = [str(package)]
            return (
                spec_from_file_location(name, package / "__init__.py", submodule_search_locations=locations)
                if name == "hooked"
                else None
            )

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Hook])
    assert read_source_tree(write(tmp_path, filter="import hooked\n")).search_path == (tmp_path, elsewhere)
