"""The linker on a small component, and the linked module under wasmtime."""

import pytest
import wasmtime
from proxy_wasm_abi import load
from pywasm_compiler.cpython import linker as linker_module
from pywasm_compiler.cpython import replacements
from pywasm_compiler.cpython.glue import Code
from pywasm_compiler.cpython.libraries import LinkError, select_libraries
from pywasm_compiler.cpython.linker import LinkedModule, link
from pywasm_compiler.cpython.replacements import Symbols
from pywasm_compiler.cpython.stack import HARD_LIMIT, SOFT_LIMIT
from pywasm_compiler.wasm.component import read_component
from pywasm_compiler.wasm.model import ExternKind
from pywasm_compiler.wasm.reader import read_module
from pywasm_compiler.wasm.writer import write_module

from tests.unit.cpython.component_wat import COMPONENT, STACK_TOP

NOW = 1_234_567_890
CALLBACKS = [callback.name for callback in load().callbacks]


def linked(text: str = COMPONENT) -> LinkedModule:
    return link(read_component(wasmtime.wat2wasm(text)), ["proxy_log"], CALLBACKS)


@pytest.fixture(autouse=True)
def no_replacements(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small libc has none of the functions that are replaced in the real one."""
    monkeypatch.setattr(linker_module, "REPLACED", {})


class Vm:
    """The linked module over a host that records log lines."""

    def __init__(self, module: LinkedModule) -> None:
        content = write_module(module.module)
        assert read_module(content) == module.module
        self.lines: list[tuple[int, bytes]] = []
        self.store = wasmtime.Store()
        i32 = wasmtime.ValType.i32
        functions = [
            wasmtime.Func(self.store, wasmtime.FuncType([i32()] * 3, [i32()]), self._log),
            wasmtime.Func(self.store, wasmtime.FuncType([i32()], [i32()]), self._time),
            wasmtime.Func(self.store, wasmtime.FuncType([i32()] * 2, [i32()]), lambda address, size: 0),
        ]
        compiled = wasmtime.Module(self.store.engine, content)
        self.exports = wasmtime.Instance(self.store, compiled, functions).exports(self.store)
        memory = self.exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self.memory = memory

    def _log(self, level: int, address: int, size: int) -> int:
        self.lines.append((level, bytes(self.memory.read(self.store, address, address + size))))
        return 0

    def _time(self, address: int) -> int:
        self.memory.write(self.store, NOW.to_bytes(8, "little"), address)
        return 0

    def call(self, name: str, *arguments: int) -> object:
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        return function(self.store, *arguments)

    def read(self, address: int, size: int = 4) -> int:
        return int.from_bytes(self.memory.read(self.store, address, address + size), "little")


def test_the_libraries_are_told_apart() -> None:
    libraries = select_libraries(read_component(wasmtime.wat2wasm(COMPONENT)))
    assert [library.name for library in libraries.libraries] == ["libc.so", "libb.so"]
    assert libraries.main.module.memories
    assert not libraries.init.module.exports


def test_imports_and_exports() -> None:
    module = linked().module
    assert [(entry.module, entry.name) for entry in module.imports] == [
        ("env", "proxy_log"),
        ("env", "proxy_get_current_time_nanoseconds"),
        ("wasi_snapshot_preview1", "random_get"),
    ]
    assert [entry.name for entry in module.exports] == [
        "memory",
        "proxy_abi_version_0_2_1",
        "_initialize",
        "proxy_on_memory_allocate",
        "malloc",
        "proxy_on_vm_start",
    ]


def test_it_runs() -> None:
    vm = Vm(linked())
    vm.call("_initialize")
    assert vm.call("proxy_on_vm_start", 20, 22) == 42
    assert vm.read(65536 + 200) == STACK_TOP  # the stack pointer, at an address relative to the base
    assert vm.read(65740) == 65600  # the address of another library's variable
    assert vm.read(65744, 8) == NOW
    assert vm.read(65752) == 42  # what is called after the export
    assert vm.lines == [(2, b"snapshot")]  # through main's trampoline and the table
    assert vm.read(65680) == 65548  # the list argument was freed
    assert vm.call("proxy_on_memory_allocate", 1) == 65700


def test_memory_and_table() -> None:
    module = linked().module
    assert module.memories[0].limits.minimum == 3
    assert module.tables[0].limits.minimum == module.tables[0].limits.maximum
    offsets = {segment.offset[0].immediate: len(segment.items) for segment in module.elements if segment.items}
    assert offsets == {3: 1, 5: 2}


def test_the_stack_pointer_is_the_only_global() -> None:
    (stack_pointer,) = linked().module.globals
    assert stack_pointer.type.mutable
    assert stack_pointer.init[0].immediate == STACK_TOP


def test_the_limits_of_the_stack_are_set() -> None:
    vm = Vm(linked())
    assert [vm.read(STACK_TOP + offset) for offset in (0, 4, 8)] == [STACK_TOP, SOFT_LIMIT, HARD_LIMIT]
    assert bytes(vm.memory.read(vm.store, STACK_TOP + 12, STACK_TOP + 20)) == b"snapshot"


def test_what_is_not_used_is_not_there() -> None:
    module = linked()
    names = set(module.names.values())
    assert {"wraps", "on_vm_start", "trampoline"} & names == {"wraps", "on_vm_start"}
    assert "dead" not in names
    assert not any("resolution" in name for name in names)
    assert len(module.module.functions) + len(module.module.imports) == max(module.names) + 1


def test_no_type_is_listed_twice() -> None:
    types = linked().module.types
    assert len(types) == len(set(types))


def test_the_same_component_gives_the_same_bytes() -> None:
    assert write_module(linked().module) == write_module(linked().module)


# --- what cannot be linked --------------------------------------------------------------------------------------------


def refused(old: str, new: str, text: str = COMPONENT) -> str:
    assert old in text
    with pytest.raises(LinkError) as caught:
        linked(text.replace(old, new))
    return str(caught.value)


def test_an_unknown_wasi_function_that_is_called_is_named() -> None:
    message = refused("clocks/monotonic-clock@0.2.0", "clocks/lunar-clock@0.2.0")
    assert message == "libb.so imports now of wasi:clocks/lunar-clock@0.2.0, which a proxy does not offer"


def test_an_unknown_wasi_function_that_nothing_calls_is_no_matter() -> None:
    text = COMPONENT.replace('"resolution"', '"phase"')
    assert linked(text).module.functions


def test_a_hostcall_that_the_abi_does_not_have() -> None:
    component = read_component(wasmtime.wat2wasm(COMPONENT.replace("proxy-log", "proxy-nothing")))
    with pytest.raises(LinkError, match="proxy_nothing, which the ABI does not have"):
        link(component, ["proxy_log"], CALLBACKS)


def test_a_hostcall_that_was_not_asked_for_traps() -> None:
    module = link(
        read_component(wasmtime.wat2wasm(COMPONENT.replace("proxy-log", "proxy-enqueue-shared-queue"))), [], CALLBACKS
    )
    assert "proxy_enqueue_shared_queue" not in {entry.name for entry in module.module.imports}
    assert "pywasm no hostcall proxy_enqueue_shared_queue" in module.names.values()


def test_a_global_that_changes() -> None:
    message = refused("(drop (call $trampoline", "(global.set $variable (i32.const 1)) (drop (call $trampoline")
    assert message.startswith("libb.so: on_vm_start: global.set of global")


def test_a_start_function() -> None:
    assert refused("(func $dead ", "(func $begin) (start $begin) (func $dead ") == "libb.so has a start function"


def test_passive_data() -> None:
    assert refused("(func $dead ", '(data "x") (func $dead ') == "libb.so has a data segment that is not active"


def test_no_memory() -> None:
    # A second module that exports nothing is as unexpected as a second memory.
    assert "2 export nothing" in refused(
        "(core instance $shim ", "(core module $odd) (core instance (instantiate $odd)) (core instance $shim "
    )


def test_no_allocator() -> None:
    assert refused('(export "free")', '(export "release")') == "no library exports free"


def test_a_function_to_replace_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linker_module, "REPLACED", {"libc.so": {"sleep": lambda code, symbols: code.i32_const(1)}})
    with pytest.raises(LinkError, match=r"libc\.so has no function sleep"):
        linked()


def test_a_function_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linker_module, "REPLACED", {"libb.so": {"wraps": lambda code, symbols: code.i32_const(9)}})
    vm = Vm(linked())
    vm.call("proxy_on_vm_start", 1, 2)
    assert vm.lines == []


def test_an_import_is_interposed(monkeypatch: pytest.MonkeyPatch) -> None:
    def note(code: Code, symbols: Symbols) -> None:
        code.i32_const(65760).i32_const(5).i32_store().i32_const(0)

    monkeypatch.setattr(replacements, "INTERPOSED", {"libb.so": {"trampoline": note}})
    vm = Vm(linked())
    vm.call("proxy_on_vm_start", 1, 2)
    assert vm.lines == []
    assert vm.read(65760) == 5


def test_kinds_of_exports() -> None:
    kinds = {entry.name: entry.kind for entry in linked().module.exports}
    assert kinds.pop("memory") is ExternKind.MEMORY
    assert set(kinds.values()) == {ExternKind.FUNC}
