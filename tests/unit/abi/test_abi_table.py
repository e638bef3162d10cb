"""The ABI table, and that everything generated from it is current."""

import ast
import re
from functools import reduce
from pathlib import Path

import pytest
import wasmtime
from proxy_wasm_abi import Callback, Hostcall, load
from proxy_wasm_abi.generated.host_imports import HOST_IMPORTS, MODULE_EXPORTS
from proxy_wasm_abi.model import TABLE, TEST_HOSTS, parse
from proxy_wasm_abi.render import GENERATED, render_repository_files, stale_files

import pywasm_filter

ROOT = Path(__file__).parents[3]
FUNCTIONS: list[Hostcall | Callback] = [*load().hostcalls, *load().callbacks]


def test_generated_files_are_current() -> None:
    assert stale_files(ROOT) == []


def test_a_changed_file_is_stale(tmp_path: Path) -> None:
    for path, content in render_repository_files().items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    assert stale_files(tmp_path) == []
    victim = tmp_path / GENERATED["host_imports.py.j2"]
    victim.write_text(victim.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert stale_files(tmp_path) == [victim]


def test_names_and_types_are_consistent() -> None:
    abi = load()
    names = [call.name for call in abi.hostcalls] + [callback.name for callback in abi.callbacks]
    assert len(names) == len(set(names))
    types = {"u32", "u64", "s64", "bool", "bytes", "pairs"} | {enum.name for enum in abi.enums}
    for call in abi.hostcalls:
        assert {value.type for value in (*call.params, *call.returns)} <= types, call.name
    statuses = {member.name for member in next(e for e in abi.enums if e.name == "Status").members}
    assert all(set(call.statuses) <= statuses for call in abi.hostcalls)
    for callback in abi.callbacks:
        assert all(not value.is_buffer for value in callback.params), callback.name
        assert callback.result is None or callback.result in types, callback.name


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("proxy_log", "i32 i32 i32"),
        ("proxy_get_header_map_value", "i32 i32 i32 i32 i32"),
        ("proxy_http_call", "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32"),
        ("proxy_grpc_call", "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32"),
        ("proxy_increment_metric", "i32 i64"),
        ("proxy_get_shared_data", "i32 i32 i32 i32 i32"),
        ("proxy_done", ""),
    ],
)
def test_core_signatures_are_those_of_the_specification(name: str, params: str) -> None:
    assert HOST_IMPORTS[name].params == tuple(params.split())
    assert HOST_IMPORTS[name].results == ("i32",)


def test_callback_signatures_are_those_of_the_specification() -> None:
    assert MODULE_EXPORTS["proxy_on_request_headers"] == (("i32", "i32", "i32"), ("i32",))
    assert MODULE_EXPORTS["proxy_on_log"] == (("i32",), ())
    assert MODULE_EXPORTS["proxy_on_http_call_response"] == (("i32",) * 5, ())


def test_the_import_table_links_as_core_webassembly() -> None:
    imports = "\n".join(
        f'(import "env" "{name}" (func (param {" ".join(s.params)}) (result {" ".join(s.results)})))'
        for name, s in HOST_IMPORTS.items()
    )
    module = wasmtime.Module(wasmtime.Engine(), f"(module {imports})")
    assert len(module.imports) == len(load().hostcalls)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_each_function_has_python_faces_that_exist(function: Hostcall | Callback) -> None:
    assert function.names.python
    for face in function.names.python:
        first, *rest = face.path.split(".")
        assert first in pywasm_filter.__all__
        reduce(getattr, rest, getattr(pywasm_filter, first))


def hosts_of_test(source: str, name: str) -> set[str]:
    """Where a test of a module runs: the `hosts` of its marker, or of the module's."""
    module = ast.parse(source)
    function = next(entry for entry in module.body if isinstance(entry, ast.FunctionDef) and entry.name == name)
    marks = [
        entry.value
        for entry in module.body
        if isinstance(entry, ast.Assign) and ast.unparse(entry.targets[0]) == "pytestmark"
    ]
    for call in [*function.decorator_list, *marks]:
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.pywasm":
            for keyword in call.keywords:
                if keyword.arg == "hosts":
                    return set(ast.literal_eval(keyword.value))
    return set(TEST_HOSTS)


def test_the_test_of_a_function_exists_and_runs_where_the_table_says() -> None:
    for test in (function.test for function in FUNCTIONS):
        if test is not None:
            assert set(test.hosts) == hosts_of_test((ROOT / test.file).read_text(encoding="utf-8"), test.function)


def test_where_a_test_runs_is_found_in_its_source() -> None:
    source = '@pytest.mark.pywasm(hosts=["wasmtime"])\ndef test_a():\n    ...\n\n\ndef test_b():\n    ...\n'
    assert hosts_of_test(source, "test_a") == {"wasmtime"}
    assert hosts_of_test(source, "test_b") == {"inprocess", "wasmtime", "envoy"}
    marked = 'pytestmark = pytest.mark.pywasm(hosts=["envoy"])\n' + source
    assert hosts_of_test(marked, "test_a") == {"wasmtime"}
    assert hosts_of_test(marked, "test_b") == {"envoy"}


@pytest.mark.parametrize(
    ("faces", "message"),
    [("[]", "proxy_log has no Python face"), ('["log()"]', "proxy_log: 'log\\(\\)' is no dotted path")],
)
def test_a_function_without_a_python_face_is_refused(faces: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(TABLE.read_text(encoding="utf-8").replace('python = ["log"]', f"python = {faces}"))


def table_with_test(test: str) -> str:
    """The table, with another test of proxy_log, its first hostcall."""
    before, _, after = TABLE.read_text(encoding="utf-8").partition('name = "proxy_log"\n')
    return f'{before}name = "proxy_log"\n' + re.sub(r'^test = ".*"$', f"test = {test}", after, count=1, flags=re.M)


@pytest.mark.parametrize(
    "test", ['"test_x.py"', '"test_x.py::test_y"\ntest_hosts = ["nginx"]', '"a::b"\ntest_hosts = []']
)
def test_a_test_that_names_no_function_or_no_host_is_refused(test: str) -> None:
    with pytest.raises(ValueError, match="proxy_log: a test is"):
        parse(table_with_test(test))


def test_a_test_is_shown_with_its_hosts() -> None:
    test = '"tests/faces/test_x.py::test_y"\ntest_hosts = ["inprocess", "wasmtime"]'
    call = parse(table_with_test(test)).hostcall("proxy_log")
    assert call is not None
    assert call.test is not None
    assert (call.test.file, call.test.function) == ("tests/faces/test_x.py", "test_y")
    assert call.test.hosts == ("inprocess", "wasmtime")
