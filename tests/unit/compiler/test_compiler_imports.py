"""Which imports a source has, and when each is executed."""

from __future__ import annotations

import ast
import textwrap

import pytest
from pywasm_compiler.imports import ImportStatement, Need, find_imports


def imports_of(source: str) -> list[ImportStatement]:
    return find_imports(ast.parse(textwrap.dedent(source)))


def needs_of(source: str) -> dict[str, Need]:
    return {statement.module: statement.need for statement in imports_of(source)}


def test_names_lines_and_levels() -> None:
    found = imports_of("import a.b, c as d\nfrom ..e import f, g as h\nfrom i import *\nfrom . import j\n")
    assert found == [
        ImportStatement("a.b", 1, Need.REQUIRED),
        ImportStatement("c", 1, Need.REQUIRED),
        ImportStatement("e", 2, Need.REQUIRED, 2, ("f", "g")),
        ImportStatement("i", 3, Need.REQUIRED, 0, ()),
        ImportStatement("", 4, Need.REQUIRED, 1, ("j",)),
    ]


@pytest.mark.parametrize(
    "condition", ["TYPE_CHECKING", "typing.TYPE_CHECKING", "t.TYPE_CHECKING"], ids=["name", "attribute", "alias"]
)
def test_imports_for_the_type_checker_do_not_count(condition: str) -> None:
    assert needs_of(f"if {condition}:\n    import a\nelse:\n    import b\n") == {"b": Need.REQUIRED}
    assert needs_of(f"if not {condition}:\n    import a\nelse:\n    import b\n") == {"a": Need.REQUIRED}


@pytest.mark.parametrize(
    "caught", ["ImportError", "(OSError, ModuleNotFoundError)", "Exception", "builtins.ImportError"]
)
def test_a_caught_failure_makes_an_import_optional(caught: str) -> None:
    source = f"""
        try:
            import a
        except {caught}:
            import b
        else:
            import c
        finally:
            import d
    """
    assert needs_of(source) == {"a": Need.OPTIONAL, "b": Need.OPTIONAL, "c": Need.OPTIONAL, "d": Need.REQUIRED}


def test_bare_except_and_suppress_make_an_import_optional() -> None:
    assert needs_of("try:\n    import a\nexcept:\n    pass") == {"a": Need.OPTIONAL}
    assert needs_of("with contextlib.suppress(ImportError):\n    import a") == {"a": Need.OPTIONAL}


def test_other_handlers_and_context_managers_change_nothing() -> None:
    assert needs_of("try:\n    import a\nexcept ValueError:\n    import b") == {"a": Need.REQUIRED, "b": Need.REQUIRED}
    assert needs_of("with suppress(OSError), open(x):\n    import a") == {"a": Need.REQUIRED}


def test_conditions_at_module_level_make_an_import_optional() -> None:
    source = """
        if sys.version_info < (3, 12):
            import a
        else:
            import b
        for x in y:
            import c
        while z:
            import d
        match w:
            case 1:
                import e
    """
    assert set(needs_of(source).values()) == {Need.OPTIONAL}
    assert set(needs_of(source)) == {"a", "b", "c", "d", "e"}


def test_imports_in_functions_are_deferred_and_those_in_class_bodies_are_not() -> None:
    source = """
        class A:
            import a
            def f(self):
                import b
                if x:
                    import c
                try:
                    import d
                except ImportError:
                    pass
        async def g():
            async with x:
                import e
        if y:
            def h():
                import i
    """
    assert needs_of(source) == {
        "a": Need.REQUIRED,
        "b": Need.DEFERRED,
        "c": Need.DEFERRED,
        "d": Need.OPTIONAL,
        "e": Need.DEFERRED,
        "i": Need.OPTIONAL,
    }
