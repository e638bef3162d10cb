"""The checks get along with any source that Python accepts: they neither crash nor point anywhere else."""

from __future__ import annotations

import ast
import sysconfig
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pywasm_compiler.rules import rules

from pywasm_filter.checks.checker import check_source

NAMES = st.sampled_from(
    [
        "a",
        "b",
        "open",
        "time",
        "sleep",
        "self",
        "cls",
        "Path",
        "Stream",
        "Root",
        "HttpContext",
        "RootContext",
        "Action",
        "socket",
        "super",
        "property",
        "asyncio",
    ]
)
LITERALS = st.sampled_from(["1", "'x'", "None", "True", "...", "b''", "f'{a!r:>{b}}'", "[]", "{}", "()"])


def expressions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(inner, NAMES).map(lambda t: f"({t[0]}).{t[1]}"),
        pair.map(lambda t: f"({t[0]})({t[1]})"),
        pair.map(lambda t: f"({t[0]})(*{t[1]}, **{t[0]})"),
        pair.map(lambda t: f"({t[0]} / {t[1]})"),
        pair.map(lambda t: f"({t[0]})[{t[1]}]"),
        pair.map(lambda t: f"({t[0]} if {t[1]} else {t[0]})"),
        pair.map(lambda t: f"({t[0]} or {t[1]} and {t[0]})"),
        st.tuples(NAMES, inner, inner).map(lambda t: f"[{t[1]} for {t[0]} in {t[2]} if {t[1]}]"),
        st.tuples(NAMES, inner).map(lambda t: f"(lambda {t[0]}, *_, **__: {t[1]})"),
        st.tuples(NAMES, inner).map(lambda t: f"({t[0]} := {t[1]})"),
    )


EXPRESSIONS = st.recursive(NAMES | LITERALS, expressions, max_leaves=6)


def indented(lines: list[str]) -> str:
    return "".join(f"    {line}\n" for statement in lines for line in statement.splitlines()) or "    pass\n"


def statements(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    block = st.lists(inner, max_size=3).map(indented)
    return st.one_of(
        st.tuples(NAMES, NAMES, EXPRESSIONS, block).map(
            lambda t: f"def {t[0]}({t[1]}: {t[2]} = {t[2]}, *rest):\n{t[3]}"
        ),
        st.tuples(NAMES, NAMES, EXPRESSIONS, block).map(
            lambda t: f"@{t[1]}\nasync def {t[0]}(self) -> {t[2]}:\n{t[3]}"
        ),
        st.tuples(NAMES, EXPRESSIONS, block).map(lambda t: f"class {t[0]}({t[1]}):\n{t[2]}"),
        st.tuples(EXPRESSIONS, block, block).map(lambda t: f"if {t[0]}:\n{t[1]}elif {t[0]}:\n{t[2]}else:\n{t[1]}"),
        st.tuples(NAMES, block, block).map(lambda t: f"try:\n{t[1]}except {t[0]} as {t[0]}:\n{t[2]}finally:\n{t[1]}"),
        st.tuples(EXPRESSIONS, NAMES, block).map(lambda t: f"with {t[0]} as {t[1]}:\n{t[2]}"),
        st.tuples(EXPRESSIONS, NAMES, block).map(lambda t: f"for {t[1]}, (*a, b) in {t[0]}:\n{t[2]}"),
        st.tuples(EXPRESSIONS, NAMES, block).map(lambda t: f"while {t[0]}:\n{t[2]}"),
        st.tuples(EXPRESSIONS, NAMES, block).map(
            lambda t: f"match {t[0]}:\n    case {{'k': {t[1]}, **rest}} | [{t[1]}, *rest]:\n" + indented([t[2]])
        ),
    )


SIMPLE = st.one_of(
    EXPRESSIONS,
    st.tuples(NAMES, EXPRESSIONS).map(lambda t: f"{t[0]} = {t[1]}"),
    st.tuples(NAMES, EXPRESSIONS).map(lambda t: f"self.{t[0]}: {t[1]} = {t[1]}"),
    st.tuples(NAMES, NAMES).map(lambda t: f"import {t[0]} as {t[1]}"),
    st.tuples(NAMES, NAMES).map(lambda t: f"from {t[0]} import {t[1]}"),
    st.tuples(NAMES, NAMES).map(lambda t: f"from pathlib import Path as {t[1]}"),
    NAMES.map(lambda name: f"global {name}"),
    NAMES.map(lambda name: f"del {name}"),
    EXPRESSIONS.map(lambda value: f"return {value}"),
    EXPRESSIONS.map(lambda value: f"await {value}"),
    st.just("from pywasm_filter import *"),
    st.just("raise"),
)
SOURCES = st.lists(st.recursive(SIMPLE, statements, max_leaves=8), max_size=5).map("\n".join)


def is_python(source: str) -> bool:
    try:
        compile(source, "filter.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def check(directory: Path, source: str) -> None:
    path = directory / "filter.py"
    path.write_text(source, encoding="utf-8")
    for finding in check_source(path).findings:
        assert finding.rule in rules()
        assert finding.message
        assert finding.remedy
        assert finding.file == path
        assert 1 <= (finding.line or 0) <= source.count("\n") + 1


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(SOURCES.filter(is_python))
@example("class a(a): pass\na()")
@example("class a(b): pass\nclass b(a): x = a.x\nclass c(b): x = super().x")
@example("a = b\nb = a\na.open()")
@example("def a(): return a\na()()()")
@example("from filter import a as b, b as a\na()")
@example("class a(a.x): pass\na().y")
@example("class a(b.x): pass\nclass b(a.x): pass\na().y")
@example("from pywasm_filter import *\nx = A()\nclass A(HttpContext[x.root]): pass\nx.root.y")
@example("import filter\nfilter.filter.filter()")
@example("x: 'x' = 1\nx.y")
@example("x: '((' = 1\nx.y")
@example("class A:\n    def f(): self.x = 1\n    def g(*, self): self.y()")
def test_no_source_makes_it_crash(tmp_path: Path, source: str) -> None:
    check(tmp_path, source)


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "1 + " * 900 + "1",
        "x = 'a'" + ".strip()" * 300,
        "x = " + "[" * 80 + "open('x')" + "]" * 80,
        "if a: pass\n" + "elif b: open('x')\n" * 600,
        "x = a" + ".b" * 900,
        "x0 = open\n" + "".join(f"x{n + 1} = x{n}\n" for n in range(300)) + "x300('x')",
        "".join(f"def f{n}(): f{n + 1}()\n" for n in range(500)) + "f0()",
        "class C0: pass\n" + "".join(f"class C{n + 1}(C{n}): pass\n" for n in range(300)) + "C300().x",
    ],
    ids=lambda source: source[:20],
)
def test_large_sources(source: str, tmp_path: Path) -> None:
    check(tmp_path, source)


def test_modules_of_the_standard_library(tmp_path: Path) -> None:
    """Each is executed by those who import it, so that nothing but their imports may be an error."""
    directory = Path(sysconfig.get_path("stdlib"))
    for file in sorted(directory.glob("*.py"))[::6]:
        source = file.read_text(encoding="utf-8")
        ast.parse(source)
        path = tmp_path / "filter.py"
        path.write_text(source, encoding="utf-8")
        errors = {finding.rule for finding in check_source(path).findings if finding.is_error}
        assert errors <= {"missing-module", "deferred-import", "relative-import", "unknown-module"}, file
