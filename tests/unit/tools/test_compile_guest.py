"""The check that the guest's code can be compiled fails on code that cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "tools/compile_guest.py"

PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, {tools!r})
import compile_guest
root = Path({root!r})
found = compile_guest.compile_to_ir(compile_guest.sources(root, [Path(name) for name in {files!r}]), [root])
print("".join(message + chr(10) for message in found), end="")
"""


def check(directory: Path, **modules: str) -> list[str]:
    """Compile modules; the file names of the messages are without the directory."""
    for name, source in modules.items():
        (directory / f"{name}.py").write_text(source, encoding="utf-8")
    files = [f"{name}.py" for name in modules]
    program = PROGRAM.format(tools=str(TOOL.parent), root=str(directory), files=files)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return run.stdout.replace(f"{directory}/", "").splitlines()


def test_good_code_compiles(tmp_path: Path) -> None:
    base = "class Base:\n    def size(self) -> int:\n        return 1\n"
    other = (
        "from collections.abc import Iterator\n"
        "from base import Base\n\n\n"
        "class Other(Base):\n"
        "    def items(self) -> Iterator[int]:\n"
        "        yield self.size()\n\n\n"
        "async def run(other: Other) -> int:\n"
        "    return sum([item for item in other.items()])\n"
    )
    assert check(tmp_path, base=base, other=other) == []


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("x: int = 'a'\n", 1, "Incompatible types in assignment"),
        ("class M(type):\n    pass\n\n\nclass A(metaclass=M):\n    pass\n", 1, "Inheriting from most builtin types"),
        (
            "class A:\n    pass\n\n\nclass B:\n    pass\n\n\nclass C(A, B):\n    pass\n",
            9,
            "Multiple inheritance is not supported",
        ),
        ("class A:\n    def f(self) -> None:\n        class B:\n            pass\n", 3, "Nested class definitions"),
    ],
)
def test_bad_code_is_told_with_its_line(tmp_path: Path, source: str, line: int, message: str) -> None:
    messages = check(tmp_path, good="VALUE = 1\n", bad=source)
    assert any(text.startswith(f"bad.py:{line}: error: {message}") for text in messages), messages
    assert not any(text.startswith("good.py") for text in messages)


def test_the_guests_code_compiles() -> None:
    run = subprocess.run([sys.executable, str(TOOL)], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    assert run.stdout.startswith("mypyc: 0 errors in the ")


def test_the_status_tells_of_errors(tmp_path: Path) -> None:
    """The program as it is, on a copy of the repository with a mistake in it."""
    package = tmp_path / "pywasm_filter/sdk"
    package.mkdir(parents=True)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/compile_guest.py").write_text(TOOL.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pywasm_filter/__init__.py").write_text("from pywasm_filter.sdk.bad import x\n\n__all__ = ['x']\n")
    (package / "__init__.py").write_text("")
    (package / "bad.py").write_text("def x() -> int:\n    return 'a'\n")
    program = [sys.executable, str(tmp_path / "tools/compile_guest.py")]
    run = subprocess.run(program, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "pywasm_filter/sdk/bad.py:2: error: Incompatible return value type" in run.stdout
    assert run.stdout.endswith("mypyc: 1 errors in the 3 modules of the guest\n")
