"""What is interpreted does not run in ordinary filters: the list of compiled functions fits this version of CPython."""

from dataclasses import replace
from pathlib import Path

import pytest
from pywasm_compiler.cpython.linker import GLUE_PREFIX
from pywasm_compiler.wasm.code import insert_at_entry
from pywasm_compiler.wasm.names import module_names
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

from pywasm_filter.build import build
from pywasm_filter.testing import MakeProxy

EXAMPLES = Path(__file__).parents[3] / "examples"
INTERPRET = f"{GLUE_PREFIX}interpret"
UNREACHABLE = b"\0"


@pytest.mark.parametrize(
    ("example", "configuration"),
    [("add_header", b"value"), ("json_body_rewrite", b""), ("access_log", b"")],
)
@pytest.mark.pywasm(hosts=["wasmtime"])
def test_an_example_runs_without_the_interpreter(
    make_proxy: MakeProxy, tmp_path: Path, example: str, configuration: bytes
) -> None:
    module = read_module(build(EXAMPLES / example / "filter.py"))
    names = {name: index for index, name in module_names(module).functions.items()}
    index = names[INTERPRET] - len(module.imports)
    interpret = module.functions[index]
    module.functions[index] = replace(interpret, body=insert_at_entry(interpret.body, UNREACHABLE))
    file = tmp_path / f"{example}.wasm"
    file.write_bytes(write_module(module))
    proxy = make_proxy(filter=file, configuration=configuration)
    for body in (b"", b'{"name": "x", "list": [1, 2.5, null]}'):
        exchange = proxy.request("POST", "/path?a=b", headers=[("content-type", "application/json")], body=body)
        assert exchange.response.status < 500
    assert not [line for line in proxy.logs if "trap" in line.message]
