"""A new project, outside this repository, with this package from its wheel: the commands of its README all work."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OF_THIS_RUN = ("PYTHON", "PYTEST", "PYWASM", "VIRTUAL_ENV", "COV_CORE", "COLUMNS", "FORCE_COLOR", "PY_COLORS")
# What shows that a command has done its work, besides its exit status.
EXPECTED = {
    "pytest": ["2 passed"],
    "pytest --cov=filter": ["2 passed", "filter.py "],
    "pytest --pywasm-host=wasmtime": ["2 passed"],
    "pytest --pywasm-host=envoy": ["2 passed"],
    "pywasm-filter check filter.py": ["filter.py: no problem found"],
    "pywasm-filter try filter.py /x": ["+ x-filtered-by: my_filter"],
    "pywasm-filter build filter.py -o my_filter.wasm": ["my_filter.wasm", "imports"],
    "pywasm-filter inspect my_filter.wasm": ["my_filter.wasm: Proxy-Wasm ABI 0.2.1", "componentize-py"],
}
ORIGIN = """
import sys
import proxy_wasm_abi, pywasm_compiler, pywasm_filter
for module in (proxy_wasm_abi, pywasm_compiler, pywasm_filter):
    print(module.__file__)
print(*sys.path, sep="\\n")
"""


class Shell:
    """Runs commands in a directory, without anything of this test run in their environment."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.directory = directory
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(OF_THIS_RUN)}
        own = sysconfig.get_path("scripts")
        path = [entry for entry in os.environ.get("PATH", os.defpath).split(os.pathsep) if entry != own]
        python = directory.parent / "bin" / "python"  # many systems have python3 only
        python.parent.mkdir(exist_ok=True)
        interpreter = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(str(interpreter))} "$@"\n')
        python.chmod(0o755)
        self.environment |= {"PATH": os.pathsep.join([str(python.parent), *path]), **environment}

    def run(self, command: str) -> str:
        """What the command prints. It fails the test if its status is not 0."""
        run = subprocess.run(
            ["sh", "-ec", command],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert run.returncode == 0, f"$ {command}\n{run.stdout}"
        return run.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    run = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(directory), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    [wheel] = directory.iterdir()
    return wheel


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pywasm-filter new` of the wheel makes. Its dependencies are those of this run; this package is not."""
    directory = tmp_path_factory.mktemp("author")
    shell = Shell(directory)
    shell.run("python -m venv --without-pip tool")
    [site_packages] = directory.glob("tool/lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", "tool/bin/python", "install", "--quiet", "--no-deps"]
    shell.run(shlex.join([*pip, "--ignore-installed", str(wheel)]))
    assert str(directory) in shell.run("tool/bin/python -c 'import pywasm_filter; print(pywasm_filter.__file__)'")
    shell.run("tool/bin/pywasm-filter new my_filter")
    return directory / "my_filter"


def readme_commands(project: Path) -> list[str]:
    before_configuration, *_ = (project / "README.md").read_text().split("```")
    lines = [line for line in before_configuration.splitlines() if line.startswith("    ")]
    return [line.partition(" #")[0].strip() for line in lines]


def test_the_commands_of_the_readme_work(project: Path, wheel: Path, tmp_path: Path) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(f"pywasm-filter @ {wheel.as_uri()}\n")
    shell = Shell(project, PIP_FIND_LINKS=str(wheel.parent), PIP_CONSTRAINT=str(constraints))
    make, install, *commands = readme_commands(project)
    assert make.startswith("python -m venv .venv && ")
    assert install.endswith("pip install --group dev")
    shell.run(make)
    shell.run(f". .venv/bin/activate && {install}")

    origin = shell.run(f". .venv/bin/activate && python -c {shlex.quote(ORIGIN)}").splitlines()
    assert all(line.startswith(str(project / ".venv")) for line in origin[:3])
    assert not any(line.startswith(str(ROOT)) for line in origin)

    assert commands == list(EXPECTED)
    for command in commands:
        printed = shell.run(f". .venv/bin/activate && {command}")
        for text in EXPECTED[command]:
            assert text in printed, f"$ {command}\n{printed}"
    assert (project / "my_filter.wasm").read_bytes().startswith(b"\0asm")
    shutil.rmtree(project / ".venv")  # hundreds of megabytes, which pytest would keep
