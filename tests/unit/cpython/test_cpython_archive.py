"""What functions of packages and of filters import goes into the archive."""

import marshal
from collections.abc import Mapping
from typing import Any

import pytest
from pywasm_compiler.cpython import late
from pywasm_compiler.cpython.code_cache import Code
from pywasm_compiler.cpython.module_files import ModuleFile

STANDARD = {
    "json": "import re",
    "re": "",
    "http": "",
    "http.client": "import socket",
    "asyncio": "",
    "subprocess": "",
    "pprint": "",
}
GIVEN = {
    "pack": "from pack import now\ndef f():\n    from . import later, value\n    import json, asyncio, http.client",
    "pack.now": "def g():\n    try:\n        import pack.optional\n    except ImportError:\n        pass",
    "pack.later": "import other\ndef h():\n    import pprint, subprocess, nowhere\n    from http import HTTPStatus",
    "pack.optional": "",
    "pack.never": "",
    "other": "",
    "broken": "def f(:\n",
}


class Modules:
    """Stands for CompiledModules."""

    def find(self, name: str) -> ModuleFile | None:
        if name in STANDARD:
            return ModuleFile(f"/python/{name.replace('.', '/')}.py", (), STANDARD[name].encode())
        if name not in GIVEN:
            return None
        directories = (f"/1/{name}",) if name == "pack" else ()
        return ModuleFile(f"/1/{name.replace('.', '/')}.py", directories, GIVEN[name].encode())

    def code(self, name: str) -> bytes | None:
        return b""

    def packed(self, name: str, dictionary: bytes) -> Code | None:
        source = (STANDARD | GIVEN).get(name)
        if source is None:
            return None
        imports = [line.removeprefix("import ") for line in source.splitlines() if line.startswith("import ")]
        return Code(name.encode(), tuple((0, each, ()) for each in imports))

    def is_given(self, name: str, found: ModuleFile) -> bool:
        return name in GIVEN


@pytest.fixture
def members(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    modules: Any = Modules()
    built_in, _, members = marshal.loads(late.archive(modules, ["pack", "pack.now", "broken"], []))
    assert built_in == []
    found: Mapping[str, Any] = members
    return found


def test_what_functions_import_and_what_that_imports(members: Mapping[str, Any]) -> None:
    assert sorted(members) == ["http", "json", "other", "pack.later", "pprint", "re"]
    assert members["pack.later"] == ("/1/pack/later.py", "", b"pack.later")
