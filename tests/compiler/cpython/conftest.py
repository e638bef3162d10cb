"""One real build for all tests of the engine, and the module as machine code."""

from pathlib import Path

import pytest
from proxy_wasm_abi import load
from pywasm_compiler.cpython.componentize import componentize
from pywasm_compiler.cpython.engine import CPythonEngine
from pywasm_compiler.engine import Options, Program, engine

from tests.compiler.cpython.proxy_host import CompiledModule, ProxyHost

GUEST = Path(__file__).with_name("guest")


@pytest.fixture(scope="session")
def program() -> Program:
    return Program(
        filter_module="probe_filter",
        runtime_module="probe_runtime",
        search_path=(GUEST,),
        hostcalls=tuple(hostcall.name for hostcall in load().hostcalls),
        callbacks=(
            "proxy_on_context_create",
            "proxy_on_vm_start",
            "proxy_on_configure",
            "proxy_on_request_headers",
            "proxy_on_tick",
        ),
    )


@pytest.fixture(scope="session")
def component_bytes() -> bytes:
    """The component of the base image."""
    return componentize().component


@pytest.fixture(scope="session")
def module_bytes(program: Program) -> bytes:
    return engine("cpython").compile(program, Options(), lambda step: None)


@pytest.fixture(scope="session")
def built(module_bytes: bytes) -> CompiledModule:
    return CompiledModule(module_bytes)


@pytest.fixture(scope="session")
def compiled(built: CompiledModule) -> CompiledModule:
    """What hosts run."""
    return built


@pytest.fixture(scope="session")
def interpreted(program: Program) -> CompiledModule:
    """The same, but for the interpreter and what it cannot run all functions are interpreted."""
    return CompiledModule(CPythonEngine(compiled=()).compile(program, Options(), lambda step: None))


@pytest.fixture
def host(compiled: CompiledModule) -> ProxyHost:
    """A VM that has started."""
    host = ProxyHost(compiled)
    host.start()
    return host
